// Layers: gradients of each in f64 against central differences, and what the texts say of them.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>

#include "nn/transformer.h"
#include "ops/gradient_check.h"
#include "regard/program.h"

namespace regard {
namespace {

using nn::Texts;

constexpr int64_t kWidth = 6, kHeads = 2, kDim = 4, kInner = 5;

// Takes the inputs of a check one after another.
struct Taker {
  std::span<const Tensor> in;
  std::size_t at = 0;
  Tensor operator()() { return in[at++]; }
  nn::Linear linear() { return {nn::Matrix((*this)()), (*this)()}; }
  nn::Norm norm(nn::Norm::Kind kind) { return {kind, (*this)(), (*this)(), 1e-5f}; }
};

struct Numbers {
  std::vector<Tensor> made;
  uint32_t seed = 1;
  void add(Tensor::Extents shape, double size) { made.push_back(random_f64(shape, seed++, size)); }
  void linear(int64_t outputs, int64_t inputs) {
    add({outputs, inputs}, 0.5);
    add({outputs}, 0.3);
  }
  void norm() {
    add({kWidth}, 1);
    add({kWidth}, 0.3);
  }
};

void add_attention(Numbers& numbers) {
  numbers.linear(kHeads * kDim, kWidth);
  numbers.add({kDim, kWidth}, 0.5);  // keys without a bias: unless turned, its gradient is 0
  numbers.linear(kDim, kWidth);
  numbers.linear(kWidth, kHeads * kDim);
}

nn::Attention take_attention(Taker& take) {
  nn::Attention made{.heads = kHeads, .kv_heads = 1, .dim = kDim, .dim_v = kDim};
  made.query = take.linear();
  made.key = {nn::Matrix(take()), {}};
  made.value = take.linear();
  made.output = take.linear();
  return made;
}

struct Form {
  bool post_norm = false, gated = false, cross = false, parallel = false;
  float dropout = 0;
};

TensorFunction block_of(const Form& form) {
  return [form](std::span<const Tensor> in) {
    Taker take{in};
    const Tensor x = take();
    nn::Block block{.parallel = form.parallel, .dropout = form.dropout};
    const auto norms = [&] {
      nn::Norms made;
      (form.post_norm ? made.behind : made.before) = take.norm(nn::Norm::Kind::layer);
      return made;
    };
    block.attention_norms = norms();
    block.attention = take_attention(take);
    block.attention.dropout = form.dropout;
    const auto table = std::make_shared<RopeTable>(kDim, 100.0);
    table->reserve(8);
    block.attention.rotate = {table, RopeLayout::halves};
    std::optional<nn::Source> source;
    if (form.cross) {
      block.cross_norms = norms();
      block.cross = take_attention(take);
      block.cross->kind = 1;
      block.cross->cross = true;
      source = {.states = take(),
                .texts = Texts::packed(std::vector<int64_t>{2, 3}),
                .kind = {.shape = {kHeads, 1, kDim, kDim}}};
    }
    block.mlp_norms = norms();
    nn::Mlp mlp{.activation = Activation::gelu_erf};
    if (form.gated) mlp.gate = take.linear();
    mlp.up = take.linear();
    mlp.down = take.linear();
    block.mlp.part = mlp;
    const nn::Kind kind{.options = {.mask = causal()}, .shape = {kHeads, 1, kDim, kDim}};
    const auto pass = nn::Pass::make(Texts::packed(std::vector<int64_t>{3, 2}), {kind},
                                     {.random = 7}, std::move(source));
    return block(x, pass->step());
  };
}

std::vector<Tensor> inputs_of(const Form& form) {
  Numbers numbers;
  numbers.add({5, kWidth}, 1);
  numbers.norm();
  add_attention(numbers);
  if (form.cross) {
    numbers.norm();
    add_attention(numbers);
    numbers.add({5, kWidth}, 1);
  }
  numbers.norm();
  if (form.gated) numbers.linear(kInner, kWidth);
  numbers.linear(kInner, kWidth);
  numbers.linear(kWidth, kInner);
  return numbers.made;
}

TEST(Block, HasGradientsInEveryForm) {
  for (const Form& form :
       {Form{}, Form{.gated = true}, Form{.post_norm = true}, Form{.parallel = true},
        Form{.post_norm = true, .cross = true}, Form{.cross = true, .dropout = 0.3f}}) {
    SCOPED_TRACE(testing::Message() << form.post_norm << form.gated << form.cross << form.parallel);
    const std::vector<Tensor> in = inputs_of(form);
    EXPECT_TRUE(check_gradients(block_of(form), in));
    EXPECT_TRUE(check_f32(block_of(form), in, 2e-5));
  }
}

TEST(BatchNorm, HasGradientsAsALayer) {
  const auto function = [](std::span<const Tensor> in) {
    const nn::BatchNorm layer{
        in[1], in[2],
        std::make_shared<RunningStatistics>(RunningStatistics::of_width(kWidth, in[0].dtype()))};
    return layer(in[0], Phase::train);
  };
  const std::vector<Tensor> in{random_f64({7, kWidth}, 1), random_f64({kWidth}, 2),
                               random_f64({kWidth}, 3)};
  EXPECT_TRUE(check_gradients(function, in));
  EXPECT_TRUE(check_f32(function, in));
}

Tensor random_f32(Tensor::Extents shape, uint32_t seed) {
  return gradient_check::to_f32(random_f64(shape, seed));
}

bool same(const Tensor& a, const Tensor& b) { return gradient_check::same_numbers(a, b); }

// S2.12: one map for all tokens: the whole matrix at once is each row by itself.
TEST(Linear, IsOneMapForAllTokens) {
  nn::Parameters parameters;
  const nn::Linear layer = nn::Maker{&parameters, {1}}.linear("map", 24, 40);
  const Tensor x = random_f32({300, 40}, 2);
  const Tensor whole = layer(x);
  EXPECT_EQ(whole.describe(), "f32 [300, 24]");
  for (const int64_t row : {0, 1, 17, 255, 299}) {
    EXPECT_TRUE(same(whole.rows(row, 1), layer(x.rows(row, 1)).detach())) << row;
  }
}

// S2.10: ids that come twice add up, rows that nobody took get exactly 0.
TEST(Embedding, GivesGradientsToTheRowsThatWereTaken) {
  nn::Parameters parameters;
  const nn::Embedding layer = nn::Maker{&parameters, {1}}.embedding("tokens", 9, 4);
  const std::vector<int32_t> ids{3, 5, 3, 8, 3};
  const Tensor g = random_f32({5, 4}, 2);
  backward(layer(ids), g);
  const Tensor gradient = parameters.get("tokens.weight").gradient();
  const auto from = g.view<float, 2>(), to = gradient.view<float, 2>();
  for (int64_t i = 0; i < 4; ++i) {
    EXPECT_EQ(to(3, i), (from(0, i) + from(2, i)) + from(4, i));
    EXPECT_EQ(to(5, i), from(1, i));
    for (const int64_t row : {0, 1, 2, 4, 6, 7}) {
      EXPECT_EQ(std::bit_cast<uint32_t>(to(row, i)), 0u) << row;
    }
  }
}

// S2.27: mean 0 and variance 1 (biased) of each token before gain and shift, whoever stands beside.
TEST(LayerNorm, NormalisesEachTokenByItself) {
  nn::Parameters parameters;
  const nn::Norm norm = nn::Maker{&parameters, {1}}.norm(nn::Norm::Kind::layer, "norm", 64, 1e-5f);
  const Tensor x = random_f32({10, 64}, 3);
  const Tensor y = norm(x);
  EXPECT_EQ(y.describe(), x.describe());
  for (int64_t row = 0; row < 10; ++row) {
    double mean = 0, variance = 0;
    for (int64_t i = 0; i < 64; ++i) mean += y.view<float, 2>()(row, i) / 64.0;
    for (int64_t i = 0; i < 64; ++i) {
      variance += std::pow(y.view<float, 2>()(row, i) - mean, 2) / 64;
    }
    EXPECT_NEAR(mean, 0, 1e-6);
    EXPECT_NEAR(variance, 1, 1e-3);
    EXPECT_TRUE(same(norm(x.rows(row, 1)).detach(), y.rows(row, 1).detach()));
  }
}

// S1.16, S3.4: Concat(O_1 .. O_h) W_O is the sum of the heads' O_h W_O^(h).
TEST(MultiHead, IsTheSumOfItsHeads) {
  constexpr int64_t kMany = 4, kOfHead = 8, kSize = 32;
  struct Attended : nn::Observer {
    Tensor value;
    void see(int64_t, nn::Site site, const Tensor& seen) override {
      if (site == nn::Site::attended) value = seen.detach();
    }
  } attended;
  nn::Parameters parameters;
  const nn::Maker make{&parameters, {1}};
  nn::Attention layer{.heads = kMany, .kv_heads = kMany, .dim = kOfHead, .dim_v = kOfHead};
  layer.query = make.linear("q", kMany * kOfHead, kSize);
  layer.key = make.linear("k", kMany * kOfHead, kSize);
  layer.value = make.linear("v", kMany * kOfHead, kSize);
  layer.output = make.linear("o", kSize, kMany * kOfHead, false);
  const nn::Kind kind{.options = {.mask = causal()}, .shape = {kMany, kMany, kOfHead, kOfHead}};
  const auto pass =
      nn::Pass::make(Texts::packed(std::vector<int64_t>{12}), {kind}, {.observer = &attended});
  const Tensor whole = layer(random_f32({12, kSize}, 2), pass->step());

  const auto heads = attended.value.view<float, 3>();
  const auto w = layer.output.matrix.tensor.view<float, 2>();
  double off = 0, size = 0;
  for (int64_t t = 0; t < 12; ++t) {
    for (int64_t out = 0; out < kSize; ++out) {
      double sum = 0;
      for (int64_t head = 0; head < kMany; ++head) {
        double of_head = 0;
        for (int64_t d = 0; d < kOfHead; ++d) {
          of_head += double{heads(t, head, d)} * w(out, head * kOfHead + d);
        }
        sum += of_head;
      }
      off += std::pow(sum - whole.view<float, 2>()(t, out), 2);
      size += sum * sum;
    }
  }
  EXPECT_LT(std::sqrt(off / size), 1e-6);
}

// S4.21: PE(p + k) is PE(p) turned, pair by pair, by angles that depend on k alone.
TEST(Positions, OfSinusoidsTurnWithTheDistance) {
  const nn::SinusoidalPositions positions{.width = 32};
  std::vector<int32_t> at(400);
  std::iota(at.begin(), at.end(), 0);
  const Tensor table = positions(at);
  const auto pe = table.view<float, 2>();
  for (const int64_t k : {1, 7, 100}) {
    for (int64_t i = 0; i < 16; ++i) {
      const double angle = static_cast<double>(k) * std::pow(10000.0, -2.0 * i / 32);
      for (const int64_t p : {0, 3, 50, 299}) {
        const double sine = pe(p, 2 * i), cosine = pe(p, 2 * i + 1);
        EXPECT_NEAR(pe(p + k, 2 * i), sine * std::cos(angle) + cosine * std::sin(angle), 1e-6);
        EXPECT_NEAR(pe(p + k, 2 * i + 1), cosine * std::cos(angle) - sine * std::sin(angle), 1e-6);
      }
    }
  }
}

// S4.21: with queries of 0 the scores are ALiBi's own: softmax of slope · (j - i).
TEST(Positions, OfAlibiAreItsSlopesExactly) {
  constexpr int64_t kKeys = 6;
  const std::vector<float> slopes = program::alibi_slopes(4);
  Tensor q({kKeys, 4, 8}), v({kKeys, 4, kKeys});
  std::ranges::fill(q.writable_numbers<float>(), 0.0f);
  std::ranges::fill(v.writable_numbers<float>(), 0.0f);
  for (int64_t j = 0; j < kKeys; ++j) {
    for (int64_t h = 0; h < 4; ++h) v.writable<float, 3>()(j, h, j) = 1;  // out is the weights
  }
  const std::vector<Segment> whole{{.rows = kKeys, .keys = kKeys}};
  const Tensor out =
      attention(q, random_f32({kKeys, 4, 8}, 1), v, whole,
                {.mask = causal(), .score = program::alibi(Array::of("slopes", slopes))});
  for (int64_t h = 0; h < 4; ++h) {
    EXPECT_EQ(slopes[static_cast<std::size_t>(h)], std::exp2(-2.0f * static_cast<float>(h + 1)));
    for (int64_t i = 0; i < kKeys; ++i) {
      double sum = 0;
      for (int64_t j = 0; j <= i; ++j) sum += std::exp(double{slopes[h]} * (j - i));
      for (int64_t j = 0; j < kKeys; ++j) {
        const double wanted = j <= i ? std::exp(double{slopes[h]} * (j - i)) / sum : 0;
        EXPECT_NEAR((out.view<float, 3>()(i, h, j)), wanted, 1e-7);
      }
    }
  }
}

}  // namespace
}  // namespace regard
