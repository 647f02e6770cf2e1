#include "train/config.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <utility>

#include <toml.hpp>

#include "base/check.h"
#include "base/edit_distance.h"
#include "base/printable.h"
#include "formats/mapped_file.h"
#include "train/keys.h"

namespace regard::train {
namespace {

constexpr std::size_t kMostBytes = 1 << 20;
constexpr int64_t kMostTokens = int64_t{1} << 26;  // of a pass

// Does nothing with any key; what looks at some kinds of keys overrides those.
class AllKeys : public KeyVisitor {
 public:
  void section(std::string_view name, std::string_view meaning) override {
    section_ = name;
    begin(name, meaning);
  }
  void whole(std::string_view key, int64_t& value, int64_t least, int64_t most,
             std::string_view meaning, Resumed resumed) override {
    each(key, fmt::format("{}", value), fmt::format("whole, {} .. {}", least, most), meaning,
         resumed);
  }
  void number(std::string_view key, double& value, double least, double most,
              std::string_view meaning, Resumed resumed) override {
    std::string shown = fmt::format("{}", value);
    if (shown.find_first_of(".en") == std::string::npos) shown += ".0";
    each(key, shown, fmt::format("number, {:g} .. {:g}", least, most), meaning, resumed);
  }
  void flag(std::string_view key, bool& value, std::string_view meaning, Resumed resumed) override {
    each(key, value ? "true" : "false", "true or false", meaning, resumed);
  }
  void text(std::string_view key, std::string& value, std::string_view meaning,
            Resumed resumed) override {
    each(key, quoted(value), "text", meaning, resumed);
  }
  void texts(std::string_view key, std::vector<std::string>& value, std::string_view meaning,
             Resumed resumed) override {
    std::string list;
    for (const std::string& one : value) list += (list.empty() ? "" : ", ") + quoted(one);
    each(key, "[" + list + "]", "list of texts", meaning, resumed);
  }
  void choice(std::string_view key, std::string& value,
              std::initializer_list<std::string_view> choices, std::string_view meaning,
              Resumed resumed) override {
    each(key, quoted(value), fmt::format("{}", fmt::join(choices, ", ")), meaning, resumed);
  }

 protected:
  virtual void begin(std::string_view, std::string_view) {}
  virtual void each(std::string_view key, const std::string& value, const std::string& range,
                    std::string_view meaning, Resumed resumed) = 0;
  std::string name(std::string_view key) const { return fmt::format("{}.{}", section_, key); }

  static std::string quoted(std::string_view text) {
    std::string made = "\"";
    for (const char c : text) {
      if (c == '"' || c == '\\') made += '\\';
      if (static_cast<unsigned char>(c) < 0x20) {
        made += fmt::format("\\u{:04x}", static_cast<int>(c));
      } else {
        made += c;
      }
    }
    return made + "\"";
  }

  std::string section_;
};

class Printer final : public AllKeys {
 public:
  std::string made;

 private:
  void begin(std::string_view name, std::string_view) override {
    made += fmt::format("{}[{}]\n", made.empty() ? "" : "\n", name);
  }
  void each(std::string_view key, const std::string& value, const std::string&, std::string_view,
            Resumed) override {
    made += fmt::format("{} = {}\n", key, value);
  }
};

class Explainer final : public AllKeys {
 public:
  std::string made;

 private:
  void begin(std::string_view name, std::string_view meaning) override {
    made += fmt::format("{}[{}]  {}\n", made.empty() ? "" : "\n", name, meaning);
  }
  void each(std::string_view key, const std::string& value, const std::string& range,
            std::string_view meaning, Resumed) override {
    made += fmt::format("  {:<18} {:<14} {}{}{}\n", key, value, range, meaning.empty() ? "" : "; ",
                        meaning);
  }
};

class Values final : public AllKeys {
 public:
  std::vector<std::pair<std::string, std::string>> kept;  // that a resumed run may not change

 private:
  void each(std::string_view key, const std::string& value, const std::string&, std::string_view,
            Resumed resumed) override {
    if (resumed == Resumed::same) kept.emplace_back(name(key), value);
  }
};

// Takes values out of a parsed file, each checked against its key's rule.
class Reader final : public KeyVisitor {
 public:
  Reader(const toml::value& root, const std::string& file) : root_(root), file_(file) {}

  void section(std::string_view name, std::string_view) override {
    section_ = name;
    sections_.insert(section_);
    here_ = nullptr;
    if (!root_.as_table().contains(section_)) return;
    here_ = &root_.as_table().at(section_);
    if (!here_->is_table()) refuse("[{}] is no table", section_);
  }
  void whole(std::string_view key, int64_t& value, int64_t least, int64_t most, std::string_view,
             Resumed) override {
    const toml::value* const found = find(key);
    if (found == nullptr) return;
    if (!found->is_integer()) refuse("{} is no whole number", name(key));
    const int64_t given = found->as_integer();
    if (given < least || given > most) {
      refuse("{} is {}, must be in {} .. {}", name(key), given, least, most);
    }
    value = given;
  }
  void number(std::string_view key, double& value, double least, double most, std::string_view,
              Resumed) override {
    const toml::value* const found = find(key);
    if (found == nullptr) return;
    if (!found->is_integer() && !found->is_floating()) refuse("{} is no number", name(key));
    const double given =
        found->is_integer() ? static_cast<double>(found->as_integer()) : found->as_floating();
    if (!(given >= least && given <= most)) {
      refuse("{} is {:g}, must be in {:g} .. {:g}", name(key), given, least, most);
    }
    value = given;
  }
  void flag(std::string_view key, bool& value, std::string_view, Resumed) override {
    const toml::value* const found = find(key);
    if (found == nullptr) return;
    if (!found->is_boolean()) refuse("{} is neither true nor false", name(key));
    value = found->as_boolean();
  }
  void text(std::string_view key, std::string& value, std::string_view, Resumed) override {
    const toml::value* const found = find(key);
    if (found != nullptr) value = as_text(key, *found);
  }
  void texts(std::string_view key, std::vector<std::string>& value, std::string_view,
             Resumed) override {
    const toml::value* const found = find(key);
    if (found == nullptr) return;
    value.clear();
    if (found->is_string()) return value.push_back(found->as_string().str);
    if (!found->is_array()) refuse("{} is no list of texts", name(key));
    for (const toml::value& one : found->as_array()) value.push_back(as_text(key, one));
  }
  void choice(std::string_view key, std::string& value,
              std::initializer_list<std::string_view> choices, std::string_view, Resumed) override {
    const toml::value* const found = find(key);
    if (found == nullptr) return;
    const std::string given = as_text(key, *found);
    if (std::ranges::find(choices, given) == choices.end()) {
      refuse("{} is \"{}\", must be one of {}", name(key), printable(given),
             fmt::join(choices, ", "));
    }
    value = given;
  }

  // What no key asked for.
  void finish() const {
    for (const auto& [name, value] : root_.as_table()) {
      if (!sections_.contains(name)) refuse_unknown(name, sections_);
      if (!value.is_table()) continue;
      for (const auto& [key, unused] : value.as_table()) {
        if (!known_.contains(name + "." + key)) refuse_unknown(name + "." + key, known_);
      }
    }
  }

 private:
  template <class... Args>
  [[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) const {
    fail(ErrorKind::unreadable, "{}: {}", file_, fmt::format(format, std::forward<Args>(args)...));
  }
  [[noreturn]] void refuse_unknown(const std::string& name,
                                   const std::set<std::string>& known) const {
    const std::string asked = name.substr(0, 100);
    const std::string& nearest = *std::ranges::min_element(
        known, {}, [&](const std::string& one) { return edit_distance(one, asked); });
    refuse("unknown key {}; the nearest is {}", printable(asked), nearest);
  }
  std::string name(std::string_view key) const { return fmt::format("{}.{}", section_, key); }
  const toml::value* find(std::string_view key) {
    known_.insert(name(key));
    if (here_ == nullptr) return nullptr;
    const auto found = here_->as_table().find(std::string(key));
    return found == here_->as_table().end() ? nullptr : &found->second;
  }
  std::string as_text(std::string_view key, const toml::value& value) const {
    if (!value.is_string()) refuse("{} is no text", name(key));
    return value.as_string().str;
  }

  const toml::value& root_;
  const std::string& file_;
  const toml::value* here_ = nullptr;
  std::string section_;
  std::set<std::string> sections_, known_;
};

// The first line of what toml11 says, without its own name and pictures.
std::string reason(const std::exception& error) {
  std::string text = error.what();
  const std::size_t end = text.find('\n');
  text = text.substr(0, end);
  const std::size_t mark = text.rfind("] ");
  if (mark != std::string::npos) text = text.substr(mark + 2);
  return printable(text);
}

void check(const TrainConfig& config, const std::string& file) {
  const auto refuse = [&]<class... Args>(fmt::format_string<Args...> format, Args&&... args) {
    fail(ErrorKind::unreadable, "{}: {}", file, fmt::format(format, std::forward<Args>(args)...));
  };
  const ModelConfig& m = config.model;
  if (m.start.empty() && m.width % m.heads != 0) {
    refuse("model.width ({}) is not a multiple of model.heads ({})", m.width, m.heads);
  }
  if (m.kv_heads > 0 && m.heads % m.kv_heads != 0) {
    refuse("model.heads ({}) is not a multiple of model.kv_heads ({})", m.heads, m.kv_heads);
  }
  if (m.context > 0 && m.context < config.data.length) {
    refuse("data.length ({}) is more than model.context ({})", config.data.length, m.context);
  }
  const DataConfig& d = config.data;
  if (d.text.empty() == d.task.empty()) {
    refuse("give either data.text or data.task{}", d.text.empty() ? "" : ", not both");
  }
  if (config.run.rows > kMostTokens / d.length) {
    refuse("run.rows ({}) times data.length ({}) is more than {} tokens", config.run.rows, d.length,
           kMostTokens);
  }
  if (!d.task.empty() && !d.tokenizer.empty()) refuse("data.task brings its own data.tokenizer");
  if (!d.task.empty() && !m.start.empty()) {
    refuse("data.task has its own vocabulary, so model.start must be left out");
  }
  if (config.schedule.warmup > config.run.steps) {
    refuse("schedule.warmup ({}) is more than run.steps ({})", config.schedule.warmup,
           config.run.steps);
  }
}

}  // namespace

TrainConfig parse_config(std::string_view text, const std::string& name) {
  if (text.size() > kMostBytes) {
    fail(ErrorKind::unreadable, "{}: {} bytes, a configuration has at most {}", name, text.size(),
         kMostBytes);
  }
  // toml11 reads nested values by recursion.
  int64_t depth = 0;
  for (const char c : text) {
    depth = c == '[' || c == '{' ? depth + 1 : c == '\n' || c == ']' || c == '}' ? 0 : depth;
    if (depth > 16) fail(ErrorKind::unreadable, "{}: nested deeper than 16 levels", name);
  }
  std::istringstream stream{std::string(text)};
  std::optional<toml::value> root;
  try {
    root = toml::parse(stream, name);
  } catch (const std::exception& error) {
    fail(ErrorKind::unreadable, "{}: not TOML: {}", name, reason(error));
  }
  TrainConfig config;
  Reader reader(*root, name);
  visit_keys(config, reader);
  reader.finish();
  if (config.schedule.steps == 0) config.schedule.steps = config.run.steps;
  check(config, name);
  return config;
}

TrainConfig read_config(const std::filesystem::path& path) {
  const MappedFile file(path.string());
  return parse_config(file.text(), path.string());
}

std::string TrainConfig::to_toml() const {
  TrainConfig copy = *this;
  Printer printer;
  visit_keys(copy, printer);
  return printer.made;
}

std::string explain_keys() {
  TrainConfig defaults;
  Explainer explainer;
  visit_keys(defaults, explainer);
  return explainer.made;
}

std::string first_difference(const TrainConfig& a, const TrainConfig& b) {
  TrainConfig left = a, right = b;
  Values of_left, of_right;
  visit_keys(left, of_left);
  visit_keys(right, of_right);
  for (std::size_t i = 0; i < of_left.kept.size(); ++i) {
    if (of_left.kept[i].second != of_right.kept[i].second) {
      return fmt::format("{} is {}, was {}", of_left.kept[i].first, of_left.kept[i].second,
                         of_right.kept[i].second);
    }
  }
  return "";
}

}  // namespace regard::train
