// ChatTemplate: a conversation as the text that a model was trained on.
//
//   regard::ChatTemplate chatml(source);            // Jinja, as tokenizer_config.json holds it
//   auto prompt = chatml.render({{{"user", "Hello!"}}});
//   prompt.text                                     // "<|im_start|>user\nHello!<|im_end|>\n..."
//
// The Jinja of chat templates, with the settings of transformers' apply_chat_template (trim_blocks,
// lstrip_blocks, loop controls, `generation` blocks, its tojson, raise_exception, strftime_now) and
// the values of Python. A template reads its variables and writes text: it can reach nothing else,
// change nothing, and ends within its budget. docs/chat.md has the list of what it may use.
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

struct Message {
  std::string role;  // "system", "user", "assistant", "tool", ...
  std::string content;
};

// What strftime_now tells a template.
struct DateTime {
  int year = 1970;
  int month = 1;  // 1 .. 12
  int day = 1;    // 1 .. 31
  int hour = 0;
  int minute = 0;
  int second = 0;
};

// The most that a template may cost. What is over ends in one line that names the template's line.
struct ChatBudget {
  int64_t source_bytes = int64_t{1} << 20;
  int64_t steps = 3'000'000;  // about one for each expression, element and 64 bytes of text
  int64_t depth = 256;        // of nested expressions, statements, calls and values
  int64_t output_bytes = int64_t{64} << 20;
  int64_t memory_bytes = int64_t{512} << 20;  // of all values made while rendering
};

struct ChatOptions {
  bool add_generation_prompt = true;  // the text ends where the assistant's answer begins
  std::string bos_token = {};         // of the tokenizer, as text
  std::string eos_token = {};
  std::string variables = {};        // a JSON object of further variables, such as tools
  std::optional<DateTime> now = {};  // not set: the local time
};

struct RenderedChat {
  std::string text;
  // Parts of text that came from the conversation and not from the template, in order and apart: a
  // tokenizer must find no control token in them. Bytes of a role that is a plain word are not.
  std::vector<ByteRange> user;
  // What `generation` blocks wrote: the assistant's own words, in order and apart.
  std::vector<ByteRange> generated;
};

// Immutable: any number of threads may use one, and copies share it.
class ChatTemplate {
 public:
  // Throws Error(unreadable) that names the line for what is not a template, is over the budget, or
  // reads other templates (include, import, extends, block). name: of the source, for messages.
  explicit ChatTemplate(std::string_view source, std::string name = "chat template",
                        const ChatBudget& budget = {});

  // With the variables messages, tools and documents (none unless `variables` has them),
  // add_generation_prompt, bos_token, eos_token.
  // Throws Error(invalid_argument) that names the line: the template refuses the conversation
  // (raise_exception) or uses a value in a way it cannot be used; Error(unreadable) if it is over
  // its budget of steps, text or memory. How deep it goes is the conversation's doing as well.
  RenderedChat render(std::span<const Message> messages, const ChatOptions& options = {}) const;

  // With the variables of a JSON object alone: messages with any keys, parts, tool calls.
  // Throws as render does, and Error(invalid_argument) for what is no JSON object.
  RenderedChat render_json(std::string_view variables, std::optional<DateTime> now = {}) const;

  const std::string& source() const noexcept;

 private:
  struct Program;
  std::shared_ptr<const Program> program_;
};

}  // namespace regard
