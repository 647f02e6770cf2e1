// Charsmap: SentencePiece's table of what character sequences become (precompiled_charsmap).
//
// u32 size of the trie in bytes, the trie as u32 units, then the replacements, each ended by a zero
// byte; little-endian. The trie is a double array: a unit at place p with bit 31 clear is a node,
//   bits 0-7   the byte that leads to it          bit 8   a value hangs at its base
//   base = p ^ (bits 10-30, times 256 if bit 9 is set); the child for byte c lies at base ^ c
// and a unit with bit 31 set at a base is a value: the offset of a replacement.
// Darts-clone 0.32 by Susumu Yata; SentencePiece's normalizer.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace regard::normalise {

class Charsmap {
 public:
  // Throws Error(unreadable) unless sizes agree, the replacements are UTF-8, and every value is the
  // place of a character among them.
  explicit Charsmap(std::string_view bytes);

  // What the shortest sequence in the table that `text` begins with becomes. The shortest, as the
  // `tokenizers` package does: it asks for whole grapheme clusters first, then for characters.
  std::optional<std::string_view> find(std::string_view text) const noexcept;

 private:
  std::string_view replacement(size_t begin) const noexcept;

  std::vector<uint32_t> units_;
  std::string replacements_;
};

}  // namespace regard::normalise
