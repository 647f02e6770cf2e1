// Tokenizer: text to token ids and back. One class over the kinds of tokenizer that models have;
// so far byte-level BPE ("gpt2" in GGUF).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "regard/byte_range.h"

namespace regard {

// The numbers are GGUF's.
enum class TokenType : uint8_t {
  normal = 1,
  unknown = 2,
  control = 3,       // steers the model: a text makes one only if special parsing is asked for
  user_defined = 4,  // always taken from the text as it stands
  unused = 5,
  byte = 6,
};

// What a model's file says about its tokenizer (GGUF keys tokenizer.ggml.*).
struct TokenizerSpec {
  std::string model = {};  // "gpt2"
  std::string pre = {};  // how text is cut into words: "gpt-2", "smollm", "llama-bpe", "qwen2", ...
  std::vector<std::string> tokens = {};  // index = id
  std::vector<TokenType> types = {};     // empty: all normal
  std::vector<std::string> merges = {};  // "left right", index = rank
  std::optional<int32_t> bos = {}, eos = {}, eot = {}, eom = {}, unknown = {};
  std::optional<bool> add_bos = {};  // not set: as usual for `pre`
  std::optional<bool> add_eos = {};  // not set: no
};

// May a text name control tokens? Text that a user typed into a chat must not: plain.
enum class SpecialText { parse, plain };
// Does decoding write control and unknown tokens out, or leave them out?
enum class ControlTokens { drop, keep };

struct Encoding {
  std::vector<int32_t> ids;
  std::vector<ByteRange> ranges;  // of the text behind each id; empty for an added BOS or EOS
};

// Immutable: any number of threads may use one, and copies share their tables.
class Tokenizer {
 public:
  // Throws Error(unreadable) unless the spec holds together: a supported model and pre, as many
  // types as tokens, no two tokens alike, merges of tokens into tokens, ids inside the vocabulary.
  // A merge into a control or unknown token is left out: no text may spell its way to one.
  explicit Tokenizer(TokenizerSpec spec);

  // BOS is added if the spec says so, unless the text begins with it already. Of special tokens
  // the leftmost counts, of several at one place the longest. A byte without a token in the
  // vocabulary is dropped, as the reference does; no U+FFFD and no unknown token stands for it.
  // Throws Error(invalid_argument) if text is not UTF-8, with the offset of the first bad byte, or
  // is longer than 2^31 - 1 bytes.
  std::vector<int32_t> encode(std::string_view text,
                              SpecialText special = SpecialText::parse) const;
  Encoding encode_with_ranges(std::string_view text,
                              SpecialText special = SpecialText::parse) const;

  // Bytes that make no character become U+FFFD, as with Python's errors="replace".
  // These four throw Error(invalid_argument) for an id outside the vocabulary.
  std::string decode(std::span<const int32_t> ids,
                     ControlTokens control = ControlTokens::drop) const;
  std::string_view bytes(int32_t id) const;  // may be a part of a character
  std::string display(int32_t id) const;     // a part of a character as <0xE2>, one for each byte
  TokenType type(int32_t id) const;

  int32_t size() const noexcept;
  std::optional<int32_t> bos() const noexcept;
  std::optional<int32_t> eos() const noexcept;
  // The token whose entry in the vocabulary is this text: "<|im_end|>", "Ġthe".
  std::optional<int32_t> find(std::string_view text) const noexcept;
  // EOS, EOT, EOM, and tokens known by their text to end a turn, because files often omit the keys.
  bool ends_generation(int32_t id) const noexcept;

 private:
  struct Tables;
  std::shared_ptr<const Tables> tables_;
};

}  // namespace regard
