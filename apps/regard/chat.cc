// regard chat: a conversation, line by line, or one question with -p.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "json.h"
#include "regard/conversation.h"
#include "request.h"
#include "verbs.h"

namespace regard::app {

namespace {

constexpr std::string_view kHelp =
    "/system TEXT  begin anew with this system message (none: without one)\n"
    "/reset        begin anew\n"
    "/save FILE    write the conversation as JSON\n"
    "/help         this\n"
    "/quit         end, as Ctrl-D does\n"
    "Ctrl-C stops an answer. A line that ends in \\ goes on in the next. // begins a message "
    "with /.\n";

// The answer goes to standard output while it comes.
Generation answer(Conversation& chat, const std::string& text, GenerateOptions options,
                  bool stream) {
  Progress progress;
  options.run.progress = [&](int64_t done, int64_t total) {
    progress.show(fmt::format("prompt: {} of {} tokens", done, total));
  };
  const Generation result = chat.ask(text, options, [&](std::string_view piece) {
    progress.clear();
    if (!stream) return;
    print(piece);
    flush();
  });
  progress.clear();
  if (stream) {
    if (!result.text.ends_with('\n')) print("\n");
    flush();
  }
  return result;
}

void save(const Conversation& chat, const std::string& path) {
  require(!path.empty(), "/save needs the name of a file");
  Json messages = Json::array();
  for (const Message& message : chat.messages()) {
    messages.push_back({{"role", message.role}, {"content", message.content}});
  }
  const std::string text =
      Json{{"messages", std::move(messages)}}.dump(1, ' ', false, Json::error_handler_t::replace) +
      "\n";
  std::FILE* file = std::fopen(path.c_str(), "wb");
  const bool written =
      file != nullptr && std::fwrite(text.data(), 1, text.size(), file) == text.size();
  if ((file != nullptr && std::fclose(file) != 0) || !written) {
    fail(ErrorKind::failed, "cannot write {}: {}", path, std::strerror(errno));
  }
}

// False: the conversation ends.
bool command(Conversation& chat, std::string_view line) {
  const size_t end = std::min(line.find(' '), line.size());
  const std::string name(line.substr(0, end));
  const std::string rest(line.substr(std::min(end + 1, line.size())));
  if (name == "/quit") return false;
  if (name == "/system") {
    chat.set_system(rest);
  } else if (name == "/reset") {
    chat.reset();
  } else if (name == "/save") {
    save(chat, rest);
  } else if (name == "/help") {
    fmt::print(stderr, "{}", kHelp);
  } else {
    fail(ErrorKind::invalid_argument,
         "unknown command {}; /help lists them, and // begins a message with /", name);
  }
  return true;
}

// Turn by turn until the input ends. With a person there, mistakes are told and the talk goes on.
int talk(Conversation& chat, GenerateOptions options) {
  const bool person = on_terminal(stdin);
  std::atomic<bool>& interrupt = repeated_interrupts();
  options.run.interrupt = &interrupt;
  if (person) fmt::print(stderr, "/help lists the commands; Ctrl-D ends.\n");
  Lines lines;
  std::string text, line;
  while (true) {
    if (person) {
      interrupt = false;  // it was meant for the answer
      fmt::print(stderr, "{}", text.empty() ? "> " : "  ");
      std::fflush(stderr);
    }
    const Lines::Got got = lines.next(line);
    if (got == Lines::Got::interrupt) {
      if (!person) return kInterrupted;
      text.clear();
      fmt::print(stderr, "\n");
      continue;
    }
    const bool ends = got == Lines::Got::end;
    if (!ends && line.ends_with('\\')) {
      line.back() = '\n';
      text += line;
      continue;
    }
    if (!ends) text += line;
    if (text.find_first_not_of(" \t\n") == std::string::npos) {
      if (ends) break;
      text.clear();
      continue;
    }
    try {
      interrupt = false;
      if (text[0] == '/' && !text.starts_with("//")) {
        if (!command(chat, text)) break;
      } else {
        const bool slash = text.starts_with("//");
        const Generation result = answer(chat, slash ? text.substr(1) : text, options, true);
        if (result.finish_reason == FinishReason::interrupted && !person) return kInterrupted;
      }
    } catch (const Error& error) {
      if (!person || error.kind() == ErrorKind::out_of_memory) throw;
      fmt::print(stderr, "regard: {}\n", error.what());
    }
    text.clear();
    if (ends) break;
  }
  if (person) fmt::print(stderr, "\n");
  return kOk;
}

}  // namespace

int chat(const Arguments& arguments) {
  CommandLine line("chat",
                   "Talks with a model by its chat template: with -p one answer, else line by line "
                   "from\nstandard input until it ends (Ctrl-D). /help there lists the commands.",
                   "regard chat --system \"Be brief.\" -p \"Why is the sky blue?\"");
  ModelFlags model_flags;
  RunFlags run_flags;
  GenerateOptions options;
  ConversationOptions chat_options;
  std::string prompt, template_file;
  bool json = false;
  add_model_flags(line, model_flags);
  line.text("-p,--prompt", prompt, "one message; - reads standard input, to its last byte", "TEXT");
  line.text("--system", chat_options.system, "the system message", "TEXT");
  line.text("--template", template_file, "a chat template (Jinja) in place of the model's", "FILE");
  add_generation_flags(line, options);
  line.flag("--ignore-eos", options.ignore_eos, "go on after an end token");
  add_kv_flag(line, run_flags.kv);
  line.flag("--json", json, "print one JSON object; with -p");
  if (!line.read(arguments)) return kOk;
  const bool once = line.has("--prompt");
  require(!json || once, "--json prints one answer: give -p TEXT, too");

  if (!template_file.empty()) {
    chat_options.chat.emplace(read_text(template_file), template_file);
  }
  if (prompt == "-") prompt = read_text("-");
  const Model model = load(model_flags);
  Conversation conversation(model, std::move(chat_options));
  options.run = run_options(run_flags);
  if (!once) return talk(conversation, options);

  options.run.interrupt = &interrupts();
  const Generation result = answer(conversation, prompt, options, !json);
  if (json) print_json(as_json(result));
  return result.finish_reason == FinishReason::interrupted ? kInterrupted : kOk;
}

}  // namespace regard::app
