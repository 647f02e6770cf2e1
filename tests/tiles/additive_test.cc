// The additive similarity against its formula in f64 and its gradients against central differences:
// every target, every edge of a vector and a panel.
#include "tiles/additive.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "kernels/bits.h"
#include "regard/half.h"
#include "simd/target.h"

namespace regard {
namespace {

using Numbers = std::vector<float>;
using Wide = std::vector<double>;
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kScale = 0.5f;

struct Problem {
  Problem(int64_t dim_, int rows_, int keys_, DType type = DType::f32)
      : dim(dim_), rows(rows_), keys(keys_), dtype(type) {
    std::mt19937 random(5);
    std::normal_distribution<float> normal(0, 1);
    const auto fill = [&](Numbers& x, int64_t count) {
      x.resize(static_cast<std::size_t>(count));
      for (float& number : x) number = to_f32(to_f16(normal(random)));
    };
    fill(q, rows * dim);
    fill(k, keys * dim);
    fill(v, 2 * dim);  // two heads that take turns
    if (dtype == DType::bf16) {
      for (float& x : k) x = to_f32(to_bf16(x));
    }
  }
  KeyTile tile(Numbers& memory) const {
    memory.assign(static_cast<std::size_t>(kTileKeys * dim), kNaN);
    KeyTile made;
    made.k_dtype = dtype;
    made.keys = keys;
    auto* at = reinterpret_cast<std::byte*>(memory.data());
    for (int first = 0; first < keys; first += kPanelKeys) {
      pack_keys(k.data() + first * dim, dim, 1, dim, std::min(kPanelKeys, keys - first), 0, dtype,
                at);
      made.keys_of_panel[first / kPanelKeys] = at;
      at += row_bytes(dtype, dim * kPanelKeys);
    }
    return made;
  }
  Numbers packed() const {
    std::vector<const float*> at;
    for (int r = 0; r < rows; ++r) at.push_back(q.data() + r * dim);
    Numbers out(
        static_cast<std::size_t>((rows + kPackedRows - 1) / kPackedRows * kPackedRows * dim));
    pack_queries(at.data(), 1, rows, dim, 1, out.data());
    return out;
  }
  Numbers scores() const {  // [rows][keys]
    Numbers memory, tile_scores(static_cast<std::size_t>(rows * kTileKeys), kNaN), out;
    std::vector<const float*> v_of_row;
    for (int r = 0; r < rows; ++r) v_of_row.push_back(v.data() + r % 2 * dim);
    const KeyTile made = tile(memory);
    const int panels = (keys + 15) / 16, middle = panels / 2;
    for (const auto& [first, end] : {std::pair{middle, panels}, {0, middle}}) {
      score_additive(packed().data(), dim, rows, v_of_row.data(), kScale, made, first, end,
                     tile_scores.data());
    }
    for (int r = 0; r < rows; ++r) {
      const auto from = tile_scores.begin() + r * kTileKeys;
      out.insert(out.end(), from, from + keys);
    }
    return out;
  }

  int64_t dim;
  int rows, keys;
  DType dtype;
  Numbers q, k, v;
};

double formula(int64_t dim, const double* q, const double* k, const double* v) {
  double sum = 0;
  for (int64_t d = 0; d < dim; ++d) sum += v[d] * std::tanh(q[d] + k[d]);
  return kScale * sum;
}

TEST(Additive, ScoresAgreeWithTheFormulaAndTheirBitsWithEveryTarget) {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    for (const int64_t dim : {1, 15, 16, 40}) {
      for (const auto& [rows, keys] : {std::pair{1, 1}, {7, 17}, {13, 128}, {48, 31}}) {
        const Problem p(dim, rows, keys, dtype);
        const Wide q(p.q.begin(), p.q.end()), k(p.k.begin(), p.k.end()), v(p.v.begin(), p.v.end());
        Numbers first;
        for (const Target target : available_targets()) {
          SCOPED_TRACE(name(target));
          const ScopedTarget forced(target);
          const Numbers is = p.scores();
          for (int r = 0; r < rows; ++r) {
            for (int j = 0; j < keys; ++j) {
              ASSERT_NEAR(
                  is[static_cast<std::size_t>(r * keys + j)],
                  formula(dim, q.data() + r * dim, k.data() + j * dim, v.data() + r % 2 * dim),
                  3e-6);
            }
          }
          if (first.empty()) first = is;
          ASSERT_EQ(first_difference(first, is), -1);
        }
      }
    }
  }
}

TEST(Additive, ARowAloneHasTheBitsOfTheBlockAndANanStaysInItsRowAndKey) {
  Problem p(20, 14, 33);
  const Numbers clean = p.scores();
  Problem one = p;
  one.rows = 1;
  one.q.assign(p.q.begin() + 12 * 20, p.q.begin() + 13 * 20);
  const Numbers row = one.scores();
  for (std::size_t j = 0; j < 33; ++j) EXPECT_TRUE(same_bits(row[j], clean[12 * 33 + j]));
  p.q[2 * 20 + 19] = kNaN;
  p.k[32 * 20] = kNaN;
  const Numbers is = p.scores();
  for (std::size_t i = 0; i < is.size(); ++i) {
    const bool hit = i / 33 == 2 || i % 33 == 32;
    EXPECT_TRUE(hit ? std::isnan(is[i]) : same_bits(is[i], clean[i])) << i;
  }
}

struct Gradients {
  Numbers dq, dk, dv;
};
Gradients gradients_of(const Problem& p, const Numbers& ds) {
  const int64_t columns = (p.dim + 15) / 16 * 16;
  Numbers memory, tile_ds(static_cast<std::size_t>(p.rows * kTileKeys));
  for (int r = 0; r < p.rows; ++r) {
    std::copy_n(ds.begin() + r * p.keys, p.keys, tile_ds.begin() + r * kTileKeys);
  }
  Numbers dq(static_cast<std::size_t>(p.rows * columns), 1),
      dk(static_cast<std::size_t>(p.keys * columns), 1),
      scratch(static_cast<std::size_t>(128 * p.dim));
  Gradients all;
  all.dv.assign(static_cast<std::size_t>(p.dim), 1);
  p.tile(memory);
  additive_backward(p.packed().data(), p.dim, p.rows, p.v.data(), kScale, memory.data(), p.keys,
                    tile_ds.data(), scratch.data(), {dq.data(), dk.data(), all.dv.data()});
  for (const auto& [from, count, to] : {std::tuple{&dq, p.rows, &all.dq}, {&dk, p.keys, &all.dk}}) {
    for (int i = 0; i < count; ++i) {
      to->insert(to->end(), from->begin() + i * columns, from->begin() + i * columns + p.dim);
    }
  }
  return all;
}

TEST(Additive, GradientsAgreeWithCentralDifferencesAndAreAddedToWhatIsThere) {
  for (const int64_t dim : {1, 17}) {
    for (const auto& [rows, keys] : {std::pair{1, 1}, {7, 17}, {18, 40}}) {
      const Problem p(dim, rows, keys);
      std::mt19937 random(9);
      std::normal_distribution<float> normal(0, 1);
      Numbers ds(static_cast<std::size_t>(rows * keys));
      for (float& x : ds) x = normal(random);
      Wide x[3] = {{p.q.begin(), p.q.end()}, {p.k.begin(), p.k.end()}, {p.v.begin(), p.v.end()}};
      const auto loss = [&] {
        double sum = 0;
        for (int r = 0; r < rows; ++r) {
          for (int j = 0; j < keys; ++j) {
            sum += ds[static_cast<std::size_t>(r * keys + j)] *
                   formula(dim, x[0].data() + r * dim, x[1].data() + j * dim, x[2].data());
          }
        }
        return sum;
      };
      Gradients first;
      for (const Target target : available_targets()) {
        SCOPED_TRACE(name(target));
        const ScopedTarget forced(target);
        const Gradients is = gradients_of(p, ds);
        const Numbers* const found[] = {&is.dq, &is.dk, &is.dv};
        for (int which = 0; which < 3; ++which) {
          for (std::size_t i = 0; i < found[which]->size(); ++i) {
            const double before = x[which][i], step = 1e-4;
            x[which][i] = before + step;
            const double above = loss();
            x[which][i] = before - step;
            const double slope = (above - loss()) / (2 * step);
            x[which][i] = before;
            ASSERT_NEAR((*found[which])[i], 1 + slope, 1e-5 * (1 + std::abs(slope)))
                << which << " " << i;
          }
        }
        if (first.dq.empty()) first = is;
        EXPECT_EQ(first_difference(first.dq, is.dq), -1);
        EXPECT_EQ(first_difference(first.dk, is.dk), -1);
        EXPECT_EQ(first_difference(first.dv, is.dv), -1);
      }
    }
  }
}

TEST(Additive, AMaskedPairPassesNoGradientWhateverItHolds) {
  Problem p(18, 6, 33);
  Numbers ds(6 * 33, 1.0f);
  for (std::size_t j = 0; j < 33; ++j) ds[2 * 33 + j] = 0;
  for (std::size_t r = 0; r < 6; ++r) ds[r * 33 + 20] = -0.0f;
  const Gradients clean = gradients_of(p, ds);
  p.q[2 * 18 + 5] = kNaN;
  p.k[20 * 18] = kNaN;
  const Gradients is = gradients_of(p, ds);
  EXPECT_EQ(first_difference(clean.dq, is.dq), -1);
  EXPECT_EQ(first_difference(clean.dk, is.dk), -1);
  EXPECT_EQ(first_difference(clean.dv, is.dv), -1);
  ds[3 * 33 + 1] = kNaN;
  EXPECT_TRUE(std::isnan(gradients_of(p, ds).dv[0]));
}

}  // namespace
}  // namespace regard
