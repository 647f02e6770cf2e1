// BytePairs: byte-level BPE. A text is cut into words, a word into its bytes, and neighbours are
// merged, the pair with the lowest rank first and of equals the leftmost, until none merges.
// Sennrich et al. 2016; over bytes, Radford et al. 2019.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/model.h"
#include "text/split.h"
#include "text/string_table.h"
#include "text/vocabulary.h"

namespace regard::text {

class BytePairs final : public Model {
 public:
  // `vocabulary` must outlive this. Throws Error(unreadable) for a merge that is not two tokens
  // of the vocabulary whose concatenation is a third.
  BytePairs(const Vocabulary& vocabulary, const std::vector<std::string>& merges,
            const PreTokenizer& pre);

  void encode(std::string_view text, int64_t begin, int64_t end, Output& out) const override;
  std::string_view bytes(int32_t id) const noexcept override { return bytes_[id]; }

 private:
  struct Symbol;

  void index_bytes();
  void add_merge(std::string_view merge, uint32_t rank);
  int32_t resolve(std::string_view part, std::string_view merge, uint32_t rank) const;

  void encode_word(std::string_view word, int64_t begin, Output& out) const;
  bool merges_to_itself(std::string_view word, int32_t id) const;
  // Calls use(span of the symbols that are left when nothing merges any more).
  template <class Use>
  void merge(std::string_view word, Use&& use) const;
  // Gives the number of symbols written, resp. left.
  int split_to_bytes(std::string_view word, Symbol* symbols) const;
  int merge_short(Symbol* symbols, int count) const;
  void merge_long(std::vector<Symbol>& symbols) const;

  const Vocabulary& vocabulary_;
  WordScanner word_end_;
  bool ignore_merges_;
  StringTable bytes_;  // [tokens]; those that text may produce are indexed
  PairTable merges_;
  int32_t byte_ids_[256];  // -1: the vocabulary has no token for the byte, which is then dropped

  // A word that is a token nearly always merges to that token. Whether it does is worked out when
  // it is first met: most of a vocabulary never is. Any thread finds the same answer.
  enum class Whole : uint8_t { not_known, yes, no };
  mutable std::vector<std::atomic<Whole>> whole_;
};

}  // namespace regard::text
