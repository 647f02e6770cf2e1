#include "base/printable.h"

#include <fmt/format.h>

#include <array>
#include <cstdint>

namespace regard {
namespace {

struct CodePoint {
  uint32_t value;
  std::size_t bytes;  // 0: the text does not begin with well-formed UTF-8
};

CodePoint first_code_point(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return {0, 0};
  uint32_t value = lead & (0x7Fu >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {0, 0};
    value = value << 6 | (byte(i) & 0x3F);
  }
  static constexpr std::array<uint32_t, 5> kLeast{0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = value >= 0xD800 && value <= 0xDFFF;
  if (value < kLeast[length] || value > 0x10FFFF || surrogate) return {0, 0};
  return {value, length};
}

// Does a terminal show this character in its place, without moving what follows?
bool shows_in_place(uint32_t value) {
  if (value < 0x20 || (value >= 0x7F && value < 0xA0)) return false;  // controls
  if (value >= 0x2028 && value <= 0x202E) return false;  // line separators, text direction
  if (value >= 0x2066 && value <= 0x2069) return false;  // text direction
  return value != 0x200E && value != 0x200F && value != 0x061C && value != 0xFEFF;
}

}  // namespace

std::string printable(std::string_view text, std::size_t limit) {
  std::string shown;
  while (!text.empty()) {
    const CodePoint point = first_code_point(text);
    const std::size_t taken = point.bytes == 0 ? 1 : point.bytes;
    std::string piece(text.substr(0, taken));
    if (point.bytes == 0 || !shows_in_place(point.value)) {
      piece.clear();
      for (const char c : text.substr(0, taken)) {
        piece += fmt::format("\\x{:02X}", static_cast<uint8_t>(c));
      }
    }
    if (shown.size() + piece.size() > limit) return shown + "...";
    shown += piece;
    text.remove_prefix(taken);
  }
  return shown;
}

}  // namespace regard
