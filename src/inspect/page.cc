#include "inspect/page.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <exception>
#include <iterator>
#include <mutex>

#include "base/check.h"
#include "inspect/contribution.h"
#include "inspect/metrics.h"
#include "inspect/page_template.h"
#include "unicode/utf8.h"

namespace regard::inspect {
namespace {

// What web/inspect.html holds where the data goes.
constexpr std::string_view kMark = "\"REGARD_DATA\"";
// Raised with every change of the data that web/src/data.ts reads.
constexpr int kVersion = 1;

int64_t triangle(int64_t rows) { return rows * (rows + 1) / 2; }

// Bytes of a score and a weight.
constexpr int64_t kCell = 2 * sizeof(float);

void check(const Capture& capture, const PageOptions& options) {
  const models::DecoderConfig& config = capture.model().config;
  const Spot& at = options.locked;
  const auto inside = [](const char* name, int64_t value, int64_t count) {
    require(value >= 0 && value < count, "page: {} {} is not in 0 .. {}", name, value, count - 1);
  };
  inside("layer", at.layer, config.layers);
  inside("head", at.head, config.heads);
  inside("query", at.query, capture.tokens());
  inside("key", at.key, capture.tokens());
  require(std::ssize(options.tokens) == capture.tokens(), "page: {} token texts for {} tokens",
          options.tokens.size(), capture.tokens());
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    require(capture.has(layer), "page: layer {} was not captured", layer);
  }
  const int64_t rows = config.layers * config.heads * capture.tokens() * 2 * kCell;
  require(rows <= 4 * options.map_bytes,
          "page: {} tokens need {} MB for one row of every head, at most {} MB fit; shorten the "
          "prompt or look at single rows with --json",
          capture.tokens(), rows >> 20, (4 * options.map_bytes) >> 20);
}

// One head's part of the data.
struct Part {
  int64_t first = 0;  // the first query whose row is kept
  int64_t rows = 0;
  std::vector<float> weights, scores;  // row after row
  std::vector<float> entropy;          // [tokens], of every row
};

Part part_of(const Capture& capture, int64_t layer, int64_t head, bool whole, int64_t query) {
  Part part;
  part.first = whole ? 0 : query;
  part.rows = whole ? capture.tokens() : 1;
  for (int64_t i = 0; i < capture.tokens(); ++i) {
    const RowOfMap row = capture.row(layer, head, i);
    part.entropy.push_back(static_cast<float>(entropy(row.scores, row.weights, row.lse)));
    if (i < part.first || i >= part.first + part.rows) continue;
    part.weights.insert(part.weights.end(), row.weights.begin(), row.weights.end());
    part.scores.insert(part.scores.end(), row.scores.begin(), row.scores.end());
  }
  return part;
}

std::string_view name(Kept kept) {
  switch (kept) {
    case Kept::all:
      return "all";
    case Kept::head:
      return "head";
    case Kept::row:
      return "row";
  }
  return "";
}

template <class Items, class Print>
std::string json_list(const Items& items, const Print& print) {
  std::string out = "[";
  for (const auto& item : items) {
    if (out.size() > 1) out += ',';
    out += print(item);
  }
  return out + "]";
}

std::string data(const Capture& capture, const PageOptions& options, ThreadPool& pool) {
  const models::DecoderConfig& config = capture.model().config;
  const Spot& at = options.locked;
  const Kept kept = kept_rows(config.layers, config.heads, capture.tokens(), options.map_bytes);
  std::string out =
      fmt::format(R"({{"version":{},"model":{},"ids":{},"tokens":{},"layers":{},"heads":{},)"
                  R"("locked":{{"layer":{},"head":{},"query":{},"key":{}}},"kept":"{}","maps":[)",
                  kVersion, json_string(options.model.substr(options.model.rfind('/') + 1)),
                  json_list(capture.ids(), [](TokenId id) { return std::to_string(id); }),
                  json_list(options.tokens, json_string), config.layers, config.heads, at.layer,
                  at.head, at.query, at.key, name(kept));

  std::vector<float> entropies, norms;  // [layers, heads, tokens]
  std::vector<Part> parts(static_cast<std::size_t>(config.heads));
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    std::mutex mutex;
    std::exception_ptr error;  // tasks must not throw
    pool.parallel_for(config.heads, [&](int64_t head, int) {
      try {
        const bool locked = layer == at.layer && head == at.head;
        const bool whole = kept == Kept::all || (kept == Kept::head && locked);
        parts[static_cast<std::size_t>(head)] = part_of(capture, layer, head, whole, at.query);
      } catch (...) {
        const std::lock_guard lock(mutex);
        error = std::current_exception();
      }
    });
    if (error) std::rethrow_exception(error);
    for (const Part& part : parts) {
      if (out.back() != '[') out += ',';
      fmt::format_to(std::back_inserter(out),
                     R"({{"first":{},"rows":{},"weights":"{}","scores":"{}"}})", part.first,
                     part.rows, base64(part.weights), base64(part.scores));
      entropies.insert(entropies.end(), part.entropy.begin(), part.entropy.end());
    }
    const std::vector<float> of_layer = output_norms(capture, layer);
    norms.insert(norms.end(), of_layer.begin(), of_layer.end());
  }
  return out + R"(],"entropy":")" + base64(entropies) + R"(","norms":")" + base64(norms) + "\"}";
}

}  // namespace

std::string page(const Capture& capture, const PageOptions& options, ThreadPool& pool) {
  check(capture, options);
  const std::string_view whole = page_template();
  const std::size_t mark = whole.find(kMark);
  if (mark == std::string_view::npos || whole.find(kMark, mark + 1) != std::string_view::npos) {
    fail(ErrorKind::failed, "page: the built page does not hold {} exactly once", kMark);
  }
  std::string out(whole.substr(0, mark));
  out += data(capture, options, pool);
  out += whole.substr(mark + kMark.size());
  return out;
}

int64_t strongest_key(const Capture& capture, int64_t layer, int64_t head, int64_t query) {
  const RowOfMap row = capture.row(layer, head, query);
  return std::max_element(row.weights.begin(), row.weights.end()) - row.weights.begin();
}

Kept kept_rows(int64_t layers, int64_t heads, int64_t tokens, int64_t map_bytes) noexcept {
  const int64_t maps = layers * heads;
  if (maps * triangle(tokens) * kCell <= map_bytes) return Kept::all;
  // One whole map, and a row of at most `tokens` keys of each other.
  if ((triangle(tokens) + (maps - 1) * tokens) * kCell <= map_bytes) return Kept::head;
  return Kept::row;
}

std::string json_string(std::string_view text) {
  std::string whole;
  if (unicode::append_well_formed(text, whole) > 0) whole += unicode::kReplacement;
  std::string out = "\"";
  for (const char letter : whole) {
    const auto code = static_cast<unsigned char>(letter);
    if (letter == '"' || letter == '\\') {
      out += '\\';
      out += letter;
    } else if (code < 0x20 || letter == '<') {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(code));
    } else {
      out += letter;
    }
  }
  return out + "\"";
}

std::string base64(std::span<const float> numbers) {
  constexpr std::string_view kLetters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((numbers.size() * 4 + 2) / 3 * 4);
  uint32_t group = 0;
  int bytes = 0;  // in the group, at most 3
  const auto flush = [&](int letters) {
    for (int i = 0; i < 4; ++i) out += i < letters ? kLetters[(group >> (18 - 6 * i)) & 63] : '=';
    group = 0;
    bytes = 0;
  };
  for (const float number : numbers) {
    const auto bits = std::bit_cast<uint32_t>(number);
    for (int i = 0; i < 4; ++i) {
      group |= ((bits >> (8 * i)) & 0xFFu) << (16 - 8 * bytes);
      if (++bytes == 3) flush(4);
    }
  }
  if (bytes > 0) flush(bytes + 1);
  return out;
}

}  // namespace regard::inspect
