// The tokenizer, both ways a stranger reaches it: any text on a sound vocabulary comes back from
// its ids, streamed or whole, and any vocabulary works or is refused in one clean line.
//
// The first byte of an input chooses: bits 0-1 the splitting rule, bit 2 plain text, bit 3 whether
// a vocabulary follows. If so, up to an empty line each line is "t" + type digit + token or "m" +
// merge. The rest is the text.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

#include "regard/error.h"
#include "regard/tokenizer.h"
#include "text/tiny_vocabulary.h"
#include "unicode/utf8.h"

namespace regard {
namespace {

void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

void expect_clean(const Error& error, ErrorKind kind) {
  const std::string_view message = error.what();
  expect(error.kind() == kind, "the kind of error");
  expect(!message.empty() && message.find('\n') == std::string_view::npos, "one line of message");
}

// What holds for every tokenizer and text. `faithful`: each byte has a token.
void try_text(const Tokenizer& tokenizer, std::string_view text, SpecialText special,
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
  int64_t at = 0;
  for (const ByteRange& range : encoding.ranges) {
    expect(range.begin >= at && range.end >= range.begin, "ranges ascend");
    expect(!faithful || range.begin == at, "ranges leave nothing out");
    at = range.end;
  }
  expect(at <= static_cast<int64_t>(text.size()), "ranges lie in the text");

  const std::string decoded = tokenizer.decode(encoding.ids, ControlTokens::keep);
  expect(!faithful || decoded == text, "decode of encode is the text");
  StreamDecoder stream(tokenizer, ControlTokens::keep);
  std::string streamed;
  for (size_t i = 0; i < encoding.ids.size(); ++i) {
    const int32_t id = encoding.ids[i];
    const std::string piece = stream.push(id);
    expect(unicode::first_invalid_utf8(piece) < 0, "whole characters");
    const bool added = encoding.ranges[i].begin == encoding.ranges[i].end;  // BOS
    expect(special == SpecialText::parse || added || tokenizer.type(id) != TokenType::control,
           "plain text names no control token");
    streamed += piece;
  }
  expect(streamed + stream.finish() == decoded, "streamed is whole");
}

TokenizerSpec read_spec(std::string_view& input) {
  TokenizerSpec spec{.model = "gpt2"};
  while (!input.empty()) {
    const size_t length = input.find('\n');
    const std::string_view line = input.substr(0, length);
    input.remove_prefix(length == std::string_view::npos ? input.size() : length + 1);
    if (line.empty()) break;
    if (line[0] == 't' && line.size() >= 2) {
      spec.types.push_back(static_cast<TokenType>(line[1] - '0'));
      spec.tokens.emplace_back(line.substr(2));
    } else if (line[0] == 'm') {
      spec.merges.emplace_back(line.substr(1));
    }
  }
  spec.bos = spec.eos = 0;
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

}  // namespace
}  // namespace regard

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace regard;
  if (size == 0) return 0;
  const int rule = data[0] & 3;
  const SpecialText special = data[0] & 4 ? SpecialText::plain : SpecialText::parse;
  std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  if ((data[0] & 8) == 0) {
    static const Tokenizer kSound[] = {sound_tokenizer(0), sound_tokenizer(1), sound_tokenizer(2),
                                       sound_tokenizer(3)};
    try_text(kSound[rule], rest, special, /*faithful=*/true);
    return 0;
  }
  TokenizerSpec spec = read_spec(rest);
  spec.pre = kRules[rule];
  try {
    const Tokenizer tokenizer(spec);
    for (int32_t id = 0; id < tokenizer.size(); ++id)
      expect(unicode::first_invalid_utf8(tokenizer.display(id)) < 0, "tokens can be shown");
    try_text(tokenizer, rest, special, /*faithful=*/false);
  } catch (const Error& error) {
    expect_clean(error, ErrorKind::unreadable);
  }
  return 0;
}
