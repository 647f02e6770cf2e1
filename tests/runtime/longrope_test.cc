// Texts that grow past LongRoPE's length: what is generated is what the whole text, seen at once,
// would have made likeliest, and the logits shown keep their order.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

#include "runtime/reference.h"

namespace regard {
namespace {

TEST(LongRope, GeneratesAsIfTheTextHadBeenSeenAtOnce) {
  // phi3-2 with a near length of 24: short factors up to there, long ones beyond.
  const Reference reference("phi3-2");
  const auto folder =
      std::filesystem::temp_directory_path() / ("longrope-" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  auto config = nlohmann::json::parse(contents(reference.folder / "config.json"));
  config["original_max_position_embeddings"] = 24;
  config["rope_parameters"]["original_max_position_embeddings"] = 24;
  std::ofstream(folder / "config.json") << config.dump();
  std::filesystem::copy_file(reference.folder / "model.safetensors", folder / "model.safetensors",
                             std::filesystem::copy_options::overwrite_existing);
  const Model model = Model::load(folder.string(), {.threads = 2});
  std::filesystem::remove_all(folder);

  const std::vector<TokenId>& prompt = reference.sequences.front();
  ASSERT_LT(std::ssize(prompt), 24);
  std::vector<int64_t> positions;
  const RunOptions run{
      .chunk = 7, .kv = DType::f32, .logits = [&](int64_t, int64_t position, auto) {
        positions.push_back(position);
      }};
  const Generation made = model.generate(prompt, {.tokens = 20, .ignore_eos = true, .run = run});
  std::vector<int64_t> in_order(positions.size());
  for (std::size_t i = 0; i < in_order.size(); ++i) in_order[i] = static_cast<int64_t>(i);
  EXPECT_EQ(positions, in_order);

  std::vector<TokenId> text = prompt;
  bool crossed = false;
  for (const TokenId id : made.ids) {
    const Forward seen = model.forward(text, {.run = {.kv = DType::f32}});
    const auto last = std::span(seen.logits).last(static_cast<std::size_t>(seen.vocabulary));
    EXPECT_EQ(std::max_element(last.begin(), last.end()) - last.begin(), id) << text.size();
    text.push_back(id);
    crossed = crossed || std::ssize(text) > 25;
  }
  EXPECT_TRUE(crossed);
  // The long factors do change the numbers: the first row of a long text is not that of a short
  // one.
  const Forward near = model.forward(std::span(text).first(20));
  const Forward far = model.forward(text);
  EXPECT_NE(std::vector<float>(near.logits.begin() + 19 * near.vocabulary, near.logits.end()),
            std::vector<float>(far.logits.begin() + 19 * far.vocabulary,
                               far.logits.begin() + 20 * far.vocabulary));
}

}  // namespace
}  // namespace regard
