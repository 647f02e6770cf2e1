// CharacterPairs: SentencePiece's BPE. The characters of a text, spaces written as U+2581, are
// merged pair by pair, by rank or by score; a character without a token becomes tokens of its bytes
// ("<0xE2>"), or unknown. Kudo and Richardson 2018.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "subwords/model.h"
#include "subwords/pair_merger.h"
#include "subwords/vocabulary.h"

namespace regard::subwords {

class CharacterPairs final : public Model {
 public:
  struct Options {
    bool ignore_merges = false;  // a word that is a token is taken whole, whatever the merges say
    bool byte_fallback = false;  // a character without a token becomes its bytes, if all have one
    Unknown unknown = {};
    std::string prefix = {};  // of tokens inside a word
    std::string suffix = {};  // of tokens at a word's end
  };
  // `vocabulary` must outlive this.
  CharacterPairs(const Vocabulary& vocabulary, const std::vector<MergeRule>& merges,
                 Options options);
  // As GGUF's "llama" has it: neighbours that make a token together merge, the one with the highest
  // score first. Characters without a token take part; those that are left become bytes.
  // scores [tokens]. Throws Error(unreadable) for one that is not a number.
  CharacterPairs(const Vocabulary& vocabulary, const std::vector<float>& scores, Options options);

  void encode(std::string_view text, int64_t begin, int64_t end, Output& out) const override;

 private:
  struct Ranked;
  CharacterPairs(const Vocabulary& vocabulary, Ranked ranked, Options options);

  template <class Use>
  void merge(std::string_view word, Use&& use) const;
  int split(std::string_view word, Symbol* symbols) const;
  int32_t find_token(std::string_view character, bool first, bool last) const;
  void encode_part(std::string_view part, int64_t begin, Output& out) const;
  void add_bytes(const Symbol& symbol, std::string_view part, int64_t begin, Output& out) const;
  bool no_merge_crosses_a_space(const std::vector<MergeRule>& merges) const;

  const Vocabulary& vocabulary_;
  // Characters that only make tokens together with others have numbers from the vocabulary's size
  // on.
  StringTable parts_;
  PairMerger merger_;
  WholeWords whole_;
  Options options_;
  std::vector<int32_t> characters_;  // [0x10000] symbols of the basic plane; -1: none
  std::array<int32_t, 256> byte_ids_;
  bool has_all_bytes_;
  bool late_bytes_;  // characters without a token are told apart behind the merges
  bool cuts_at_spaces_;
};

}  // namespace regard::subwords
