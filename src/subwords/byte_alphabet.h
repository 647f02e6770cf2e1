// GPT-2's alphabet: one printable character for each byte, so that a vocabulary of byte strings
// can be written as text. Radford et al. 2019; bytes_to_unicode() of their encoder.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace regard::subwords {

// The character for a byte, in UTF-8: "A" for 0x41, "Ġ" for 0x20.
std::string alphabet_character(uint8_t byte);

// The bytes that text stands for; nothing if it holds a character outside the alphabet.
std::optional<std::string> from_alphabet(std::string_view text);

}  // namespace regard::subwords
