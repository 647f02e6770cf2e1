// regard inspect: where a token looked and what came of it, as numbers, as
// bars, or as a page.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <mutex>
#include <numeric>

#include "base/check.h"
#include "inspect/capture.h"
#include "inspect/file.h"
#include "inspect/metrics.h"
#include "inspect/page.h"
#include "json.h"
#include "request.h"
#include "runtime/checkpoint.h"
#include "verbs.h"

namespace regard::app {

namespace {

constexpr std::string_view kStanding =
    "Share of mixing in this layer and head; not a causal explanation.";

std::vector<std::string> token_texts(const Model& model, const std::vector<TokenId>& ids) {
  std::vector<std::string> texts;
  for (const TokenId id : ids) texts.push_back(model.token_text(id));
  return texts;
}

// "9", or a token's text, with its leading space or without.
int64_t find_query(const std::string& query, const std::vector<std::string>& tokens) {
  const bool number = !query.empty() && query.find_first_not_of("0123456789") == std::string::npos;
  if (number) {
    require(query.size() <= 9 && std::stoll(query) < std::ssize(tokens),
            "--query: {} is not in 0 .. {}", query, std::ssize(tokens) - 1);
    return std::stoll(query);
  }
  std::vector<int64_t> places;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] == query || tokens[i] == " " + query) places.push_back(static_cast<int64_t>(i));
  }
  require(!places.empty(), "--query: no token is '{}'; regard tokenize shows them", query);
  require(places.size() == 1, "--query: '{}' is at {}; give one of these", query,
          fmt::join(places, ", "));
  return places[0];
}

Json or_null(const std::optional<double>& number) { return number ? Json(*number) : Json(); }

Json masked_as_null(const std::vector<float>& scores) {
  Json list = Json::array();
  for (const float score : scores) list.push_back(std::isfinite(score) ? Json(score) : Json());
  return list;
}

void add_row(Json& object, const inspect::Row& row) {
  object["weights"] = row.weights;
  object["scores"] = masked_as_null(row.scores);
  object["entropy"] = row.entropy;
  object["entropy_ratio"] = or_null(row.entropy_ratio);
  object["contribution"] = row.contribution;
}

Json as_json(const inspect::HeadMetrics& head) {
  return {{"layer", head.layer},
          {"head", head.head},
          {"entropy", or_null(head.entropy)},
          {"entropy_ratio", or_null(head.entropy_ratio)},
          {"first", or_null(head.first)},
          {"previous", or_null(head.previous)},
          {"self", or_null(head.self)},
          {"distance", or_null(head.distance)},
          {"duplicate", or_null(head.duplicate)},
          {"induction", or_null(head.induction)}};
}

// A bar of `width` columns at most, drawn in eighths of one.
std::string bar(double share, int width) {
  static constexpr const char* kParts[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const int eighths = static_cast<int>(std::lround(std::clamp(share, 0.0, 1.0) * width * 8));
  std::string text;
  for (int i = 0; i < eighths / 8; ++i) text += "█";
  return text + kParts[eighths % 8];
}

std::string padded(std::string text, int width) {
  const int missing = width - columns(text);
  if (missing > 0) text.append(static_cast<size_t>(missing), ' ');
  return text;
}

// A token on one line: as a JSON string is written, without its quotes.
std::string visible(const std::string& token) {
  const std::string text = json_text(token);
  return text.substr(1, text.size() - 2);
}

void print_bars(int64_t layer, int64_t head, int64_t query, const std::vector<std::string>& tokens,
                const inspect::Row& row) {
  const auto keys = static_cast<size_t>(query) + 1;
  const auto masked = [&](size_t i) { return std::isinf(row.scores[i]) && row.scores[i] < 0; };
  const auto most = static_cast<size_t>(std::max_element(row.weights.begin(), row.weights.end()) -
                                        row.weights.begin());
  int widest = 5;
  for (size_t i = 0; i < keys; ++i) widest = std::max(widest, columns(visible(tokens[i])));
  widest = std::min(widest, 24);
  constexpr int kNumbers = 5 + 2 + 8 + 2 + 9 + 14;  // the other columns and the gaps
  const int bar_width = std::clamp(terminal_width() - widest - kNumbers, 8, 60);
  const bool colour = in_colour(stdout);

  print(fmt::format("layer {}, head {}: query {} '{}' looks at {} keys; entropy {:.3f} nats", layer,
                    head, query, visible(tokens[static_cast<size_t>(query)]), row.allowed_keys,
                    row.entropy));
  if (row.entropy_ratio) {
    print(fmt::format(", {:.0f} % of ln {}", 100 * *row.entropy_ratio, row.allowed_keys));
  }
  print(fmt::format("\n{:>5}  {}{:>8}  {}{:>9}{:>14}\n", "key", padded("token", widest), "weight",
                    padded("", bar_width), "score", "contribution"));
  for (size_t i = 0; i < keys; ++i) {
    if (masked(i)) continue;
    const bool marked = colour && i == most;
    print(fmt::format("{}{:>5}  {}{:>8.4f}  {}{:>9.3f}{:>14.4f}{}\n", marked ? "\033[1;36m" : "", i,
                      padded(visible(tokens[i]), widest), row.weights[i],
                      padded(bar(row.weights[i], bar_width), bar_width), row.scores[i],
                      row.contribution[i], marked ? "\033[0m" : ""));
  }
  print(fmt::format("{}\n", kStanding));
}

void print_heads(const std::vector<inspect::HeadMetrics>& heads) {
  const auto cell = [](const std::optional<double>& number) {
    return number ? fmt::format("{:>9.3f}", *number) : fmt::format("{:>9}", "-");
  };
  print(fmt::format("{:>5}{:>5}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}{:>10}{:>10}\n", "layer", "head",
                    "entropy", "of ln m", "first", "previous", "self", "distance", "duplicate",
                    "induction"));
  for (const inspect::HeadMetrics& head : heads) {
    print(fmt::format("{:>5}{:>5}{}{}{}{}{}{} {} {}\n", head.layer, head.head, cell(head.entropy),
                      cell(head.entropy_ratio), cell(head.first), cell(head.previous),
                      cell(head.self), cell(head.distance), cell(head.duplicate),
                      cell(head.induction)));
  }
  print(fmt::format("{}\n", kStanding));
}

}  // namespace

int inspect(const Arguments& arguments) {
  CommandLine line("inspect",
                   "Shows where a token looked: weight, score and contribution "
                   "of every key.\n"
                   "Layers, heads and queries count from 0.",
                   "regard inspect -p \"... because it was too big.\" --layer "
                   "16 --head 3 --query it");
  ModelFlags model_flags;
  PromptFlags prompt_flags;
  std::string kv = "f16", query_text, html;
  int64_t layer = 0, head = 0;
  bool heads = false, json = false;
  add_model_flags(line, model_flags);
  add_prompt_flags(line, prompt_flags, Prompts::one);
  line.whole("--layer", layer, 0, int64_t{1} << 31, "the layer", "L");
  line.whole("--head", head, 0, int64_t{1} << 31, "the head", "H");
  line.text("--query", query_text, "the token that looks: its index or its text", "I|TEXT");
  line.flag("--heads", heads, "what each head does, over all queries");
  line.text("--html", html,
            "write a page of every layer and head; --layer, --head and --query "
            "are what it opens on [0, 0, the last token]",
            "FILE");
  add_kv_flag(line, kv);
  line.flag("--json", json, "print one JSON object");
  if (!line.read(arguments)) return kOk;

  const int named = line.has("--layer") + line.has("--head") + line.has("--query");
  require(named == 3 || (named == 0 && heads) || !html.empty(),
          "give --layer, --head and --query, or --heads, or --html FILE");
  const Request request = read_request(line, prompt_flags);
  const Model model = load(model_flags);
  const std::vector<TokenId> ids = std::move(token_ids(model, request).at(0));
  const std::vector<std::string> tokens = token_texts(model, ids);
  const ModelFacts& facts = model.facts();
  require(!ids.empty(), "the prompt has no tokens");
  require(layer < facts.layers, "--layer: {} is not in 0 .. {}", layer, facts.layers - 1);
  require(head < facts.heads, "--head: {} is not in 0 .. {}", head, facts.heads - 1);
  const int64_t query =
      line.has("--query") ? find_query(query_text, tokens) : std::ssize(tokens) - 1;

  Checkpoint& checkpoint = model.checkpoint();
  const std::lock_guard turn(checkpoint.turn);
  const bool one_layer = !heads && html.empty();
  const inspect::Capture capture(checkpoint.model, ids, checkpoint.pool,
                                 {.layer = one_layer ? layer : -1, .run = {.kv = kv_dtype(kv)}});
  Json object = {{"tokens", tokens}};
  if (named == 3) {
    const inspect::Row row = inspect::look(capture, layer, head, query);
    if (json) {
      add_row(object, row);
    } else {
      print_bars(layer, head, query, tokens, row);
    }
  }
  if (heads) {
    const std::vector<inspect::HeadMetrics> metrics =
        inspect::head_metrics(capture, checkpoint.pool);
    if (json) {
      object["heads"] = Json::array();
      for (const inspect::HeadMetrics& one : metrics) object["heads"].push_back(as_json(one));
    } else {
      print_heads(metrics);
    }
  }
  if (!html.empty()) {
    const inspect::PageOptions options{
        .model = facts.path,
        .tokens = tokens,
        .locked = {layer, head, query, inspect::strongest_key(capture, layer, head, query)}};
    inspect::write_whole(html, inspect::page(capture, options, checkpoint.pool));
    if (!json) print(fmt::format("wrote {}\n", html));
  }
  if (json) print_json(object);
  return kOk;
}

}  // namespace regard::app
