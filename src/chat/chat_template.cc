// The public ChatTemplate: a tree that was parsed once, and a run for each rendering.
#include <ctime>
#include <utility>

#include "chat/builtins.h"
#include "chat/evaluate.h"
#include "chat/variables.h"
#include "regard/chat.h"
#include "unicode/utf8.h"

namespace regard {

using chat::Entry;
using chat::Run;
using chat::Value;

struct ChatTemplate::Program {
  std::string source;
  std::string name;
  ChatBudget budget;
  chat::Tree tree;

  RenderedChat render(Run& run, const chat::Variables& variables) const;
};

namespace {

// Deeper templates would need more stack than a thread may have.
constexpr int64_t kDeepest = 1000;

DateTime local_time() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  localtime_r(&now, &parts);
  return {parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
          parts.tm_hour,        parts.tm_min,     parts.tm_sec};
}

DateTime checked(const std::optional<DateTime>& now) {
  if (!now) return local_time();
  require(now->year >= 1 && now->year <= 9999 && now->month >= 1 && now->month <= 12 &&
              now->day >= 1 && now->day <= 31 && now->hour >= 0 && now->hour <= 23 &&
              now->minute >= 0 && now->minute <= 59 && now->second >= 0 && now->second <= 60,
          "chat: {}-{}-{} {}:{}:{} is no time", now->year, now->month, now->day, now->hour,
          now->minute, now->second);
  return *now;
}

Value checked_text(Run& run, std::string_view text, bool user, const std::string& name) {
  const int64_t bad = unicode::first_invalid_utf8(text);
  require(bad < 0, "chat: {} is not UTF-8 at byte {}", name, bad);
  return user ? chat::user_text(run, text) : chat::text(run, text);
}

}  // namespace

ChatTemplate::ChatTemplate(std::string_view source, std::string name, const ChatBudget& budget) {
  require(budget.depth >= 1 && budget.depth <= kDeepest, "chat budget: depth {} is not in 1 .. {}",
          budget.depth, kDeepest);
  auto program = std::make_shared<Program>();
  program->source = source;
  program->name = std::move(name);
  program->budget = budget;
  chat::parse(source, program->name, budget, program->tree);
  program_ = std::move(program);
}

const std::string& ChatTemplate::source() const noexcept { return program_->source; }

RenderedChat ChatTemplate::Program::render(Run& run, const chat::Variables& variables) const {
  const auto functions = chat::global_functions();
  std::vector<chat::Function> found(functions.size());
  std::vector<Value> globals(tree.names.size(), chat::missing());
  for (std::size_t i = 0; i < tree.names.size(); ++i) {
    for (std::size_t k = 0; k < functions.size(); ++k) {
      if (functions[k].name != tree.names[i]) continue;
      found[k] = {functions[k].name, &functions[k], {}, nullptr};
      globals[i] = {.kind = chat::Kind::function, .function = &found[k]};
    }
    run.step(std::ssize(variables));
    for (const auto& [variable, value] : variables) {
      if (variable == tree.names[i]) globals[i] = value;
    }
  }
  chat::Text out(run);
  RenderedChat result;
  chat::Evaluator(run, tree, globals, out, result.generated).render();
  result.text = std::move(out.bytes());
  result.user = std::move(out.user());
  return result;
}

RenderedChat ChatTemplate::render(std::span<const Message> messages,
                                  const ChatOptions& options) const {
  Run run(program_->budget, program_->name, checked(options.now));
  std::vector<Value> list;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const Message& message = messages[i];
    const std::string name = fmt::format("messages[{}]", i);
    const Value role = checked_text(run, message.role, !chat::is_plain_word(message.role), name);
    const Entry entries[] = {
        {chat::fixed_text(run, "role"), role},
        {chat::fixed_text(run, "content"), checked_text(run, message.content, true, name)}};
    list.push_back(chat::dict(run, entries));
  }
  chat::Variables variables = {
      {"messages", chat::sequence(run, chat::SequenceKind::list, list)},
      {"tools", chat::none()},
      {"documents", chat::none()},
      {"add_generation_prompt", chat::boolean(options.add_generation_prompt)},
      {"bos_token", checked_text(run, options.bos_token, false, "bos_token")},
      {"eos_token", checked_text(run, options.eos_token, false, "eos_token")}};
  if (!options.variables.empty()) {
    for (const auto& variable : chat::read_variables(run, options.variables)) {
      variables.push_back(variable);
    }
  }
  return program_->render(run, variables);
}

RenderedChat ChatTemplate::render_json(std::string_view variables,
                                       std::optional<DateTime> now) const {
  Run run(program_->budget, program_->name, checked(now));
  return program_->render(run, chat::read_variables(run, variables));
}

}  // namespace regard
