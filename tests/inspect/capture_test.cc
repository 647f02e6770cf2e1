#include "inspect/capture.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numeric>

#include <nlohmann/json.hpp>

#include "families/load.h"
#include "inspect/contribution.h"
#include "inspect/metrics.h"
#include "inspect/page.h"
#include "models/tiny_llama.h"

namespace regard::inspect {
namespace {

class CaptureTest : public testing::Test {
 protected:
  CaptureTest() {
    source_.dim_v = 12;
    source_.make();
    bytes_ = source_.file();
    model_ = families::load(
        GgufTensors(GgufFile::parse(std::as_bytes(std::span(bytes_)), "tiny.gguf")), pool_);
    for (int i = 0; i < 40; ++i) ids_.push_back((i * 37 + 5) % 11 + 60);
  }

  static CaptureOptions with(int64_t chunk, int64_t page, DType kv = DType::f32) {
    return {.layer = -1, .run = {.chunk = chunk, .page = page, .kv = kv}};
  }

  ThreadPool pool_{2};
  TinyLlama source_;
  std::string bytes_;
  models::Decoder model_;
  std::vector<TokenId> ids_;
};

TEST_F(CaptureTest, RowsAreDistributionsOverTheKeysSoFar) {
  const Capture capture(model_, ids_, pool_);
  for (int64_t layer = 0; layer < 2; ++layer) {
    for (int64_t head = 0; head < 4; ++head) {
      for (int64_t query = 0; query < capture.tokens(); ++query) {
        const RowOfMap row = capture.row(layer, head, query);
        ASSERT_EQ(std::ssize(row.weights), query + 1);
        ASSERT_EQ(std::ssize(row.scores), query + 1);
        EXPECT_NEAR(std::accumulate(row.weights.begin(), row.weights.end(), 0.0), 1, 1e-5);
        for (std::size_t j = 0; j < row.weights.size(); ++j) {
          EXPECT_NEAR(row.weights[j], std::exp(double{row.scores[j]} - row.lse), 1e-5);
        }
      }
    }
  }
}

TEST_F(CaptureTest, RowsDoNotDependOnChunkOrPage) {
  for (const DType kv : {DType::f32, DType::f16}) {
    const Capture whole(model_, ids_, pool_, with(0, 64, kv));
    for (const auto& [chunk, page] : {std::pair<int64_t, int64_t>{1, 16}, {7, 32}, {16, 64}}) {
      const Capture cut(model_, ids_, pool_, with(chunk, page, kv));
      for (int64_t query = 0; query < whole.tokens(); ++query) {
        const RowOfMap a = whole.row(1, 3, query);
        const RowOfMap b = cut.row(1, 3, query);
        EXPECT_EQ(std::memcmp(a.scores.data(), b.scores.data(), a.scores.size() * 4), 0);
        EXPECT_EQ(std::memcmp(a.weights.data(), b.weights.data(), a.weights.size() * 4), 0);
        EXPECT_EQ(a.lse, b.lse);
      }
    }
  }
}

// What the layer adds is Σ_h Σ_j α v W_O: the norms are checked against the matrix written out.
TEST_F(CaptureTest, ContributionsAreThoseOfTheOutputMatrix) {
  const Capture capture(model_, ids_, pool_, with(0, 16));
  const PackedMatrix& matrix = *model_.blocks[1].attention.output.matrix.packed;
  std::vector<float> weights(static_cast<std::size_t>(matrix.inputs()));
  for (int64_t head = 0; head < 4; ++head) {
    const Row row = look(capture, 1, head, 30);
    const std::vector<float> values = capture.values(1, head / 2);
    for (int64_t key = 0; key < capture.tokens(); ++key) {
      double square = 0;
      for (int64_t output = 0; output < matrix.outputs(); ++output) {
        matrix.row(output, weights.data());
        double sum = 0;
        for (int64_t d = 0; d < 12; ++d) {
          sum += double{row.weights[key]} * values[key * 12 + d] * weights[head * 12 + d];
        }
        square += sum * sum;
      }
      const double wanted = std::sqrt(square);
      EXPECT_NEAR(row.contribution[key], wanted, 1e-6 * wanted) << head << " " << key;
    }
  }
}

TEST_F(CaptureTest, LookCoversAllKeysOfThePrompt) {
  const Capture capture(model_, ids_, pool_);
  const Row row = look(capture, 0, 1, 9);
  EXPECT_EQ(row.allowed_keys, 10);
  ASSERT_EQ(std::ssize(row.weights), 40);
  ASSERT_EQ(std::ssize(row.scores), 40);
  ASSERT_EQ(std::ssize(row.contribution), 40);
  for (std::size_t key = 10; key < 40; ++key) {
    EXPECT_EQ(row.weights[key], 0);
    EXPECT_EQ(row.contribution[key], 0);
    EXPECT_TRUE(std::isinf(row.scores[key]) && row.scores[key] < 0);
  }
  EXPECT_GT(*row.entropy_ratio, 0);
  EXPECT_LE(*row.entropy_ratio, 1 + 1e-6);
  EXPECT_FALSE(look(capture, 0, 1, 0).entropy_ratio.has_value());
}

TEST_F(CaptureTest, KeepsOneLayerWhenAsked) {
  const Capture all(model_, ids_, pool_);
  const Capture one(model_, ids_, pool_, {.layer = 1, .run = {}});
  EXPECT_EQ(one.row(1, 2, 20).weights, all.row(1, 2, 20).weights);
  EXPECT_THROW(one.row(0, 2, 20), Error);
  EXPECT_EQ(head_metrics(one, pool_).size(), 4u);
  EXPECT_EQ(head_metrics(all, pool_).size(), 8u);
}

TEST_F(CaptureTest, HeadMetricsAreMeansOfTheRows) {
  const Capture capture(model_, ids_, pool_);
  const std::vector<HeadMetrics> all = head_metrics(capture, pool_);
  const HeadMetrics& one = all[4 + 2];
  EXPECT_EQ(one.layer, 1);
  EXPECT_EQ(one.head, 2);
  double ratios = 0, first = 0;
  for (int64_t query = 1; query < 40; ++query) {
    const Row row = look(capture, 1, 2, query);
    ratios += *row.entropy_ratio;
    first += row.weights[0];
  }
  EXPECT_NEAR(*one.entropy_ratio, ratios / 39, 1e-12);
  EXPECT_NEAR(*one.first, first / 39, 1e-12);
}

TEST_F(CaptureTest, RefusesWhatTheModelDoesNotHave) {
  const std::vector<TokenId> none, outside{5, 100000}, negative{-1};
  EXPECT_THROW(Capture(model_, none, pool_), Error);
  EXPECT_THROW(Capture(model_, outside, pool_), Error);
  EXPECT_THROW(Capture(model_, negative, pool_), Error);
  EXPECT_THROW(Capture(model_, std::vector<TokenId>(2049, 60), pool_), Error);
  EXPECT_THROW(Capture(model_, ids_, pool_, {.layer = 2, .run = {}}), Error);
  EXPECT_THROW(Capture(model_, ids_, pool_, with(0, 17)), Error);
  const Capture capture(model_, ids_, pool_);
  EXPECT_THROW(capture.row(2, 0, 0), Error);
  EXPECT_THROW(capture.row(0, 4, 0), Error);
  EXPECT_THROW(capture.row(0, 0, 40), Error);
  EXPECT_THROW(capture.row(0, 0, -1), Error);
}

// Reads the data out of a page as a browser does.
nlohmann::json data_of(const std::string& html) {
  const std::string begin = "<script type=\"application/json\" id=\"regard-data\">";
  const std::size_t at = html.find(begin) + begin.size();
  return nlohmann::json::parse(html.substr(at, html.find("</script>", at) - at));
}

std::vector<float> numbers_of(const std::string& base64) {
  const std::string letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  uint32_t group = 0;
  int bits = 0;
  for (const char letter : base64) {
    if (letter == '=') break;
    group = group << 6 | static_cast<uint32_t>(letters.find(letter));
    if ((bits += 6) >= 8) bytes += static_cast<char>(group >> (bits -= 8) & 255);
  }
  std::vector<float> numbers(bytes.size() / 4);
  std::memcpy(numbers.data(), bytes.data(), numbers.size() * 4);
  return numbers;
}

TEST_F(CaptureTest, ThePageHoldsTheKernelsNumbers) {
  const Capture capture(model_, ids_, pool_);
  std::vector<std::string> tokens(40, "</script>");
  const int64_t all_maps = 8 * 820 * 8;
  for (const auto& [budget, kept] :
       {std::pair<int64_t, std::string>{all_maps, "all"}, {9000, "head"}, {5000, "row"}}) {
    const PageOptions options{.model = "some/where/tiny.gguf",
                              .tokens = tokens,
                              .locked = {1, 2, 25, 3},
                              .map_bytes = budget};
    const std::string html = page(capture, options, pool_);
    const nlohmann::json data = data_of(html);
    EXPECT_EQ(data["version"], 1);
    EXPECT_EQ(data["model"], "tiny.gguf");
    EXPECT_EQ(data["kept"], kept);
    EXPECT_EQ(data["tokens"][7], "</script>");
    EXPECT_EQ(data["ids"].get<std::vector<TokenId>>(), ids_);
    EXPECT_EQ(data["locked"]["query"], 25);
    ASSERT_EQ(data["maps"].size(), 8u);
    const auto entropies = numbers_of(data["entropy"]);
    const auto norms = numbers_of(data["norms"]);
    ASSERT_EQ(entropies.size(), 8u * 40);
    ASSERT_EQ(norms.size(), 8u * 40);
    for (int64_t map = 0; map < 8; ++map) {
      const nlohmann::json& rows = data["maps"][static_cast<std::size_t>(map)];
      const bool whole = kept == "all" || (kept == "head" && map == 6);
      EXPECT_EQ(rows["first"], whole ? 0 : 25);
      EXPECT_EQ(rows["rows"], whole ? 40 : 1);
      const auto weights = numbers_of(rows["weights"]);
      const auto scores = numbers_of(rows["scores"]);
      ASSERT_EQ(weights.size(), whole ? 820u : 26u);
      const RowOfMap row = capture.row(map / 4, map % 4, 25);
      const std::size_t at = whole ? 25 * 26 / 2 : 0;
      for (std::size_t key = 0; key <= 25; ++key) {
        EXPECT_EQ(weights[at + key], row.weights[key]);
        EXPECT_EQ(scores[at + key], row.scores[key]);
      }
      EXPECT_EQ(entropies[static_cast<std::size_t>(map * 40 + 25)],
                static_cast<float>(entropy(row.scores, row.weights, row.lse)));
    }
    const std::vector<float> of_layer = output_norms(capture, 1);
    for (std::size_t i = 0; i < of_layer.size(); ++i) EXPECT_EQ(norms[160 + i], of_layer[i]);
  }
}

TEST_F(CaptureTest, ThePageRefusesWhatDoesNotFit) {
  const Capture capture(model_, ids_, pool_);
  const std::vector<std::string> tokens(40, "x");
  const PageOptions good{.model = "tiny", .tokens = tokens, .locked = {}, .map_bytes = 1 << 20};
  EXPECT_NO_THROW(page(capture, good, pool_));
  for (const Spot spot :
       {Spot{2, 0, 0, 0}, {0, 4, 0, 0}, {0, 0, 40, 0}, {0, 0, 0, 40}, {-1, 0, 0, 0}}) {
    PageOptions bad = good;
    bad.locked = spot;
    EXPECT_THROW(page(capture, bad, pool_), Error);
  }
  PageOptions short_of_text = good;
  short_of_text.tokens.pop_back();
  EXPECT_THROW(page(capture, short_of_text, pool_), Error);
  PageOptions no_room = good;
  no_room.map_bytes = 1000;  // one row of 8 heads takes 8 · 40 · 16 = 5120
  EXPECT_THROW(page(capture, no_room, pool_), Error);
  const Capture one(model_, ids_, pool_, {.layer = 1, .run = {}});
  EXPECT_THROW(page(one, good, pool_), Error);
}

TEST_F(CaptureTest, StrongestKeyIsTheLargestWeight) {
  const Capture capture(model_, ids_, pool_);
  const std::vector<float> weights = capture.row(0, 3, 33).weights;
  const int64_t key = strongest_key(capture, 0, 3, 33);
  for (const float weight : weights) EXPECT_LE(weight, weights[static_cast<std::size_t>(key)]);
}

}  // namespace
}  // namespace regard::inspect
