// Tokenizer: text to token ids and back. One class over the kinds of tokenizer that models have:
// byte-level BPE, SentencePiece's BPE, WordPiece, Unigram; from GGUF's keys or a tokenizer.json.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
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
  std::string model = {};  // "gpt2": byte-level BPE; "llama": SentencePiece's BPE
  std::string pre = {};    // gpt2: how text is cut into words: "gpt-2", "llama-bpe", "qwen2", ...
  std::vector<std::string> tokens = {};  // index = id
  std::vector<TokenType> types = {};     // empty: all normal
  std::vector<std::string> merges = {};  // gpt2: "left right", index = rank
  std::vector<float> scores = {};        // llama: the pair with the highest merges first
  std::optional<int32_t> bos = {}, eos = {}, eot = {}, eom = {}, unknown = {};
  std::optional<int32_t> separator = {}, padding = {}, cls = {}, mask = {};
  std::optional<bool> add_bos = {};                   // not set: as usual for `model` and `pre`
  std::optional<bool> add_eos = {};                   // not set: as usual for `model`
  std::optional<bool> add_space_prefix = {};          // llama; not set: yes
  std::optional<bool> remove_extra_whitespaces = {};  // t5; not set: yes
  std::string precompiled_charsmap = {};              // t5: bytes
};

// May a text name control tokens? Text that a user typed into a chat must not: plain.
enum class SpecialText { parse, plain };
// Does decoding write control and unknown tokens out, or leave them out?
enum class ControlTokens { drop, keep };

struct EncodeOptions {
  SpecialText special = SpecialText::parse;
  // Parts of the text, in order and apart, in which no control token is found all the same: what a
  // user said, in a text that a chat template wrote. Requires: offsets inside the text.
  std::span<const ByteRange> plain = {};
  bool add_ends = true;  // the tokens that belong around a text: BOS, EOS, [CLS], [SEP]
};

struct Encoding {
  std::vector<int32_t> ids;
  // The bytes of the text behind each id; empty for a token that was added around the text, and
  // [0, 0) if the file is a tokenizer.json.
  std::vector<ByteRange> ranges;
};

// Immutable: any number of threads may use one, and copies share their tables.
class Tokenizer {
 public:
  // Throws Error(unreadable) unless the spec holds together: a supported model and pre, as many
  // types as tokens, no two tokens alike, merges of tokens into tokens, ids inside the vocabulary.
  // A merge into a control or unknown token is left out: no text may spell its way to one.
  explicit Tokenizer(TokenizerSpec spec);

  // From the text of a tokenizer.json and, if there is one, of the tokenizer_config.json beside it,
  // which names BOS and EOS. Encodes as the `tokenizers` package does; docs/tokenizers.md says
  // where not. Throws Error(unreadable) that names the key for what is damaged or not supported.
  static Tokenizer from_json(std::string_view tokenizer_json,
                             std::string_view tokenizer_config_json = {});

  // From a spec, BOS is added if the spec says so, unless the text begins with it already; from a
  // tokenizer.json, what its post-processor says is added. Of special tokens the leftmost counts,
  // of several at one place the longest. A byte without a token in the vocabulary is the unknown
  // token, or is dropped where there is none, as the reference does.
  // Throws Error(invalid_argument) if text is not UTF-8, with the offset of the first bad byte, or
  // is longer than 2^31 - 1 bytes; Error(unreadable) if the tokenizer's own rules make too much of
  // it: a pattern that backtracks, a normaliser that lengthens.
  std::vector<int32_t> encode(std::string_view text, const EncodeOptions& options = {}) const;
  std::vector<int32_t> encode(std::string_view text, SpecialText special) const {
    return encode(text, EncodeOptions{.special = special});
  }
  Encoding encode_with_ranges(std::string_view text, const EncodeOptions& options = {}) const;
  Encoding encode_with_ranges(std::string_view text, SpecialText special) const {
    return encode_with_ranges(text, EncodeOptions{.special = special});
  }

  // Bytes that make no character become U+FFFD, as with Python's errors="replace".
  // These four throw Error(invalid_argument) for an id outside the vocabulary.
  std::string decode(std::span<const int32_t> ids,
                     ControlTokens control = ControlTokens::drop) const;
  std::string_view bytes(int32_t id) const;  // inside a text; may be a part of a character
  std::string display(int32_t id) const;     // a part of a character as <0xE2>, one for each byte
  TokenType type(int32_t id) const;

  int32_t size() const noexcept;
  std::optional<int32_t> bos() const noexcept;
  std::optional<int32_t> eos() const noexcept;
  // The token whose entry in the vocabulary is this text: "<|im_end|>", "Ġthe".
  std::optional<int32_t> find(std::string_view text) const noexcept;
  // EOS, EOT, EOM, and tokens known by their text to end a turn, because files often omit the keys.
  bool ends_generation(int32_t id) const noexcept;

  struct Tables;  // src/text/tables.h

 private:
  friend class StreamDecoder;
  explicit Tokenizer(std::shared_ptr<const Tables> tables) : tables_(std::move(tables)) {}
  std::shared_ptr<const Tables> tables_;
};

// Ids one by one to text, as soon as whole characters are there. What push and finish return, put
// together, is Tokenizer::decode of all the ids.
class StreamDecoder {
 public:
  explicit StreamDecoder(Tokenizer tokenizer, ControlTokens control = ControlTokens::drop);
  ~StreamDecoder();
  StreamDecoder(const StreamDecoder& other);
  StreamDecoder(StreamDecoder&&) noexcept;
  StreamDecoder& operator=(StreamDecoder) noexcept;

  // The characters that this id completes. Byte-level: at most three bytes are held back. With byte
  // tokens ("<0xE2>"): a run of them, until it ends, because the reference judges it as a whole.
  // Throws Error(invalid_argument) for an id outside the vocabulary.
  std::string push(int32_t id);
  // What is held back. The decoder can then begin another text.
  std::string finish();

 private:
  struct State;
  Tokenizer tokenizer_;
  ControlTokens control_;
  std::unique_ptr<State> state_;
};

}  // namespace regard
