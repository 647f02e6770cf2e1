// Every family of decoders against transformers' eager f32, from the checkpoints that are stored
// beside tests/models: logits, hidden states, greedy texts, and bits that do not depend on company.
#include <gtest/gtest.h>

#include <cmath>

#include "runtime/reference.h"

namespace regard {
namespace {

const RunOptions kExact{.kv = DType::f32};

double largest_difference(std::span<const float> a, std::span<const float> b) {
  if (a.size() != b.size()) return INFINITY;
  double most = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    most = std::fmax(most, std::isnan(a[i]) ? INFINITY : std::fabs(double{a[i]} - double{b[i]}));
  }
  return most;
}

class Family : public testing::TestWithParam<const char*> {
 protected:
  Reference reference{GetParam()};
  Model model = Model::load(reference.folder.string(), {.threads = 2});
};

TEST_P(Family, GivesTheReferencesNumbers) {
  const std::vector<float> logits = reference.array("logits");
  const std::vector<float> hidden = reference.array("hidden");
  const std::vector<Forward> made = model.forward(reference.sequences, {.run = kExact});
  const int64_t layers = made.front().layers, width = made.front().width;
  const int64_t vocabulary = made.front().vocabulary;
  int64_t all = 0;
  for (const auto& ids : reference.sequences) all += std::ssize(ids);
  ASSERT_EQ(std::ssize(hidden), (layers + 1) * all * width);
  int64_t first = 0;
  for (const Forward& one : made) {
    const auto rows = std::span(logits).subspan(first * vocabulary, one.tokens * vocabulary);
    EXPECT_LT(largest_difference(one.logits, rows), 1e-4) << "sequence from row " << first;
    for (int64_t state = 0; state <= layers; ++state) {
      const auto ours =
          std::span(one.hidden_states).subspan(state * one.tokens * width, one.tokens * width);
      const auto theirs =
          std::span(hidden).subspan((state * all + first) * width, one.tokens * width);
      EXPECT_LT(largest_difference(ours, theirs), 1e-4)
          << "hidden state " << state << ", sequence from row " << first;
    }
    first += one.tokens;
  }
}

TEST_P(Family, ContinuesAsTheReferenceDoes) {
  ASSERT_FALSE(reference.greedy.empty());
  for (const Reference::Greedy& greedy : reference.greedy) {
    const Generation made = model.generate(
        greedy.prompt, {.tokens = std::ssize(greedy.ids), .ignore_eos = true, .run = kExact});
    ASSERT_EQ(made.ids.size(), greedy.ids.size());
    for (std::size_t i = 0; i < made.ids.size() && greedy.margins[i] >= 0.01; ++i) {
      ASSERT_EQ(made.ids[i], greedy.ids[i]) << "token " << i;
    }
  }
}

TEST_P(Family, HasTheSameBitsInAnyCompany) {
  const std::vector<Forward> together = model.forward(reference.sequences);
  const Model single = Model::load(reference.folder.string(), {.threads = 1});
  for (std::size_t i = 0; i < together.size(); ++i) {
    for (const int64_t chunk : {0, 1, 5}) {
      const Forward alone =
          single.forward(reference.sequences[i], {.run = {.chunk = chunk, .page = 16}});
      EXPECT_EQ(alone.logits, together[i].logits) << "sequence " << i << ", chunk " << chunk;
      EXPECT_EQ(alone.hidden_states, together[i].hidden_states);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, Family,
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

}  // namespace
}  // namespace regard
