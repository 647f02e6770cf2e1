// Batch: the tokens of one pass in training, what each should foresee, and how much that counts.
// Source: where batches come from, one after another, by a cursor that a checkpoint keeps.
#pragma once

#include <cstdint>
#include <vector>

namespace regard::data {

using Id = int32_t;

struct Batch {
  std::vector<Id> ids = {};           // [tokens]
  std::vector<Id> targets = {};       // [tokens] the token behind each
  std::vector<float> weights = {};    // [tokens] of the loss; 0: does not count
  std::vector<int64_t> lengths = {};  // of its texts, one behind another: each sees itself alone
  int64_t row = 0;  // texts begin at multiples of it, padded; 0: packed, no padding

  int64_t tokens() const noexcept { return std::ssize(ids); }
  int64_t real_tokens() const noexcept {
    int64_t sum = 0;
    for (const int64_t length : lengths) sum += length;
    return sum;
  }
  double weight() const noexcept {
    double sum = 0;
    for (const float one : weights) sum += one;
    return sum;
  }
};

// What training has seen so far.
struct Cursor {
  uint64_t epoch = 0;
  uint64_t next = 0;  // piece of the epoch, or example of a task

  bool operator==(const Cursor&) const = default;
};

// How texts are put into batches.
struct Filling {
  int64_t rows = 16;     // a batch has rows · length tokens at most
  int64_t length = 256;  // most tokens of a text; longer ones are cut
  bool packed = true;    // texts lie one behind another; else each has a row of its own
};

class Source {
 public:
  virtual ~Source() = default;
  virtual int64_t vocabulary() const noexcept = 0;
  // Depends on the cursor alone, which moves on.
  virtual Batch next(Cursor& cursor) const = 0;
  // The same batches every time, never trained on; may be none.
  virtual std::vector<Batch> held_out(int64_t most) const = 0;
};

}  // namespace regard::data
