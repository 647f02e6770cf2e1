// y = x Wᵀ + bias, one matrix or several over the same x.
#include <algorithm>
#include <utility>

#include "ops/ops.h"
#include "tensor/pool.h"

namespace regard {
namespace {

constexpr int64_t kMaxFused = 8;

PackedMatrix pack(const Tensor& matrix) {
  const auto rows = matrix.view<float, 2>();
  return PackedMatrix::pack(DType::f32, std::as_bytes(matrix.numbers<float>()), rows.shape[0],
                            rows.shape[1], current_pool());
}

}  // namespace

Tensor linear(const Tensor& x, const Weight& weight) {
  Tensor y;
  linear(x, {&weight, 1}, {&y, 1});
  return y;
}

void linear(const Tensor& x, std::span<const Weight> weights, std::span<Tensor> y) {
  require(weights.size() == y.size() && weights.size() <= kMaxFused,
          "linear: {} matrices for {} results, at most {}", weights.size(), y.size(), kMaxFused);
  const auto rows = x.view<float, 2>();
  std::array<MatmulTarget, kMaxFused> targets;
  std::array<PackedMatrix, kMaxFused> made;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const Weight& weight = weights[i];
    if (weight.packed == nullptr) made[i] = pack(*weight.tensor);
    const PackedMatrix& matrix = weight.packed != nullptr ? *weight.packed : made[i];
    const bool has_bias = weight.bias != nullptr && *weight.bias;
    require(!has_bias || (weight.bias->rank() == 1 && weight.bias->shape(0) == matrix.outputs()),
            "linear: a bias {} for {} outputs", *weight.bias, matrix.outputs());
    y[i] = Tensor({rows.shape[0], matrix.outputs()});
    targets[i] = {&matrix, y[i].writable<float, 2>(),
                  has_bias ? weight.bias->numbers<float>().data() : nullptr};
  }
  matmul(rows, std::span(targets).first(weights.size()), current_pool());
}

}  // namespace regard
