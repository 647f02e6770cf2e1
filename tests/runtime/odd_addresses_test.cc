// Numbers in a safetensors file need not stand where their type can be read directly: a header of
// an odd length moves all of them to odd addresses. (With sanitizers a direct read ends the test.)
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "runtime/reference.h"

namespace regard {
namespace {

// A copy of the folder in which the data of model.safetensors begins at an odd byte.
std::filesystem::path with_odd_data(const std::filesystem::path& folder) {
  const std::filesystem::path made =
      std::filesystem::path(testing::TempDir()) / ("odd-" + folder.filename().string());
  std::filesystem::remove_all(made);
  std::filesystem::copy(folder, made);
  std::string file = contents(folder / "model.safetensors");
  uint64_t length = 0;
  std::memcpy(&length, file.data(), sizeof length);
  file.insert(8 + length, length % 2 == 0 ? 1 : 2, ' ');  // spaces behind a header belong to it
  length += length % 2 == 0 ? 1 : 2;
  std::memcpy(file.data(), &length, sizeof length);
  std::ofstream(made / "model.safetensors", std::ios::binary) << file;
  return made;
}

class OddAddresses : public testing::TestWithParam<const char*> {};

TEST_P(OddAddresses, GiveTheSameBits) {
  const Reference reference(GetParam());
  const std::filesystem::path odd = with_odd_data(reference.folder);
  const Model there = Model::load(reference.folder.string(), {.threads = 1});
  const Model here = Model::load(odd.string(), {.threads = 1});
  const std::vector<TokenId>& ids = reference.sequences.front();
  const Forward expected = there.forward(ids), made = here.forward(ids);
  EXPECT_FALSE(expected.logits.empty());
  EXPECT_EQ(made.logits, expected.logits);
  EXPECT_EQ(made.hidden_states, expected.hidden_states);
  std::filesystem::remove_all(odd);
}

// F16 and BF16; fused, transposed and permuted weights, norms with an offset, experts.
INSTANTIATE_TEST_SUITE_P(Families, OddAddresses,
                         testing::Values("bloom-1", "bloom-2", "gemma2-2", "gpt2-1", "gpt2-2",
                                         "llama-1", "mixtral-1", "phi3-2", "qwen2-1"),
                         [](const auto& one) {
                           std::string name = one.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace regard
