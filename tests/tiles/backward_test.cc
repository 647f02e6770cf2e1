// The backward pass's kernels against plain loops in double precision: every target, sizes around
// every edge, pairs masked at random, NaN where nothing may look.
#include "tiles/backward.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "regard/half.h"
#include "simd/target.h"

namespace regard {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 2654435761u + 1) {}
  uint32_t bits() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<uint32_t>(state_ >> 33);
  }
  float number() { return static_cast<float>(bits() % 2001) / 1000.0f - 1.0f; }
  std::vector<float> numbers(int64_t count) {
    std::vector<float> x(static_cast<std::size_t>(count));
    for (float& value : x) value = number();
    return x;
  }

 private:
  uint64_t state_;
};

enum class Mask { full, causal, window, scattered, nothing };

// [128][8]
std::vector<uint16_t> bits_of(Mask mask, int rows, int keys, Random& random) {
  std::vector<uint16_t> bits(kGradientRows * kTilePanels, 0);
  for (int r = 0; r < rows; ++r) {
    for (int j = 0; j < keys; ++j) {
      const bool used = mask == Mask::full        ? true
                        : mask == Mask::causal    ? j <= r
                        : mask == Mask::window    ? std::abs(r - j) < 9
                        : mask == Mask::scattered ? random.bits() % 3 == 0
                                                  : false;
      if (used) bits[r * kTilePanels + j / 16] |= static_cast<uint16_t>(1u << j % 16);
    }
  }
  return bits;
}
bool uses(const Pairs& pairs, int r, int j) {
  return (pairs.bits[r * kTilePanels + j / 16] >> j % 16 & 1) != 0;
}

// Dense rows as stage_rows lays them out; everything else is NaN.
struct Staged {
  std::vector<float> numbers;
  bool finite;
  Staged(const std::vector<float>& rows, int count, int64_t dim, float factor = 1)
      : numbers(static_cast<std::size_t>(kGradientRows * ((dim + 15) / 16 * 16)), kNan),
        finite(stage_rows({rows.data(), DType::f32, dim, 1, count}, dim, factor, numbers.data())) {}
};

template <class Visit>
void for_each_shape(const Visit& visit) {
  for (const Target target : available_targets()) {
    const ScopedTarget forced(target);
    uint64_t seed = 0;
    for (const int rows : {1, 5, 6, 7, 12, 13, 47, 128}) {
      for (const int keys : {1, 15, 16, 17, 33, 100, 128}) {
        for (const Mask mask :
             {Mask::full, Mask::causal, Mask::window, Mask::scattered, Mask::nothing}) {
          if (target == Target::scalar && rows * keys > 2000) continue;
          Random random(++seed);
          const std::vector<uint16_t> bits = bits_of(mask, rows, keys, random);
          SCOPED_TRACE(std::string(name(target)) + " rows " + std::to_string(rows) + " keys " +
                       std::to_string(keys) + " mask " + std::to_string(static_cast<int>(mask)));
          visit(Pairs{rows, keys, bits.data()}, random);
          if (::testing::Test::HasFailure()) return;
        }
      }
    }
  }
}

TEST(BackwardTiles, MultipliesThePairsThatAreUsed) {
  for_each_shape([](const Pairs& pairs, Random& random) {
    for (const int64_t dim : {0, 1, 15, 16, 17, 33, 64}) {
      const auto q = random.numbers(pairs.rows * dim), k = random.numbers(pairs.keys * dim);
      const Staged a(q, pairs.rows, dim, 0.5f);
      std::vector<float> panels(static_cast<std::size_t>(kTileKeys * dim), kNan);
      stage_key_panels({k.data(), DType::f32, dim, 1, pairs.keys}, dim, panels.data());
      std::vector<float> out(kGradientRows * kPairStep, 7.0f);
      multiply_pairs(pairs, a.numbers.data(), dim, panels.data(), out.data());
      for (int r = 0; r < pairs.rows; ++r) {
        for (int j = 0; j < pairs.keys; ++j) {
          if (!uses(pairs, r, j)) continue;
          double sum = 0;
          for (int64_t d = 0; d < dim; ++d) sum += 0.5 * q[r * dim + d] * k[j * dim + d];
          ASSERT_NEAR(out[r * kPairStep + j], sum, 1e-5) << r << ' ' << j << ' ' << dim;
        }
      }
      for (std::size_t i = static_cast<std::size_t>(pairs.rows) * kPairStep; i < out.size(); ++i) {
        ASSERT_EQ(out[i], 7.0f);
      }
    }
  });
}

TEST(BackwardTiles, SoftensAndGathersOnlyWhatIsUsed) {
  for_each_shape([](const Pairs& pairs, Random& random) {
    const int64_t dim = 20, columns = 32;
    auto s = random.numbers(kGradientRows * kPairStep), dp = s;
    for (float& x : dp) x = random.number();
    const auto base = random.numbers(pairs.rows), delta = random.numbers(pairs.rows);
    std::vector<float> low(base);
    for (float& x : low) x += 2;  // s - base is not positive
    const auto s_before = s, dp_before = dp;
    for (int r = 0; r < pairs.rows; ++r) {
      for (int j = 0; j < kTileKeys; ++j) {
        if (j < pairs.keys && uses(pairs, r, j)) continue;
        s[r * kPairStep + j] = kNan;
        dp[r * kPairStep + j] = kInf;
      }
    }
    soften_pairs(pairs, low.data(), delta.data(), {}, s.data(), dp.data());
    const auto x = random.numbers(pairs.rows * dim), y = random.numbers(pairs.keys * dim);
    for (const bool finite : {true, false}) {  // the careful way gives the same bits
      Staged rows(x, pairs.rows, dim), keys(y, pairs.keys, dim);
      EXPECT_TRUE(rows.finite && keys.finite);
      std::vector<float> by_key(static_cast<std::size_t>(kTileKeys * columns), 0.25f);
      std::vector<float> by_row(static_cast<std::size_t>(kGradientRows * columns), 0.25f);
      gather_over_rows(pairs, s.data(), rows.numbers.data(), finite, columns, by_key.data());
      gather_over_keys(pairs, dp.data(), keys.numbers.data(), finite, columns, by_row.data());
      const auto p_of = [&](int r, int j) {
        return std::exp(static_cast<double>(s_before[r * kPairStep + j]) - low[r]);
      };
      for (int j = 0; j < pairs.keys; ++j) {
        for (int64_t d = 0; d < dim; ++d) {
          double sum = 0.25;
          for (int r = 0; r < pairs.rows; ++r) {
            if (uses(pairs, r, j)) sum += p_of(r, j) * x[r * dim + d];
          }
          ASSERT_NEAR(by_key[j * columns + d], sum, 2e-5) << j << ' ' << d;
        }
      }
      for (int r = 0; r < pairs.rows; ++r) {
        for (int64_t d = 0; d < dim; ++d) {
          double sum = 0.25;
          for (int j = 0; j < pairs.keys; ++j) {
            if (!uses(pairs, r, j)) continue;
            sum += p_of(r, j) * (static_cast<double>(dp_before[r * kPairStep + j]) - delta[r]) *
                   y[j * dim + d];
          }
          ASSERT_NEAR(by_row[r * columns + d], sum, 5e-5) << r << ' ' << d;
        }
      }
      for (std::size_t i = static_cast<std::size_t>(pairs.keys * columns); i < by_key.size(); ++i) {
        ASSERT_EQ(by_key[i], 0.25f);
      }
    }
  });
}

TEST(BackwardTiles, ARowOfNanIsLeftOutOfWhatDoesNotUseIt) {
  for (const Target target : available_targets()) {
    const ScopedTarget forced(target);
    Random random(3);
    const auto bits = bits_of(Mask::causal, 40, 40, random);
    const Pairs pairs{40, 40, bits.data()};
    std::vector<float> weights(kGradientRows * kPairStep, 0.0f);
    for (int r = 0; r < 40; ++r) std::fill_n(weights.begin() + r * kPairStep, r + 1, 1.0f);
    auto x = random.numbers(40 * 16);
    x[25 * 16 + 3] = kInf;
    const Staged staged(x, 40, 16);
    EXPECT_FALSE(staged.finite);
    std::vector<float> by_key(kTileKeys * 16), by_row(kGradientRows * 16);
    gather_over_rows(pairs, weights.data(), staged.numbers.data(), false, 16, by_key.data());
    gather_over_keys(pairs, weights.data(), staged.numbers.data(), false, 16, by_row.data());
    for (int i = 0; i < 40; ++i) {
      EXPECT_EQ(std::isfinite(by_key[i * 16 + 3]), i > 25) << i;
      EXPECT_EQ(std::isfinite(by_row[i * 16 + 3]), i < 25) << i;
    }
  }
}

// Every dtype and stride; infinities, NaN, denormals and ties when narrowed.
template <class T, class Narrow, class Widen>
void expect_rows(DType dtype, Random& random, const Narrow& narrow, const Widen& widen) {
  for (const int64_t dim : {1, 15, 16, 17, 40}) {
    for (const bool transposed : {false, true}) {
      constexpr int kCount = 21;
      const int64_t row_step = transposed ? 1 : dim + 3, step = transposed ? kCount : 1;
      std::vector<T> x(static_cast<std::size_t>((dim + 3) * kCount), narrow(kNan)), y = x;
      std::vector<float> wide(static_cast<std::size_t>(kCount * 48), kNan);
      std::vector<float> special(wide);
      const float odd[] = {0.0f,        -0.0f,    kInf,     -kInf,   kNan,
                           1e-40f,      65519.0f, 65520.0f, 3e38f,   1.00390625f,
                           1.01171875f, -2.5f,    6e-8f,    2049.0f, 2051.0f};
      for (int r = 0; r < kCount; ++r) {
        for (int64_t d = 0; d < dim; ++d) {
          x[r * row_step + d * step] = narrow(random.number());
          special[r * 48 + d] = odd[random.bits() % std::size(odd)];
        }
      }
      const RawRows rows{x.data(), dtype, row_step, step, kCount};
      widen_rows(rows, dim, wide.data(), 48);
      store_rows(special.data(), 48, dim, rows, y.data());
      std::vector<float> products(kCount);
      row_products(rows, rows, dim, products.data());
      for (int r = 0; r < kCount; ++r) {
        double sum = 0;
        for (int64_t d = 0; d < dim; ++d) {
          const float number = widen(x[r * row_step + d * step]);
          ASSERT_EQ(wide[r * 48 + d], number);
          const T want = narrow(special[r * 48 + d] + 0.0f);
          ASSERT_EQ(std::memcmp(&y[r * row_step + d * step], &want, sizeof(T)), 0)
              << special[r * 48 + d];
          sum += static_cast<double>(number) * number;
        }
        ASSERT_NEAR(products[r], sum, 1e-5);
        for (int64_t d = dim; d < (dim + 15) / 16 * 16; ++d) ASSERT_EQ(wide[r * 48 + d], 0.0f);
      }
    }
  }
}

TEST(BackwardTiles, ReadsAndWritesEveryDTypeAndStride) {
  for (const Target target : available_targets()) {
    const ScopedTarget forced(target);
    SCOPED_TRACE(name(target));
    Random random(9);
    const auto same = [](float x) { return x; };
    expect_rows<float>(DType::f32, random, same, same);
    expect_rows<f16>(
        DType::f16, random, [](float x) { return to_f16(x); }, [](f16 x) { return to_f32(x); });
    expect_rows<bf16>(
        DType::bf16, random, [](float x) { return to_bf16(x); }, [](bf16 x) { return to_f32(x); });
  }
}

TEST(BackwardTiles, AddsRowsInPlace) {
  for (const Target target : available_targets()) {
    const ScopedTarget forced(target);
    for (const int64_t dim : {1, 16, 20}) {
      std::vector<float> from(32 * 3, -0.0f), to(32 * 3, 5.0f);
      from[32 + dim - 1] = 2.0f;
      add_rows(from.data(), 32, 3, dim, true, to.data(), 32, 1);
      EXPECT_FALSE(std::signbit(to[0]));  // -0 does not appear
      add_rows(from.data(), 32, 3, dim, false, to.data(), 32, 1);
      EXPECT_EQ(to[32 + dim - 1], 4.0f);
      EXPECT_EQ(to[dim], 5.0f);  // behind the row
    }
  }
}

}  // namespace
}  // namespace regard
