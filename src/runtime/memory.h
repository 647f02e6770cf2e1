// Memory: what a decoder looks at of the encoder's output. Keys and values of every text and layer
// are made once and stay in a cache of their own.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/decoder.h"
#include "regard/model.h"

namespace regard {

class Memory {
 public:
  // Encodes the texts, whole ones together as far as a pass takes them. Steps run on the pool that
  // is current now. Throws Error(invalid_argument) for a text that the encoder does not take.
  Memory(const models::Decoder& model, const RunOptions& options,
         std::span<const std::vector<TokenId>> texts);

  // What `rows` rows from first_row on see of text: all of it.
  Segment segment(int64_t text, int64_t first_row, int64_t rows) const;
  const KvCache& cache() const noexcept { return cache_; }

 private:
  std::vector<int64_t> lengths_;
  std::vector<std::vector<int32_t>> pages_;  // of each text
  KvCache cache_;
};

}  // namespace regard
