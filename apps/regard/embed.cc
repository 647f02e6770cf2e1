// regard embed: texts as vectors, and how near they are to each other.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "json.h"
#include "request.h"
#include "verbs.h"

namespace regard::app {

namespace {

constexpr int64_t kMostInTable = 16;     // more do not fit a line
constexpr int64_t kMostCompared = 4096;  // each with each other
constexpr size_t kNearest = 3;
constexpr size_t kShown = 60;  // bytes of a text

struct TextFlags {
  std::vector<std::string> texts;  // on the command line
  std::string file;                // a text a line
  std::vector<CommandLine::Numbers> ids;
};

std::vector<std::string> lines_of(const std::string& path) {
  std::vector<std::string> lines;
  const std::string text = read_text(path);
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    if (lines.back().ends_with('\r')) lines.back().pop_back();
    require(!lines.back().empty(), "{} line {}: an empty text", path, lines.size());
    at = end + 1;
  }
  require(!lines.empty(), "{} holds no text", path);
  return lines;
}

std::vector<std::string> read_texts(const TextFlags& flags) {
  const int given = !flags.texts.empty() + !flags.file.empty() + !flags.ids.empty();
  require(given > 0,
          "no text: give texts as words of their own, -f FILE with one a line (- is "
          "standard input) or --ids 1,2,3");
  require(given == 1, "texts come from one place: words of their own, -f or --ids");
  if (!flags.file.empty()) return lines_of(flags.file);
  return flags.texts;
}

std::vector<std::vector<TokenId>> token_ids(const Model& model, const TextFlags& flags,
                                            const std::vector<std::string>& texts) {
  std::vector<std::vector<TokenId>> ids;
  for (const CommandLine::Numbers& one : flags.ids) ids.emplace_back(one.begin(), one.end());
  for (const std::string& text : texts) {
    try {
      ids.push_back(model.encode(text));
    } catch (const Error& error) {
      fail(error.kind(), "text {}: {}", ids.size() + 1, error.what());
    }
  }
  return ids;
}

double cosine(std::span<const float> a, std::span<const float> b) {
  double product = 0, left = 0, right = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    product += double{a[i]} * double{b[i]};
    left += double{a[i]} * double{a[i]};
    right += double{b[i]} * double{b[i]};
  }
  const double lengths = std::sqrt(left) * std::sqrt(right);
  return lengths > 0 ? product / lengths : 0;
}

// The beginning of a text on one line.
std::string shown(const std::vector<std::string>& texts, int64_t i) {
  if (texts.empty()) return fmt::format("--ids {}", i);
  std::string text = texts[static_cast<size_t>(i)];
  if (text.size() > kShown) {
    size_t end = kShown;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
    text = text.substr(0, end) + "…";
  }
  return json_text(text);
}

void print_table(const Embeddings& made, const std::vector<std::string>& texts, int64_t count) {
  std::string head = "      ";
  for (int64_t j = 0; j < count; ++j) head += fmt::format("{:>7}", j);
  print(head + "\n");
  for (int64_t i = 0; i < count; ++i) {
    std::string line = fmt::format("{:>6}", i);
    for (int64_t j = 0; j < count; ++j) line += fmt::format("{:>7.3f}", cosine(made[i], made[j]));
    print(line + "  " + shown(texts, i) + "\n");
  }
}

// Too many for a table: of each text those that are nearest.
void print_nearest(const Embeddings& made, const std::vector<std::string>& texts, int64_t count) {
  require(count <= kMostCompared,
          "{} texts are too many to compare each with each (at most {}); --raw or --json prints "
          "their vectors",
          count, kMostCompared);
  std::vector<std::pair<double, int64_t>> others;
  for (int64_t i = 0; i < count; ++i) {
    others.clear();
    for (int64_t j = 0; j < count; ++j) {
      if (j != i) others.emplace_back(-cosine(made[i], made[j]), j);
    }
    const auto some = others.begin() + std::min<std::ptrdiff_t>(kNearest, std::ssize(others));
    std::partial_sort(others.begin(), some, others.end());
    print(fmt::format("{:>6}         {}\n", i, shown(texts, i)));
    for (auto near = others.begin(); near != some; ++near) {
      print(fmt::format("  {:>6.3f} {:>6}  {}\n", -near->first, near->second,
                        shown(texts, near->second)));
    }
  }
}

Pooling pooling_of(const std::string& name) {
  for (const Pooling pooling : {Pooling::cls, Pooling::last, Pooling::max}) {
    if (name == regard::name(pooling)) return pooling;
  }
  return Pooling::mean;
}

}  // namespace

int embed(const Arguments& arguments) {
  CommandLine line("embed",
                   "Turns texts into vectors and prints how near they are to each other: cosines.",
                   "regard embed \"A man is eating.\" \"Somebody has lunch.\"");
  ModelFlags model_flags{.model = "minilm"};
  TextFlags flags;
  std::string pooling;
  EmbedOptions options;
  bool as_they_are = false, raw = false, json = false;
  add_model_flags(line, model_flags, "minilm");
  line.texts("TEXT", flags.texts, "a text", "");
  line.text("-f,--file", flags.file, "a file of texts, one a line; - is standard input", "FILE");
  line.number_lists("--ids", flags.ids, 0, std::numeric_limits<TokenId>::max(),
                    "token ids in place of a text", "1,2,3");
  line.choice("--pool", pooling, {"mean", "cls", "last", "max"},
              "how the tokens' states become one vector; without it the checkpoint says",
              "mean|cls|last|max");
  line.flag("--no-normalise", as_they_are, "leave vectors as long as they are");
  line.flag("--truncate", options.truncate, "cut texts that are longer than the model's context");
  line.flag("--raw", raw, "print the vectors, one a line");
  line.flag("--json", json, "print one JSON object");
  if (!line.read(arguments)) return kOk;

  const std::vector<std::string> texts = read_texts(flags);
  const Model model = load(model_flags);
  const std::vector<std::vector<TokenId>> ids = token_ids(model, flags, texts);
  Progress progress;
  if (!pooling.empty()) options.pooling = pooling_of(pooling);
  if (as_they_are) options.normalise = false;
  options.progress = [&](int64_t done, int64_t total) {
    progress.show(fmt::format("embedded {} of {} texts", done, total));
  };
  const Embeddings made = model.embed(ids, options);
  progress.clear();

  const auto count = static_cast<int64_t>(made.ids.size());
  if (json) {
    Json vectors = Json::array();
    for (int64_t i = 0; i < count; ++i)
      vectors.push_back(std::vector<float>(made[i].begin(), made[i].end()));
    print_json({{"embeddings", std::move(vectors)}, {"ids", made.ids}});
  } else if (raw) {
    for (int64_t i = 0; i < count; ++i) print(fmt::format("{}\n", fmt::join(made[i], " ")));
  } else if (count <= kMostInTable) {
    print_table(made, texts, count);
  } else {
    print_nearest(made, texts, count);
  }
  flush();
  return kOk;
}

}  // namespace regard::app
