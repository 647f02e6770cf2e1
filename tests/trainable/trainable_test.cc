// Models that learn: the same numbers as the checkpoints they come from and become, to the bit.
#include "trainable/trainable.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include <nlohmann/json.hpp>

#include "families/families.h"
#include "learning/losses.h"
#include "models/tiny_llama.h"
#include "regard/model.h"
#include "tensor/pool.h"
#include "tensor/tape.h"
#include "trainable/presets.h"
#include "trainable/save.h"

namespace regard {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

struct Folder {
  fs::path path = fs::temp_directory_path() / ("regard_trainable_" + std::to_string(getpid()));
  Folder() { fs::remove_all(path); }
  ~Folder() { fs::remove_all(path); }
};

json sizes(json more) {
  json config = {{"num_hidden_layers", 2},       {"hidden_size", 48},
                 {"num_attention_heads", 4},     {"num_key_value_heads", 2},
                 {"intermediate_size", 80},      {"vocab_size", 61},
                 {"max_position_embeddings", 64}};
  config.update(more);
  return config;
}

const std::vector<std::pair<const char*, json>>& cases() {
  static const std::vector<std::pair<const char*, json>> all{
      {"gpt2", json{{"model_type", "gpt2"},
                    {"n_layer", 2},
                    {"n_embd", 48},
                    {"n_head", 4},
                    {"n_positions", 64},
                    {"vocab_size", 61}}},
      {"llama", sizes({{"model_type", "llama"}})},
      {"llama tied, with biases", sizes({{"model_type", "llama"},
                                         {"tie_word_embeddings", true},
                                         {"attention_bias", true},
                                         {"mlp_bias", true}})},
      {"mistral", sizes({{"model_type", "mistral"}, {"sliding_window", 5}})},
      {"qwen2", sizes({{"model_type", "qwen2"}, {"tie_word_embeddings", true}})},
      {"qwen3", sizes({{"model_type", "qwen3"}, {"head_dim", 16}})},
      {"phi3", sizes({{"model_type", "phi3"}, {"pad_token_id", 0}})},
      {"gemma2", sizes({{"model_type", "gemma2"}, {"head_dim", 12}, {"sliding_window", 5}})},
      {"bloom", json{{"model_type", "bloom"},
                     {"n_layer", 2},
                     {"hidden_size", 48},
                     {"n_head", 4},
                     {"vocab_size", 61}}}};
  return all;
}

models::Trainable made(const json& config, uint64_t seed = 1) {
  return models::make_trainable(HfConfig::parse(config.dump(), "config.json"),
                                {.seed = seed, .deviation = 0.1});
}

bool same(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

const std::vector<int32_t> kIds{5, 17, 3, 60, 22, 22, 41, 0, 9, 33, 12, 7, 50};

Tensor loss_of(const models::Trainable& model) {
  const nn::Texts texts = nn::Texts::packed(std::vector<int64_t>{8, 5});
  std::vector<int32_t> targets(kIds.begin() + 1, kIds.end());
  targets.push_back(1);
  return cross_entropy(model.logits(kIds, texts), targets).loss;
}

TEST(Trainable, SavesWhatGenerateLoadsToTheSameBits) {
  for (const auto& [name, config] : cases()) {
    SCOPED_TRACE(name);
    const Folder folder;
    const models::Trainable model = made(config);
    models::save(model, folder.path);
    const nn::Texts texts = nn::Texts::packed(std::vector<int64_t>{std::ssize(kIds)});
    const Tensor logits = model.logits(kIds, texts);

    const Model loaded = Model::load(folder.path.string(), {.threads = 1});
    const Forward result = loaded.forward(kIds, {.run = {.kv = DType::f32}});
    EXPECT_TRUE(same(logits.numbers<float>(), result.logits));

    ThreadPool pool(1);
    const models::Trainable again = models::load_trainable(folder.path, pool);
    EXPECT_TRUE(same(logits.numbers<float>(), again.logits(kIds, texts).numbers<float>()));
    ASSERT_EQ(again.parameters.size(), model.parameters.size());
    for (const nn::Parameter& one : model.parameters) {
      EXPECT_TRUE(same(one.leaf.numbers<float>(), again.parameters.get(one.name).numbers<float>()))
          << one.name;
    }
    EXPECT_THROW(models::save(model, folder.path), Error);  // never written over
  }
}

// GGUF has rows of Q and K in the order of pairs, of which the leaves are halves again.
TEST(Trainable, GoesOnFromAGgufFile) {
  const fs::path file = TinyLlama{.biases = true}.make().save("trainable_from_gguf.gguf");
  ThreadPool pool(2);
  const models::Trainable model = models::load_trainable(file, pool);
  const nn::Texts texts = nn::Texts::packed(std::vector<int64_t>{std::ssize(kIds)});
  const Tensor logits = model.logits(kIds, texts);
  const ForwardOptions exact{.run = {.kv = DType::f32}};
  const Model from_gguf = Model::load(file.string(), {.threads = 1});
  EXPECT_TRUE(same(logits.numbers<float>(), from_gguf.forward(kIds, exact).logits));
  const Folder folder;
  models::save(model, folder.path);
  const Model from_folder = Model::load(folder.path.string(), {.threads = 1});
  EXPECT_TRUE(same(logits.numbers<float>(), from_folder.forward(kIds, exact).logits));
  fs::remove(file);
}

TEST(Trainable, PassesGradientsToEveryLeaf) {
  for (const auto& [name, config] : cases()) {
    SCOPED_TRACE(name);
    const models::Trainable model = made(config);
    backward(loss_of(model));
    for (const nn::Parameter& one : model.parameters) {
      ASSERT_TRUE(one.leaf.gradient()) << one.name;
      const auto numbers = one.leaf.gradient().numbers<float>();
      if (one.name.find("attn_k.bias") != std::string::npos) continue;  // turned, but small
      EXPECT_TRUE(std::ranges::any_of(numbers, [](float x) { return x != 0; })) << one.name;
    }
  }
}

TEST(Trainable, HasTheSameGradientsRecomputedAndOnMoreThreads) {
  models::Trainable model = made(cases()[1].second);
  model.set_dropout(0.1f, 0.1f);
  std::vector<Tensor> first;
  for (const int threads : {1, 2, 3}) {
    ThreadPool pool(threads);
    const UsePool use(pool);
    model.set_checkpoint(threads == 3);
    model.parameters.clear_gradients();
    const nn::Texts texts = nn::Texts::packed(std::vector<int64_t>{8, 5});
    const Tensor logits = model.logits(kIds, texts, {.random = 11});
    backward(logits, nn::constant({13, 61}, 0.5f) * logits.detach());
    std::vector<Tensor> got;
    for (const nn::Parameter& one : model.parameters) got.push_back(one.leaf.gradient());
    if (threads == 1) first = got;
    for (std::size_t n = 0; n < got.size(); ++n) {
      EXPECT_TRUE(same(got[n].numbers<float>(), first[n].numbers<float>())) << threads << " " << n;
    }
  }
}

// A few steps downhill must lower the loss: gradients point where they should.
TEST(Trainable, LearnsATextByHeart) {
  models::Trainable model = made(cases()[1].second);
  const double before = loss_of(model).numbers<float>()[0];
  for (int step = 0; step < 40; ++step) {
    model.parameters.clear_gradients();
    backward(loss_of(model));
    for (nn::Parameter& one : model.parameters) {
      const Tensor gradient = one.leaf.gradient();
      const auto down = gradient.numbers<float>();
      const auto numbers = one.leaf.writable_numbers<float>();
      for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] -= 0.3f * down[i];
    }
  }
  EXPECT_LT(loss_of(model).numbers<float>()[0], 0.3 * before);
}

TEST(Trainable, NarrowsMatricesWhereItIsAsked) {
  const Folder folder;
  const models::Trainable model = made(cases()[1].second);
  models::save(model, folder.path, {.dtype = DType::bf16, .files = {{"note.txt", "trained here"}}},
               json{{"eos_token_id", 2}});
  EXPECT_EQ(fs::file_size(folder.path / "note.txt"), 12u);
  EXPECT_EQ(HfConfig::open(folder.path).get_int("eos_token_id", 0, 60), 2);
  ThreadPool pool(1);
  const models::Trainable again = models::load_trainable(folder.path, pool);
  const float a = model.parameters.get("output.weight").numbers<float>()[7];
  const float b = again.parameters.get("output.weight").numbers<float>()[7];
  EXPECT_EQ(b, to_f32(to_bf16(a)));
}

TEST(Trainable, TrainsAnEncoderDecoderThatAnswersToTheSameBits) {
  for (const bool tied : {true, false}) {
    const Folder folder;
    models::Trainable model = made({{"model_type", "t5"},
                                    {"num_layers", 2},
                                    {"d_model", 32},
                                    {"num_heads", 4},
                                    {"d_kv", 8},
                                    {"d_ff", 48},
                                    {"vocab_size", 61},
                                    {"relative_attention_num_buckets", 8},
                                    {"relative_attention_max_distance", 12},
                                    {"feed_forward_proj", tied ? "relu" : "gated-gelu"},
                                    {"tie_word_embeddings", tied}});
    models::save(model, folder.path);
    const Model loaded = Model::load(folder.path.string(), {.threads = 1});
    std::vector<float> seen;
    GenerateOptions options{.tokens = 20, .ignore_eos = true};
    options.run.kv = DType::f32;
    options.run.logits = [&](int64_t, int64_t, std::span<const float> logits) {
      seen.insert(seen.end(), logits.begin(), logits.end());
    };
    const Generation answer = loaded.generate(kIds, options);
    std::vector<int32_t> targets{model.model.config.start};
    targets.insert(targets.end(), answer.ids.begin(), answer.ids.end() - 1);
    const auto texts = [](std::size_t count) {
      return nn::Texts::packed(std::vector<int64_t>{static_cast<int64_t>(count)});
    };
    const Tensor logits = model.logits(kIds, texts(kIds.size()), targets, texts(targets.size()));
    ASSERT_GE(seen.size(), logits.numbers<float>().size());
    EXPECT_TRUE(
        same(logits.numbers<float>(), std::span(seen).first(logits.numbers<float>().size())));

    model.set_dropout(0.1f, 0.1f);
    std::vector<Tensor> first;
    for (const bool again : {false, true}) {
      model.set_checkpoint(again);
      model.parameters.clear_gradients();
      const Tensor made =
          model.logits(kIds, texts(kIds.size()), targets, texts(targets.size()), {.random = 3});
      backward(cross_entropy(made, answer.ids).loss);
      std::size_t n = 0;
      for (const nn::Parameter& one : model.parameters) {
        ASSERT_TRUE(one.leaf.gradient()) << one.name;
        const auto numbers = one.leaf.gradient().numbers<float>();
        EXPECT_TRUE(std::ranges::any_of(numbers, [](float x) { return x != 0; })) << one.name;
        if (!again) first.push_back(one.leaf.gradient());
        EXPECT_TRUE(same(numbers, first[n++].numbers<float>())) << one.name;
      }
    }
    EXPECT_THROW(model.logits(kIds, texts(kIds.size())), Error);
  }
}

// S4.19: GPT-2 has 12 heads (its smallest; 25 its largest), GPT-3 96.
TEST(Presets, HaveThePublishedSizes) {
  struct Published {
    const char* name;
    int64_t layers, heads, numbers;
  };
  for (const Published& one : {Published{"gpt2", 12, 12, 124439808},
                               {"gpt2-medium", 24, 16, 354823168},
                               {"gpt2-large", 36, 20, 774030080},
                               {"gpt2-xl", 48, 25, 1557611200},
                               {"gpt3-175b", 96, 96, 174604259328}}) {
    const models::Settings settings =
        regard::families::read_config(models::preset(one.name), regard::families::gpt2());
    EXPECT_EQ(settings.layers, one.layers) << one.name;
    EXPECT_EQ(settings.heads, one.heads) << one.name;
    EXPECT_EQ(models::count_numbers(settings), one.numbers) << one.name;
  }
  // What is counted is what is made.
  for (const auto& [name, config] : cases()) {
    const models::Trainable model = made(config);
    EXPECT_EQ(models::count_numbers(model.settings), model.parameters.numbers()) << name;
  }
  EXPECT_THROW(models::preset("gpt5"), Error);
}

TEST(Trainable, SaysWhatIsWrong) {
  const auto message = [](const auto& call) -> std::string {
    try {
      call();
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  const models::Trainable model = made(cases()[1].second);
  const nn::Texts texts = nn::Texts::packed(std::vector<int64_t>{65});
  const std::vector<int32_t> ids(65, 1);
  EXPECT_EQ(message([&] { model.logits(ids, texts); }),
            "trainable: a text has 65 tokens, the model takes 64");
  EXPECT_EQ(message([&] { model.logits(kIds, texts); }),
            "trainable: 13 ids for 65 tokens of texts");
  EXPECT_EQ(message([&] {
              made({{"model_type", "bert"},
                    {"num_hidden_layers", 1},
                    {"hidden_size", 8},
                    {"num_attention_heads", 1},
                    {"intermediate_size", 8},
                    {"max_position_embeddings", 8},
                    {"type_vocab_size", 2},
                    {"vocab_size", 9}});
            }),
            "trainable: a model of architecture bert is an encoder alone; decoders and "
            "encoder-decoders are trained");
  EXPECT_NE(
      message([&] {
        made(sizes(
            {{"model_type", "mixtral"}, {"num_local_experts", 2}, {"num_experts_per_tok", 1}}));
      }).find("cannot be trained"),
      std::string::npos);
}

}  // namespace
}  // namespace regard
