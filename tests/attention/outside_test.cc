// Programs whose integer index leaves its array: the rows that use the key become NaN, and where
// the mask leaves the key out nothing happens, forwards and backwards.
#include <gtest/gtest.h>

#include "owned.h"
#include "problem.h"

namespace regard {
namespace {

using namespace regard::testing;

constexpr int64_t kRows = 90, kKeys = 200, kHeads = 2, kDim = 8;

struct Arrays {
  Floats q, k, v, dout;
  Arrays() {
    Random random(11);
    q = Floats::normal(random, kRows, kHeads, kDim);
    k = Floats::normal(random, kKeys, 1, kDim);
    v = Floats::normal(random, kKeys, 1, kDim);
    dout = Floats::normal(random, kRows, kHeads, kDim);
  }
};

Doubles wide(const Floats& x) {
  Doubles y(x.shape[0], x.shape[1], x.shape[2]);
  std::copy(x.data.begin(), x.data.end(), y.data.begin());
  return y;
}

template <class T>
bool same_bits_of(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](T x, T y) {
           return (std::isnan(x) && std::isnan(y)) || std::memcmp(&x, &y, sizeof x) == 0;
         });
}

// Integers by distance: an index below 0 is a key behind the query.
const Array& steps() {
  static const Array array = [] {
    std::vector<int32_t> numbers(kKeys);
    for (int32_t n = 0; n < kKeys; ++n) numbers[static_cast<std::size_t>(n)] = n / 7 % 5;
    return Array::of("steps", numbers);
  }();
  return array;
}
const Array& bias() {
  static const Array array = Array::of("bias", std::vector<float>{0.5f, -1, 0.25f, 1, -0.5f}, {5},
                                       /*differentiable=*/true);
  return array;
}

Expr distance() { return program::query() - program::key(); }
Expr nearest() { return max(distance(), 0); }

// j <= i, found out key by key.
Expr triangle() {
  const auto flags = std::make_shared<std::vector<uint8_t>>(kRows * kKeys);
  for (int64_t r = 0; r < kRows; ++r) {
    for (int64_t j = 0; j < kKeys; ++j) {
      (*flags)[static_cast<std::size_t>(r * kKeys + j)] = j <= kKeys - kRows + r;
    }
  }
  const int64_t shape[] = {kRows, kKeys}, strides[] = {kKeys, 1};
  return program::allowed(
      Array("triangle", ElementType::boolean, flags->data(), shape, strides, false, flags));
}

std::vector<Normaliser> normalisers() {
  return {softmax(),
          softmax_with_sink(0.5f),
          sigmoid(-1),
          relu(),
          sparsemax(),
          entmax15(),
          hardmax(),
          gumbel_softmax(0.7f, 3),
          gumbel_softmax(0.7f, 3, Normaliser::Sample::hard)};
}

template <class T>
void expect_same(const Owned<T>& q, const Owned<T>& k, const Owned<T>& v, const Owned<T>& dout,
                 const AttentionOptions& inside, const AttentionOptions& outside) {
  EXPECT_TRUE(same_bits_of(attend(q, k, v, outside).data, attend(q, k, v, inside).data));
  std::vector<float> d_inside(5), d_outside(5);
  const ArrayGradient wanted_inside[] = {{bias(), d_inside.data(), {}}};
  const ArrayGradient wanted_outside[] = {{bias(), d_outside.data(), {}}};
  const auto want = gradients(q, k, v, dout, inside, wanted_inside);
  const auto got = gradients(q, k, v, dout, outside, wanted_outside);
  EXPECT_TRUE(same_bits_of(got.dq.data, want.dq.data));
  EXPECT_TRUE(same_bits_of(got.dk.data, want.dk.data));
  EXPECT_TRUE(same_bits_of(got.dv.data, want.dv.data));
  EXPECT_TRUE(same_bits_of(d_outside, d_inside));
  EXPECT_GT(largest(want.dv.data), 0);
}

TEST(Outside, AScoreAtAMaskedKeyIsAbsent) {
  const Arrays a;
  for (const Expr& mask : {causal(), triangle()}) {
    for (const Normaliser& normaliser : normalisers()) {
      SCOPED_TRACE(::testing::Message() << "normaliser " << static_cast<int>(normaliser.kind));
      const AttentionOptions inside{.mask = mask,
                                    .score = program::score() + bias()(steps()(nearest())),
                                    .normaliser = normaliser};
      AttentionOptions outside = inside;
      outside.score = program::score() + bias()(steps()(distance()));
      for (const Target target : available_targets()) {
        const ScopedTarget forced(target);
        expect_same(a.q, a.k, a.v, a.dout, inside, outside);
      }
      expect_same(wide(a.q), wide(a.k), wide(a.v), wide(a.dout), inside, outside);
    }
  }
}

TEST(Outside, AWeightAtAMaskedKeyIsAbsent) {
  const Arrays a;
  for (const Expr& mask : {causal(), triangle()}) {
    for (const Normaliser& normaliser : {softmax(), sigmoid(-1), entmax15()}) {
      const AttentionOptions inside{.mask = mask,
                                    .normaliser = normaliser,
                                    .weight = program::score() * bias()(steps()(nearest()))};
      AttentionOptions outside = inside;
      outside.weight = program::score() * bias()(steps()(distance()));
      expect_same(a.q, a.k, a.v, a.dout, inside, outside);
      outside.weight = program::score() * program::score() * bias()(steps()(distance()));
      AttentionOptions squared = inside;
      squared.weight = program::score() * program::score() * bias()(steps()(nearest()));
      expect_same(a.q, a.k, a.v, a.dout, squared, outside);
      expect_same(wide(a.q), wide(a.k), wide(a.v), wide(a.dout), squared, outside);
    }
  }
}

// The same index at an allowed key shows in its row, and there only.
TEST(Outside, AScoreAtAnAllowedKeyMakesItsRowNaN) {
  const Arrays a;
  const Expr score = program::score() + to_real(steps()(distance()));
  for (const Normaliser& normaliser : normalisers()) {
    SCOPED_TRACE(::testing::Message() << "normaliser " << static_cast<int>(normaliser.kind));
    // Row 10 alone sees one key behind itself.
    const AttentionOptions options{
        .mask = program::key() <= program::query() ||
                (program::row() == 10 && program::key() == program::query() + 3),
        .score = score,
        .normaliser = normaliser};
    const Floats out = attend(a.q, a.k, a.v, options);
    const Doubles exact = attend(wide(a.q), wide(a.k), wide(a.v), options);
    for (int64_t row = 0; row < kRows; ++row) {
      EXPECT_EQ(std::isnan(out(row, 1, 0)), row == 10) << row;
      EXPECT_EQ(std::isnan(exact(row, 1, 0)), row == 10) << row;
    }
    if (normaliser.kind == Normaliser::Kind::hardmax ||
        normaliser.sample == Normaliser::Sample::hard) {
      continue;  // gradients of choices are 0
    }
    const auto g = gradients(a.q, a.k, a.v, a.dout, options);
    for (int64_t row = 0; row < kRows; ++row) {
      EXPECT_EQ(std::isnan(g.dq(row, 1, 0)), row == 10) << row;
    }
  }
}

// Where the mask itself needs the element nobody knows whether the key counts: the NaN shows, also
// if the score reads the same element.
TEST(Outside, AMaskThatNeedsTheElementMakesItsRowNaN) {
  const Arrays a;
  const Expr step = steps()(distance());
  for (const Expr& score : {Expr(), Expr(program::score() + to_real(step))}) {
    const AttentionOptions options{
        .mask = step != 3 && program::key() <= program::query() + 290 - program::row() * 2,
        .score = score};
    const Floats out = attend(a.q, a.k, a.v, options);
    const Doubles exact = attend(wide(a.q), wide(a.k), wide(a.v), options);
    for (int64_t row = 0; row < kRows; ++row) {
      // The last row's query is the last key; all others have a key behind them.
      EXPECT_EQ(std::isnan(out(row, 0, 0)), row < kRows - 1) << row;
      EXPECT_EQ(std::isnan(exact(row, 0, 0)), row < kRows - 1) << row;
    }
  }
}

}  // namespace
}  // namespace regard
