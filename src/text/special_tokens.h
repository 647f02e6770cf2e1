// SpecialTokens: finds tokens that are taken from the text as they stand, before it is cut.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace regard::text {

class SpecialTokens {
 public:
  // Longer ones are refused: they bound the work for each byte of a text.
  static constexpr size_t kLongest = 1024;

  // Texts that are empty or not UTF-8 can stand in no text and are left out.
  // Throws Error(unreadable) for one longer than kLongest bytes.
  void add(std::string_view text, int32_t id);
  void finish();  // call after the last add, before the first find

  struct Match {
    int64_t begin;
    int64_t end;
    int32_t id;
  };
  // The first at or behind `from`; of those that begin there, the longest.
  std::optional<Match> find(std::string_view text, int64_t from) const noexcept;

 private:
  struct Entry {
    std::string text;
    int32_t id;
  };
  std::vector<Entry> entries_;  // sorted by text
  // entries_[first_[b]] up to entries_[first_[b + 1]] begin with byte b.
  std::vector<int32_t> first_ = std::vector<int32_t>(257);
};

}  // namespace regard::text
