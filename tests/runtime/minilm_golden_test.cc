// MiniLM's embeddings against sentence-transformers' numbers, rounded to six places. The model is
// the one that `regard pull minilm` brings; REGARD_TEST_MINILM names another place.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include <nlohmann/json.hpp>

#include "regard/model.h"

namespace regard {
namespace {

TEST(MiniLm, EmbedsAsItsReferenceDoes) {
  const char* place = std::getenv("REGARD_TEST_MINILM");
  const Model model = Model::load(place != nullptr ? place : "minilm", {.threads = 2});
  const nlohmann::json golden = nlohmann::json::parse(std::ifstream(REGARD_GOLDEN));
  ASSERT_GE(golden.size(), 3u);
  std::vector<std::vector<TokenId>> ids;
  for (const auto& one : golden) ids.push_back(one.at("ids"));
  const Embeddings made = model.embed(ids);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    SCOPED_TRACE(golden[i].at("text").get<std::string>());
    const std::vector<float> wanted = golden[i].at("embedding");
    const std::span<const float> got = made[static_cast<int64_t>(i)];
    ASSERT_EQ(got.size(), wanted.size());
    for (std::size_t d = 0; d < wanted.size(); ++d) ASSERT_NEAR(got[d], wanted[d], 2e-5) << d;
  }
}

}  // namespace
}  // namespace regard
