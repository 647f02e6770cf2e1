// One block against its formulas in double: norm, attention with rotation, residual, norm, MLP.
#include "nn/block.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <random>

namespace regard {
namespace {

using Row = std::vector<double>;

struct Matrix {
  int64_t outputs, inputs;
  std::vector<float> numbers;

  Row operator()(const Row& x) const {
    Row y(outputs);
    for (int64_t out = 0; out < outputs; ++out) {
      for (int64_t in = 0; in < inputs; ++in) y[out] += numbers[out * inputs + in] * x[in];
    }
    return y;
  }
  nn::Linear layer() const {
    ThreadPool pool(1);
    return {std::make_shared<const PackedMatrix>(PackedMatrix::pack(
                DType::f32, std::as_bytes(std::span(numbers)), outputs, inputs, pool)),
            {}};
  }
};

constexpr int64_t kTokens = 9, kWidth = 32, kHeads = 4, kKvHeads = 2, kDim = 8, kInner = 48;

struct Problem {
  std::mt19937 random{7};
  std::vector<float> numbers(int64_t count, float mean, float spread) {
    std::normal_distribution<float> normal(mean, spread);
    std::vector<float> made(count);
    for (float& number : made) number = normal(random);
    return made;
  }
  Matrix matrix(int64_t outputs, int64_t inputs) {
    return {outputs, inputs,
            numbers(outputs * inputs, 0, 1 / std::sqrt(static_cast<float>(inputs)))};
  }
  Matrix q = matrix(kHeads * kDim, kWidth), k = matrix(kKvHeads * kDim, kWidth),
         v = matrix(kKvHeads * kDim, kWidth), o = matrix(kWidth, kHeads*kDim),
         gate = matrix(kInner, kWidth), up = matrix(kInner, kWidth), down = matrix(kWidth, kInner);
  std::vector<float> gain_a = numbers(kWidth, 1, 0.2f), gain_m = numbers(kWidth, 1, 0.2f);
  std::vector<float> x = numbers(kTokens * kWidth, 0, 2);
};

Row norm(const Row& x, const std::vector<float>& gain) {
  double sum = 0;
  for (const double number : x) sum += number * number;
  Row y(x.size());
  for (std::size_t i = 0; i < x.size(); ++i)
    y[i] = x[i] / std::sqrt(sum / x.size() + 1e-5) * gain[i];
  return y;
}

Row turned(Row x, int64_t position) {
  for (std::size_t head = 0; head < x.size(); head += kDim) {
    for (int64_t i = 0; i < kDim / 2; ++i) {
      const double angle = static_cast<double>(position) * std::pow(100.0, -2.0 * i / kDim);
      const double a = x[head + i], b = x[head + kDim / 2 + i];
      x[head + i] = a * std::cos(angle) - b * std::sin(angle);
      x[head + kDim / 2 + i] = a * std::sin(angle) + b * std::cos(angle);
    }
  }
  return x;
}

std::vector<Row> formula(const Problem& p) {
  std::vector<Row> out, k, v;
  for (int64_t t = 0; t < kTokens; ++t) {
    Row x(p.x.begin() + t * kWidth, p.x.begin() + (t + 1) * kWidth);
    const Row normed = norm(x, p.gain_a);
    const Row q = turned(p.q(normed), t);
    k.push_back(turned(p.k(normed), t));
    v.push_back(p.v(normed));
    Row mixed(kHeads * kDim);
    for (int64_t head = 0; head < kHeads; ++head) {
      const int64_t first = head * kDim, kv = head / (kHeads / kKvHeads) * kDim;
      Row p_of(t + 1);
      for (int64_t j = 0; j <= t; ++j) {
        double s = 0;
        for (int64_t d = 0; d < kDim; ++d) s += q[first + d] * k[j][kv + d];
        p_of[j] = std::exp(s / std::sqrt(static_cast<double>(kDim)));
      }
      const double total = std::accumulate(p_of.begin(), p_of.end(), 0.0);
      for (int64_t j = 0; j <= t; ++j) {
        for (int64_t d = 0; d < kDim; ++d) mixed[first + d] += p_of[j] / total * v[j][kv + d];
      }
    }
    const Row attended = p.o(mixed);
    for (int64_t i = 0; i < kWidth; ++i) x[i] += attended[i];
    const Row second = norm(x, p.gain_m);
    const Row gate = p.gate(second);
    Row inner = p.up(second);
    for (int64_t i = 0; i < kInner; ++i) inner[i] *= gate[i] / (1 + std::exp(-gate[i]));
    const Row added = p.down(inner);
    for (int64_t i = 0; i < kWidth; ++i) x[i] += added[i];
    out.push_back(x);
  }
  return out;
}

TEST(Block, IsItsFormula) {
  const Problem p;
  auto table = std::make_shared<RopeTable>(kDim, 100.0);
  table->reserve(kTokens);
  const nn::Block block{.attention_norms = {.before = {nn::Norm::Kind::rms, tensor_of(p.gain_a)}},
                        .attention = {.layer = 1,
                                      .heads = kHeads,
                                      .kv_heads = kKvHeads,
                                      .dim = kDim,
                                      .dim_v = kDim,
                                      .query = p.q.layer(),
                                      .key = p.k.layer(),
                                      .value = p.v.layer(),
                                      .output = p.o.layer(),
                                      .rotate = {table, RopeLayout::halves}},
                        .mlp_norms = {.before = {nn::Norm::Kind::rms, tensor_of(p.gain_m)}},
                        .mlp = {nn::Mlp{p.gate.layer(), p.up.layer(), p.down.layer()}}};
  KvCache cache({.layers = 2,
                 .pages = 1,
                 .page_keys = 16,
                 .kv_heads = kKvHeads,
                 .dim = kDim,
                 .dim_v = kDim,
                 .k_dtype = DType::f32,
                 .v_dtype = DType::f32});
  const std::vector<int32_t> pages{0};
  std::vector<int32_t> positions(kTokens);
  std::iota(positions.begin(), positions.end(), 0);
  const std::vector<Segment> segments{{0, kTokens, kTokens, pages}};
  AttentionPlan plan({kHeads, kKvHeads, kDim, kDim}, segments, {.mask = causal(), .threads = 1});

  struct Count : nn::Observer {
    std::vector<nn::Site> sites;
    void see(int64_t layer, nn::Site site, const Tensor&) override {
      EXPECT_EQ(layer, 1);
      sites.push_back(site);
    }
  } count;
  const nn::AttentionStep kind{segments, &plan, &cache};
  const Tensor y = block(Tensor::of(p.x.data(), {kTokens, kWidth}),
                         {.positions = positions, .kinds = {&kind, 1}, .observer = &count});
  const std::vector<Row> wanted = formula(p);
  const auto got = y.view<float, 2>();
  for (int64_t t = 0; t < kTokens; ++t) {
    for (int64_t i = 0; i < kWidth; ++i) ASSERT_NEAR(got(t, i), wanted[t][i], 2e-5);
  }
  using nn::Site;
  EXPECT_EQ(count.sites, (std::vector<Site>{Site::query, Site::key, Site::value, Site::attended,
                                            Site::residual}));
}

}  // namespace
}  // namespace regard
