// An encoder's folder written as GGUF is the same model: settings, pooling and every bit.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "families/families.h"
#include "formats/safetensors.h"
#include "models/family_tensors.h"
#include "models/gguf_keys.h"
#include "runtime/reference.h"
#include "writers/gguf_writer.h"

namespace regard {
namespace {

void write_gguf(const std::filesystem::path& folder, const std::filesystem::path& path) {
  const HfConfig config = HfConfig::open(folder);
  const families::Family& family = families::family_of(config);
  const models::Settings settings = families::read_config(config, family);
  const Safetensors stored = Safetensors::open(folder);
  const models::FamilyTensors tensors(stored, family, settings);
  GgufWriter writer;
  writer.key("general.architecture", family.architecture);
  for (const models::GgufKey& key : models::write_keys(settings, family)) {
    std::visit([&](const auto& value) { writer.key(key.key, value); }, key.value);
  }
  for (const TensorInfo& tensor : tensors.tensors()) {
    writer.tensor({.name = tensor.name,
                   .dtype = *tensor.dtype,
                   .rank = tensor.rank,
                   .shape = tensor.shape,
                   .produce = [&tensors, name = tensor.name](const auto& take) {
                     take(tensors.get(name).data);
                   }});
  }
  writer.write(path);
}

class EncoderGguf : public testing::TestWithParam<const char*> {};

TEST_P(EncoderGguf, IsTheSameModel) {
  const Reference reference(GetParam());
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() /
      ("regard-encoder-" + std::to_string(getpid()) + "-" + GetParam() + ".gguf");
  write_gguf(reference.folder, path);
  const Model folder = Model::load(reference.folder.string(), {.threads = 1});
  const Model file = Model::load(path.string(), {.threads = 1});
  std::filesystem::remove(path);
  EXPECT_EQ(file.facts().context, folder.facts().context);
  EXPECT_EQ(file.embed(reference.sequences).numbers, folder.embed(reference.sequences).numbers);
  if (reference.greedy.empty()) return;
  const std::vector<float> logits = reference.logits_of_answers(folder);
  EXPECT_FALSE(logits.empty());
  EXPECT_EQ(reference.logits_of_answers(file), logits);
}

INSTANTIATE_TEST_SUITE_P(All, EncoderGguf,
                         testing::Values("bert-1", "bert-2", "roberta-1", "roberta-2", "minilm-1",
                                         "minilm-2", "minilm-max", "t5-1", "t5-2", "flan-t5-1",
                                         "flan-t5-2"));

}  // namespace
}  // namespace regard
