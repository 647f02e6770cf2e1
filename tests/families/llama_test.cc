#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "families/load.h"
#include "models/tiny_llama.h"
#include "tensor/pool.h"

namespace regard {
namespace {

GgufTensors parsed(const std::string& bytes) {
  return GgufTensors(GgufFile::parse(std::as_bytes(std::span(bytes)), "tiny.gguf"));
}

// All logits of one sequence in one pass.
std::vector<float> run_whole(const models::Decoder& model, const std::vector<int32_t>& ids,
                             ThreadPool& pool) {
  const UsePool use(pool);
  const models::DecoderConfig& config = model.config;
  const auto tokens = static_cast<int64_t>(ids.size());
  KvCache cache({.layers = config.layers,
                 .pages = (tokens + 15) / 16,
                 .page_keys = 16,
                 .kv_heads = config.kv_heads,
                 .dim = config.dim,
                 .dim_v = config.dim_v,
                 .k_dtype = DType::f32,
                 .v_dtype = DType::f32});
  std::vector<int32_t> pages(cache.shape().pages), positions(ids.size());
  std::iota(pages.begin(), pages.end(), 0);
  std::iota(positions.begin(), positions.end(), 0);
  const Segment segment{0, tokens, tokens, pages};
  AttentionPlan plan(config.attention_shape(), {&segment, 1},
                     {.mask = causal(), .threads = pool.threads()});
  model.reserve(tokens);
  const nn::AttentionStep kind{{&segment, 1}, &plan, &cache};
  const Tensor logits =
      model.logits(model.hidden(ids, {.positions = positions, .kinds = {&kind, 1}}));
  const auto view = logits.view<float, 2>();
  return {view.data, view.data + view.size()};
}

double relative_error(const std::vector<float>& got, const std::vector<double>& wanted) {
  double error = 0, norm = 0;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    error += (got[i] - wanted[i]) * (got[i] - wanted[i]);
    norm += wanted[i] * wanted[i];
  }
  return std::sqrt(error / norm);
}

const std::vector<int32_t> kIds{84, 104, 101, 32,  116, 257, 3,  200, 101, 101,
                                0,  99,  17,  256, 84,  84,  90, 12,  45,  33};

TEST(Llama, AgreesWithTheFormulas) {
  ThreadPool pool(2);
  struct Case {
    const char* name;
    TinyLlama model;
  };
  for (Case& c : std::vector<Case>{{"plain", {}},
                                   {"own head", {.tied = false}},
                                   {"biases", {.biases = true}},
                                   {"frequency factors", {.rope_factors = true}},
                                   {"stretched positions", {.rope_base = 500, .rope_scale = 4}},
                                   {"part of a head rotated", {.rope_dim = 8}},
                                   {"values of another size", {.dim_v = 24}},
                                   {"one kv head", {.kv_heads = 1, .biases = true}}}) {
    SCOPED_TRACE(c.name);
    c.model.make();
    const std::string bytes = c.model.file();
    const models::Decoder model = families::load(parsed(bytes), pool);
    EXPECT_LT(relative_error(run_whole(model, kIds, pool), c.model.logits(kIds)), 5e-6);
  }
}

TEST(Llama, SharesATiedHead) {
  ThreadPool pool(1);
  TinyLlama tiny;
  const std::string bytes = tiny.make().file();
  const models::Decoder model = families::load(parsed(bytes), pool);
  EXPECT_EQ(model.head.matrix.matrix.packed, model.embedding.tokens.table.packed);
}

// The message of the Error that loading gives; fails the test when there is none.
std::string refusal(const TinyLlama& tiny) {
  ThreadPool pool(1);
  const std::string bytes = tiny.file();
  try {
    families::load(parsed(bytes), pool);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::unreadable);
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    return error.what();
  }
  ADD_FAILURE() << "was loaded";
  return "";
}

void expect_in(const std::string& message, std::initializer_list<const char*> words) {
  for (const char* word : words) {
    EXPECT_NE(message.find(word), std::string::npos) << word << " is not in: " << message;
  }
}

TEST(Llama, RefusesAnUnknownArchitecture) {
  TinyLlama tiny{.architecture = "mamba\n"};
  expect_in(refusal(tiny.make()), {"tiny.gguf", "mamba", "llama"});
}

TEST(Llama, RefusesKeysOutOfRange) {
  struct Case {
    const char* key;
    std::string value;
  };
  const auto u32 = [](uint32_t value) { return TinyLlama::typed(4, value); };
  const auto f32 = [](float value) { return TinyLlama::typed(6, value); };
  for (const Case& c :
       std::vector<Case>{{"llama.block_count", u32(0)},
                         {"llama.block_count", u32(5000)},
                         {"llama.embedding_length", u32(0)},
                         {"llama.embedding_length", TinyLlama::typed(10, uint64_t{1} << 63)},
                         {"llama.context_length", u32(0)},
                         {"llama.feed_forward_length", u32(0)},
                         {"llama.attention.head_count", u32(0)},
                         {"llama.attention.head_count_kv", u32(0)},
                         {"llama.attention.head_count_kv", u32(3)},
                         {"llama.attention.key_length", u32(2000)},
                         {"llama.rope.dimension_count", u32(7)},
                         {"llama.rope.dimension_count", u32(18)},
                         {"llama.rope.freq_base", f32(0)},
                         {"llama.rope.freq_base", f32(std::nanf(""))},
                         {"llama.attention.layer_norm_rms_epsilon", f32(std::nanf(""))},
                         {"llama.attention.layer_norm_rms_epsilon", f32(-1)},
                         {"llama.attention.layer_norm_rms_epsilon", f32(1e30f)},
                         {"llama.rope.freq_base", f32(1e-30f)},
                         {"llama.rope.freq_base", f32(1e30f)},
                         {"llama.rope.scale_linear", f32(-1)},
                         {"llama.vocab_size", u32(257)},
                         {"llama.block_count", u32(1)},
                         {"llama.rope.scaling.factor", f32(1e9f)},
                         {"llama.expert_count", u32(1u << 30)}}) {
    SCOPED_TRACE(c.key);
    TinyLlama tiny;
    tiny.make().keys[c.key] = c.value;
    std::string key = c.key;
    key = key.ends_with("scale_linear") ? "scaling.factor" : key.substr(key.rfind('.') + 1);
    expect_in(refusal(tiny), {"tiny.gguf", key.c_str()});
  }
}

TEST(Llama, RefusesScalingItDoesNotKnow) {
  TinyLlama tiny;
  tiny.make().set_string("llama.rope.scaling.type", "spiral");
  expect_in(refusal(tiny), {"llama.rope.scaling.type"});
}

TEST(Llama, RefusesLayersThatDiffer) {
  TinyLlama tiny;
  const uint32_t heads[] = {4, 2};
  tiny.make().keys["llama.attention.head_count"] =
      TinyLlama::array_of(4, 2, std::string(reinterpret_cast<const char*>(heads), sizeof heads));
  expect_in(refusal(tiny), {"head_count", "4", "2"});
}

TEST(Llama, NamesTensorAndBothShapes) {
  TinyLlama tiny;
  tiny.make().arrays["blk.1.attn_k.weight"].dims = {32, 64};
  expect_in(refusal(tiny), {"blk.1.attn_k.weight", "[64, 32]", "[32, 64]"});
}

TEST(Llama, NamesAMissingTensor) {
  TinyLlama tiny;
  tiny.make().arrays.erase("blk.0.ffn_down.weight");
  expect_in(refusal(tiny), {"blk.0.ffn_down.weight"});
}

TEST(Llama, RefusesGainsThatAreNotFinite) {
  TinyLlama tiny;
  tiny.make().arrays["blk.1.ffn_norm.weight"].numbers[5] = std::nanf("");
  expect_in(refusal(tiny), {"blk.1.ffn_norm.weight", "nan"});
}

TEST(Llama, RefusesFactorsThatAreNotPositive) {
  TinyLlama tiny{.rope_factors = true};
  tiny.make().arrays["rope_freqs.weight"].numbers[3] = 0;
  expect_in(refusal(tiny), {"rope_freqs.weight"});
}

}  // namespace
}  // namespace regard
