// Tokenizers from GGUF's keys, both ways a stranger reaches them: any text on a sound vocabulary of
// each kind is encoded and decoded, streamed or whole - where each byte has a token, to itself -
// and any vocabulary works or is refused in one clean line.
//
// The first byte of an input chooses: bits 0-1 the splitting rule, bit 2 plain text, bit 3 whether
// a vocabulary follows, bits 4-5 the kind. If so, up to an empty line each line is "t" + type digit
// + token, "s" + the score of the token before, "m" + merge, "c" + charsmap, or "f" + a letter for
// a flag that is off. The rest is the text.
#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

#include "text/tiny_vocabulary.h"
#include "tokenizer_text.h"

namespace regard {
namespace {

constexpr TokenType kControl = TokenType::control;

// `bytes`: the model is byte-level. `faithful`: each byte has a token, and nothing is normalised.
void try_text(const Tokenizer& tokenizer, std::string_view text, SpecialText special, bool bytes,
              bool faithful) {
  Encoding encoding;
  try {
    encoding = tokenizer.encode_with_ranges(text, special);
  } catch (const Error& error) {
    expect_clean(error, ErrorKind::invalid_argument);
    expect(unicode::first_invalid_utf8(text) >= 0, "only text that is not UTF-8 is refused");
    return;
  }
  expect(tokenizer.encode(text, special) == encoding.ids, "ids do not depend on ranges");
  expect(encoding.ids.size() == encoding.ranges.size(), "a range for each id");
  // Where something stands before a word that the text does not have, or a character becomes many
  // tokens, ranges overlap.
  ByteRange before{0, 0};
  for (const ByteRange& range : encoding.ranges) {
    expect(range.begin >= before.begin && range.end >= before.end && range.end >= range.begin,
           "ranges ascend");
    expect(!bytes || range.begin >= before.end, "bytes have one token each");
    expect(!faithful || range.begin <= before.end, "ranges leave nothing out");
    before = range;
  }
  expect(before.end <= std::ssize(text), "ranges lie in the text");

  expect(!faithful || tokenizer.decode(encoding.ids, ControlTokens::keep) == text,
         "decode of encode is the text");
  expect_streams(tokenizer, encoding.ids, ControlTokens::keep);
  expect_streams(tokenizer, encoding.ids, ControlTokens::drop);
  for (size_t i = 0; i < encoding.ids.size(); ++i) {
    const int32_t id = encoding.ids[i];
    const bool added = encoding.ranges[i].begin == encoding.ranges[i].end;  // BOS, EOS
    const bool unknown = !bytes && id == 0;  // no text spells it, whatever its type
    expect(special == SpecialText::parse || added || unknown || tokenizer.type(id) != kControl,
           "plain text names no control token");
  }
}

constexpr const char* kModels[] = {"gpt2", "llama", "bert", "t5"};

void read_flag(std::string_view flag, TokenizerSpec& spec) {
  if (flag == "b") spec.add_bos = false;
  if (flag == "e") spec.add_eos = false;
  if (flag == "p") spec.add_space_prefix = false;
  if (flag == "w") spec.remove_extra_whitespaces = false;
}

TokenizerSpec read_spec(int model, std::string_view& input) {
  TokenizerSpec spec{.model = kModels[model]};
  while (!input.empty()) {
    const size_t length = input.find('\n');
    const std::string_view line = input.substr(0, length);
    input.remove_prefix(length == std::string_view::npos ? input.size() : length + 1);
    if (line.empty()) break;
    if (line[0] == 't' && line.size() >= 2) {
      spec.types.push_back(static_cast<TokenType>(line[1] - '0'));
      spec.tokens.emplace_back(line.substr(2));
      if (model == 1 || model == 3) spec.scores.push_back(-static_cast<float>(spec.tokens.size()));
    } else if (line[0] == 's' && !spec.scores.empty()) {
      spec.scores.back() = std::strtof(std::string(line.substr(1)).c_str(), nullptr);
    } else if (line[0] == 'm') {
      spec.merges.emplace_back(line.substr(1));
    } else if (line[0] == 'c') {
      spec.precompiled_charsmap = line.substr(1);
    } else if (line[0] == 'f') {
      read_flag(line.substr(1), spec);
    }
  }
  spec.bos = spec.eos = spec.unknown = 0;
  return spec;
}

constexpr const char* kRules[] = {"gpt-2", "smollm", "llama-bpe", "qwen2"};

Tokenizer sound_tokenizer(int rule) {
  TokenizerSpec spec =
      tiny_spec({{" ", "a"}, {"a", "a"}, {"aa", "aa"}, {"\xC3", "\xA9"}, {" ", " "}, {"'", "s"}},
                {{"<s>", TokenType::control},
                 {"<s>>", TokenType::control},
                 {"<u", TokenType::user_defined},
                 {"\xC3", TokenType::user_defined}});
  spec.pre = kRules[rule];
  return Tokenizer(std::move(spec));
}

// A few pieces, and a token for each byte.
Tokenizer sound_pieces(int model) {
  TokenizerSpec spec{.model = kModels[model]};
  const auto add = [&](std::string token, TokenType type) {
    spec.scores.push_back(-static_cast<float>(spec.tokens.size()));
    spec.tokens.push_back(std::move(token));
    spec.types.push_back(type);
  };
  add("<unk>", TokenType::unknown);
  add("[SEP]", TokenType::control);
  add("<u", TokenType::user_defined);
  const std::string mark = "\xE2\x96\x81";  // U+2581
  for (const char* piece : {"a", "b", "e", "'", "\xC3\xA9", "\xE4\xB8\xAD"}) {
    add(piece, TokenType::normal);
    add((model == 2 ? "##" : mark) + piece, TokenType::normal);
  }
  for (const char* piece : {"aa", "aaaa", "ab", "\xE4\xB8\xAD\xE4\xB8\xAD"})
    add(piece, TokenType::normal);
  if (model != 2) {
    add(mark, TokenType::normal);
    add(mark + mark, TokenType::normal);
    for (int byte = 0; byte < 256; ++byte) add(fmt::format("<0x{:02X}>", byte), TokenType::byte);
  }
  spec.unknown = 0;
  spec.bos = spec.eos = 1;
  spec.add_bos = spec.add_eos = model == 2;
  return Tokenizer(std::move(spec));
}

// Does a text come back from SentencePiece's pairs? U+2581 becomes a space, and each part beside a
// token that is taken as it stands begins with one.
bool comes_back(std::string_view text) {
  return text.find("\xE2\x96\x81") == text.npos && text.find("<u") == text.npos;
}

}  // namespace
}  // namespace regard

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace regard;
  if (size == 0) return 0;
  const int rule = data[0] & 3;
  const SpecialText special = data[0] & 4 ? SpecialText::plain : SpecialText::parse;
  std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  const int model = data[0] >> 4 & 3;
  if ((data[0] & 8) == 0) {
    static const Tokenizer kSound[] = {sound_tokenizer(0), sound_tokenizer(1), sound_tokenizer(2),
                                       sound_tokenizer(3)};
    static const Tokenizer kPieces[] = {sound_pieces(1), sound_pieces(2), sound_pieces(3)};
    if (model == 0)
      try_text(kSound[rule], rest, special, /*bytes=*/true, /*faithful=*/true);
    else
      try_text(kPieces[model - 1], rest, special, /*bytes=*/false,
               /*faithful=*/model == 1 && special == SpecialText::plain && comes_back(rest));
    return 0;
  }
  TokenizerSpec spec = read_spec(model, rest);
  spec.pre = kRules[rule];
  try {
    const Tokenizer tokenizer(spec);
    for (int32_t id = 0; id < tokenizer.size(); ++id)
      expect(unicode::first_invalid_utf8(tokenizer.display(id)) < 0, "tokens can be shown");
    try_text(tokenizer, rest, special, /*bytes=*/model == 0, /*faithful=*/false);
  } catch (const Error& error) {
    expect_clean(error, ErrorKind::unreadable);
  }
  return 0;
}
