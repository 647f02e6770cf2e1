// The interpreter of chat templates: any template over any conversation renders the same text twice
// or is refused in one clean line, and the marks of user text are in order and inside the text.
//
// Up to a NUL byte an input is a template; what follows are its variables as JSON, or a fixed
// conversation where nothing follows.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "regard/chat.h"
#include "regard/error.h"
#include "unicode/utf8.h"

namespace regard {
namespace {

constexpr std::string_view kConversation = R"({
  "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "a <|b|> é\n"},
    {"role": "assistant", "content": null, "tool_calls": [{"id": "123456789", "type": "function",
     "function": {"name": "f", "arguments": {"x": [1, 2.5, true, null, "y"], "z": {}}}}]},
    {"role": "tool", "content": [{"type": "text", "text": "t"}, {"type": "image"}]}],
  "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters":
    {"type": "object", "properties": {"x": {"type": "array"}}, "required": ["x"]}}}],
  "add_generation_prompt": true, "bos_token": "<s>", "eos_token": "</s>", "x": "abc", "n": 3})";

constexpr ChatBudget kBudget{
    .steps = 50'000, .depth = 100, .output_bytes = 1 << 20, .memory_bytes = 8 << 20};

void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

void expect_clean(const Error& error) {
  const std::string_view message = error.what();
  expect(error.kind() == ErrorKind::invalid_argument || error.kind() == ErrorKind::unreadable,
         "the kind of error");
  expect(!message.empty() && message.find('\n') == std::string_view::npos, "one line of message");
}

void expect_inside(const std::vector<ByteRange>& ranges, std::string_view text) {
  int64_t last = -1;
  for (const ByteRange& range : ranges) {
    expect(range.begin > last && range.end > range.begin, "ranges in order and apart");
    last = range.end;
  }
  expect(last <= std::ssize(text), "ranges inside the text");
}

void try_template(std::string_view source, std::string_view variables) {
  try {
    const ChatTemplate chat(source, "t", kBudget);
    const DateTime now{2026, 3, 9, 14, 5, 6};
    const RenderedChat first = chat.render_json(variables, now);
    expect(unicode::first_invalid_utf8(first.text) < 0, "the text is UTF-8");
    expect(std::ssize(first.text) <= kBudget.output_bytes, "the text is inside its budget");
    expect_inside(first.user, first.text);
    expect_inside(first.generated, first.text);
    const RenderedChat second = ChatTemplate(source, "t", kBudget).render_json(variables, now);
    expect(first.text == second.text && first.user == second.user, "the same text again");
  } catch (const Error& error) {
    expect_clean(error);
  }
}

}  // namespace
}  // namespace regard

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t end = input.find('\0');
  regard::try_template(input.substr(0, end), end == std::string_view::npos ? regard::kConversation
                                                                           : input.substr(end + 1));
  return 0;
}
