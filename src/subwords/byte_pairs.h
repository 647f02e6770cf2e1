// BytePairs: byte-level BPE. The bytes of a word are merged, pair by pair. Radford et al. 2019.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "subwords/model.h"
#include "subwords/pair_merger.h"
#include "subwords/string_table.h"

namespace regard::subwords {

class BytePairs final : public Model {
 public:
  struct Options {
    bool ignore_merges = false;  // a word that is a token is taken whole, whatever the merges say
    Unknown unknown = {};        // for bytes without a token
  };
  // bytes [tokens]: what each stands for; those that text may produce are indexed.
  BytePairs(StringTable bytes, const std::vector<MergeRule>& merges, const Options& options);

  void encode(std::string_view text, int64_t begin, int64_t end, Output& out) const override;

 private:
  template <class Use>
  void merge(std::string_view word, Use&& use) const;
  int split(std::string_view word, Symbol* symbols) const;

  StringTable bytes_;
  PairMerger merger_;
  WholeWords whole_;
  Options options_;
  int32_t byte_ids_[256];  // -1: the vocabulary has no token for the byte
};

}  // namespace regard::subwords
