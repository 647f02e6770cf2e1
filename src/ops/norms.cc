// RMSNorm and LayerNorm.

#include "ops/ops.h"
#include "ops/rows.h"

namespace regard {

Tensor rms_norm(const Tensor& x, const Tensor& gain, float epsilon) {
  const auto in = x.view<float, 2>();
  require(gain.size() == in.shape[1], "rms_norm: a gain {} for {}", gain, x);
  const float* const gains = gain.numbers<float>().data();
  Tensor normed({in.shape[0], in.shape[1]});
  const auto out = normed.writable<float, 2>();
  over_rows(out.shape[0], out.shape[1], [&](int64_t first, int64_t count) {
    regard::rms_norm(in.rows(first, count), gains, epsilon, out.rows(first, count));
  });
  return normed;
}

Tensor layer_norm(const Tensor& x, const Tensor& gain, const Tensor& shift, float epsilon) {
  const auto in = x.view<float, 2>();
  require(gain.size() == in.shape[1] && (!shift || shift.size() == gain.size()),
          "layer_norm: a gain {} and a shift {} for {}", gain, shift, x);
  const float* const gains = gain.numbers<float>().data();
  const float* const shifts = shift ? shift.numbers<float>().data() : nullptr;
  Tensor normed({in.shape[0], in.shape[1]});
  const auto out = normed.writable<float, 2>();
  over_rows(out.shape[0], out.shape[1], [&](int64_t first, int64_t count) {
    regard::layer_norm(in.rows(first, count), gains, shifts, epsilon, out.rows(first, count));
  });
  return normed;
}

}  // namespace regard
