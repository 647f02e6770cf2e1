#include "data/documents.h"

#include <cmath>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/printable.h"
#include "formats/mapped_file.h"
#include "json/json.h"

namespace regard::data {
namespace {

using nlohmann::json;

class Reader {
 public:
  Reader(const Tokens& tokens, const ReadOptions& options) : tokens_(tokens), options_(options) {}

  void read(const std::string& path) {
    const MappedFile file{std::filesystem::path(path)};
    if (path.ends_with(".jsonl")) {
      read_lines(file.text(), path);
    } else {
      read_plain(file.text(), path);
    }
  }
  std::vector<Document> take() { return std::move(made_); }

 private:
  // One document: what stands in front of the answer, and the answer.
  void add(std::string_view prompt, std::string_view answer, float weight, std::string_view name) {
    Document made{.ids = tokens_.encode(prompt, name)};
    const bool counts = options_.loss == Loss::all || prompt.empty();
    made.weights.assign(made.ids.size(), counts ? weight : 0);
    const std::vector<Id> rest = tokens_.encode(answer, name);
    made.ids.insert(made.ids.end(), rest.begin(), rest.end());
    made.weights.resize(made.ids.size(), weight);
    if (made.ids.empty()) return;
    if (options_.boundary && tokens_.boundary) {
      made.ids.push_back(*tokens_.boundary);
      made.weights.push_back(weight);
      made.ended = true;
    }
    made_.push_back(std::move(made));
  }

  void read_plain(std::string_view text, const std::string& path) {
    const std::string& separator = options_.separator;
    while (!separator.empty()) {
      const std::size_t at = text.find(separator);
      if (at == std::string_view::npos) break;
      add({}, text.substr(0, at), 1, path);
      text.remove_prefix(at + separator.size());
    }
    add({}, text, 1, path);
  }

  void read_lines(std::string_view text, const std::string& path) {
    for (int64_t number = 1; !text.empty(); ++number) {
      const std::string_view line = text.substr(0, text.find('\n'));
      text.remove_prefix(std::min(text.size(), line.size() + 1));
      if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
      const std::string name = fmt::format("{}: line {}", printable(path, 1024), number);
      read_line(parse_json(line, name), name);
    }
  }

  void read_line(const json& line, const std::string& name) {
    if (!line.is_object()) fail(ErrorKind::unreadable, "{} is not an object", name);
    for (const auto& [key, value] : line.items()) {
      if (key == "weight"
              ? value.is_number()
              : (key == "text" || key == "prompt" || key == "answer") && value.is_string()) {
        continue;
      }
      fail(ErrorKind::unreadable,
           "{}: \"{}\" is not a key with such a value; there are text, prompt and answer, which "
           "are texts, and weight, a number",
           name, printable(key));
    }
    const double weight = line.value("weight", 1.0);
    if (!(weight >= 0 && weight <= 1e6)) {
      fail(ErrorKind::unreadable, "{}: weight ({}) is not in 0 .. 1000000", name, weight);
    }
    const bool has_text = line.contains("text");
    if (has_text == (line.contains("prompt") || line.contains("answer"))) {
      fail(ErrorKind::unreadable, "{} must have either text, or prompt and answer", name);
    }
    const auto part = [&](const char* key) { return line.value(key, std::string()); };
    add(has_text ? std::string() : part("prompt"), part(has_text ? "text" : "answer"),
        static_cast<float>(weight), name);
  }

  const Tokens& tokens_;
  const ReadOptions& options_;
  std::vector<Document> made_;
};

}  // namespace

std::vector<Document> read_documents(const std::vector<std::string>& files, const Tokens& tokens,
                                     const ReadOptions& options) {
  Reader reader(tokens, options);
  for (const std::string& file : files) reader.read(file);
  return reader.take();
}

}  // namespace regard::data
