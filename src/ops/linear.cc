// y = x Wᵀ + bias, one matrix or several over the same x, and its gradients:
//   dx = dy W      dW = dyᵀ x      dbias = the sums of dy's columns
// dW and dbias go straight into the sums that their leaves have so far.
#include <algorithm>
#include <array>
#include <mutex>
#include <utility>

#include "matmul/product.h"
#include "ops/ops.h"
#include "tensor/pool.h"
#include "tensor/tape.h"

namespace regard {
namespace {

constexpr int64_t kMaxFused = 8;

// From this many rows on a matrix is multiplied as it lies: turning it costs at most 3 % of that.
constexpr int64_t kRowsAsItLies = 128;

bool given(const Tensor* x) { return x != nullptr && static_cast<bool>(*x); }

const Tensor& or_empty(const Tensor* x) {
  static const Tensor empty;
  return x != nullptr ? *x : empty;
}

PlainMatrix plain(const Tensor& w) {
  const void* const data = w.dtype() == DType::f16 ? static_cast<const void*>(w.view<f16, 2>().data)
                           : w.dtype() == DType::bf16
                               ? static_cast<const void*>(w.view<bf16, 2>().data)
                               : w.view<float, 2>().data;
  return {data, w.dtype(), w.shape(0), w.shape(1)};
}

// ---- panels of a tensor, kept with its node ----

struct Panels {
  PackedMatrix matrix;  // empty when the numbers were used once only
};

// Panels for a few rows, from the second use of the same numbers on: what is used once in a step is
// not packed, what a recurrence uses at every time step is.
PackedMatrix panels_of(const Tensor& w) {
  static std::mutex mutex;
  Node& node = *w.node();
  {
    const std::lock_guard lock(mutex);
    if (node.derived == nullptr || node.derived_version != node.version) {
      node.derived = std::make_shared<const Panels>();
      node.derived_version = node.version;
      return {};
    }
    const auto* const kept = static_cast<const Panels*>(node.derived.get());
    if (kept->matrix.outputs() > 0) return kept->matrix;
  }
  const auto made = std::make_shared<const Panels>(PackedMatrix::pack(plain(w), current_pool()));
  const std::lock_guard lock(mutex);
  node.derived = made;
  return made->matrix;
}

// ---- f32 ----

void check_bias(const Weight& weight, int64_t outputs) {
  require(!given(weight.bias) || (weight.bias->rank() == 1 && weight.bias->shape(0) == outputs),
          "linear: a bias {} for {} outputs", or_empty(weight.bias), outputs);
}

void multiply_f32(const Tensor& x, std::span<const Weight> weights, std::span<Tensor> y) {
  const auto rows = x.view<float, 2>();
  std::array<PackedMatrix, kMaxFused> packed;
  std::array<MatmulTarget, kMaxFused> targets;
  std::array<Product, kMaxFused> products;
  std::size_t target_count = 0, product_count = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const Weight& weight = weights[i];
    check_bias(weight, weight.outputs());
    y[i] = Tensor({rows.shape[0], weight.outputs()});
    const auto out = y[i].writable<float, 2>();
    const float* const bias = given(weight.bias) ? weight.bias->numbers<float>().data() : nullptr;
    const PackedMatrix* matrix = weight.packed;
    if (matrix == nullptr && weight.tensor->tracked() && rows.shape[0] < kRowsAsItLies &&
        weight.tensor->size() > 0) {
      packed[i] = panels_of(*weight.tensor);
      if (packed[i].outputs() > 0) matrix = &packed[i];
    }
    if (matrix != nullptr) {
      targets[target_count++] = {matrix, out, bias};
    } else {
      const PlainMatrix w = plain(*weight.tensor);
      products[product_count++] = {.a = rows, .b = w.transposed(), .c = out, .bias = bias};
    }
  }
  if (target_count > 0) matmul(rows, std::span(targets).first(target_count), current_pool());
  multiply(std::span(products).first(product_count), current_pool());
}

// A packed matrix as rows again: only its x may want a gradient, which is rare.
Tensor unpack(const PackedMatrix& packed) {
  Tensor w({packed.outputs(), packed.inputs()});
  const auto rows = w.writable<float, 2>();
  current_pool().parallel_for(rows.shape[0],
                              [&](int64_t row, int) { packed.row(row, rows[row].data); });
  return w;
}

// The sum that an input has so far and whether there is one, or memory for it.
std::pair<Tensor, bool> sum_so_far(InputGradients& to, int64_t i, Tensor::Shape shape) {
  Tensor sum = to.take(i);
  if (sum) return {std::move(sum), true};
  return {Tensor(shape), false};
}

// What the gradients are computed from, apart from the tape.
struct Kept {
  Tensor x;             // empty where the matrix wants no gradient
  Tensor w;             // empty where x wants none
  PackedMatrix packed;  // in place of w
  std::array<int64_t, 2> x_shape;
  std::array<int64_t, 2> w_shape;
};

void gradients_f32(const Kept& kept, const Tensor& dy, InputGradients& to) {
  const auto rows = dy.view<float, 2>();
  std::array<Product, 2> products;
  std::size_t count = 0;
  Tensor dx, dw, dbias, w = kept.w;
  if (to.wants(0)) {
    if (!w) w = unpack(kept.packed);
    bool add = false;
    std::tie(dx, add) = sum_so_far(to, 0, kept.x_shape);
    products[count++] = {.a = rows, .b = plain(w), .c = dx.writable<float, 2>(), .add_to_c = add};
  }
  if (to.wants(1) || to.wants(2)) {
    Product& p = products[count++] = {};
    p.a = transposed(rows);
    p.b = PlainMatrix(nullptr, DType::f32, rows.shape[0], 0);
    p.c = {nullptr, {rows.shape[1], 0}};
    if (to.wants(1)) {
      std::tie(dw, p.add_to_c) = sum_so_far(to, 1, kept.w_shape);
      p.b = kept.x.view<float, 2>();
      p.c = dw.writable<float, 2>();
    }
    if (to.wants(2)) {
      std::tie(dbias, p.add_to_row_sums) = sum_so_far(to, 2, std::array{rows.shape[1]});
      p.row_sums = dbias.writable<float, 1>().data;
    }
  }
  multiply(std::span(products).first(count), current_pool());
  if (dx) to.add(0, std::move(dx));
  if (dw) to.add(1, std::move(dw));
  if (dbias) to.add(2, std::move(dbias));
}

// ---- f64: the formulas ----

void multiply_f64(const Tensor& x, const Weight& weight, Tensor& y) {
  require(weight.packed == nullptr, "linear: packed weights multiply f32, not {}", x);
  check_bias(weight, weight.outputs());
  y = Tensor({x.shape(0), weight.outputs()}, DType::f64);
  const auto out = y.writable<double, 2>();
  multiply(x.view<double, 2>(), transposed(weight.tensor->view<double, 2>()), out, false);
  if (!given(weight.bias)) return;
  const auto bias = weight.bias->view<double, 1>();
  for (int64_t r = 0; r < out.shape[0]; ++r) {
    for (int64_t j = 0; j < out.shape[1]; ++j) out(r, j) += bias[j];
  }
}

void gradients_f64(const Kept& kept, const Tensor& dy, InputGradients& to) {
  const auto rows = dy.view<double, 2>();
  if (to.wants(0)) {
    Tensor dx(kept.x_shape, DType::f64);
    multiply(rows, kept.w.view<double, 2>(), dx.writable<double, 2>(), false);
    to.add(0, std::move(dx));
  }
  if (to.wants(1)) {
    Tensor dw(kept.w_shape, DType::f64);
    multiply(transposed(rows), kept.x.view<double, 2>(), dw.writable<double, 2>(), false);
    to.add(1, std::move(dw));
  }
  if (to.wants(2)) {
    Tensor dbias({rows.shape[1]}, DType::f64);
    const auto sums = dbias.writable<double, 1>();
    for (int64_t j = 0; j < rows.shape[1]; ++j) {
      double sum = 0;
      for (int64_t r = 0; r < rows.shape[0]; ++r) sum += rows(r, j);
      sums[j] = sum;
    }
    to.add(2, std::move(dbias));
  }
}

Tensor on_tape(const Tensor& x, const Weight& weight, Tensor y) {
  const Tensor& w = or_empty(weight.packed == nullptr ? weight.tensor : nullptr);
  const Tensor& bias = or_empty(weight.bias);
  if (!recording({&x, &w, &bias})) return y;
  Kept kept;
  kept.x_shape = {x.shape(0), x.shape(1)};
  kept.w_shape = {weight.outputs(), x.shape(1)};
  if (w.tracked()) kept.x = x.detach();
  if (x.tracked() && weight.packed == nullptr) kept.w = w.detach();
  if (x.tracked() && weight.packed != nullptr) kept.packed = *weight.packed;
  return record(std::move(y), {&x, &w, &bias},
                [kept = std::move(kept)](const Tensor& dy, InputGradients& to) {
                  if (dy.dtype() == DType::f64) return gradients_f64(kept, dy, to);
                  gradients_f32(kept, dy, to);
                });
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
  if (x.dtype() == DType::f64) {
    for (std::size_t i = 0; i < weights.size(); ++i) multiply_f64(x, weights[i], y[i]);
  } else {
    multiply_f32(x, weights, y);
  }
  for (std::size_t i = 0; i < weights.size(); ++i) y[i] = on_tape(x, weights[i], std::move(y[i]));
}

}  // namespace regard
