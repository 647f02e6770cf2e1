// Model: how one kind of tokenizer turns a word into ids. The Tokenizer around it finds the special
// tokens, normalises, cuts into words, and adds the tokens of begin and end.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "regard/byte_range.h"

namespace regard::subwords {

// Where a model writes: ids, and if wanted the range of the text behind each.
class Output {
 public:
  Output(std::vector<int32_t>& ids, std::vector<ByteRange>* ranges) noexcept
      : ids_(ids), ranges_(ranges) {}

  void add(int32_t id, int64_t begin, int64_t end) {
    ids_.push_back(id);
    if (ranges_ != nullptr) ranges_->push_back({begin, end});
  }

  std::vector<int32_t>& ids() noexcept { return ids_; }
  std::vector<ByteRange>* ranges() noexcept { return ranges_; }  // [ids] or null

 private:
  std::vector<int32_t>& ids_;
  std::vector<ByteRange>* ranges_;
};

class Model {
 public:
  virtual ~Model() = default;

  // Appends the ids of the word text[begin, end); ranges count from the start of `text`, which is
  // normalised. Requires: well-formed UTF-8, begin < end, both between characters.
  // Called by many threads at once.
  virtual void encode(std::string_view text, int64_t begin, int64_t end, Output& out) const = 0;
};

}  // namespace regard::subwords
