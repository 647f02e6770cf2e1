// The chat templates that come with a model, by name: in a GGUF file's keys, or in the files of a
// folder.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "formats/gguf.h"
#include "regard/chat.h"

namespace regard {

struct ChatTemplates {
  std::map<std::string, ChatTemplate, std::less<>> named;  // "default" is the one for every chat
  std::string why_not;                                     // the message, where there is no default

  const ChatTemplate* find(std::string_view name) const noexcept {
    const auto found = named.find(name);
    return found == named.end() ? nullptr : &found->second;
  }
};

// A template that is damaged is left out and said in why_not: the model still runs without it.
// tokenizer.chat_template and tokenizer.chat_template.NAME.
ChatTemplates read_chat_templates(const GgufFile& file);
// chat_template.jinja and additional_chat_templates/NAME.jinja; else what chat_template.json or
// tokenizer_config.json have: a text, or a list of names and texts.
ChatTemplates read_chat_templates(const std::filesystem::path& folder);

}  // namespace regard
