// Merges as files write them, resolved to ids.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "subwords/pair_merger.h"
#include "subwords/string_table.h"
#include "subwords/vocabulary.h"

namespace regard::subwords {

using WrittenMerge = std::pair<std::string_view, std::string_view>;

// "left right", split at the first space behind byte 0. Throws Error(unreadable) if there is none.
WrittenMerge parse_merge(std::string_view merge, size_t rank);

// The rules, one a merge. `prefix` (of tokens inside a word) is left out where two are joined.
// bytes: what tokens stand for, where a merge may be written so, or null.
// Merges into control and unknown tokens are left out: no text may spell its way to one.
// Throws Error(unreadable) unless both parts and what they join to are tokens.
std::vector<MergeRule> resolve_merges(const Vocabulary& vocabulary, const StringTable* bytes,
                                      const std::vector<WrittenMerge>& merges,
                                      std::string_view prefix = {});

}  // namespace regard::subwords
