#include "attention/oracle.h"

#include <cmath>
#include <limits>

namespace regard {
namespace {

bool allowed(const Expr& mask, int64_t row, int64_t key, int64_t rows, int64_t keys) {
  return mask.empty() || evaluate(mask, {.i = keys - rows + row, .j = key, .row = row}) != 0;
}

}  // namespace

OracleResult oracle_attention(View<const float, 3> q, View<const float, 3> k,
                              View<const float, 3> v, const Expr& mask, double scale) {
  constexpr double kNone = -std::numeric_limits<double>::infinity();
  const int64_t rows = q.shape[0], heads = q.shape[1], dim = q.shape[2];
  const int64_t keys = k.shape[0], kv_heads = k.shape[1], dim_v = v.shape[2];
  OracleResult result{std::vector<double>(static_cast<std::size_t>(rows * heads * dim_v)),
                      std::vector<double>(static_cast<std::size_t>(rows * heads), kNone)};
  std::vector<double> s(static_cast<std::size_t>(keys));
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t h = 0; h < heads; ++h) {
      const int64_t g = h / (heads / kv_heads);
      double largest = kNone;
      for (int64_t j = 0; j < keys; ++j) {
        if (!allowed(mask, i, j, rows, keys)) continue;
        double dot = 0;
        for (int64_t d = 0; d < dim; ++d) dot += static_cast<double>(q(i, h, d)) * k(j, g, d);
        s[j] = scale * dot;
        if (s[j] > largest || std::isnan(s[j])) largest = s[j];
      }
      if (largest == kNone) continue;
      double sum = 0;
      double* const out = result.out.data() + (i * heads + h) * dim_v;
      for (int64_t j = 0; j < keys; ++j) {
        if (!allowed(mask, i, j, rows, keys)) continue;
        const double p = std::exp(s[j] - largest);
        sum += p;
        for (int64_t d = 0; d < dim_v; ++d) out[d] += p * v(j, g, d);
      }
      for (int64_t d = 0; d < dim_v; ++d) out[d] /= sum;
      result.lse[i * heads + h] = largest + std::log(sum);
    }
  }
  return result;
}

OracleGradients oracle_attention_backward(View<const float, 3> q, View<const float, 3> k,
                                          View<const float, 3> v, View<const float, 3> dout,
                                          const Expr& mask, double scale) {
  const int64_t rows = q.shape[0], heads = q.shape[1], dim = q.shape[2];
  const int64_t keys = k.shape[0], kv_heads = k.shape[1], dim_v = v.shape[2];
  const OracleResult forward = oracle_attention(q, k, v, mask, scale);
  OracleGradients result{std::vector<double>(static_cast<std::size_t>(rows * heads * dim)),
                         std::vector<double>(static_cast<std::size_t>(keys * kv_heads * dim)),
                         std::vector<double>(static_cast<std::size_t>(keys * kv_heads * dim_v))};
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t h = 0; h < heads; ++h) {
      const int64_t g = h / (heads / kv_heads);
      const double lse = forward.lse[i * heads + h];
      if (lse == -std::numeric_limits<double>::infinity()) continue;
      const double* const out = forward.out.data() + (i * heads + h) * dim_v;
      double* const dq = result.dq.data() + (i * heads + h) * dim;
      for (int64_t j = 0; j < keys; ++j) {
        if (!allowed(mask, i, j, rows, keys)) continue;
        double* const dk = result.dk.data() + (j * kv_heads + g) * dim;
        double* const dv = result.dv.data() + (j * kv_heads + g) * dim_v;
        double dot = 0, dp = 0;
        for (int64_t d = 0; d < dim; ++d) dot += static_cast<double>(q(i, h, d)) * k(j, g, d);
        for (int64_t d = 0; d < dim_v; ++d) dp += dout(i, h, d) * (v(j, g, d) - out[d]);
        const double p = std::exp(scale * dot - lse), ds = scale * p * dp;
        for (int64_t d = 0; d < dim_v; ++d) dv[d] += p * dout(i, h, d);
        for (int64_t d = 0; d < dim; ++d) dq[d] += ds * k(j, g, d);
        for (int64_t d = 0; d < dim; ++d) dk[d] += ds * q(i, h, d);
      }
    }
  }
  return result;
}

}  // namespace regard
