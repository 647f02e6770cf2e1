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

namespace {

// Length of the run of ASCII at the start of bytes, to a multiple of eight but for its end.
size_t ascii_run(std::string_view bytes) noexcept {
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

}  // namespace

int64_t first_invalid_utf8(std::string_view bytes) noexcept {
  size_t at = 0;
  while ((at += ascii_run(bytes.substr(at))) < bytes.size()) {
    const Utf8Step step = utf8_step(bytes.substr(at));
    if (step.kind != Utf8Step::Kind::character) return static_cast<int64_t>(at);
    at += step.length;
  }
  return -1;
}

int append_well_formed(std::string_view bytes, std::string& out) {
  while (!bytes.empty()) {
    const size_t run = ascii_run(bytes);
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
