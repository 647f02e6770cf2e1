// A plan in words: which path, how many tiles, no fallback unsaid; and how much memory.
#include <gtest/gtest.h>

#include "plan/engine.h"

namespace regard {
namespace {

using namespace regard::program;

std::string words(const AttentionOptions& options, int64_t rows = 1024, int64_t keys = 1024) {
  const Segment segment{.rows = rows, .keys = keys};
  return Engine({.heads = 2, .kv_heads = 1, .dim = 64, .dim_v = 64}, {&segment, 1}, options, 2)
      .explain();
}

void expect_says(const std::string& text, std::initializer_list<std::string> parts) {
  for (const std::string& part : parts) {
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  }
}

TEST(Explain, NamesThePathOfEveryOption) {
  expect_says(words({}),
              {"softmax attention of the dot product", "scale 0.125", "every key", "workspace"});
  expect_says(words({.mask = causal()}), {"a run of keys for each row, compiled", "skipped"});
  expect_says(words({.mask = causal_mask() & dilated(3)}),
              {"compiled", "interpreted a tile at a time", to_string(dilated(3))});
  expect_says(words({.score = softcap(30.0f)}),
              {"score: interpreted a tile at a time: " + to_string(softcap(30.0f))});
  expect_says(words({.normaliser = sparsemax()}), {"sparsemax", "two passes"});
  expect_says(words({.weight = weight() * 2}), {"in the same pass, as it is linear"});
  expect_says(words({.weight = weight() * weight()}),
              {"when all scores of a row are known", "two passes"});
  expect_says(words({.similarity = cosine()}), {"cosine"});
  expect_says(words({}, 1, 8192), {"chunks of keys are shared out"});
}

TEST(Explain, CountsTiles) {
  // Rows 0 .. 47 of a causal mask that counts from the first key see tile 0 of 8.
  const Segment segment{.rows = 48, .keys = 1024};
  Engine engine({.heads = 1, .kv_heads = 1, .dim = 64, .dim_v = 64}, {&segment, 1},
                {.mask = causal(Align::top_left)}, 1);
  expect_says(engine.explain(), {"8 tiles of all tasks: 7 skipped, their keys never loaded; 0 "
                                 "without mask work; 1 mixed"});
  // Tasks of 384 rows and documents of 512: 0 .. 383 see tiles 0 .. 3 whole, 384 .. 767 all of them
  // in part, the others 4 .. 7 whole.
  std::vector<int32_t> ids(1024);
  for (std::size_t j = 0; j < 1024; ++j) ids[j] = static_cast<int32_t>(j / 512);
  const Segment square{.rows = 1024, .keys = 1024};
  Engine documents_of({.heads = 1, .kv_heads = 1, .dim = 64, .dim_v = 64}, {&square, 1},
                      {.mask = documents(Array::of("ids", ids))}, 1);
  expect_says(documents_of.explain(),
              {"24 tiles of all tasks: 8 skipped", "; 8 without mask work; 8 mixed"});
}

// Workspace does not grow with rows times keys, whatever is asked for but kept scores.
TEST(Engine, StatesItsWorkspace) {
  const auto bytes = [](const AttentionOptions& options, int64_t size, const Wanted& wanted = {}) {
    const Segment segment{.rows = size, .keys = size};
    return Engine({.heads = 1, .kv_heads = 1, .dim = 64, .dim_v = 64}, {&segment, 1}, options, 2,
                  wanted)
        .workspace_bytes();
  };
  for (const Normaliser& normaliser : {softmax(), sigmoid(), relu(), hardmax()}) {
    // Only the list of tasks does, by less than a byte for a row.
    EXPECT_LT(bytes({.normaliser = normaliser}, 32768),
              bytes({.normaliser = normaliser}, 16384) + 16384);
    EXPECT_LT(bytes({.normaliser = normaliser}, 16384), 2 << 20);
  }
  // 2 threads · 96 rows · keys.
  EXPECT_LT(bytes({.normaliser = sparsemax()}, 16384), (2 << 20) + 2 * 96 * 16384 * 4);
  // By-products: two numbers a row.
  EXPECT_LT(bytes({}, 16384, {.by_products = true, .top = 4}), (2 << 20) + 2 * 16384 * 4);
}

}  // namespace
}  // namespace regard
