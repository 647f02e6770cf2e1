// Model: how one kind of tokenizer turns a stretch of text into ids, and an id into bytes.
// The Tokenizer around it finds the special tokens and adds those of begin and end; a further
// kind (pieces with scores, words, a unigram lattice) is one more class like this.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace regard::text {

// Where a model writes: ids, and if wanted the range of the text behind each.
class Output {
 public:
  Output(std::vector<int32_t>& ids, std::vector<ByteRange>* ranges) noexcept
      : ids_(ids), ranges_(ranges) {}

  void add(int32_t id, int64_t begin, int64_t end) {
    ids_.push_back(id);
    if (ranges_ != nullptr) ranges_->push_back({begin, end});
  }

 private:
  std::vector<int32_t>& ids_;
  std::vector<ByteRange>* ranges_;
};

class Model {
 public:
  virtual ~Model() = default;

  // Appends the ids of text[begin, end), in which no special token is to be found; ranges count
  // from the start of `text`. Requires: well-formed UTF-8, begin and end between characters.
  // Called by many threads at once.
  virtual void encode(std::string_view text, int64_t begin, int64_t end, Output& out) const = 0;

  // The bytes that a token stands for. Requires: an id of the vocabulary.
  virtual std::string_view bytes(int32_t id) const noexcept = 0;
};

}  // namespace regard::text
