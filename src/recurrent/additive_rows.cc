#include "recurrent/additive_rows.h"

#include <algorithm>
#include <cmath>

#include "kernels/gradients.h"
#include "simd/highway.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "recurrent/additive_rows.cc"
#include <hwy/foreach_target.h>

#include "kernels/row-inl.h"
#include "simd/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {

struct AddScore {
  HWY_INLINE HWY_ATTR void operator()(F32x16& sum, const F32x16& q, const F32x16& k,
                                      const F32x16& v) const {
    sum = fma(v, tanh(add(q, k)), sum);
  }
};
void score_row(const AdditiveRow<float>& row, float* scores) {
  for (int64_t j = 0; j < row.keys; ++j) {
    F32x16 sum = zero();
    fold_rows(AddScore(), row.units, sum, row.query, row.key + j * row.units, row.weights);
    scores[j] = sum_lanes(sum);
  }
}

// Sixteen units (or the last few) over all keys: their sums stay in registers.
void score_row_gradient(const AdditiveRow<float>& row, const float* dscores, float* dquery,
                        float* dkeys, float* dweights) {
  for (int64_t u = 0; u < row.units; u += 16) {
    const int count = static_cast<int>(std::min<int64_t>(16, row.units - u));
    const bool whole = count == 16;
    const auto get = [&](const float* from)
                         HWY_ATTR { return whole ? load(from) : load_first(from, count); };
    const auto put = [&](const F32x16& x, float* to)
                         HWY_ATTR { whole ? store(x, to) : store_first(x, to, count); };
    const F32x16 q = get(row.query + u), v = get(row.weights + u);
    F32x16 dq = zero(), dv = get(dweights + u);
    for (int64_t j = 0; j < row.keys; ++j) {
      const F32x16 de = broadcast(dscores[j]);
      const F32x16 t = tanh(add(q, get(row.key + j * row.units + u)));
      const F32x16 dt = mul(mul(de, v), fnma(t, t, broadcast(1.0f)));
      dq = add(dq, dt);
      dv = fma(de, t, dv);
      put(add(get(dkeys + j * row.units + u), dt), dkeys + j * row.units + u);
    }
    put(dq, dquery + u);
    put(dv, dweights + u);
  }
}

void weigh_row(const WeighedRow<float>& row, const float* alpha, float* context) {
  for (int64_t i = 0; i < row.width; i += 16) {
    const int count = static_cast<int>(std::min<int64_t>(16, row.width - i));
    F32x16 sum = zero();
    for (int64_t j = 0; j < row.keys; ++j) {
      const float* const from = row.values + j * row.width + i;
      sum = fma(broadcast(alpha[j]), count == 16 ? load(from) : load_first(from, count), sum);
    }
    sum = add(sum, zero());  // never -0
    if (count == 16) {
      store(sum, context + i);
    } else {
      store_first(sum, context + i, count);
    }
  }
}

struct AddProduct {
  HWY_INLINE HWY_ATTR void operator()(F32x16& sum, const F32x16& a, const F32x16& b) const {
    sum = fma(a, b, sum);
  }
};
void weigh_row_gradient(const WeighedRow<float>& row, const float* dcontext, float* dalpha) {
  for (int64_t j = 0; j < row.keys; ++j) {
    F32x16 sum = zero();
    fold_rows(AddProduct(), row.width, sum, dcontext, row.values + j * row.width);
    dalpha[j] = sum_lanes(sum);
  }
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace regard {

void additive_scores(const AdditiveRow<float>& row, float* scores) {
  REGARD_DISPATCH(score_row)(row, scores);
}
void additive_scores_gradient(const AdditiveRow<float>& row, const float* dscores, float* dquery,
                              float* dkeys, float* dweights) {
  REGARD_DISPATCH(score_row_gradient)(row, dscores, dquery, dkeys, dweights);
}
void weighed_values(const WeighedRow<float>& row, const float* alpha, float* context) {
  REGARD_DISPATCH(weigh_row)(row, alpha, context);
}
void weighed_values_gradient(const WeighedRow<float>& row, const float* dcontext, float* dalpha) {
  REGARD_DISPATCH(weigh_row_gradient)(row, dcontext, dalpha);
}
void softmax_row(int64_t keys, float* scores) {
  softmax(View<const float, 2>(scores, {1, keys}), View<float, 2>(scores, {1, keys}));
}
void softmax_row_gradient(int64_t keys, const float* alpha, float* dalpha) {
  softmax_gradient(View<const float, 2>(alpha, {1, keys}), View<const float, 2>(dalpha, {1, keys}),
                   View<float, 2>(dalpha, {1, keys}));
}

// ---- f64: the formulas ----

void additive_scores(const AdditiveRow<double>& row, double* scores) {
  for (int64_t j = 0; j < row.keys; ++j) {
    scores[j] = 0;
    for (int64_t u = 0; u < row.units; ++u) {
      scores[j] += row.weights[u] * std::tanh(row.query[u] + row.key[j * row.units + u]);
    }
  }
}
void additive_scores_gradient(const AdditiveRow<double>& row, const double* dscores, double* dquery,
                              double* dkeys, double* dweights) {
  std::fill_n(dquery, row.units, 0.0);
  for (int64_t j = 0; j < row.keys; ++j) {
    for (int64_t u = 0; u < row.units; ++u) {
      const double t = std::tanh(row.query[u] + row.key[j * row.units + u]);
      const double dt = dscores[j] * row.weights[u] * (1 - t * t);
      dquery[u] += dt;
      dkeys[j * row.units + u] += dt;
      dweights[u] += dscores[j] * t;
    }
  }
}
void weighed_values(const WeighedRow<double>& row, const double* alpha, double* context) {
  for (int64_t i = 0; i < row.width; ++i) {
    context[i] = 0;
    for (int64_t j = 0; j < row.keys; ++j) context[i] += alpha[j] * row.values[j * row.width + i];
  }
}
void weighed_values_gradient(const WeighedRow<double>& row, const double* dcontext,
                             double* dalpha) {
  for (int64_t j = 0; j < row.keys; ++j) {
    dalpha[j] = 0;
    for (int64_t i = 0; i < row.width; ++i) {
      dalpha[j] += dcontext[i] * row.values[j * row.width + i];
    }
  }
}
void softmax_row(int64_t keys, double* scores) {
  double most = scores[0], sum = 0;
  for (int64_t j = 1; j < keys; ++j) most = std::max(most, scores[j]);
  for (int64_t j = 0; j < keys; ++j) sum += scores[j] = std::exp(scores[j] - most);
  for (int64_t j = 0; j < keys; ++j) scores[j] /= sum;
}
void softmax_row_gradient(int64_t keys, const double* alpha, double* dalpha) {
  double sum = 0;
  for (int64_t j = 0; j < keys; ++j) sum += alpha[j] * dalpha[j];
  for (int64_t j = 0; j < keys; ++j) dalpha[j] = alpha[j] * (dalpha[j] - sum);
}

}  // namespace regard
#endif  // HWY_ONCE
