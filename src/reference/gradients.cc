// The backward pass: the chain rule through the formula, one row at a time, from out back to the
// weights, the scores, the similarity and q, k, v.
#include "base/check.h"
#include "reference/rows.h"

namespace regard {
namespace {

using reference::Formula;
using reference::Numbers;
using reference::Place;
using reference::Row;

using ArraySums = std::vector<std::pair<Array, std::vector<double>>>;

std::vector<double>& sum_of(ArraySums& sums, const Array& array) {
  for (auto& [known, numbers] : sums) {
    if (known == array) return numbers;
  }
  int64_t size = 1;
  for (int axis = 0; axis < array.rank(); ++axis) size *= array.shape(axis);
  return sums.emplace_back(array, std::vector<double>(static_cast<std::size_t>(size))).second;
}

// A score or weight program differentiated by its own value and by its arrays.
class ProgramGradient {
 public:
  ProgramGradient(const Expr& program, const Expr& by_value, ArraySums& sums) : sums_(sums) {
    if (program.empty()) return;
    by_value_.emplace(by_value);
    for (const ArrayDerivative& part : array_derivatives(program)) {
      Part& mine = parts_.emplace_back(Part{part.array, {}, Evaluator(part.derivative)});
      for (const Expr& index : part.index) mine.index.emplace_back(index);
      sum_of(sums_, part.array);
    }
  }

  // From the gradient of the program's result to that of its value; adds to the arrays'.
  double operator()(const Point& point, double gradient) {
    if (!by_value_) return gradient;
    for (Part& part : parts_) {
      int64_t at = 0;
      bool inside = true;
      for (int axis = 0; axis < part.array.rank(); ++axis) {
        const double index = part.index[static_cast<std::size_t>(axis)](point);
        inside = inside && index >= 0 && index < static_cast<double>(part.array.shape(axis));
        at = at * part.array.shape(axis) + (inside ? static_cast<int64_t>(index) : 0);
      }
      if (inside)
        sum_of(sums_, part.array)[static_cast<std::size_t>(at)] +=
            gradient * part.derivative(point);
    }
    return gradient * (*by_value_)(point);
  }

 private:
  struct Part {
    Array array;
    std::vector<Evaluator> index;
    Evaluator derivative;
  };
  ArraySums& sums_;
  std::optional<Evaluator> by_value_;
  std::vector<Part> parts_;
};

Expr by_value(const Expr& program) { return program.empty() ? program : derivative(program); }

}  // namespace

std::vector<double> ReferenceGradients::of(const Array& array) const {
  for (const auto& [known, numbers] : arrays) {
    if (known == array) return numbers;
  }
  ArraySums zeros;
  return sum_of(zeros, array);
}

ReferenceGradients reference_gradients(const InputView<4>& q_view, const InputView<4>& k_view,
                                       const InputView<4>& v_view, const InputView<4>& dout_view,
                                       std::span<const Segment> segments,
                                       const AttentionOptions& options) {
  const Numbers q(q_view), k(k_view), v(v_view), dout(dout_view);
  Numbers dq(q.shape), dk(k.shape), dv(v.shape);
  const int64_t dim_v = v.shape[3];
  ReferenceGradients result;
  Formula formula(q, k, options);
  ProgramGradient through_score(options.score, by_value(options.score), result.arrays);
  ProgramGradient through_weight(options.weight, by_value(options.weight), result.arrays);
  std::vector<double> d_sinks(static_cast<std::size_t>(q.shape[2]));
  Row row;
  reference::for_each_place(segments, q.shape[2], k.shape[2], [&](const Place& place) {
    formula.compute(place, row);
    if (row.normalised.empty) return;
    const int64_t slab = place.segment->slab;
    const double* const dout_row = dout.at(slab, place.token(), place.head);
    // What a program reads: s is the scaled similarity, or p in a weight program.
    const auto point_at = [&](std::size_t n, double s) {
      Point point = place.point;
      point.j = row.allowed[n];
      point.s = s;
      return point;
    };

    // out = Σ weight v, weight = program(p)
    std::vector<double> dp(row.allowed.size());
    for (std::size_t n = 0; n < dp.size(); ++n) {
      const int64_t key = place.key(row.allowed[n]);
      const double* const v_row = v.at(slab, key, place.kv_head);
      double* const dv_row = dv.at(slab, key, place.kv_head);
      double d_weight = 0;
      for (int64_t d = 0; d < dim_v; ++d) {
        d_weight += dout_row[d] * v_row[d];
        dv_row[d] += row.weight[n] * dout_row[d];
      }
      dp[n] = through_weight(point_at(n, row.normalised.p[n]), d_weight);
    }

    // p = normalise((score + noise) / temperature)
    const std::vector<double> ds =
        normaliser_gradient(options.normaliser, row.s, row.normalised, dp,
                            d_sinks[static_cast<std::size_t>(place.head)]);

    // score = program(scale · u(q, k))
    const double* const q_row = q.at(slab, place.token(), place.head);
    double* const dq_row = dq.at(slab, place.token(), place.head);
    for (std::size_t n = 0; n < ds.size(); ++n) {
      const int64_t key = place.key(row.allowed[n]);
      const double s = row.similarity[static_cast<std::size_t>(row.allowed[n])];
      const double du =
          through_score(point_at(n, s), ds[n] / formula.temperature()) * formula.scale();
      formula.similarity().add_gradient(place.head, q_row, k.at(slab, key, place.kv_head), du,
                                        dq_row, dk.at(slab, key, place.kv_head));
    }
  });
  if (options.normaliser.sinks && options.normaliser.sinks->differentiable()) {
    std::vector<double>& sum = sum_of(result.arrays, *options.normaliser.sinks);
    for (std::size_t h = 0; h < d_sinks.size(); ++h) sum[sum.size() == 1 ? 0 : h] += d_sinks[h];
  }
  if (options.similarity.parameters && options.similarity.parameters->differentiable()) {
    std::vector<double>& sum = sum_of(result.arrays, *options.similarity.parameters);
    const std::vector<double>& more = formula.similarity().d_parameters();
    for (std::size_t n = 0; n < sum.size(); ++n) sum[n] += more[n];
  }
  result.dq = std::move(dq.data);
  result.dk = std::move(dk.data);
  result.dv = std::move(dv.data);
  return result;
}

ReferenceGradients reference_gradients(const InputView<3>& q, const InputView<3>& k,
                                       const InputView<3>& v, const InputView<3>& dout,
                                       const AttentionOptions& options) {
  const InputView<4> batch_q = as_batch(q), batch_k = as_batch(k);
  return reference_gradients(batch_q, batch_k, as_batch(v), as_batch(dout),
                             one_segment_each(batch_q, batch_k), options);
}

}  // namespace regard
