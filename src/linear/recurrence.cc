// run_steps, read_state and sum_keys, compiled once per target. See recurrence.h for the algebra.
#include "linear/recurrence.h"

#include "simd/highway.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "linear/recurrence.cc"
#include <hwy/foreach_target.h>

#include "simd/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {
namespace {

// As many accumulators as stay in registers.
constexpr int kTokens = kParts == 1 ? 4 : 2;        // tokens through the state together
constexpr int kWide = kParts == 1 ? 2 : 1;          // columns then
constexpr int kDeltaColumns = kParts == 1 ? 4 : 1;  // columns of one token of a delta rule

// kTokens tokens of a rule without delta, for one query head. k, a and q: [kRows][dim_step]; u:
// what is written, [kRows][64].
template <int kRows, int kColumns, bool kDecays, bool kWrites, bool kReads, bool kKeeps>
HWY_ATTR void pass(const Steps& steps, const float* k, const float* a, const float* u,
                   const float* q, float* out, float* state) {
  F32x16 value[kRows][kColumns], sum[kRows][kColumns];
#pragma GCC unroll 4
  for (int t = 0; t < kRows; ++t) {
#pragma GCC unroll 4
    for (int j = 0; j < kColumns; ++j) {
      if (kWrites) value[t][j] = load(u + t * kStateColumns + 16 * j);
      if (kReads) sum[t][j] = zero();
    }
  }
  const int64_t step = steps.dim_step;
  for (int64_t d = 0; d < steps.dim; ++d, state += kStateColumns) {
    F32x16 s[kColumns];
#pragma GCC unroll 4
    for (int j = 0; j < kColumns; ++j) s[j] = load(state + 16 * j);
#pragma GCC unroll 4
    for (int t = 0; t < kRows; ++t) {
      if (kWrites) {
        const F32x16 key = broadcast(k[t * step + d]);
        const F32x16 decay = kDecays ? broadcast(a[t * step + d]) : key;
#pragma GCC unroll 4
        for (int j = 0; j < kColumns; ++j) {
          s[j] = fma(key, value[t][j], kDecays ? mul(decay, s[j]) : s[j]);
        }
      }
      if (kReads) {
        const F32x16 query = broadcast(q[t * step + d]);
#pragma GCC unroll 4
        for (int j = 0; j < kColumns; ++j) sum[t][j] = fma(query, s[j], sum[t][j]);
      }
    }
    if (kKeeps) {
#pragma GCC unroll 4
      for (int j = 0; j < kColumns; ++j) store(s[j], state + 16 * j);
    }
  }
  if (kReads) {
#pragma GCC unroll 4
    for (int t = 0; t < kRows; ++t) {
#pragma GCC unroll 4
      for (int j = 0; j < kColumns; ++j) store(sum[t][j], out + t * kStateColumns + 16 * j);
    }
  }
}

template <int kRows, int kColumns, bool kDecays>
HWY_ATTR void take_columns(const Steps& steps, int first, int column, float* state) {
  const float* const k = steps.k + first * steps.dim_step;
  const float* const a = kDecays ? steps.a + first * steps.dim_step : nullptr;
  const float* const v = steps.v + first * kStateColumns + 16 * column;
  float* const at = state + 16 * column;
  const auto q = [&](int head)
                     HWY_ATTR { return steps.q + (head * kStepTokens + first) * steps.dim_step; };
  const auto out = [&](int head) HWY_ATTR {
    return steps.out + (head * kStepTokens + first) * kStateColumns + 16 * column;
  };
  if (steps.heads == 0) {
    pass<kRows, kColumns, kDecays, true, false, true>(steps, k, a, v, nullptr, nullptr, at);
    return;
  }
  // Every head walks the tokens for itself; the last one leaves the state behind.
  const int last = steps.heads - 1;
  for (int head = 0; head < last; ++head) {
    pass<kRows, kColumns, kDecays, true, true, false>(steps, k, a, v, q(head), out(head), at);
  }
  pass<kRows, kColumns, kDecays, true, true, true>(steps, k, a, v, q(last), out(last), at);
}

// All tokens through some columns, then the next: those columns stay in the first cache.
template <int kColumns, bool kDecays>
HWY_ATTR void take(const Steps& steps, int column, float* state) {
  int t = 0;
  for (; t + kTokens <= steps.tokens; t += kTokens) {
    take_columns<kTokens, kColumns, kDecays>(steps, t, column, state);
  }
  for (; t < steps.tokens; ++t) take_columns<1, kColumns, kDecays>(steps, t, column, state);
}

template <bool kDecays>
HWY_ATTR void take_all(const Steps& steps, float* state) {
  int column = 0;
  for (; column + kWide <= steps.columns; column += kWide) {
    take<kWide, kDecays>(steps, column, state);
  }
  for (; column < steps.columns; ++column) take<1, kDecays>(steps, column, state);
}

// ---- delta rules: what a token writes depends on what it reads first ----

// w = a S in place and r = wᵀ k: what the first token needs.
template <int kColumns, bool kDecays>
HWY_ATTR void retrieve(const Steps& steps, float* state, F32x16* r) {
  F32x16 sum[kColumns];
#pragma GCC unroll 4
  for (int j = 0; j < kColumns; ++j) sum[j] = zero();
  for (int64_t d = 0; d < steps.dim; ++d, state += kStateColumns) {
    const F32x16 key = broadcast(steps.k[d]);
#pragma GCC unroll 4
    for (int j = 0; j < kColumns; ++j) {
      F32x16 w = load(state + 16 * j);
      if (kDecays) {
        w = mul(broadcast(steps.a[d]), w);
        store(w, state + 16 * j);
      }
      sum[j] = fma(key, w, sum[j]);
    }
  }
#pragma GCC unroll 4
  for (int j = 0; j < kColumns; ++j) r[j] = sum[j];
}

// One token: S = w + k uᵀ and o = Sᵀ q; and with kNext at once w and r of the token behind it, so
// that the state is read and written once.
template <int kColumns, bool kDecays, bool kReads, bool kNext>
HWY_ATTR void correct(const Steps& steps, int token, const F32x16* u, float* out, float* state,
                      F32x16* r) {
  const int64_t step = steps.dim_step;
  const float* const k = steps.k + token * step;
  const float* const q = kReads ? steps.q + ((steps.heads - 1) * kStepTokens + token) * step : k;
  const float* const next_a = kDecays && kNext ? steps.a + (token + 1) * step : k;
  F32x16 value[kColumns], sum[kColumns], next[kColumns];
#pragma GCC unroll 4
  for (int j = 0; j < kColumns; ++j) {
    value[j] = u[j];
    sum[j] = next[j] = zero();
  }
  for (int64_t d = 0; d < steps.dim; ++d, state += kStateColumns) {
    const F32x16 key = broadcast(k[d]);
#pragma GCC unroll 4
    for (int j = 0; j < kColumns; ++j) {
      F32x16 s = fma(key, value[j], load(state + 16 * j));
      if (kReads) sum[j] = fma(broadcast(q[d]), s, sum[j]);
      if (kNext) {
        if (kDecays) s = mul(broadcast(next_a[d]), s);
        next[j] = fma(broadcast(k[step + d]), s, next[j]);
      }
      store(s, state + 16 * j);
    }
  }
#pragma GCC unroll 4
  for (int j = 0; j < kColumns; ++j) {
    if (kReads) store(sum[j], out + 16 * j);
    r[j] = next[j];
  }
}

template <int kColumns, bool kDecays>
HWY_ATTR void take_delta(const Steps& steps, int column, float* state) {
  float* const at = state + 16 * column;
  F32x16 r[kColumns], u[kColumns];
  retrieve<kColumns, kDecays>(steps, at, r);
  for (int t = 0; t < steps.tokens; ++t) {
    alignas(64) float written[kStateColumns];
#pragma GCC unroll 4
    for (int j = 0; j < kColumns; ++j) {
      const F32x16 v = load(steps.v + t * kStateColumns + 16 * (column + j));
      u[j] = mul(broadcast(steps.beta[t]), sub(v, r[j]));
      store(u[j], written + 16 * j);
    }
    const auto out = [&](int head) HWY_ATTR {
      return steps.out + (head * kStepTokens + t) * kStateColumns + 16 * column;
    };
    const float* const k = steps.k + t * steps.dim_step;
    for (int head = 0; head + 1 < steps.heads; ++head) {
      pass<1, kColumns, false, true, true, false>(
          steps, k, nullptr, written, steps.q + (head * kStepTokens + t) * steps.dim_step,
          out(head), at);
    }
    float* const last = steps.heads > 0 ? out(steps.heads - 1) : nullptr;
    const bool next = t + 1 < steps.tokens;
    if (steps.heads == 0) {
      next ? correct<kColumns, kDecays, false, true>(steps, t, u, last, at, r)
           : correct<kColumns, kDecays, false, false>(steps, t, u, last, at, r);
    } else {
      next ? correct<kColumns, kDecays, true, true>(steps, t, u, last, at, r)
           : correct<kColumns, kDecays, true, false>(steps, t, u, last, at, r);
    }
  }
}

template <bool kDecays>
HWY_ATTR void take_all_delta(const Steps& steps, float* state) {
  int column = 0;
  for (; column + kDeltaColumns <= steps.columns; column += kDeltaColumns) {
    take_delta<kDeltaColumns, kDecays>(steps, column, state);
  }
  for (; column < steps.columns; ++column) take_delta<1, kDecays>(steps, column, state);
}

template <int kRows, int kColumns>
HWY_ATTR void read_columns(const Steps& steps, int first, int column, const float* state) {
  for (int head = 0; head < steps.heads; ++head) {
    const int64_t row = head * kStepTokens + first;
    // Nothing is kept, so the state is not written to.
    pass<kRows, kColumns, false, false, true, false>(
        steps, nullptr, nullptr, nullptr, steps.q + row * steps.dim_step,
        steps.out + row * kStateColumns + 16 * column, const_cast<float*>(state) + 16 * column);
  }
}

}  // namespace

HWY_ATTR void run_steps(const Steps& steps, float* state) {
  if (steps.tokens == 0) return;
  if (steps.beta != nullptr) {
    steps.a != nullptr ? take_all_delta<true>(steps, state) : take_all_delta<false>(steps, state);
  } else {
    steps.a != nullptr ? take_all<true>(steps, state) : take_all<false>(steps, state);
  }
}

HWY_ATTR void read_state(const Steps& steps, const float* state) {
  for (int t = 0; t < steps.tokens; t += t + kTokens <= steps.tokens ? kTokens : 1) {
    for (int column = 0; column < steps.columns;) {
      const bool wide = column + kWide <= steps.columns;
      if (t + kTokens <= steps.tokens) {
        wide ? read_columns<kTokens, kWide>(steps, t, column, state)
             : read_columns<kTokens, 1>(steps, t, column, state);
      } else {
        wide ? read_columns<1, kWide>(steps, t, column, state)
             : read_columns<1, 1>(steps, t, column, state);
      }
      column += wide ? kWide : 1;
    }
  }
}

HWY_ATTR void sum_keys(const Steps& steps, float* z, float* sums) {
  for (int t = 0; t < steps.tokens; ++t) {
    const int64_t row = t * steps.dim_step;
    for (int64_t d = 0; d < steps.dim && steps.k != nullptr; d += 16) {
      const F32x16 key = load(steps.k + row + d), before = load(z + d);
      store(steps.a != nullptr ? fma(load(steps.a + row + d), before, key) : add(before, key),
            z + d);
    }
    for (int head = 0; head < steps.heads; ++head) {
      const float* const q = steps.q + (head * kStepTokens + t) * steps.dim_step;
      F32x16 sum = zero();
      for (int64_t d = 0; d < steps.dim; d += 16) sum = fma(load(q + d), load(z + d), sum);
      sums[head * kStepTokens + t] = sum_lanes(sum);
    }
  }
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace regard {

void run_steps(const Steps& steps, float* state) noexcept {
  REGARD_DISPATCH(run_steps)(steps, state);
}
void read_state(const Steps& steps, const float* state) noexcept {
  REGARD_DISPATCH(read_state)(steps, state);
}
void sum_keys(const Steps& steps, float* z, float* sums) noexcept {
  REGARD_DISPATCH(sum_keys)(steps, z, sums);
}

}  // namespace regard
#endif
