// Batch: sequences of any length in flight, their pages of the cache, and one pass of the model
// over the next rows of some of them.
//
//   batch.add(sequence, tokens);          // for each sequence that takes part in this step
//   Tensor hidden = batch.run();          // one row a token, in the order of add
//
// Nothing is padded: rows of prompts and of single tokens stand one behind the other.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "attention/attention.h"
#include "models/decoder.h"
#include "regard/model.h"
#include "runtime/memory.h"
#include "runtime/pages.h"

namespace regard {

// What a pass may cost at most. Throws Error(invalid_argument) that names the option as the
// command line does.
void check(const RunOptions& options);

struct Sequence {
  std::vector<TokenId> ids;         // the prompt and what came after it
  int64_t cached = 0;               // ids [0, cached) have their keys and values in the cache
  std::vector<PageId> block_table;  // pages in order
  int64_t text = 0;                 // of the memory, of a decoder that looks at an encoder's output

  int64_t waiting() const noexcept { return static_cast<int64_t>(ids.size()) - cached; }
};

// What a step did, and what padding every sequence to the longest would have done.
struct StepCounts {
  int64_t rows = 0;  // tokens that went through the layers
  int64_t padded_rows = 0;
  int64_t cached_keys = 0;  // of each layer, kept from earlier steps and read now
  int64_t new_keys = 0;     // written and read in this step
  int64_t panel_keys = 0;   // both, rounded up to whole panels as the kernel reads them
  int64_t padded_keys = 0;
};

class Batch {
 public:
  // lengths: the most tokens that each sequence will have. The cache holds them all; its memory is
  // touched as keys arrive. Throws Error(out_of_memory) when it cannot be had. Steps run on the
  // pool that is current now. memory: of a decoder that looks at an encoder's output; outlives the
  // batch.
  Batch(const models::Decoder& model, const RunOptions& options, std::span<const int64_t> lengths,
        const Memory* memory = nullptr);
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;

  // A sequence with room reserved for `length` tokens.
  Sequence start(std::span<const TokenId> prompt, int64_t length) const;

  // The next `tokens` waiting ids of a sequence join the step; takes pages for them.
  void add(Sequence& sequence, int64_t tokens);

  // To be called when ids of the sequence have grown: a text that LongRoPE now turns otherwise has
  // to go through the model again, from its first token.
  void grown(Sequence& sequence) const noexcept;

  // The step: [rows, width], before the final norm. Afterwards the sequences' tokens are cached.
  Tensor run(nn::Observer* observer = nullptr);

  // The logits of some rows of hidden, in slices of bounded memory: work(first, logits) is called
  // with logits [count, vocabulary] of rows [first, first + count) of `rows`.
  template <class Work>
  void logits(const Tensor& hidden, std::span<const int64_t> rows, const Work& work) const {
    const auto count = static_cast<int64_t>(rows.size());
    for (int64_t first = 0; first < count; first += slice_rows_) {
      const int64_t part = count - first < slice_rows_ ? count - first : slice_rows_;
      work(first, model_.logits(gather(hidden, rows.subspan(first, part))));
    }
  }

  // Gives the pages of a sequence back; it must not take part again.
  void finish(Sequence& sequence) noexcept;

  // Pages are handed out from here; tests take some first to scatter a sequence's pages.
  PagePool& pages() noexcept { return pages_; }
  const KvCache& cache() const noexcept { return cache_; }
  const StepCounts& last_step() const noexcept { return counts_; }

 private:
  void reserve_plans(std::span<const int64_t> lengths);
  void replan();

  const models::Decoder& model_;
  KvCache cache_;
  PagePool pages_;
  int64_t slice_rows_;
  std::vector<AttentionPlan> plans_;  // of each kind of layer
  const Memory* memory_;
  std::optional<AttentionPlan> cross_plan_;
  StepCounts counts_;
  // Of the step that is being put together:
  std::vector<TokenId> tokens_;
  std::vector<int32_t> positions_;
  std::vector<int32_t> turns_;  // as nn::Step has them
  std::vector<Segment> segments_;
  std::vector<Segment> cross_segments_;
  std::vector<Sequence*> members_;
  std::vector<nn::AttentionStep> kinds_;
};

// Which sequences take part in the next step with how many tokens: every one that is past its
// prompt with one, then prompts in order with at most `chunk` tokens together.
class Schedule {
 public:
  explicit Schedule(const RunOptions& options) noexcept : chunk_(options.chunk) {}

  // Tokens of this prompt that still fit into the step; 0 = none.
  int64_t share(int64_t waiting) noexcept {
    if (chunk_ == 0) return waiting;
    const int64_t tokens = waiting < chunk_ - used_ ? waiting : chunk_ - used_;
    used_ += tokens;
    return tokens;
  }

 private:
  int64_t chunk_;
  int64_t used_ = 0;
};

}  // namespace regard
