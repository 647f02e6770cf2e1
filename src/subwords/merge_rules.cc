#include "subwords/merge_rules.h"

#include "base/check.h"
#include "subwords/byte_alphabet.h"

namespace regard::subwords {

WrittenMerge parse_merge(std::string_view merge, size_t rank) {
  const size_t space = merge.find(' ', 1);
  if (space == std::string_view::npos || space + 1 == merge.size())
    fail(ErrorKind::unreadable, "tokenizer: merge {} ({}) is not two tokens with a space between",
         rank, quoted(merge));
  return {merge.substr(0, space), merge.substr(space + 1)};
}

std::vector<MergeRule> resolve_merges(const Vocabulary& vocabulary, const StringTable* bytes,
                                      const std::vector<WrittenMerge>& merges,
                                      std::string_view prefix) {
  std::vector<MergeRule> rules;
  rules.reserve(merges.size());
  std::string joined;
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const std::string_view left = merges[rank].first, right = merges[rank].second;
    const auto resolve = [&](std::string_view part) -> int32_t {
      if (const auto id = vocabulary.find(part)) return *id;
      if (bytes != nullptr)
        if (const auto mapped = from_alphabet(part))
          if (const auto id = bytes->find(*mapped)) return *id;
      fail(ErrorKind::unreadable,
           "tokenizer: merge {} ({}) names {}, which is not in the vocabulary", rank,
           quoted(std::string(left).append(" ").append(right)), quoted(part));
    };
    MergeRule rule{resolve(left), resolve(right), -1};
    joined = left;
    joined += right.starts_with(prefix) ? right.substr(prefix.size()) : right;
    rule.id = resolve(joined);
    // A rule that does nothing keeps the ranks of those behind it.
    if (vocabulary.is_reserved(rule.id)) rule = {-1, -1, -1};
    rules.push_back(rule);
  }
  return rules;
}

}  // namespace regard::subwords
