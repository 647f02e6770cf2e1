// The same written into the views of a caller: results of f64 arrays.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "reference/rows.h"

namespace regard {

using reference::Place;
using reference::Row;

namespace {

constexpr double kNone = -std::numeric_limits<double>::infinity();

// The keys of the largest weights, the lower key first among equals, NaNs before all: positions in
// row.allowed.
std::vector<std::size_t> order_of_weights(const Row& row) {
  std::vector<std::size_t> order(row.allowed.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    const double x = row.normalised.p[a], y = row.normalised.p[b];
    return x > y || (std::isnan(x) && !std::isnan(y));
  });
  return order;
}

void write_matrices(const AttentionExtras& extras, const Place& at, const Row& row) {
  const int64_t slab = at.segment->slab, token = at.token();
  const auto fill = [&](const View<float, 4>& matrix, double nothing, const auto& number_of) {
    if (matrix.data == nullptr) return;
    const View<float, 1> to = matrix[slab][token][at.head];
    for (int64_t j = 0; j < to.shape[0]; ++j) to[j] = static_cast<float>(nothing);
    number_of(to);
  };
  const auto copy = [](const std::vector<double>& numbers) {
    return [&numbers](const View<float, 1>& to) {
      for (std::size_t j = 0; j < numbers.size(); ++j) {
        to[static_cast<int64_t>(j)] = static_cast<float>(numbers[j] + 0.0);
      }
    };
  };
  fill(extras.similarities, 0, copy(row.similarity));
  fill(extras.scores, kNone, copy(row.score));
  fill(extras.masked, kNone, [&](const View<float, 1>& to) {
    for (const int64_t j : row.allowed) {
      to[j] = static_cast<float>(row.score[static_cast<std::size_t>(j)] + 0.0);
    }
  });
  fill(extras.weights, 0, [&](const View<float, 1>& to) {
    for (std::size_t n = 0; n < row.allowed.size(); ++n) {
      to[row.allowed[n]] = static_cast<float>(row.weight[n] + 0.0);
    }
  });
}

void write_largest(const AttentionExtras& extras, const Place& at, const Row& row) {
  if (extras.top_weights.data == nullptr && extras.top_keys.data == nullptr) return;
  const std::vector<std::size_t> order = order_of_weights(row);
  const int64_t slab = at.segment->slab, token = at.token();
  const auto fill = [&](const auto& view, auto nothing, const auto& number_of) {
    if (view.data == nullptr) return;
    const auto to = view[slab][token][at.head];
    for (int64_t n = 0; n < to.shape[0]; ++n) {
      const auto rank = static_cast<std::size_t>(n);
      to[n] = rank < order.size() ? number_of(order[rank]) : nothing;
    }
  };
  fill(extras.top_weights, 0.0f,
       [&](std::size_t n) { return static_cast<float>(row.normalised.p[n]); });
  fill(extras.top_keys, -1, [&](std::size_t n) { return static_cast<int32_t>(row.allowed[n]); });
}

}  // namespace

void write_reference(const InputView<4>& q, const InputView<4>& k, const InputView<4>& v,
                     const OutputView<4>& out, std::span<const Segment> segments,
                     const AttentionOptions& options, const AttentionExtras& extras) {
  const int64_t heads = q.shape[2], keys = reference::longest(segments);
  std::vector<double> sums(segments.size() * static_cast<std::size_t>(heads * keys));
  reference::for_each_row(
      q, k, v, segments, options, [&](const Place& at, const Row& row, const auto& numbers) {
        const int64_t slab = at.segment->slab, token = at.token();
        reference::write_row(out, slab, token, at.head, numbers.data());
        if (extras.lse.data != nullptr) {
          extras.lse(slab, token, at.head) = static_cast<float>(row.normalised.lse);
        }
        if (extras.entropy.data != nullptr) {
          extras.entropy(slab, token, at.head) = static_cast<float>(row.entropy);
        }
        for (std::size_t n = 0; n < row.allowed.size(); ++n) {
          sums[static_cast<std::size_t>((at.point.batch * heads + at.head) * keys +
                                        row.allowed[n])] += row.normalised.p[n];
        }
        write_matrices(extras, at, row);
        write_largest(extras, at, row);
      });
  if (extras.key_sums.data == nullptr) return;
  const View<float, 3>& to = extras.key_sums;
  for (int64_t n = 0; n < to.shape[0]; ++n)
    for (int64_t h = 0; h < to.shape[1]; ++h)
      for (int64_t j = 0; j < to.shape[2]; ++j)
        to(n, h, j) =
            static_cast<float>(sums[static_cast<std::size_t>((n * heads + h) * keys + j)]);
}

void write_reference_gradients(const InputView<4>& q, const InputView<4>& k, const InputView<4>& v,
                               const InputView<4>& dout, const OutputView<4>& dq,
                               const OutputView<4>& dk, const OutputView<4>& dv,
                               std::span<const Segment> segments, const AttentionOptions& options,
                               std::span<const ArrayGradient> arrays) {
  const ReferenceGradients g = reference_gradients(q, k, v, dout, segments, options);
  const auto write = [](const OutputView<4>& to, const std::vector<double>& numbers) {
    const double* row = numbers.data();
    for (int64_t a = 0; a < to.shape[0]; ++a)
      for (int64_t b = 0; b < to.shape[1]; ++b)
        for (int64_t c = 0; c < to.shape[2]; ++c, row += to.shape[3])
          reference::write_row(to, a, b, c, row);
  };
  write(dq, g.dq);
  write(dk, g.dk);
  write(dv, g.dv);
  for (const ArrayGradient& wanted : arrays) {
    const std::vector<double> numbers = g.of(wanted.array);
    const int rank = wanted.array.rank();
    std::array<int64_t, Array::kMaxRank> strides{};
    for (int64_t axis = rank - 1, step = 1; axis >= 0; --axis) {
      const auto a = static_cast<std::size_t>(axis);
      strides[a] = wanted.strides.empty() ? step : wanted.strides[a];
      step *= wanted.array.shape(static_cast<int>(axis));
    }
    for (std::size_t n = 0; n < numbers.size(); ++n) {
      int64_t rest = static_cast<int64_t>(n), offset = 0;
      for (int axis = rank - 1; axis >= 0; --axis) {
        offset += rest % wanted.array.shape(axis) * strides[static_cast<std::size_t>(axis)];
        rest /= wanted.array.shape(axis);
      }
      static_cast<float*>(wanted.data)[offset] = static_cast<float>(numbers[n] + 0.0);
    }
  }
}

}  // namespace regard
