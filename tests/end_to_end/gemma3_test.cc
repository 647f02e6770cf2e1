// Gemma 3 as most of its checkpoints are published: a model that sees images, whose language model
// has settings, and names of tensors, of its own inside. Made of the stored text-only case, it must
// be that one to the bit.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "convert/convert.h"
#include "formats/safetensors.h"
#include "regard/error.h"
#include "runtime/reference.h"
#include "writers/safetensors_writer.h"

namespace regard {
namespace {

namespace fs = std::filesystem;

class Gemma3 : public testing::Test {
 protected:
  void SetUp() override {
    fs::remove_all(base);
    fs::create_directories(base / "images");
    config = {{"model_type", "gemma3"},
              {"architectures", {"Gemma3ForConditionalGeneration"}},
              {"mm_tokens_per_image", 4},
              {"text_config", parse_json(contents(reference.folder / "config.json"), "config")},
              {"vision_config", {{"model_type", "siglip_vision_model"}, {"hidden_size", 2}}}};
    const Safetensors stored = Safetensors::open(reference.folder);
    std::vector<TensorToWrite> tensors;
    for (const TensorInfo& tensor : stored.tensors()) {
      tensors.push_back({.name = "language_model." + tensor.name,
                         .dtype = *tensor.dtype,
                         .rank = tensor.rank,
                         .shape = tensor.shape,
                         .produce = [&tensor](const auto& take) { take(tensor.data); }});
    }
    static const float seen[4] = {1, 2, 3, 4};
    for (const char* name : {"vision_tower.vision_model.encoder.layers.0.mlp.fc1.weight",
                             "multi_modal_projector.mm_input_projection_weight"}) {
      tensors.push_back(
          {.name = name, .rank = 2, .shape = {2, 2, 1, 1}, .produce = [](const auto& t) {
             t(std::as_bytes(std::span(seen)));
           }});
    }
    write_safetensors(base / "images" / "model.safetensors", tensors);
  }
  void TearDown() override { fs::remove_all(base); }

  Model load(const fs::path& path) const { return Model::load(path.string(), {.threads = 1}); }
  Model images() const {
    std::ofstream(base / "images" / "config.json") << config;
    return load(base / "images");
  }
  std::string refusal() const {
    try {
      images();
    } catch (const Error& error) {
      return error.what();
    }
    return "nothing was refused";
  }
  void expect_same(const Model& model) const {
    const auto wanted = load(reference.folder).forward(reference.sequences);
    const auto made = model.forward(reference.sequences);
    ASSERT_EQ(made.size(), wanted.size());
    for (std::size_t i = 0; i < made.size(); ++i) EXPECT_EQ(made[i].logits, wanted[i].logits) << i;
  }

  Reference reference{"gemma3-1"};
  // Tests run side by side: each has a folder of its own.
  fs::path base = fs::path(testing::TempDir()) /
                  fmt::format("gemma3_images_{}",
                              testing::UnitTest::GetInstance()->current_test_info()->name());
  nlohmann::json config;
};

TEST_F(Gemma3, WithImagesIsItsLanguageModel) {
  expect_same(images());
  convert(base / "images", base / "made.gguf");
  expect_same(load(base / "made.gguf"));
}

// The settings that transformers 4 wrote: no size that is the usual one, factors of RoPE that are
// meant for the layers which see everything.
TEST_F(Gemma3, ReadsThePublishedFormOfItsSettings) {
  nlohmann::json& text = config["text_config"];
  text.erase("rope_parameters");
  text["rope_scaling"] = {{"rope_type", "linear"}, {"factor", 8.0}};
  for (const char* key : {"tie_word_embeddings", "hidden_activation", "rms_norm_eps",
                          "attention_bias", "attn_logit_softcapping"}) {
    text.erase(key);
  }
  config["eos_token_id"] = {1, 2};
  expect_same(images());
  EXPECT_EQ(images().facts().layers, 4);

  text.erase("head_dim");  // 256, as transformers means it
  EXPECT_NE(refusal().find("the model's sizes ask for"), std::string::npos) << refusal();
}

TEST_F(Gemma3, IsNoOtherLanguageModel) {
  config["text_config"]["model_type"] = "gemma2";
  EXPECT_NE(refusal().find("text_config.model_type: must be gemma3_text"), std::string::npos)
      << refusal();
  config["text_config"] = 3;
  EXPECT_NE(refusal().find("text_config: is a number"), std::string::npos) << refusal();
}

}  // namespace
}  // namespace regard
