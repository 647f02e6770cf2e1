// tokenizer.json of a stranger: any file is read or refused in one clean line, and with what was
// read any text is encoded or refused, with ranges in order and inside the text, and decoded to the
// same text streamed and whole.
//
// Up to a NUL byte an input is a tokenizer.json, up to the next a text; what follows is a
// tokenizer_config.json. Where nothing follows the first, the text is a fixed one.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer_text.h"

namespace regard {
namespace {

constexpr std::string_view kText =
    " The <s>caf\xC3\xA9</s>  it's 1234\r\n\xE4\xB8\xAD\xE6\x96\x87 e\xCC\x81 \xEF\xB7\xBA "
    "\xE2\x96\x81[CLS] \xF0\x9F\x99\x82\xE2\x80\x8D!\tnaa";
constexpr int32_t kMostShown = 500;

void try_text(const Tokenizer& tokenizer, std::string_view text, const EncodeOptions& options) {
  const Encoding encoding = tokenizer.encode_with_ranges(text, options);
  expect(tokenizer.encode(text, options) == encoding.ids, "ids do not depend on ranges");
  expect(encoding.ids.size() == encoding.ranges.size(), "a range for each id");
  for (const ByteRange& range : encoding.ranges)
    expect(range.begin >= 0 && range.begin <= range.end && range.end <= std::ssize(text),
           "ranges lie in the text");
  if (!options.add_ends)
    expect(std::is_sorted(encoding.ranges.begin(), encoding.ranges.end(),
                          [](const ByteRange& a, const ByteRange& b) { return a.begin < b.begin; }),
           "ranges begin in order");
  expect_streams(tokenizer, encoding.ids, ControlTokens::keep);
  expect_streams(tokenizer, encoding.ids, ControlTokens::drop);
}

void try_tokens(const Tokenizer& tokenizer) {
  std::vector<int32_t> ids(static_cast<size_t>(std::min(tokenizer.size(), kMostShown)));
  std::iota(ids.begin(), ids.end(), 0);
  for (const int32_t id : ids)
    expect(unicode::first_invalid_utf8(tokenizer.display(id)) < 0, "tokens can be shown");
  expect_streams(tokenizer, ids, ControlTokens::keep);
}

std::optional<Tokenizer> read(std::string_view file, std::string_view config) {
  try {
    return Tokenizer::from_json(file, config);
  } catch (const Error& error) {
    expect_clean(error, ErrorKind::unreadable);
    return std::nullopt;
  }
}

// Up to the next NUL byte, which goes.
std::string_view take(std::string_view& input) {
  const size_t end = input.find('\0');
  const std::string_view part = input.substr(0, end);
  input.remove_prefix(end == std::string_view::npos ? input.size() : end + 1);
  return part;
}

}  // namespace
}  // namespace regard

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace regard;
  std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::string_view file = take(input);
  const std::string_view text = input.empty() ? kText : take(input);
  const std::optional<Tokenizer> tokenizer = read(file, input);
  if (!tokenizer) return 0;
  try_tokens(*tokenizer);
  const int64_t middle = std::ssize(text) / 2;
  const ByteRange plain[] = {{middle, std::ssize(text)}};
  try {
    try_text(*tokenizer, text, {});
    try_text(*tokenizer, text, {.special = SpecialText::plain, .add_ends = false});
    try_text(*tokenizer, text, {.plain = plain, .add_ends = false});
  } catch (const Error& error) {  // not UTF-8, or the file makes too much of it
    const bool valid = unicode::first_invalid_utf8(text) < 0;
    expect_clean(error, valid ? ErrorKind::unreadable : ErrorKind::invalid_argument);
  }
  return 0;
}
