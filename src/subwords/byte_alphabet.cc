#include "subwords/byte_alphabet.h"

#include <array>

#include "unicode/utf8.h"

namespace regard::subwords {
namespace {

constexpr bool is_printable(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

constexpr int kUnprintable = 68;
constexpr int kAlphabetEnd = 256 + kUnprintable;  // code points behind the last of the alphabet

struct Alphabet {
  std::array<uint16_t, 256> character{};
  std::array<int16_t, kAlphabetEnd> byte{};
};

// Printable bytes stand for themselves as code points; the others follow from U+0100 on, in order.
constexpr Alphabet make_alphabet() {
  Alphabet alphabet;
  for (int16_t& byte : alphabet.byte) byte = -1;
  int next = 256;
  for (int byte = 0; byte < 256; ++byte) {
    const int c = is_printable(byte) ? byte : next++;
    alphabet.character[byte] = static_cast<uint16_t>(c);
    alphabet.byte[c] = static_cast<int16_t>(byte);
  }
  return alphabet;
}

constexpr Alphabet kAlphabet = make_alphabet();
static_assert(kAlphabet.character[0x20] == 0x120 && kAlphabet.character[0xAD] == kAlphabetEnd - 1);

}  // namespace

std::string alphabet_character(uint8_t byte) {
  const unsigned c = kAlphabet.character[byte];
  if (c < 0x80) return {static_cast<char>(c)};
  return {static_cast<char>(0xC0 | c >> 6), static_cast<char>(0x80 | (c & 0x3F))};
}

std::optional<std::string> from_alphabet(std::string_view text) {
  if (unicode::first_invalid_utf8(text) >= 0) return std::nullopt;
  std::string bytes;
  bytes.reserve(text.size());
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    const char32_t c = unicode::read_character(at);
    if (c >= kAlphabetEnd || kAlphabet.byte[c] < 0) return std::nullopt;
    bytes += static_cast<char>(kAlphabet.byte[c]);
  }
  return bytes;
}

}  // namespace regard::subwords
