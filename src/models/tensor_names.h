// Names of tensors as patterns: "h.12.attn.c_attn.weight" is "h.{}.attn.c_attn.weight" with the
// number 12. Rules of families are such patterns.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace regard::models {

struct Pattern {
  std::string text;
  std::vector<int64_t> numbers;
};

// most: numbers behind so many stay as they are.
Pattern pattern_of(std::string_view name, int64_t most = INT64_MAX);

// The name again; a {} without a number stays.
std::string fill(std::string_view pattern, std::span<const int64_t> numbers);

}  // namespace regard::models
