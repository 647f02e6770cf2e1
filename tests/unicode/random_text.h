// Random texts of every shape that the splitting rules tell apart.
#pragma once

#include <cstdint>
#include <random>
#include <string>

namespace regard {

inline void append_utf8(std::string& out, char32_t c) {
  const auto tail = [&](int shift) { out += static_cast<char>(0x80 | (c >> shift & 0x3F)); };
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | c >> 6);
    tail(0);
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | c >> 12);
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xF0 | c >> 18);
    tail(12);
    tail(6);
    tail(0);
  }
}

// Well-formed UTF-8: characters of all planes, and many of those at which words end.
inline std::string random_text(std::mt19937_64& random, int characters) {
  static constexpr char32_t kTelling[] = {U' ', U' ', U'\n',  U'\r',  U'\t',  U'\'',  U's', U'l',
                                          U'S', U'a', U'b',   U'7',   U'.',   U'<',   U'>', U'é',
                                          U'ſ', U'²', 0x00A0, 0x3000, 0x2028, 0x1F642};
  std::string text;
  for (int i = 0; i < characters; ++i) {
    char32_t c = kTelling[random() % std::size(kTelling)];
    if (random() % 4 == 0) c = static_cast<char32_t>(random() % 0x110000);
    if (c >= 0xD800 && c < 0xE000) c = U'x';
    append_utf8(text, c);
  }
  return text;
}

}  // namespace regard
