// The bit contract on a whole model: the logits of every position do not depend on how they were
// computed, and a sampled text does not depend on its neighbours.
#include <gtest/gtest.h>

#include <algorithm>

#include "regard/model.h"
#include "runtime/tiny_checkpoint.h"
#include "simd/target.h"

namespace regard {
namespace {

// Long enough for tiles, chunks of keys, and many pages; two layers of a model are little work.
constexpr int64_t kTokens = 1100;

TinyLlama small() { return {.heads = 6, .kv_heads = 2, .rope_base = 100000}; }

std::string bits(const Model& model, std::span<const TokenId> ids, const RunOptions& run = {}) {
  return model.score(ids, {.run = run}).bits;
}

// S2.35: prefill, chunked prefill and decode give the same logits.
TEST(Bits, S2_35_DoNotDependOnTheChunk) {
  const Model model = load_tiny(small());
  const std::vector<TokenId> ids = random_ids(kTokens, 1);
  const std::string whole = bits(model, ids, {.chunk = 0});
  for (const int64_t chunk : {1, 7, 64, 512}) {
    EXPECT_EQ(bits(model, ids, {.chunk = chunk}), whole) << "chunk " << chunk;
  }
}

// S0.5: the row of a decoded token is the row of a full forward pass.
TEST(Bits, S0_5_DecodeIsTheLastRowOfAFullPass) {
  const Model model = load_tiny(small());
  const std::vector<TokenId> prompt = random_ids(130, 2);
  std::vector<std::vector<float>> decoded, full;
  const auto keep = [](std::vector<std::vector<float>>& rows) {
    return [&rows](int64_t, int64_t, std::span<const float> logits) {
      rows.emplace_back(logits.begin(), logits.end());
    };
  };
  GenerateOptions options{.tokens = 20, .sampling = {.temperature = 1}, .ignore_eos = true};
  options.run.logits = keep(decoded);
  const Generation result = model.generate(prompt, options);
  std::vector<TokenId> ids = prompt;
  ids.insert(ids.end(), result.ids.begin(), result.ids.end() - 1);
  model.score(ids, {.run = {.chunk = 0, .logits = keep(full)}});
  EXPECT_EQ(decoded.size(), 149u);
  EXPECT_EQ(decoded, full);
}

TEST(Bits, DoNotDependOnThePage) {
  const Model model = load_tiny(small());
  const std::vector<TokenId> ids = random_ids(kTokens, 3);
  for (const DType kv : {DType::f32, DType::f16, DType::bf16}) {
    const std::string at_64 = bits(model, ids, {.page = 64, .kv = kv});
    EXPECT_EQ(bits(model, ids, {.page = 16, .kv = kv}), at_64) << info(kv).name;
    EXPECT_EQ(bits(model, ids, {.chunk = 100, .page = 32, .kv = kv}), at_64) << info(kv).name;
  }
}

TEST(Bits, DoDependOnTheCachesDtype) {
  const Model model = load_tiny(small());
  const std::vector<TokenId> ids = random_ids(50, 3);
  EXPECT_NE(bits(model, ids, {.kv = DType::f32}), bits(model, ids, {.kv = DType::f16}));
  EXPECT_NE(bits(model, ids, {.kv = DType::bf16}), bits(model, ids, {.kv = DType::f16}));
}

TEST(Bits, DoNotDependOnThreads) {
  const TinyFile file(small().make());
  const std::vector<TokenId> ids = random_ids(kTokens, 4);
  const std::string one = bits(Model::load(file.path(), {.threads = 1}), ids);
  for (const int threads : {2, 3}) {
    const Model model = Model::load(file.path(), {.threads = threads});
    EXPECT_EQ(bits(model, ids), one) << threads << " threads";
    EXPECT_EQ(bits(model, ids, {.chunk = 90}), one) << threads << " threads";
  }
}

#if defined(__x86_64__)
TEST(Bits, DoNotDependOnTheCallersFloatMode) {
  const Model model = load_tiny(small());
  const std::vector<TokenId> ids = random_ids(40, 9);
  const std::string expected = bits(model, ids);
  const unsigned found = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr(found | 0x8040 | 0x4000);  // denormals flushed, rounding upwards
  const std::string got = bits(model, ids);
  const unsigned after = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr(found);
  EXPECT_EQ(got, expected);
  EXPECT_EQ(after & 0xFFC0u, (found | 0x8040 | 0x4000) & 0xFFC0u);
}
#endif

TEST(Bits, DoNotDependOnTheTarget) {
  const TinyFile file(small().make());
  const std::vector<TokenId> ids = random_ids(300, 5);
  std::vector<std::string> all;
  for (const Target target : available_targets()) {
    const ScopedTarget scoped(target);
    all.push_back(bits(Model::load(file.path(), {.threads = 1}), ids));
    EXPECT_EQ(all.back(), all.front()) << name(target);
  }
}

TEST(Bits, DoNotDependOnTheNeighbours) {
  const Model model = load_tiny(small());
  std::vector<std::vector<TokenId>> batch;
  for (const int64_t length : {1, 700, 33, 128, 129, 16, 511, 60}) {
    batch.push_back(random_ids(length, static_cast<uint32_t>(length)));
  }
  const std::vector<Score> together = model.score(batch, {.run = {.chunk = 100}});
  for (std::size_t i = 0; i < batch.size(); ++i) {
    EXPECT_EQ(together[i].bits, bits(model, batch[i])) << batch[i].size() << " tokens";
  }
}

// The hash of one prompt on a model from a fixed generator: the same on every machine.
TEST(Bits, AreTheSameOnEveryMachine) {
  EXPECT_EQ(bits(load_tiny(small()), random_ids(200, 6)), "58469d9920b9c6b6");
}

TEST(Sampling, ATextDoesNotDependOnItsNeighbours) {
  const Model model = load_tiny(small(), 2);
  std::vector<std::vector<TokenId>> prompts;
  for (const int64_t length : {3, 90, 17, 200, 1}) {
    prompts.push_back(random_ids(length, static_cast<uint32_t>(length)));
  }
  GenerateOptions options{
      .tokens = 40,
      .sampling = {.temperature = 0.9f, .top_k = 100, .top_p = 0.95f, .min_p = 0.01f, .seed = 17},
      .ignore_eos = true};
  options.run.chunk = 64;
  std::vector<std::string> streamed(prompts.size());
  const std::vector<Generation> together = model.generate(
      prompts, options,
      [&](int64_t sequence, std::string_view piece) { streamed[sequence] += piece; });
  options.run.chunk = 0;
  options.run.page = 16;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    const Generation alone = model.generate(prompts[i], options);
    EXPECT_EQ(together[i].ids, alone.ids);
    EXPECT_EQ(together[i].text, alone.text);
    EXPECT_EQ(streamed[i], alone.text);
  }
  EXPECT_NE(together[0].ids, together[1].ids);
}

TEST(Sampling, TheSeedDecides) {
  const Model model = load_tiny(small());
  const std::vector<TokenId> ids = random_ids(10, 1);
  const auto text = [&](uint64_t seed) {
    return model.generate(ids, {.tokens = 20, .sampling = {.temperature = 1, .seed = seed}}).ids;
  };
  EXPECT_EQ(text(1), text(1));
  EXPECT_NE(text(1), text(2));
}

}  // namespace
}  // namespace regard
