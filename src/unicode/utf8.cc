#include "unicode/utf8.h"

#include <cstring>

namespace regard::unicode {

// The Unicode Standard, table 3-7: what may follow each first byte.
Utf8Step utf8_step(std::string_view bytes) noexcept {
  using Kind = Utf8Step::Kind;
  const auto at = [&](size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned char first = at(0);
  if (first < 0x80) return {Kind::character, 1};
  if (first < 0xC2 || first > 0xF4) return {Kind::broken, 1};
  const int length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  unsigned char low = 0x80, high = 0xBF;  // the second byte's range; later ones have the full one
  if (first == 0xE0) low = 0xA0;          // else an overlong form
  if (first == 0xED) high = 0x9F;         // else a surrogate
  if (first == 0xF0) low = 0x90;          // else an overlong form
  if (first == 0xF4) high = 0x8F;         // else beyond U+10FFFF
  for (int i = 1; i < length; ++i) {
    if (static_cast<size_t>(i) == bytes.size()) return {Kind::cut, i};
    if (at(i) < low || at(i) > high) return {Kind::broken, i};
    low = 0x80;
    high = 0xBF;
  }
  return {Kind::character, length};
}

size_t ascii_prefix(std::string_view bytes) noexcept {
  size_t run = 0;
  while (run + 8 <= bytes.size()) {
    uint64_t word;
    std::memcpy(&word, bytes.data() + run, 8);
    if (word & 0x8080808080808080u) break;
    run += 8;
  }
  while (run < bytes.size() && static_cast<unsigned char>(bytes[run]) < 0x80) ++run;
  return run;
}

int64_t first_invalid_utf8(std::string_view bytes) noexcept {
  size_t at = 0;
  while ((at += ascii_prefix(bytes.substr(at))) < bytes.size()) {
    const Utf8Step step = utf8_step(bytes.substr(at));
    if (step.kind != Utf8Step::Kind::character) return static_cast<int64_t>(at);
    at += step.length;
  }
  return -1;
}

void append_character(char32_t c, std::string& out) {
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

int append_well_formed(std::string_view bytes, std::string& out) {
  while (!bytes.empty()) {
    const size_t run = ascii_prefix(bytes);
    out += bytes.substr(0, run);
    bytes.remove_prefix(run);
    if (bytes.empty()) break;
    const Utf8Step step = utf8_step(bytes);
    if (step.kind == Utf8Step::Kind::cut) return step.length;
    out += step.kind == Utf8Step::Kind::character ? bytes.substr(0, step.length) : kReplacement;
    bytes.remove_prefix(step.length);
  }
  return 0;
}

}  // namespace regard::unicode
