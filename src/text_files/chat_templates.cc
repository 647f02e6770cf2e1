#include "text_files/chat_templates.h"

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "formats/mapped_file.h"
#include "json/json.h"

namespace regard {
namespace {

constexpr std::string_view kDefault = "default";
constexpr std::size_t kMostNames = 64;

// place: the file and the key, for messages.
void add(ChatTemplates& all, std::string_view name, std::string_view source,
         const std::string& place) {
  if (all.named.size() >= kMostNames || all.find(name) != nullptr) return;
  try {
    all.named.emplace(std::string(name), ChatTemplate(source, place));
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::unreadable) throw;
    if (name == kDefault || all.why_not.empty()) all.why_not = error.what();
  }
}

void finish(ChatTemplates& all, const std::string& file, std::string_view where) {
  if (all.find(kDefault) == nullptr && all.why_not.empty()) {
    all.why_not = fmt::format("{}: no chat template in {}; --template FILE gives one", file, where);
  }
}

bool is_file(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(path, ignored);
}

void add_file(ChatTemplates& all, std::string_view name, const std::filesystem::path& path) {
  const MappedFile file(path);
  add(all, name, file.text(), path.string());
}

// The key chat_template of a JSON file: a text, or [{"name": ..., "template": ...}].
void add_json(ChatTemplates& all, const std::filesystem::path& path) {
  const MappedFile file(path);
  const auto json = parse_json(file.text(), path.string());
  const auto refuse = [&] {
    fail(ErrorKind::unreadable,
         "{}: chat_template is neither a text nor a list of objects with name and template",
         path.string());
  };
  if (!json.is_object() || !json.contains("chat_template")) return;
  const auto& value = json["chat_template"];
  const std::string place = path.string() + " chat_template";
  if (value.is_string()) return add(all, kDefault, value.get_ref<const std::string&>(), place);
  if (value.is_null()) return;
  if (!value.is_array()) refuse();
  for (const auto& one : value) {
    if (!one.is_object() || !one.contains("name") || !one["name"].is_string() ||
        !one.contains("template") || !one["template"].is_string()) {
      refuse();
    }
    const auto& name = one["name"].get_ref<const std::string&>();
    add(all, name, one["template"].get_ref<const std::string&>(), place + " " + name);
  }
}

}  // namespace

ChatTemplates read_chat_templates(const GgufFile& file) {
  constexpr std::string_view kKey = "tokenizer.chat_template";
  ChatTemplates all;
  if (const auto source = file.find_string(kKey)) {
    add(all, kDefault, *source, fmt::format("{} {}", file.name(), kKey));
  }
  if (const auto names = file.find_strings("tokenizer.chat_templates")) {
    for (const std::string_view name : *names) {
      const std::string key = fmt::format("{}.{}", kKey, name);
      if (const auto source = file.find_string(key)) {
        add(all, name, *source, fmt::format("{} {}", file.name(), key));
      }
    }
  }
  finish(all, std::string(file.name()), kKey);
  return all;
}

ChatTemplates read_chat_templates(const std::filesystem::path& folder) {
  ChatTemplates all;
  try {
    if (const auto path = folder / "chat_template.jinja"; is_file(path)) {
      add_file(all, kDefault, path);
    }
    std::error_code end;  // set where there is no such folder
    std::filesystem::directory_iterator entry(folder / "additional_chat_templates", end);
    for (; !end && entry != std::filesystem::directory_iterator(); entry.increment(end)) {
      const std::filesystem::path& path = entry->path();
      if (path.extension() == ".jinja" && is_file(path)) add_file(all, path.stem().string(), path);
    }
    for (const char* name : {"chat_template.json", "tokenizer_config.json"}) {
      if (const auto path = folder / name; is_file(path)) add_json(all, path);
    }
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::unreadable) throw;
    if (all.why_not.empty()) all.why_not = error.what();
  }
  finish(all, folder.string(), "chat_template.jinja, chat_template.json and tokenizer_config.json");
  return all;
}

}  // namespace regard
