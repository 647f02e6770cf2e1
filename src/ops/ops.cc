#include "ops/ops.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "tensor/pool.h"

namespace regard {
namespace {

// Row kernels are shared out from this many numbers on; below, waking a thread costs more.
constexpr int64_t kNumbersPerTask = 8192;
constexpr int64_t kMaxFused = 8;

// Calls work(first, count) for ranges that cover [0, rows), on the pool when it pays.
template <class Work>
void over_rows(int64_t rows, int64_t width, const Work& work) {
  ThreadPool& pool = current_pool();
  const int64_t block = std::max<int64_t>(1, kNumbersPerTask / std::max<int64_t>(1, width));
  if (pool.threads() == 1 || rows <= block) return work(int64_t{0}, rows);
  const int64_t tasks = (rows + block - 1) / block;
  pool.parallel_for(
      tasks, [&](int64_t task, int) { work(task * block, std::min(block, rows - task * block)); });
}

// Storage for a result shaped like x: x's own when nobody else needs it.
Tensor like(const Tensor& x) { return Tensor::like(x); }

void require_same_shape(const char* call, const Tensor& a, const Tensor& b) {
  require(a.rank() == 2 && b.rank() == 2 && a.shape(0) == b.shape(0) && a.shape(1) == b.shape(1),
          "{}: {} and {} differ", call, a, b);
}

// x [rows, width] number by number, where it lies when nobody else has it.
template <class Work>
Tensor map_rows(Tensor x, const Work& work) {
  const auto in = std::as_const(x).view<float, 2>();
  Tensor made = x.sole_owner() ? std::move(x) : like(x);
  const auto out = made.writable<float, 2>();
  over_rows(out.shape[0], out.shape[1], [&](int64_t first, int64_t count) {
    work(in.rows(first, count), out.rows(first, count));
  });
  return made;
}

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

Tensor embedding(const PackedMatrix& table, std::span<const int32_t> ids) {
  for (const int32_t id : ids) {
    require(id >= 0 && id < table.outputs(), "embedding: id {} is not in 0 .. {}", id,
            table.outputs() - 1);
  }
  Tensor x({static_cast<int64_t>(ids.size()), table.inputs()});
  const auto rows = x.writable<float, 2>();
  over_rows(rows.shape[0], rows.shape[1], [&](int64_t first, int64_t count) {
    for (int64_t row = first; row < first + count; ++row) table.row(ids[row], rows[row].data);
  });
  return x;
}

Tensor embedding(const Tensor& table, std::span<const int32_t> ids) {
  const std::vector<int64_t> indices(ids.begin(), ids.end());
  return gather(table, indices);
}

Tensor gather(const Tensor& x, std::span<const int64_t> indices) {
  const auto from = x.view<float, 2>();
  Tensor chosen({static_cast<int64_t>(indices.size()), from.shape[1]});
  const auto to = chosen.writable<float, 2>();
  for (int64_t row = 0; row < to.shape[0]; ++row) {
    const int64_t index = indices[row];
    require(index >= 0 && index < from.shape[0], "gather: row {} is not in {}", index, x);
    std::memcpy(to[row].data, from[index].data, from.shape[1] * sizeof(float));
  }
  return chosen;
}

Tensor add(const Tensor& a, Tensor b) {
  require_same_shape("add", a, b);
  Tensor sum = b.sole_owner() ? std::move(b) : like(a);
  const auto left = a.view<float, 2>();
  const auto out = sum.writable<float, 2>();
  const View<const float, 2> right = b ? b.view<float, 2>() : View<const float, 2>(out);
  over_rows(out.shape[0], out.shape[1], [&](int64_t first, int64_t count) {
    regard::add(left.rows(first, count), right.rows(first, count), out.rows(first, count));
  });
  return sum;
}

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

Tensor log_sum_exp(const Tensor& x) {
  const auto in = x.view<float, 2>();
  Tensor sums({in.shape[0]});
  const auto out = sums.writable<float, 1>();
  over_rows(in.shape[0], in.shape[1], [&](int64_t first, int64_t count) {
    regard::log_sum_exp(in.rows(first, count), out.data + first);
  });
  return sums;
}

Tensor activate_gated(Activation function, const Tensor& gate, Tensor up) {
  require_same_shape("activate_gated", gate, up);
  Tensor gated = up.sole_owner() ? std::move(up) : like(gate);
  const auto g = gate.view<float, 2>();
  const auto out = gated.writable<float, 2>();
  const View<const float, 2> u = up ? up.view<float, 2>() : View<const float, 2>(out);
  over_rows(out.shape[0], out.shape[1], [&](int64_t first, int64_t count) {
    regard::activate_gated(function, g.rows(first, count), u.rows(first, count),
                           out.rows(first, count));
  });
  return gated;
}

Tensor activate(Activation function, Tensor x) {
  return map_rows(std::move(x), [&](View<const float, 2> in, View<float, 2> out) {
    regard::activate(function, in, out);
  });
}

Tensor scale(Tensor x, float factor) {
  return map_rows(std::move(x), [&](View<const float, 2> in, View<float, 2> out) {
    regard::scale(in, factor, out);
  });
}

Tensor softcap(Tensor x, float cap) {
  require(cap > 0, "softcap: a cap of {} is not positive", cap);
  return map_rows(std::move(x), [&](View<const float, 2> in, View<float, 2> out) {
    regard::softcap(in, cap, out);
  });
}

Tensor rope(Tensor x, const RopeTable& table, std::span<const int32_t> positions,
            RopeLayout layout) {
  const auto in = std::as_const(x).view<float, 3>();
  require(static_cast<int64_t>(positions.size()) == in.shape[0], "rope: {} positions for {} tokens",
          positions.size(), in.shape[0]);
  require(table.dim() <= in.shape[2], "rope: {} rotated numbers in heads of {}", table.dim(),
          in.shape[2]);
  for (const int32_t position : positions) {
    require(position >= 0 && position < table.positions(), "rope: position {} is not in 0 .. {}",
            position, table.positions() - 1);
  }
  Tensor turned = x.sole_owner() ? std::move(x) : like(x);
  const auto out = turned.writable<float, 3>();
  if (x) std::memcpy(out.data, in.data, in.size() * sizeof(float));
  over_rows(out.shape[0], out.shape[1] * out.shape[2], [&](int64_t first, int64_t count) {
    regard::rope(out.rows(first, count), table, positions.subspan(first, count), layout);
  });
  return turned;
}

void append(const Tensor& k, const Tensor& v, KvCache& cache, int64_t layer,
            std::span<const Segment> segments) {
  cache.append(layer, segments, k.view<float, 3>(), v.view<float, 3>(), {}, current_pool());
}

Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, KvCache& cache, int64_t layer,
                 std::span<const Segment> segments, AttentionPlan& plan) {
  cache.append(layer, segments, k.view<float, 3>(), v.view<float, 3>(), {}, current_pool());
  return attention(q, cache, layer, plan);
}

Tensor attention(const Tensor& q, const KvCache& cache, int64_t layer, AttentionPlan& plan) {
  const auto queries = q.view<float, 3>();
  Tensor mixed({queries.shape[0], queries.shape[1], cache.shape().dim_v});
  plan.run(cache, layer, queries, mixed.writable<float, 3>(), current_pool());
  return mixed;
}

Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, AttentionPlan& plan) {
  const auto queries = q.view<float, 3>();
  const auto values = v.view<float, 3>();
  Tensor mixed({queries.shape[0], queries.shape[1], values.shape[2]});
  plan.run(queries, k.view<float, 3>(), values, mixed.writable<float, 3>(), current_pool());
  return mixed;
}

}  // namespace regard
