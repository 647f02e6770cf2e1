// Regex: a regular expression of a file, run by PCRE2 so that no text takes long: the bytes that
// matching goes over are counted, and too many of them are an error.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace regard::split {

class Regex {
 public:
  // Throws Error(unreadable) that names the pattern if it does not compile, or if it has a part
  // that Oniguruma, which the reference uses, understands in another way.
  explicit Regex(std::string_view pattern);

  struct Found {
    uint32_t begin, end;
  };
  // Appends the matches inside text, from the left, none overlapping; they may be empty.
  // Throws Error(unreadable) if the pattern backtracks too much on this text.
  void find_all(std::string_view text, std::vector<Found>& out) const;

 private:
  struct Code;
  std::string pattern_;
  std::shared_ptr<const Code> code_;
};

}  // namespace regard::split
