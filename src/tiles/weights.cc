// Weights from statistics, compiled once per target.
#include "tiles/weights.h"

#include <bit>

#include "simd/highway.h"
#include "tiles/threshold.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tiles/weights.cc"
#include <hwy/foreach_target.h>

#include "simd/math-inl.h"
#include "simd/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {
namespace {

// Σ function(s) over a row, chunk by chunk.
template <class Function>
HWY_ATTR float sum_of(const KeptScores& row, const Function& function) {
  F32x16 total = zero(), chunk = zero();
  for (int t = 0; t < row.tiles; ++t) {
    if (t > 0 && row.first_keys[t] / kChunkKeys != row.first_keys[t - 1] / kChunkKeys) {
      total = add(total, chunk);
      chunk = zero();
    }
    for (int p = 0; p < kTilePanels; ++p) {
      chunk = add(chunk, function(load(row.scores + t * kTileKeys + p * kPanelKeys)));
    }
  }
  return sum_lanes(add(total, chunk));
}

HWY_ATTR float largest_of(const KeptScores& row) {
  F32x16 most = broadcast(kNone);
  for (int64_t j = 0; j < int64_t{row.tiles} * kTileKeys; j += 16) {
    most = max(load(row.scores + j), most);
  }
  return max_lanes(max(most, broadcast(kNone)));
}

struct Shifted {  // exp(s - m)
  F32x16 m;
  HWY_INLINE HWY_ATTR F32x16 operator()(const F32x16& s) const {
    return exp_nonpositive(sub(s, m));
  }
};
struct Sigmoid {
  HWY_INLINE HWY_ATTR F32x16 operator()(const F32x16& s) const { return sigmoid(s); }
};
struct Positive {  // NaN stays
  HWY_INLINE HWY_ATTR F32x16 operator()(const F32x16& s) const { return max(zero(), s); }
};
struct NanOrZero {
  HWY_INLINE HWY_ATTR F32x16 operator()(const F32x16& s) const {
    return select(equal(s, s), zero(), s);
  }
};

HWY_ATTR WeightStatistics first_of_largest(const KeptScores& row) {
  const float m = largest_of(row);
  const float doubt = sum_of(row, NanOrZero());
  if (doubt != doubt) return {m, doubt};
  if (m == kNone) return {m, 0.0f};
  int64_t at = 0;
  while (row.scores[at] != m) ++at;
  const auto key = static_cast<int32_t>(row.first_keys[at / kTileKeys] + at % kTileKeys);
  return {m, std::bit_cast<float>(key + 1)};
}

}  // namespace

HWY_ATTR WeightStatistics weight_statistics(Weighing weighing, const KeptScores& row) {
  switch (weighing) {
    case Weighing::softmax: {
      const float m = largest_of(row);
      return {m, sum_of(row, Shifted{broadcast(m == kNone ? 0.0f : m)})};
    }
    case Weighing::sigmoid:
      return {0.0f, sum_of(row, Sigmoid())};
    case Weighing::relu:
      return {0.0f, sum_of(row, Positive())};
    case Weighing::hardmax:
      return first_of_largest(row);
    default: {
      const int64_t keys = int64_t{row.tiles} * kTileKeys;
      const Threshold found = weighing == Weighing::sparsemax
                                  ? ::regard::sparsemax_threshold(row.scores, keys)
                                  : ::regard::entmax15_threshold(row.scores, keys);
      const float doubt = sum_of(row, NanOrZero());
      if (doubt != doubt) return {found.largest, doubt};
      return {found.largest, found.largest == kNone ? 0.0f : found.t};
    }
  }
}

HWY_ATTR WeightStatistics with_sink(const WeightStatistics& row, float sink) {
  if (row.l == 0.0f) return row;
  const float m = row.m < sink ? sink : row.m;
  // A difference of equals is 0, of infinities too.
  alignas(64) float x[16] = {row.m == m ? 0.0f : row.m - m, sink == m ? 0.0f : sink - m};
  store(exp_nonpositive(load(x)), x);
  return {m, row.l * x[0] + x[1]};
}

HWY_ATTR float log_sum_exp(const WeightStatistics& row) {
  if (row.l == 0.0f) return kNone;
  alignas(64) float x[16];
  store(log(broadcast(row.l)), x);
  return row.m + x[0] + 0.0f;
}

HWY_ATTR void weigh_scores(Weighing weighing, int rows, const float* m, const float* l,
                           int32_t first_key, float* scores) {
  for (int r = 0; r < rows; ++r, scores += kTileKeys) {
    const F32x16 base = broadcast(m[r] == kNone ? 0.0f : m[r]), threshold = broadcast(l[r]);
    const F32x16 inverse = broadcast(l[r] == 0.0f ? 0.0f : 1.0f / l[r]);
    const float nan_or_one = l[r] != l[r] ? l[r] : 1.0f;
    const int64_t chosen = int64_t{std::bit_cast<int32_t>(l[r])} - 1 - first_key;
    for (int p = 0; p < kTilePanels; ++p) {
      float* const at = scores + p * kPanelKeys;
      const F32x16 s = load(at);
      F32x16 weight = zero();
      switch (weighing) {
        case Weighing::softmax:
          weight = mul(exp_nonpositive(sub(s, base)), inverse);
          break;
        case Weighing::sigmoid:
          weight = sigmoid(s);
          break;
        case Weighing::relu:
          weight = mul(max(zero(), s), inverse);
          break;
        case Weighing::hardmax: {
          alignas(64) float lanes[16] = {};
          if (chosen >= p * kPanelKeys && chosen < (p + 1) * kPanelKeys) {
            lanes[chosen - p * kPanelKeys] = 1.0f;
          }
          weight = l[r] != l[r] ? broadcast(l[r]) : load(lanes);
          break;
        }
        case Weighing::sparsemax:
          weight = max(zero(), sub(sub(s, base), threshold));
          break;
        case Weighing::entmax15: {
          const F32x16 root = max(zero(), sub(mul(sub(s, base), broadcast(0.5f)), threshold));
          weight = mul(root, root);
          break;
        }
      }
      weight = mul(weight, broadcast(weighing == Weighing::sigmoid ? 1.0f : nan_or_one));
      const Mask16 none = equal(s, broadcast(kNone));
      store(zero_where(none, l[r] == 0.0f ? zero() : weight), at);
    }
  }
}

HWY_ATTR void add_entropy(const float* weights, int rows, float* entropy) {
  for (int r = 0; r < rows; ++r) {
    F32x16 sum = zero();
    for (int p = 0; p < kTilePanels; ++p) {
      const F32x16 x = load(weights + r * kTileKeys + p * kPanelKeys);
      sum = add(sum, zero_where(equal(x, zero()), mul(x, log(x))));
    }
    entropy[r] -= sum_lanes(sum);
  }
}

HWY_ATTR void add_key_sums(const float* weights, int rows, int first, int step, float* sums) {
  F32x16 sum[kTilePanels];
  for (int p = 0; p < kTilePanels; ++p) sum[p] = load(sums + p * kPanelKeys);
  for (int r = first; r < rows; r += step) {
    for (int p = 0; p < kTilePanels; ++p) {
      sum[p] = add(sum[p], load(weights + r * kTileKeys + p * kPanelKeys));
    }
  }
  for (int p = 0; p < kTilePanels; ++p) store(sum[p], sums + p * kPanelKeys);
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace regard {

WeightStatistics weight_statistics(Weighing weighing, const KeptScores& row) noexcept {
  return REGARD_DISPATCH(weight_statistics)(weighing, row);
}
WeightStatistics with_sink(const WeightStatistics& row, float sink) noexcept {
  return REGARD_DISPATCH(with_sink)(row, sink);
}
float log_sum_exp(const WeightStatistics& row) noexcept {
  return REGARD_DISPATCH(log_sum_exp)(row);
}
void weigh_scores(Weighing weighing, int rows, const float* m, const float* l, int32_t first_key,
                  float* scores) noexcept {
  REGARD_DISPATCH(weigh_scores)(weighing, rows, m, l, first_key, scores);
}
void add_entropy(const float* weights, int rows, float* entropy) noexcept {
  REGARD_DISPATCH(add_entropy)(weights, rows, entropy);
}
void add_key_sums(const float* weights, int rows, int first, int step, float* sums) noexcept {
  REGARD_DISPATCH(add_key_sums)(weights, rows, first, step, sums);
}

}  // namespace regard
#endif
