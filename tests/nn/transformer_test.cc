// The Transformer as a whole: what its layers promise about residuals, shapes, texts that share an
// array, dropout, recomputation and bits.
#include "nn/transformer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "tensor/pool.h"
#include "tensor/tape.h"

namespace regard {
namespace {

using nn::Texts;

struct Model {
  nn::Parameters parameters;
  nn::Transformer transformer;

  explicit Model(const nn::TransformerConfig& config, uint64_t seed = 1)
      : transformer(nn::make_transformer(config, {&parameters, {seed}})) {}
};

const nn::TransformerConfig kSmall{.vocabulary = 40,
                                   .width = 32,
                                   .layers = 2,
                                   .heads = 4,
                                   .kv_heads = 2,
                                   .inner = 48,
                                   .norm = nn::Norm::Kind::rms,
                                   .activation = Activation::silu,
                                   .gated = true,
                                   .bias = false,
                                   .positions = nn::Positions::rope};

std::vector<int32_t> some_ids(int64_t count, uint32_t seed = 3, int32_t vocabulary = 40) {
  std::mt19937 random(seed);
  std::vector<int32_t> ids(static_cast<std::size_t>(count));
  for (int32_t& id : ids) id = static_cast<int32_t>(random() % static_cast<uint32_t>(vocabulary));
  return ids;
}

bool same(const Tensor& a, const Tensor& b) {
  return a.size() == b.size() && std::memcmp(a.numbers<float>().data(), b.numbers<float>().data(),
                                             static_cast<std::size_t>(a.size()) * 4) == 0;
}

// A cotangent that is the same for the same row of a text, wherever that lies.
Tensor cotangent(const Texts& texts, int64_t width) {
  Tensor made({texts.tokens(), width});
  const auto rows = made.writable<float, 2>();
  std::fill_n(rows.data, rows.size(), 0.0f);
  for (std::size_t text = 0; text < texts.segments.size(); ++text) {
    std::mt19937 random(static_cast<uint32_t>(text + 100));
    std::normal_distribution<float> normal;
    const Segment& segment = texts.segments[text];
    for (int64_t row = segment.first_row; row < segment.first_row + segment.rows; ++row) {
      for (int64_t i = 0; i < width; ++i) rows(row, i) = normal(random);
    }
  }
  return made;
}

std::vector<Tensor> gradients(Model& model, std::span<const int32_t> ids, const Texts& texts,
                              const nn::PassOptions& options = {}) {
  model.parameters.clear_gradients();
  const Tensor logits = model.transformer.logits(model.transformer.hidden(ids, texts, options));
  backward(logits, cotangent(texts, logits.shape(1)));
  std::vector<Tensor> made;
  for (const nn::Parameter& one : model.parameters) made.push_back(one.leaf.gradient());
  return made;
}

void expect_close(const nn::Parameters& parameters, const std::vector<Tensor>& a,
                  const std::vector<Tensor>& b, double tolerance) {
  ASSERT_EQ(a.size(), b.size());
  auto parameter = parameters.begin();
  for (std::size_t n = 0; n < a.size(); ++n, ++parameter) {
    ASSERT_TRUE(a[n] && b[n]) << parameter->name;
    double distance = 0, size = 0;
    for (std::size_t i = 0; i < a[n].numbers<float>().size(); ++i) {
      const double x = a[n].numbers<float>()[i], y = b[n].numbers<float>()[i];
      distance += (x - y) * (x - y);
      size += y * y;
    }
    EXPECT_GT(size, 0) << parameter->name;
    EXPECT_LE(std::sqrt(distance), tolerance * std::sqrt(size)) << parameter->name;
  }
}

// S2.24: with zeros in the matrices that give to the sum, a pre-norm block is the identity.
TEST(Transformer, IsTheIdentityWhereItsPartsAddNothing) {
  Model model(kSmall);
  for (const nn::Parameter& one : model.parameters) {
    if (one.name.find("attn_output") == std::string::npos &&
        one.name.find("ffn_down") == std::string::npos) {
      continue;
    }
    Tensor leaf = one.leaf;
    std::ranges::fill(leaf.writable_numbers<float>(), 0.0f);
  }
  const Texts texts = Texts::packed(std::vector<int64_t>{5});
  const std::vector<int32_t> ids = some_ids(5);
  const Tensor x = model.transformer.embedding(ids, texts.positions);
  const auto pass = nn::Pass::make(texts, model.transformer.kinds);
  for (const nn::Block& block : model.transformer.blocks) {
    EXPECT_TRUE(same(block(x, pass->step()), x));
  }
}

// S2.30, S2.31: ids [tokens] -> [tokens, width], and every block keeps that.
TEST(Transformer, KeepsItsShapeAndNamesWhatDoesNotFit) {
  struct Shapes : nn::Observer {
    void see(int64_t, nn::Site site, const Tensor& value) override {
      if (site != nn::Site::embedding && site != nn::Site::residual) return;
      EXPECT_EQ(value.describe(), "f32 [7, 32]");
      ++seen;
    }
    int seen = 0;
  } shapes;
  const Model model(kSmall);
  const Texts texts = Texts::packed(std::vector<int64_t>{4, 3});
  const std::vector<int32_t> ids = some_ids(7);
  const Tensor hidden = model.transformer.hidden(ids, texts, {.observer = &shapes});
  EXPECT_EQ(shapes.seen, 3);
  EXPECT_EQ(hidden.describe(), "f32 [7, 32]");
  EXPECT_EQ(model.transformer.logits(hidden).describe(), "f32 [7, 40]");

  const auto message = [&](const auto& call) -> std::string {
    try {
      call();
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(message([&] { model.transformer.hidden(std::span(ids).first(6), texts); }),
            "transformer: 6 ids for 7 tokens of texts");
  EXPECT_EQ(message([&] {
              model.transformer.hidden(Tensor({7, 31}), texts);
            }),
            "transformer: x is f32 [7, 31], must be [7, 32]");
  std::vector<int32_t> wrong = ids;
  wrong[2] = 40;
  EXPECT_NE(message([&] { model.transformer.hidden(wrong, texts); }), "");
  nn::TransformerConfig odd = kSmall;
  odd.heads = 5;
  EXPECT_EQ(message([&] { Model made(odd); }),
            "transformer: heads (5) is not a multiple of kv_heads (2)");
}

// S2.33: packed texts are the same as padded ones, in what comes out and in every gradient.
TEST(Transformer, MakesTheSameOfPackedAndPaddedTexts) {
  const std::vector<int64_t> lengths{5, 9, 2};
  const Texts packed = Texts::packed(lengths), padded = Texts::padded(lengths, 11);
  for (const nn::Positions positions :
       {nn::Positions::rope, nn::Positions::learned, nn::Positions::relative}) {
    nn::TransformerConfig config = kSmall;
    config.positions = positions;
    config.farthest = 4;
    Model model(config);
    const std::vector<int32_t> ids = some_ids(packed.tokens());
    std::vector<int32_t> spread(static_cast<std::size_t>(padded.tokens()), 0);
    for (std::size_t text = 0; text < lengths.size(); ++text) {
      std::copy_n(ids.begin() + packed.segments[text].first_row, lengths[text],
                  spread.begin() + padded.segments[text].first_row);
    }
    const Tensor a = model.transformer.hidden(ids, packed);
    const Tensor b = model.transformer.hidden(spread, padded);
    for (std::size_t text = 0; text < lengths.size(); ++text) {
      EXPECT_TRUE(same(a.rows(packed.segments[text].first_row, lengths[text]),
                       b.rows(padded.segments[text].first_row, lengths[text])));
    }
    expect_close(model.parameters, gradients(model, ids, packed), gradients(model, spread, padded),
                 1e-5);
  }
}

// Another first text changes no bit of the second.
TEST(Transformer, LetsNoTextSeeAnother) {
  const Model model(kSmall);
  const std::vector<int64_t> lengths{6, 7};
  const Texts texts = Texts::packed(lengths);
  std::vector<int32_t> ids = some_ids(13);
  const Tensor before = model.transformer.hidden(ids, texts);
  for (int i = 0; i < 6; ++i) ids[static_cast<std::size_t>(i)] = (ids[i] + 7) % 40;
  const Tensor after = model.transformer.hidden(ids, texts);
  EXPECT_FALSE(same(before.rows(0, 6), after.rows(0, 6)));
  EXPECT_TRUE(same(before.rows(6, 7), after.rows(6, 7)));

  // Positions that restart are not enough: without documents in the mask the second text sees the
  // first, and the comparison above tells.
  Texts leaking = texts;
  leaking.segments = Texts::packed(std::vector<int64_t>{13}).segments;
  const Tensor leaked = model.transformer.hidden(ids, leaking);
  for (int i = 0; i < 6; ++i) ids[static_cast<std::size_t>(i)] = (ids[i] + 7) % 40;
  EXPECT_FALSE(same(leaked.rows(6, 7), model.transformer.hidden(ids, leaking).rows(6, 7)));
  EXPECT_FALSE(same(leaked.rows(6, 7), after.rows(6, 7)));
}

TEST(Transformer, HasTheSameBitsOnAnyNumberOfThreads) {
  nn::TransformerConfig config = kSmall;
  config.dropout = config.attention_dropout = 0.1f;
  config.positions = nn::Positions::buckets;
  Model model(config);
  const Texts texts = Texts::packed(std::vector<int64_t>{150, 40, 3});
  const std::vector<int32_t> ids = some_ids(texts.tokens());
  std::vector<Tensor> first;
  for (const int threads : {1, 2, 3}) {
    ThreadPool pool(threads);
    const UsePool use(pool);
    std::vector<Tensor> got;
    for (const Tensor& gradient : gradients(model, ids, texts, {.random = 5})) {
      got.push_back(gradient.detach());
    }
    if (threads == 1) first = got;
    for (std::size_t n = 0; n < got.size(); ++n) EXPECT_TRUE(same(got[n], first[n])) << threads;
  }
}

TEST(Transformer, ComputesBlocksAgainToTheSameBits) {
  nn::TransformerConfig config = kSmall;
  config.dropout = config.attention_dropout = 0.2f;
  Model kept(config);
  config.checkpoint = true;
  Model again(config);
  const Texts texts = Texts::packed(std::vector<int64_t>{8, 5});
  const std::vector<int32_t> ids = some_ids(13);
  struct Count : nn::Observer {
    void see(int64_t, nn::Site, const Tensor&) override { ++seen; }
    int seen = 0;
  } once, twice;
  const auto a = gradients(kept, ids, texts, {.random = 9, .observer = &once});
  const auto b = gradients(again, ids, texts, {.random = 9, .observer = &twice});
  for (std::size_t n = 0; n < a.size(); ++n) EXPECT_TRUE(same(a[n], b[n])) << n;
  EXPECT_EQ(once.seen, twice.seen);
}

TEST(Transformer, DropsInTrainingOnly) {
  nn::TransformerConfig config = kSmall;
  config.dropout = config.attention_dropout = 0.3f;
  const Model model(config);
  Model without(kSmall);
  const Texts texts = Texts::packed(std::vector<int64_t>{9});
  const std::vector<int32_t> ids = some_ids(9);
  const auto hidden = [&](std::optional<uint64_t> random) {
    return model.transformer.hidden(ids, texts, {.random = random});
  };
  EXPECT_TRUE(same(hidden({}), without.transformer.hidden(ids, texts)));
  EXPECT_TRUE(same(hidden(4), hidden(4)));
  EXPECT_FALSE(same(hidden(4), hidden(5)));
  EXPECT_FALSE(same(hidden(4), hidden({})));
}

// S4.20: without positions and without a causal mask tokens that trade places trade results.
TEST(Transformer, WithoutPositionsDoesNotKnowTheOrder) {
  const std::vector<int32_t> ids = some_ids(8);
  std::vector<int32_t> turned(ids.rbegin(), ids.rend());
  const Texts texts = Texts::packed(std::vector<int64_t>{8});
  const auto distance = [&](nn::Positions positions, bool causal) {
    nn::TransformerConfig config = kSmall;
    config.positions = positions;
    config.causal = causal;
    const Model model(config);
    const Tensor a = model.transformer.hidden(ids, texts);
    const Tensor b = model.transformer.hidden(turned, texts);
    float most = 0;
    for (int64_t row = 0; row < 8; ++row) {
      for (int64_t i = 0; i < 32; ++i) {
        most =
            std::max(most, std::abs(a.view<float, 2>()(row, i) - b.view<float, 2>()(7 - row, i)));
      }
    }
    return most;
  };
  EXPECT_LT(distance(nn::Positions::none, false), 1e-5f);
  EXPECT_GT(distance(nn::Positions::none, true), 1e-2f);
  for (const nn::Positions positions :
       {nn::Positions::learned, nn::Positions::sinusoidal, nn::Positions::rope,
        nn::Positions::alibi, nn::Positions::relative, nn::Positions::buckets}) {
    EXPECT_GT(distance(positions, false), 1e-3f) << static_cast<int>(positions);
  }
}

// Images as squares of points, each one token.
TEST(Transformer, TakesImagesAsPatches) {
  nn::Parameters parameters;
  const nn::Maker make{&parameters, {2}};
  const nn::PatchEmbedding patches{.patch = 2, .project = make.linear("patch", 8, 2 * 2 * 3)};
  Tensor images({2, 4, 6, 3});
  for (int64_t i = 0; i < images.size(); ++i) {
    images.writable_numbers<float>()[static_cast<std::size_t>(i)] = static_cast<float>(i);
  }
  EXPECT_EQ(patches.tokens(images), 6);
  const Tensor rows = patches(images);
  EXPECT_EQ(rows.describe(), "f32 [12, 8]");
  // The last patch of the second image by hand.
  Tensor one({1, 12});
  int at = 0;
  for (int64_t y = 2; y < 4; ++y) {
    for (int64_t x = 4; x < 6; ++x) {
      for (int64_t c = 0; c < 3; ++c) {
        one.writable_numbers<float>()[static_cast<std::size_t>(at++)] =
            static_cast<float>(((4 + y) * 6 + x) * 3 + c);
      }
    }
  }
  EXPECT_TRUE(same(rows.rows(11, 1), patches.project(one)));
  EXPECT_THROW(patches(Tensor({2, 5, 6, 3})), Error);
}

// Cross-attention on the tape: another source changes the decoder, and gradients reach the encoder.
TEST(EncoderDecoder, LooksAtItsSource) {
  nn::TransformerConfig config = kSmall;
  config.bias = true;
  config.checkpoint = true;
  nn::Parameters parameters;
  const nn::EncoderDecoder model = nn::make_encoder_decoder(config, {&parameters, {1}});
  const Texts sources = Texts::packed(std::vector<int64_t>{4, 6});
  const Texts targets = Texts::packed(std::vector<int64_t>{3, 2});
  std::vector<int32_t> source = some_ids(10);
  const std::vector<int32_t> target = some_ids(5, 8);
  const Tensor before = model.logits(source, sources, target, targets);
  backward(before, cotangent(targets, 40));
  for (const nn::Parameter& one : parameters) {
    ASSERT_TRUE(one.leaf.gradient()) << one.name;
    const auto numbers = one.leaf.gradient().numbers<float>();
    // A bias of keys moves all scores of a row alike.
    if (one.name.find("_k.bias") != std::string::npos) continue;
    EXPECT_TRUE(std::ranges::any_of(numbers, [](float x) { return x != 0; })) << one.name;
  }
  source[9] = (source[9] + 1) % 40;  // of the second text
  const Tensor after = model.logits(source, sources, target, targets);
  EXPECT_TRUE(same(before.rows(0, 3), after.rows(0, 3)));
  EXPECT_FALSE(same(before.rows(3, 2), after.rows(3, 2)));
  EXPECT_THROW(model.decoder.hidden(target, targets), Error);
}

}  // namespace
}  // namespace regard
