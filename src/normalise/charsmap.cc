#include "normalise/charsmap.h"

#include <utf8proc.h>

#include "base/check.h"
#include "normalise/normaliser.h"

namespace regard::normalise {
namespace {

constexpr uint32_t kValue = 1u << 31;

uint32_t read_u32(std::string_view bytes, size_t at) noexcept {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i)
    value |= static_cast<uint32_t>(static_cast<unsigned char>(bytes[at + i])) << 8 * i;
  return value;
}

size_t base_of(size_t place, uint32_t unit) noexcept {
  return place ^ static_cast<size_t>(unit >> 10 & 0x1FFFFF) << ((unit >> 9 & 1) * 8);
}

bool has_value(uint32_t unit) noexcept { return unit >> 8 & 1; }

}  // namespace

Charsmap::Charsmap(std::string_view bytes) {
  if (bytes.size() < 4)
    fail(ErrorKind::unreadable, "precompiled_charsmap: {} bytes, less than 4", bytes.size());
  const size_t trie = read_u32(bytes, 0);
  if (trie % 4 != 0 || trie == 0 || trie > bytes.size() - 4)
    fail(ErrorKind::unreadable, "precompiled_charsmap: a trie of {} bytes in {} bytes", trie,
         bytes.size() - 4);
  units_.resize(trie / 4);
  for (size_t i = 0; i < units_.size(); ++i) units_[i] = read_u32(bytes, 4 + 4 * i);
  replacements_ = bytes.substr(4 + trie);
  if (const int64_t bad = unicode::first_invalid_utf8(replacements_); bad >= 0)
    fail(ErrorKind::unreadable, "precompiled_charsmap: the replacements are not UTF-8 at byte {}",
         bad);
  for (size_t place = 0; place < units_.size(); ++place) {
    const uint32_t unit = units_[place];
    if (unit & kValue || !has_value(unit)) continue;
    const size_t base = base_of(place, unit);
    if (base >= units_.size())
      fail(ErrorKind::unreadable,
           "precompiled_charsmap: unit {} points to {}, behind the last of {}", place, base,
           units_.size());
    const size_t value = units_[base] & ~kValue;
    const bool inside = value < replacements_.size() &&
                        (static_cast<unsigned char>(replacements_[value]) & 0xC0) != 0x80;
    if (!inside && value != replacements_.size())
      fail(ErrorKind::unreadable,
           "precompiled_charsmap: unit {} has the value {}, no place of a character in {} bytes",
           place, value, replacements_.size());
  }
}

std::string_view Charsmap::replacement(size_t begin) const noexcept {
  const std::string_view all = replacements_;
  return all.substr(begin, all.find('\0', begin) - begin);
}

std::optional<std::string_view> Charsmap::find(std::string_view text) const noexcept {
  size_t base = base_of(0, units_[0]);
  for (const char character : text) {
    const auto byte = static_cast<unsigned char>(character);
    if (byte == 0) break;
    const size_t place = base ^ byte;
    if (place >= units_.size()) break;
    const uint32_t unit = units_[place];
    if ((unit & (kValue | 0xFF)) != byte) break;
    base = base_of(place, unit);
    if (has_value(unit)) return replacement(units_[base] & ~kValue);
  }
  return std::nullopt;
}

namespace {

class Precompiled final : public Normaliser {
 public:
  explicit Precompiled(std::string_view bytes) : map_(bytes) {
    for (char32_t c = 0; c < 0x80; ++c) {
      const char character = static_cast<char>(c);
      inert_[c] = !map_.find({&character, 1});
    }
    inert_[U'\r'] = false;  // with a line feed behind it, it is one cluster
  }

  void apply(Aligned& text) const override {
    std::vector<unicode::Edit> edits;
    bool changed = false;
    const std::string_view all = text.text;
    size_t at = 0;
    while (at < all.size()) {
      // A cluster of one ASCII character that the table does not name: most of most texts.
      const auto byte = static_cast<unsigned char>(all[at]);
      if (byte < 0x80 && inert_[byte] &&
          (at + 1 == all.size() || static_cast<unsigned char>(all[at + 1]) < 0x80)) {
        edits.push_back({byte, 0});
        ++at;
        continue;
      }
      const std::string_view cluster = all.substr(at, cluster_length(all.substr(at)));
      at += cluster.size();
      if (cluster.size() < kLongCluster) {
        if (const auto found = map_.find(cluster)) {
          append(cluster, *found, edits);
          text.check_growth(edits.size());
          changed = true;
          continue;
        }
      }
      const char* next = cluster.data();
      const char* const end = next + cluster.size();
      while (next != end) {
        const char* const first = next;
        const char32_t c = unicode::read_character(next);
        const std::string_view character(first, static_cast<size_t>(next - first));
        if (const auto found = map_.find(character)) {
          append(character, *found, edits);
          text.check_growth(edits.size());
          changed = true;
        } else {
          edits.push_back({c, 0});
        }
      }
    }
    if (!changed) return;
    Rewriter rewriter(text);
    rewriter.apply(edits.data(), edits.size());
    rewriter.finish();
  }

 private:
  static constexpr size_t kLongCluster = 6;  // longer ones are looked up character by character

  // Length of the extended grapheme cluster at the start. Unicode Standard Annex #29.
  static size_t cluster_length(std::string_view text) noexcept {
    const char* at = text.data();
    const char* const end = at + text.size();
    utf8proc_int32_t state = 0;
    char32_t before = unicode::read_character(at);
    while (at != end) {
      const char* behind = at;
      const char32_t c = unicode::read_character(behind);
      if (utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(before),
                                           static_cast<utf8proc_int32_t>(c), &state))
        break;
      before = c;
      at = behind;
    }
    return static_cast<size_t>(at - text.data());
  }

  static size_t count(std::string_view text) noexcept {
    size_t characters = 0;
    for (const char c : text) characters += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    return characters;
  }

  // As many characters as the old text has take the places of its characters; what is more is new,
  // what is less goes with the last one. Where nothing is left and nothing came before, the package
  // lets the next character take the place, and so do we.
  static void append(std::string_view old, std::string_view found,
                     std::vector<unicode::Edit>& edits) {
    const auto less = static_cast<int32_t>(count(old)) - static_cast<int32_t>(count(found));
    const char* at = found.data();
    const char* const end = at + found.size();
    const size_t first = edits.size();
    while (at != end) edits.push_back({unicode::read_character(at), 0});
    if (less < 0)
      for (size_t i = edits.size() - static_cast<size_t>(-less); i < edits.size(); ++i)
        edits[std::max(i, first)].change = 1;
    if (less > 0 && !edits.empty()) edits.back().change -= less;
  }

  Charsmap map_;
  bool inert_[0x80] = {};
};

}  // namespace

Step precompiled(std::string_view charsmap) { return std::make_unique<Precompiled>(charsmap); }

}  // namespace regard::normalise
