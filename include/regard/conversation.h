// Conversation: a chat with a model, turn by turn.
//
//   regard::Conversation chat(model, {.system = "Answer in one sentence."});
//   chat.ask("Why is the sky blue?", {.tokens = 100}, [](std::string_view piece) { ... });
//
// Each turn the whole history is rendered anew by the chat template and read from the start, so an
// answer is what one call with the same messages would give. What a user or the model said never
// makes a control token, however it is spelled.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "regard/chat.h"
#include "regard/model.h"

namespace regard {

struct ConversationOptions {
  std::string system = {};                // the first message, if it is not empty
  std::optional<ChatTemplate> chat = {};  // not set: the model's own
  std::string variables = {};             // a JSON object of further variables
  std::optional<DateTime> now = {};       // not set: the local time of each turn
};

// The model must outlive it.
class Conversation {
 public:
  // Throws Error(unreadable) when there is no chat template, saying why.
  explicit Conversation(const Model& model, ConversationOptions options = {});

  // The answer, which then belongs to the history; what was interrupted belongs to it as far as it
  // came, and where nothing came, the turn did not happen.
  // Throws Error(invalid_argument), the history unchanged: the template refuses the conversation,
  // or it leaves no room for an answer in the model's context.
  Generation ask(std::string_view text, const GenerateOptions& options = {},
                 const TextSink& on_text = {});

  // The tokens that ask(text) would read.
  std::vector<TokenId> prompt(std::string_view text) const;

  const std::vector<Message>& messages() const noexcept { return messages_; }
  void set_system(std::string text);  // and begins anew
  void reset();                       // all but the system message

 private:
  std::vector<TokenId> prompt(const std::vector<Message>& messages) const;

  const Model& model_;
  ConversationOptions options_;
  std::vector<Message> messages_;
};

}  // namespace regard
