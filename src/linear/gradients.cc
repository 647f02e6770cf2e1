// The kernels of gradients.h, compiled once per target.
#include "linear/gradients.h"

#include "simd/highway.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "linear/gradients.cc"
#include <hwy/foreach_target.h>

#include "simd/simd-inl.h"
#include "simd/sums-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {
namespace {

// The first kColumns vectors of 16 columns.
template <int kColumns>
struct Line {
  F32x16 at[kColumns];
};
template <int kColumns>
HWY_INLINE HWY_ATTR Line<kColumns> load_line(const float* from) {
  Line<kColumns> line;
#pragma GCC unroll 4
  for (int j = 0; j < kColumns; ++j) line.at[j] = load(from + 16 * j);
  return line;
}
template <int kColumns>
HWY_INLINE HWY_ATTR void store_line(const Line<kColumns>& line, float* to) {
#pragma GCC unroll 4
  for (int j = 0; j < kColumns; ++j) store(line.at[j], to + 16 * j);
}
// sum + a · b in lanes, column after column.
template <int kColumns>
HWY_INLINE HWY_ATTR F32x16 dot(const Line<kColumns>& a, const Line<kColumns>& b, F32x16 sum) {
#pragma GCC unroll 4
  for (int j = 0; j < kColumns; ++j) sum = fma(a.at[j], b.at[j], sum);
  return sum;
}
// a x + y.
template <int kColumns>
HWY_INLINE HWY_ATTR Line<kColumns> add_times(const F32x16& a, const Line<kColumns>& x,
                                             const Line<kColumns>& y) {
  Line<kColumns> sum;
#pragma GCC unroll 4
  for (int j = 0; j < kColumns; ++j) sum.at[j] = fma(a, x.at[j], y.at[j]);
  return sum;
}
template <int kColumns>
HWY_INLINE HWY_ATTR Line<kColumns> times(const F32x16& a, const Line<kColumns>& x) {
  Line<kColumns> product;
#pragma GCC unroll 4
  for (int j = 0; j < kColumns; ++j) product.at[j] = mul(a, x.at[j]);
  return product;
}
template <int kColumns>
HWY_INLINE HWY_ATTR Line<kColumns> nothing() {
  Line<kColumns> line;
#pragma GCC unroll 4
  for (int j = 0; j < kColumns; ++j) line.at[j] = zero();
  return line;
}

// out[d] = the lanes that row(d) returns, summed.
template <class Row>
HWY_INLINE HWY_ATTR void sum_each(int64_t dim, const Row& row, float* out) {
  for (int64_t d = 0; d < dim; d += 16) {
    alignas(64) float lanes[16 * 16];
    for (int i = 0; i < 16; ++i) store(d + i < dim ? row(d + i) : zero(), lanes + 16 * i);
    store(sum_rows(lanes), out + d);
  }
}

template <int kColumns, bool kDecays, bool kDelta>
HWY_ATTR void replay(const Steps& steps, const float* state, const History& history) {
  // Each pass makes w of one token, and reads from it what a delta rule asks: the first from the
  // state, the others from w and u of the token before.
  Line<kColumns> u = nothing<kColumns>();
  for (int t = 0; t < steps.tokens; ++t) {
    const float* const k = steps.k + t * steps.dim_step;
    const float* const a = kDecays ? steps.a + t * steps.dim_step : k;
    float* const w = history.w + t * steps.dim * kStateColumns;
    const float* const before = t == 0 ? state : w - steps.dim * kStateColumns;
    Line<kColumns> r = nothing<kColumns>();
    for (int64_t d = 0; d < steps.dim; ++d) {
      Line<kColumns> s = load_line<kColumns>(before + d * kStateColumns);
      if (t > 0) s = add_times(broadcast(k[d - steps.dim_step]), u, s);
      if (kDecays) s = times(broadcast(a[d]), s);
      if (kDelta) r = add_times(broadcast(k[d]), s, r);
      store_line(s, w + d * kStateColumns);
    }
    u = load_line<kColumns>(steps.v + t * kStateColumns);
    if (kDelta) {
#pragma GCC unroll 4
      for (int j = 0; j < kColumns; ++j) r.at[j] = sub(u.at[j], r.at[j]);
      u = times(broadcast(steps.beta[t]), r);
      store_line(r, history.e + t * kStateColumns);
    }
    store_line(u, history.u + t * kStateColumns);
  }
}

template <int kColumns, bool kDecays, bool kDelta>
HWY_ATTR void reverse(const Steps& steps, const History& history, const float* dout, float* g,
                      const StepGradients& gradients) {
  const int64_t step = steps.dim_step;
  for (int t = steps.tokens - 1; t >= 0; --t) {
    const float* const k = steps.k + t * step;
    const float* const w = history.w + t * steps.dim * kStateColumns;
    const Line<kColumns> u = load_line<kColumns>(history.u + t * kStateColumns);
    Line<kColumns> du = nothing<kColumns>(), dr = du;
    for (int head = 0; head < steps.heads; ++head) {
      const bool last = head + 1 == steps.heads;
      const float* const q = steps.q + (head * kStepTokens + t) * step;
      const Line<kColumns> d_o =
          load_line<kColumns>(dout + (head * kStepTokens + t) * kStateColumns);
      const auto row = [&](int64_t d) HWY_ATTR {
        const F32x16 key = broadcast(k[d]);
        const Line<kColumns> s = add_times(key, u, load_line<kColumns>(w + d * kStateColumns));
        float* const at = g + d * kStateColumns;
        const Line<kColumns> more = add_times(broadcast(q[d]), d_o, load_line<kColumns>(at));
        store_line(more, at);
        if (last) du = add_times(key, more, du);
        return dot(s, d_o, zero());
      };
      sum_each(steps.dim, row, gradients.dq + (head * kStepTokens + t) * step);
    }
    if (kDelta) {
      const Line<kColumns> e = load_line<kColumns>(history.e + t * kStateColumns);
      gradients.dbeta[t] = sum_lanes(dot(du, e, zero()));
      du = times(broadcast(steps.beta[t]), du);
#pragma GCC unroll 4
      for (int j = 0; j < kColumns; ++j) dr.at[j] = neg(du.at[j]);
    }
    store_line(du, gradients.dv + t * kStateColumns);
    alignas(64) float dg[16 * 16];
    for (int64_t first = 0; first < steps.dim; first += 16) {
      alignas(64) float dk[16 * 16];
      for (int i = 0; i < 16; ++i) {
        const int64_t d = first + i;
        F32x16 of_k = zero(), of_g = zero();
        if (d < steps.dim) {
          float* const at = g + d * kStateColumns;
          Line<kColumns> dw = load_line<kColumns>(at);
          of_k = dot(u, dw, of_k);
          if (kDecays || kDelta) {
            const Line<kColumns> before = load_line<kColumns>(w + d * kStateColumns);
            if (kDelta) {
              of_k = dot(dr, before, of_k);
              dw = add_times(broadcast(k[d]), dr, dw);
            }
            if (kDecays) {
              of_g = dot(dw, before, of_g);
              dw = times(broadcast(steps.a[t * step + d]), dw);
            }
            store_line(dw, at);
          }
        }
        store(of_k, dk + 16 * i);
        if (kDecays) store(of_g, dg + 16 * i);
      }
      store(sum_rows(dk), gradients.dk + t * step + first);
      if (kDecays) store(sum_rows(dg), gradients.dg + t * step + first);
    }
  }
}

// Calls work with the number of columns and the rule as constants.
template <class Work>
HWY_ATTR void with_rule(const Steps& steps, const Work& work) {
  const auto with_columns = [&](auto decays, auto delta) HWY_ATTR {
    constexpr bool kDecays = decltype(decays)::value, kDelta = decltype(delta)::value;
    switch (steps.columns) {
      case 1:
        return work.template run<1, kDecays, kDelta>();
      case 2:
        return work.template run<2, kDecays, kDelta>();
      case 3:
        return work.template run<3, kDecays, kDelta>();
      default:
        return work.template run<4, kDecays, kDelta>();
    }
  };
  const std::true_type yes;
  const std::false_type no;
  if (steps.beta != nullptr) {
    steps.a != nullptr ? with_columns(yes, yes) : with_columns(no, yes);
  } else {
    steps.a != nullptr ? with_columns(yes, no) : with_columns(no, no);
  }
}

struct ReplayWork {
  const Steps& steps;
  const float* state;
  const History& history;
  template <int kColumns, bool kDecays, bool kDelta>
  HWY_ATTR void run() const {
    replay<kColumns, kDecays, kDelta>(steps, state, history);
  }
};
struct ReverseWork {
  const Steps& steps;
  const History& history;
  const float* dout;
  float* g;
  const StepGradients& gradients;
  template <int kColumns, bool kDecays, bool kDelta>
  HWY_ATTR void run() const {
    reverse<kColumns, kDecays, kDelta>(steps, history, dout, g, gradients);
  }
};

template <int kColumns>
HWY_ATTR void multiply(const Steps& steps, const float* matrix, const float* x, float* out) {
  for (int t = 0; t < steps.tokens; ++t) {
    const Line<kColumns> line = load_line<kColumns>(x + t * kStateColumns);
    sum_each(
        steps.dim,
        [&](int64_t d)
            HWY_ATTR { return dot(load_line<kColumns>(matrix + d * kStateColumns), line, zero()); },
        out + t * steps.dim_step);
  }
}

}  // namespace

HWY_ATTR void replay_steps(const Steps& steps, const float* state, const History& history) {
  with_rule(steps, ReplayWork{steps, state, history});
}

HWY_ATTR void reverse_steps(const Steps& steps, const History& history, const float* dout, float* g,
                            const StepGradients& gradients) {
  with_rule(steps, ReverseWork{steps, history, dout, g, gradients});
}

HWY_ATTR void multiply_rows(const Steps& steps, const float* matrix, const float* x, float* out) {
  switch (steps.columns) {
    case 1:
      return multiply<1>(steps, matrix, x, out);
    case 2:
      return multiply<2>(steps, matrix, x, out);
    case 3:
      return multiply<3>(steps, matrix, x, out);
    default:
      return multiply<4>(steps, matrix, x, out);
  }
}

HWY_ATTR void reverse_sums(const Steps& steps, const float* z, const float* dsums, float* dz,
                           const StepGradients& gradients) {
  for (int t = steps.tokens - 1; t >= 0; --t) {
    const int64_t row = t * steps.dim_step;
    const float* const before = z + row;
    const float* const behind = before + steps.dim_step;
    for (int64_t d = 0; d < steps.dim; d += 16) {
      F32x16 sum = load(dz + d);
      for (int head = 0; head < steps.heads; ++head) {
        const int64_t at = (head * kStepTokens + t) * steps.dim_step + d;
        const F32x16 dsum = broadcast(dsums[head * kStepTokens + t]);
        sum = fma(load(steps.q + at), dsum, sum);
        store(fma(load(behind + d), dsum, load(gradients.dq + at)), gradients.dq + at);
      }
      store(add(load(gradients.dk + row + d), sum), gradients.dk + row + d);
      if (steps.a != nullptr) {
        sum = mul(load(steps.a + row + d), sum);
        store(fma(sum, load(before + d), load(gradients.dg + row + d)), gradients.dg + row + d);
      }
      store(sum, dz + d);
    }
  }
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace regard {

void replay_steps(const Steps& steps, const float* state, const History& history) noexcept {
  REGARD_DISPATCH(replay_steps)(steps, state, history);
}
void reverse_steps(const Steps& steps, const History& history, const float* dout, float* g,
                   const StepGradients& gradients) noexcept {
  REGARD_DISPATCH(reverse_steps)(steps, history, dout, g, gradients);
}
void multiply_rows(const Steps& steps, const float* matrix, const float* x, float* out) noexcept {
  REGARD_DISPATCH(multiply_rows)(steps, matrix, x, out);
}
void reverse_sums(const Steps& steps, const float* z, const float* dsums, float* dz,
                  const StepGradients& gradients) noexcept {
  REGARD_DISPATCH(reverse_sums)(steps, z, dsums, dz, gradients);
}

}  // namespace regard
#endif
