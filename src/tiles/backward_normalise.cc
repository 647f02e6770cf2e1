// Weights, slopes and row sums of the backward pass, compiled once per target.
#include "tiles/backward_normalise.h"

#include "simd/highway.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tiles/backward_normalise.cc"
#include <hwy/foreach_target.h>

#include "simd/math-inl.h"
#include "simd/simd-inl.h"
#include "tiles/groups-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {
namespace {

// max(x, 0) that keeps a NaN.
HWY_INLINE HWY_ATTR F32x16 positive(const F32x16& x) { return max(zero(), x); }

// [x > 0], NaN where x is.
HWY_INLINE HWY_ATTR F32x16 step(const F32x16& x) {
  return select(less(zero(), x), broadcast(1.0f), positive(x));
}

// visit(panel, used) for the row's panels in which some pair is used, empty(panel) for the others.
template <class Visit, class Empty>
HWY_INLINE HWY_ATTR void each_panel(const Pairs& pairs, int row, const Visit& visit,
                                    const Empty& empty) {
  const uint16_t* const bits = pairs.bits + row * kTilePanels;
  const int panels = panels_of(pairs.keys);
  for (int i = 0; i < panels; ++i) {
    if (bits[i] == 0) {
      empty(i);
    } else {
      visit(i, mask_of_bits(bits[i]));
    }
  }
}

// x = change(row, panel, x), 0 where masked.
template <class Change>
HWY_INLINE HWY_ATTR void change_used(const Pairs& pairs, float* x, const Change& change) {
  for (int r = 0; r < pairs.rows; ++r) {
    float* const at = x + r * kPairStep;
    each_panel(
        pairs, r,
        [&](int i, const Mask16& used)
            HWY_ATTR { store(select(used, change(r, i, load(at + 16 * i)), zero()), at + 16 * i); },
        [&](int i) HWY_ATTR { store(zero(), at + 16 * i); });
  }
}

struct WeightAndSlope {
  F32x16 p, g;
};
template <class Weigh>
HWY_INLINE HWY_ATTR void weigh_used(const Pairs& pairs, float* s, float* g, const Weigh& weigh) {
  for (int r = 0; r < pairs.rows; ++r) {
    float* const at = s + r * kPairStep;
    float* const slopes = g + r * kPairStep;
    each_panel(
        pairs, r,
        [&](int i, const Mask16& used) HWY_ATTR {
          const WeightAndSlope w = weigh(r, i, load(at + 16 * i));
          store(select(used, w.p, zero()), at + 16 * i);
          store(select(used, w.g, zero()), slopes + 16 * i);
        },
        [&](int i) HWY_ATTR {
          store(zero(), at + 16 * i);
          store(zero(), slopes + 16 * i);
        });
  }
}

// The lanes of panel i that hold the key.
HWY_INLINE HWY_ATTR Mask16 lane_of(int32_t key, int32_t first_key, int i) {
  const int64_t lane = int64_t{key} - first_key - 16 * i;
  return mask_of_bits(lane >= 0 && lane < 16 ? 1u << lane : 0u);
}

}  // namespace

HWY_ATTR void weigh_pairs(WeightRule rule, const Pairs& pairs, const RowNumbers& n,
                          int32_t first_key, float* s, float* g) {
  const F32x16 one = broadcast(1.0f), half = broadcast(0.5f);
  const auto softened = [&](int r, const F32x16& x)
                            HWY_ATTR { return exp_nonpositive(sub(x, broadcast(n.base[r]))); };
  // 1, or NaN where the row's weights are.
  const auto whole = [&](int r) HWY_ATTR {
    return n.base[r] == n.base[r] ? broadcast(1.0f) : broadcast(n.base[r]);
  };
  switch (rule) {
    case WeightRule::softmax:
      return weigh_used(pairs, s, g, [&](int r, int, const F32x16& x) HWY_ATTR {
        const F32x16 p = softened(r, x);
        return WeightAndSlope{p, p};
      });
    case WeightRule::sigmoid:
      return weigh_used(pairs, s, g, [&](int, int, const F32x16& x) HWY_ATTR {
        const F32x16 p = sigmoid(x);
        return WeightAndSlope{p, mul(p, sigmoid(neg(x)))};
      });
    case WeightRule::relu:
      return weigh_used(pairs, s, g, [&](int r, int, const F32x16& x) HWY_ATTR {
        const F32x16 inverse = broadcast(n.base[r]);
        return WeightAndSlope{mul(positive(x), inverse), mul(step(x), inverse)};
      });
    case WeightRule::sparsemax:
      return weigh_used(pairs, s, g, [&](int r, int, const F32x16& x) HWY_ATTR {
        const F32x16 p = positive(sub(sub(x, broadcast(n.base[r])), broadcast(n.shift[r])));
        return WeightAndSlope{p, step(p)};
      });
    case WeightRule::entmax15:
      return weigh_used(pairs, s, g, [&](int r, int, const F32x16& x) HWY_ATTR {
        const F32x16 z = mul(sub(x, broadcast(n.base[r])), half);
        const F32x16 root = positive(sub(z, broadcast(n.shift[r])));
        return WeightAndSlope{mul(root, root), root};
      });
    case WeightRule::hardmax:
      return weigh_used(pairs, s, g, [&](int r, int i, const F32x16&) HWY_ATTR {
        const F32x16 p = mul(select(lane_of(n.pick[r], first_key, i), one, zero()), whole(r));
        return WeightAndSlope{p, zero()};
      });
    case WeightRule::straight_through:
      return weigh_used(pairs, s, g, [&](int r, int i, const F32x16& x) HWY_ATTR {
        const F32x16 p = mul(select(lane_of(n.pick[r], first_key, i), one, zero()), whole(r));
        return WeightAndSlope{p, softened(r, x)};
      });
  }
}

HWY_ATTR void differentiate_pairs(const Pairs& pairs, const float* g, const float* slope,
                                  const float* delta, float* dp) {
  change_used(pairs, dp, [&](int r, int i, const F32x16& x) HWY_ATTR {
    const int64_t at = r * kPairStep + 16 * i;
    const F32x16 d = slope == nullptr ? x : mul(x, load(slope + at));
    return mul(load(g + at), sub(d, broadcast(delta[r])));
  });
}

HWY_ATTR void multiply_used(const Pairs& pairs, const float* by, float factor, float* x) {
  const F32x16 all = broadcast(factor);
  change_used(pairs, x, [&](int r, int i, const F32x16& number) HWY_ATTR {
    return mul(number, by == nullptr ? all : load(by + r * kPairStep + 16 * i));
  });
}

HWY_ATTR void fold_softmax(const Pairs& pairs, const float* s, float* m, float* l) {
  for (int r = 0; r < pairs.rows; ++r) {
    const float* const at = s + r * kPairStep;
    F32x16 most = broadcast(kNone);
    const auto nothing = [](int) {};
    each_panel(
        pairs, r,
        [&](int i, const Mask16& used)
            HWY_ATTR { most = max(select(used, load(at + 16 * i), broadcast(kNone)), most); },
        nothing);
    const float now = max_lanes(max(most, max(broadcast(kNone), broadcast(m[r]))));
    // With no key so far every difference would be NaN; 0 keeps exp(-inf - 0) = 0.
    const F32x16 base = broadcast(now == kNone ? 0.0f : now);
    F32x16 sum = zero();
    each_panel(
        pairs, r,
        [&](int i, const Mask16& used) HWY_ATTR {
          const F32x16 x = select(used, load(at + 16 * i), broadcast(kNone));
          sum = add(sum, exp_nonpositive(sub(x, base)));
        },
        nothing);
    const F32x16 shrink = exp_nonpositive(sub(broadcast(m[r]), base));
    store(fma(load(l + 16 * r), shrink, sum), l + 16 * r);
    m[r] = now;
  }
}

HWY_ATTR void fold_positive(const Pairs& pairs, const float* s, float* m, float* l) {
  for (int r = 0; r < pairs.rows; ++r) {
    F32x16 sum = zero(), most = broadcast(kNone);
    each_panel(
        pairs, r,
        [&](int i, const Mask16& used) HWY_ATTR {
          const F32x16 x = select(used, load(s + r * kPairStep + 16 * i), broadcast(kNone));
          most = max(x, most);
          sum = add(sum, positive(x));
        },
        [](int) {});
    m[r] = max_lanes(max(most, max(broadcast(kNone), broadcast(m[r]))));
    store(add(load(l + 16 * r), sum), l + 16 * r);
  }
}

HWY_ATTR void fold_largest(const Pairs& pairs, const float* s, int32_t first_key, float* m,
                           int32_t* pick) {
  for (int r = 0; r < pairs.rows; ++r) {
    if (m[r] != m[r]) continue;
    each_panel(
        pairs, r,
        [&](int i, const Mask16& used) HWY_ATTR {
          alignas(64) float x[16];
          store(select(used, load(s + r * kPairStep + 16 * i), broadcast(kNone)), x);
          for (int lane = 0; lane < 16; ++lane) {
            if (x[lane] <= m[r] || m[r] != m[r]) continue;
            m[r] = x[lane];
            pick[r] = first_key + 16 * i + lane;
          }
        },
        [](int) {});
  }
}

HWY_ATTR void fold_delta(const Pairs& pairs, const float* x, const float* g, const float* dp,
                         const float* slope, float* share, float* total) {
  for (int r = 0; r < pairs.rows; ++r) {
    F32x16 sum = zero(), all = zero();
    each_panel(
        pairs, r,
        [&](int i, const Mask16& used) HWY_ATTR {
          const int64_t at = r * kPairStep + 16 * i;
          const F32x16 d = slope == nullptr ? load(dp + at) : mul(load(dp + at), load(slope + at));
          sum = add(sum, select(used, mul(load(x + at), d), zero()));
          all = add(all, select(used, load(g + at), zero()));
        },
        [](int) {});
    store(add(load(share + 16 * r), sum), share + 16 * r);
    store(add(load(total + 16 * r), all), total + 16 * r);
  }
}

HWY_ATTR void sum_row_lanes(const float* lanes, int rows, float* sums) {
  for (int r = 0; r < rows; ++r) sums[r] = sum_lanes(load(lanes + 16 * r));
}

HWY_ATTR void finish_softmax(const float* m, const float* l, int rows, float* lse) {
  for (int r = 0; r < rows; ++r) {
    alignas(64) float result[16];
    const float sum = sum_lanes(load(l + 16 * r));
    store(add(broadcast(m[r]), log(broadcast(sum))), result);
    lse[r] = sum == 0 ? kNone : result[0];
  }
}

HWY_ATTR void add_sink(float sink, int rows, const float* lse, float* total, float* share) {
  for (int r = 0; r < rows; ++r) {
    if (lse[r] == kNone) {
      total[r] = kNone;
      share[r] = 0;
      continue;
    }
    const F32x16 a = broadcast(lse[r]), b = broadcast(sink), most = max(b, a);
    const F32x16 sum = add(exp_nonpositive(sub(a, most)), exp_nonpositive(sub(b, most)));
    const F32x16 all = add(most, log(sum));
    alignas(64) float lanes[16];
    store(all, lanes);
    total[r] = lanes[0];
    store(exp_nonpositive(sub(b, all)), lanes);
    share[r] = lanes[0];
  }
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace regard {

void weigh_pairs(WeightRule rule, const Pairs& pairs, const RowNumbers& numbers, int32_t first_key,
                 float* s, float* g) noexcept {
  REGARD_DISPATCH(weigh_pairs)(rule, pairs, numbers, first_key, s, g);
}

void differentiate_pairs(const Pairs& pairs, const float* g, const float* slope, const float* delta,
                         float* dp) noexcept {
  REGARD_DISPATCH(differentiate_pairs)(pairs, g, slope, delta, dp);
}

void multiply_used(const Pairs& pairs, const float* by, float factor, float* x) noexcept {
  REGARD_DISPATCH(multiply_used)(pairs, by, factor, x);
}

void fold_softmax(const Pairs& pairs, const float* s, float* m, float* l) noexcept {
  REGARD_DISPATCH(fold_softmax)(pairs, s, m, l);
}

void fold_positive(const Pairs& pairs, const float* s, float* m, float* l) noexcept {
  REGARD_DISPATCH(fold_positive)(pairs, s, m, l);
}

void fold_largest(const Pairs& pairs, const float* s, int32_t first_key, float* m,
                  int32_t* pick) noexcept {
  REGARD_DISPATCH(fold_largest)(pairs, s, first_key, m, pick);
}

void fold_delta(const Pairs& pairs, const float* x, const float* g, const float* dp,
                const float* slope, float* share, float* total) noexcept {
  REGARD_DISPATCH(fold_delta)(pairs, x, g, dp, slope, share, total);
}

void sum_row_lanes(const float* lanes, int rows, float* sums) noexcept {
  REGARD_DISPATCH(sum_row_lanes)(lanes, rows, sums);
}

void finish_softmax(const float* m, const float* l, int rows, float* lse) noexcept {
  REGARD_DISPATCH(finish_softmax)(m, l, rows, lse);
}

void add_sink(float sink, int rows, const float* lse, float* total, float* share) noexcept {
  REGARD_DISPATCH(add_sink)(sink, rows, lse, total, share);
}

}  // namespace regard
#endif
