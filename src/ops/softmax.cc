// The logarithm of the sum of exponentials.

#include "ops/ops.h"
#include "ops/rows.h"

namespace regard {

Tensor log_sum_exp(const Tensor& x) {
  const auto in = x.view<float, 2>();
  Tensor sums({in.shape[0]});
  const auto out = sums.writable<float, 1>();
  over_rows(in.shape[0], in.shape[1], [&](int64_t first, int64_t count) {
    regard::log_sum_exp(in.rows(first, count), out.data + first);
  });
  return sums;
}

}  // namespace regard
