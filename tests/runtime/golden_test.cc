// SmolLM2-135M-Instruct against transformers: golden/smollm2.json, written by make_golden.py.
// The model's file is named by REGARD_TEST_MODEL; without it these tests fail.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>

#include <nlohmann/json.hpp>

#include "regard/model.h"
#include "runtime/batch.h"
#include "runtime/checkpoint.h"
#include "simd/target.h"
#include "tensor/pool.h"

namespace regard {
namespace {

using nlohmann::json;

std::string model_path() {
  const char* path = std::getenv("REGARD_TEST_MODEL");
  if (path == nullptr) throw std::runtime_error("REGARD_TEST_MODEL does not name the model");
  return path;
}

Model& model() {
  static Model loaded = Model::load(model_path());
  return loaded;
}

const json& cases() {
  static const json golden = json::parse(std::ifstream(REGARD_GOLDEN));
  return golden.at("cases");
}

const RunOptions kExact{.kv = DType::f32};

TEST(SmolLM2, TokenIdsAreEqual) {
  for (const json& c : cases()) {
    EXPECT_EQ(model().encode(c.at("prompt").get<std::string>()),
              c.at("ids").get<std::vector<TokenId>>());
  }
}

TEST(SmolLM2, MeanNllIsWithin1e4) {
  for (const json& c : cases()) {
    const Score score = model().score(c.at("ids").get<std::vector<TokenId>>(), {.run = kExact});
    EXPECT_NEAR(score.mean_nll, c.at("mean_nll").get<double>(), 1e-4);
  }
}

TEST(SmolLM2, TopTenLogitsAreWithin2e3) {
  for (const json& c : cases()) {
    const Score score =
        model().score(c.at("ids").get<std::vector<TokenId>>(), {.top = 49152, .run = kExact});
    std::vector<float> logits(49152);
    for (const auto& [id, logit] : score.top) logits[id] = logit;
    for (const json& entry : c.at("top10")) {
      EXPECT_NEAR(logits[entry[0].get<TokenId>()], entry[1].get<double>(), 2e-3);
    }
    // What is not among them is not above the last of them.
    EXPECT_LT(score.top[10].second, c.at("top10").back()[1].get<double>() + 2e-3);
  }
}

TEST(SmolLM2, GreedyContinuationsAreEqual) {
  int compared = 0;
  for (const json& c : cases()) {
    if (c.at("greedy_min_margin").get<double>() <= 0.01) continue;
    ++compared;
    const auto wanted = c.at("greedy_ids").get<std::vector<TokenId>>();
    const Generation result =
        model().generate(c.at("ids").get<std::vector<TokenId>>(),
                         {.tokens = std::ssize(wanted), .ignore_eos = true, .run = kExact});
    EXPECT_EQ(result.ids, wanted);
    EXPECT_EQ(model().checkpoint().text().decode(result.ids, ControlTokens::keep),
              c.at("greedy_text").get<std::string>());
  }
  EXPECT_EQ(compared, 4);
}

TEST(SmolLM2, AttentionRowsAreWithin2e4) {
  struct KeepQueries : nn::Observer {
    std::vector<Tensor> queries = std::vector<Tensor>(30);
    void see(int64_t layer, nn::Site site, const Tensor& value) override {
      if (site == nn::Site::query) queries[layer] = value;
    }
  };
  Checkpoint& checkpoint = model().checkpoint();
  const UsePool use(checkpoint.pool);
  int rows = 0;
  for (const json& c : cases()) {
    const auto ids = c.at("ids").get<std::vector<TokenId>>();
    const std::vector<int64_t> lengths{std::ssize(ids)};
    Batch batch(checkpoint.model, kExact, lengths);
    Sequence sequence = batch.start(ids, std::ssize(ids));
    KeepQueries keep;
    batch.add(sequence, std::ssize(ids));
    batch.run(&keep);
    for (const auto& [name, map] : c.at("attention").items()) {
      const int layer = std::stoi(name), head = std::stoi(name.substr(name.find('.') + 1));
      const auto queries = keep.queries[layer].view<float, 3>();
      for (std::size_t i = 0; i < map.size(); ++i, ++rows) {
        const RowOfMap row =
            attention_row(batch.cache(), layer, sequence.block_table, static_cast<int64_t>(i) + 1,
                          head / 3, queries[static_cast<int64_t>(i)][head], 0.125f);
        for (std::size_t j = 0; j < map[i].size(); ++j) {
          const double weight = j <= i ? row.weights[j] : 0.0;
          EXPECT_NEAR(weight, map[i][j].get<double>(), 2e-4)
              << "layer " << layer << " head " << head << " row " << i << " key " << j;
        }
      }
    }
  }
  EXPECT_EQ(rows, 112);
}

// The sentence of the text: in layer 16, head 3 looks from "it" (9) to "trophy" (1).
TEST(SmolLM2, TheGoldenFileHoldsTheTrophy) {
  EXPECT_NEAR(cases()[0].at("attention").at("16.3")[9][1].get<double>(), 0.63, 0.005);
}

// 1,500 tokens of ordinary text, made of the golden prompts again and again.
std::vector<TokenId> long_prompt() {
  std::vector<TokenId> ids;
  for (std::size_t i = 0; ids.size() < 1500; ++i) {
    const auto more = cases()[i % cases().size()].at("ids").get<std::vector<TokenId>>();
    ids.insert(ids.end(), more.begin(), more.end());
  }
  ids.resize(1500);
  return ids;
}

TEST(SmolLM2Bits, DoNotDependOnThreadsChunkPageOrTarget) {
  const std::vector<TokenId> ids = long_prompt();
  const std::string bits = model().score(ids).bits;
  EXPECT_EQ(bits, "c6f3427d2afffaf1");
  EXPECT_EQ(model().score(ids, {.run = {.chunk = 64, .page = 16}}).bits, bits);
  EXPECT_EQ(model().score(ids, {.run = {.chunk = 0, .page = 32}}).bits, bits);
  for (const int threads : {1, 3}) {
    EXPECT_EQ(Model::load(model_path(), {.threads = threads}).score(ids).bits, bits) << threads;
  }
  for (const Target target : available_targets()) {
    if (target == Target::scalar) continue;
    const ScopedTarget scoped(target);
    EXPECT_EQ(Model::load(model_path()).score(ids).bits, bits) << name(target);
  }
}

TEST(SmolLM2Bits, OfAShortPromptDoNotDependOnChunkOrTarget) {
  const std::vector<TokenId> all = long_prompt();
  const std::vector<TokenId> ids(all.begin(), all.begin() + 32);
  const std::string bits = model().score(ids).bits;
  EXPECT_EQ(bits, "515c97bcb94152a8");
  EXPECT_EQ(model().score(ids, {.run = {.chunk = 1}}).bits, bits);
  EXPECT_EQ(model().score(ids, {.run = {.chunk = 7}}).bits, bits);
  const ScopedTarget scoped(Target::scalar);
  EXPECT_EQ(Model::load(model_path()).score(ids).bits, bits);
}

TEST(SmolLM2Bits, DoNotDependOnTheNeighbours) {
  const std::vector<TokenId> ids = long_prompt();
  std::vector<std::vector<TokenId>> batch;
  std::size_t first = 0;
  for (const std::size_t length : {5, 130, 64, 17, 1, 200, 33, 90}) {
    batch.emplace_back(ids.begin() + first, ids.begin() + first + length);
    first += length;
  }
  const std::vector<Score> together = model().score(batch);
  for (std::size_t i = 0; i < batch.size(); ++i) {
    EXPECT_EQ(together[i].bits, model().score(batch[i]).bits);
  }
}

}  // namespace
}  // namespace regard
