// How far a misspelt name is from one that there is: for messages that guess what was meant.
#pragma once

#include <cstddef>
#include <string_view>

namespace regard {

// The fewest bytes that are put in, taken out or replaced to make one of the other: Levenshtein
// 1966. Time is the product of both lengths: bound what a file or a person gives.
std::size_t edit_distance(std::string_view a, std::string_view b);

}  // namespace regard
