// A folder and the GGUF made of it are the same model: the same bits from both, for every family,
// where numbers keep their type; and near numbers where they are rounded.
#include "convert/convert.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "formats/gguf_tensors.h"
#include "regard/error.h"
#include "runtime/reference.h"

namespace regard {
namespace {

namespace fs = std::filesystem;

class Convert : public testing::TestWithParam<const char*> {
 protected:
  void TearDown() override { fs::remove(out); }

  Reference reference{GetParam()};
  fs::path out = fs::path(testing::TempDir()) / (std::string("convert-") + GetParam() + ".gguf");
};

TEST_P(Convert, GivesTheSameBits) {
  convert(reference.folder, out);
  const std::vector<Forward> stored =
      Model::load(reference.folder.string(), {.threads = 2}).forward(reference.sequences);
  const std::vector<Forward> written =
      Model::load(out.string(), {.threads = 2}).forward(reference.sequences);
  ASSERT_EQ(stored.size(), written.size());
  for (std::size_t i = 0; i < stored.size(); ++i) {
    EXPECT_EQ(stored[i].logits, written[i].logits) << "sequence " << i;
    EXPECT_EQ(stored[i].hidden_states, written[i].hidden_states);
  }
}

// A folder, its GGUF, and the folder of that.
TEST_P(Convert, ComesBackWithTheSameBits) {
  const fs::path back = fs::path(testing::TempDir()) / (std::string("back-") + GetParam());
  fs::remove_all(back);
  convert(reference.folder, out);
  convert(out, back);
  const std::vector<Forward> stored =
      Model::load(reference.folder.string(), {.threads = 2}).forward(reference.sequences);
  const std::vector<Forward> returned =
      Model::load(back.string(), {.threads = 2}).forward(reference.sequences);
  ASSERT_EQ(stored.size(), returned.size());
  for (std::size_t i = 0; i < stored.size(); ++i) {
    EXPECT_EQ(stored[i].logits, returned[i].logits) << "sequence " << i;
    EXPECT_EQ(stored[i].hidden_states, returned[i].hidden_states);
  }
  fs::remove_all(back);
}

TEST_P(Convert, RoundsAsAsked) {
  const std::vector<Forward> exact =
      Model::load(reference.folder.string(), {.threads = 1}).forward(reference.sequences);
  for (const auto& [dtype, most] : {std::pair{DType::f32, 0.0}, {DType::q8_0, 0.3}}) {
    const Converted done = convert(reference.folder, out, {.dtype = dtype, .progress = {}});
    const GgufTensors file = GgufTensors::open(out);
    EXPECT_EQ(std::ssize(file.tensors()), done.tensors);
    for (const TensorInfo& tensor : file.tensors()) {
      const bool kept = std::count(done.kept_f16.begin(), done.kept_f16.end(), tensor.name) > 0;
      if (kept) {
        EXPECT_EQ(tensor.dtype, DType::f16) << tensor.name;
      }
      if (tensor.rank < 2) {
        EXPECT_EQ(tensor.dtype, DType::f32) << tensor.name;
      }
      if (tensor.name == "blk.0.attn_output.weight" && !kept) {
        EXPECT_EQ(tensor.dtype, dtype);
      }
    }
    const std::vector<Forward> rounded =
        Model::load(out.string(), {.threads = 1}).forward(reference.sequences);
    double difference = 0, size = 0;
    for (std::size_t i = 0; i < exact.size(); ++i) {
      for (std::size_t j = 0; j < exact[i].logits.size(); ++j) {
        difference =
            std::fmax(difference, std::abs(double{exact[i].logits[j]} - rounded[i].logits[j]));
        size = std::fmax(size, std::abs(double{exact[i].logits[j]}));
      }
    }
    EXPECT_LE(difference, most * size) << info(dtype).name;
  }
}

INSTANTIATE_TEST_SUITE_P(All, Convert,
                         testing::Values("bloom-1", "bloom-2", "gemma2-1", "gemma2-2", "gemma3-1",
                                         "gemma3-2", "gpt2-1", "gpt2-2", "llama-1", "llama-2",
                                         "llama-linear", "llama-yarn", "llama-dynamic", "mistral-1",
                                         "mistral-2", "mixtral-1", "mixtral-2", "mpt-1", "mpt-2",
                                         "phi3-1", "phi3-2", "qwen2-1", "qwen2-2", "qwen3-1",
                                         "qwen3-2"),
                         [](const auto& one) {
                           std::string name = one.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(ConvertRefuses, AndLeavesTheOldFile) {
  const Reference reference("llama-1");
  const fs::path out = fs::path(testing::TempDir()) / "convert-old.gguf";
  std::ofstream(out) << "old";
  EXPECT_THROW(convert(reference.folder, out, {.dtype = DType::q5_0, .progress = {}}), Error);
  const std::atomic<bool> interrupt = true;
  EXPECT_THROW(
      convert(reference.folder, out, {.dtype = {}, .interrupt = &interrupt, .progress = {}}),
      Error);
  EXPECT_THROW(convert(fs::path(testing::TempDir()) / "no-such-model", out), Error);
  EXPECT_EQ(contents(out), "old");
  fs::remove(out);
}

}  // namespace
}  // namespace regard
