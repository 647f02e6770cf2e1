#include "regard/conversation.h"

#include <utility>

#include "base/check.h"
#include "runtime/checkpoint.h"

namespace regard {

Conversation::Conversation(const Model& model, ConversationOptions options)
    : model_(model), options_(std::move(options)) {
  if (!options_.chat) {
    const ChatTemplate* own = model.chat_template();
    if (own == nullptr) fail(ErrorKind::unreadable, "{}", model.checkpoint().chat.why_not);
    options_.chat = *own;
  }
  (void)model.checkpoint().text();  // a chat needs a tokenizer; throws and says why there is none
  reset();
}

void Conversation::reset() {
  messages_.clear();
  if (!options_.system.empty()) messages_.push_back({"system", options_.system});
}

void Conversation::set_system(std::string text) {
  options_.system = std::move(text);
  reset();
}

std::vector<TokenId> Conversation::prompt(const std::vector<Message>& messages) const {
  const Tokenizer& tokenizer = model_.checkpoint().text();
  const auto spelled = [&](const std::optional<TokenId>& id) {
    return id ? std::string(tokenizer.bytes(*id)) : std::string();
  };
  return model_.encode(options_.chat->render(messages, {.bos_token = spelled(tokenizer.bos()),
                                                        .eos_token = spelled(tokenizer.eos()),
                                                        .variables = options_.variables,
                                                        .now = options_.now}));
}

std::vector<TokenId> Conversation::prompt(std::string_view text) const {
  std::vector<Message> messages = messages_;
  messages.push_back({"user", std::string(text)});
  return prompt(messages);
}

Generation Conversation::ask(std::string_view text, const GenerateOptions& options,
                             const TextSink& on_text) {
  const std::vector<TokenId> ids = prompt(text);
  const int64_t context = model_.facts().context;
  require(std::ssize(ids) < context,
          "chat: the conversation has {} tokens and the model's context {}: no room for an answer; "
          "begin anew (/reset)",
          ids.size(), context);
  Generation answer = model_.generate(ids, options, on_text);
  if (answer.finish_reason != FinishReason::interrupted || !answer.text.empty()) {
    messages_.push_back({"user", std::string(text)});
    messages_.push_back({"assistant", answer.text});
  }
  return answer;
}

}  // namespace regard
