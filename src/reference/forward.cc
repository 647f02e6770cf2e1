// The forward pass as numbers to compare with.
#include <algorithm>

#include "reference/rows.h"

namespace regard {

using reference::Place;
using reference::Row;

namespace {

constexpr double kNone = -std::numeric_limits<double>::infinity();

}  // namespace

InputView<4> as_batch(const InputView<3>& a) {
  return {a.data,
          a.dtype,
          {1, a.shape[0], a.shape[1], a.shape[2]},
          {0, a.strides[0], a.strides[1], a.strides[2]}};
}
OutputView<4> as_batch(const OutputView<3>& a) {
  return {a.data,
          a.dtype,
          {1, a.shape[0], a.shape[1], a.shape[2]},
          {0, a.strides[0], a.strides[1], a.strides[2]}};
}

std::vector<Segment> one_segment_each(const InputView<4>& q, const InputView<4>& k) {
  std::vector<Segment> segments;
  for (int64_t slab = 0; slab < q.shape[0]; ++slab) {
    segments.push_back({.rows = q.shape[1], .keys = k.shape[1], .slab = slab});
  }
  return segments;
}

Reference reference_attention(const InputView<4>& q, const InputView<4>& k, const InputView<4>& v,
                              std::span<const Segment> segments, const AttentionOptions& options,
                              Matrices matrices) {
  const int64_t tokens = q.shape[1], heads = q.shape[2], dim_v = v.shape[3];
  const int64_t keys = reference::longest(segments);
  const auto rows = static_cast<std::size_t>(q.shape[0] * tokens * heads);
  Reference result;
  result.out.resize(rows * static_cast<std::size_t>(dim_v));
  if (options.normaliser.kind == Normaliser::Kind::softmax) result.lse.assign(rows, kNone);
  result.entropy.resize(rows);
  result.key_sums.resize(segments.size() * static_cast<std::size_t>(heads * keys));
  if (matrices == Matrices::keep) {
    const std::size_t size = rows * static_cast<std::size_t>(keys);
    for (auto* m : {&result.similarities, &result.weights, &result.normalised}) m->resize(size);
    for (auto* m : {&result.scores, &result.masked, &result.normaliser_scores}) {
      m->assign(size, kNone);
    }
  }
  reference::for_each_row(
      q, k, v, segments, options, [&](const Place& at, const Row& row, const auto& out) {
        const int64_t index = (at.segment->slab * tokens + at.token()) * heads + at.head;
        std::copy(out.begin(), out.end(), result.out.begin() + index * dim_v);
        if (!result.lse.empty()) result.lse[static_cast<std::size_t>(index)] = row.normalised.lse;
        result.entropy[static_cast<std::size_t>(index)] = row.entropy;
        const auto sums = result.key_sums.begin() + (at.point.batch * heads + at.head) * keys;
        for (std::size_t n = 0; n < row.allowed.size(); ++n) {
          sums[row.allowed[n]] += row.normalised.p[n];
        }
        if (matrices == Matrices::leave_out) return;
        const int64_t first = index * keys;
        std::copy(row.similarity.begin(), row.similarity.end(),
                  result.similarities.begin() + first);
        std::copy(row.score.begin(), row.score.end(), result.scores.begin() + first);
        for (std::size_t n = 0; n < row.allowed.size(); ++n) {
          const auto to = static_cast<std::size_t>(first + row.allowed[n]);
          result.masked[to] = result.scores[to];
          result.normaliser_scores[to] = row.s[n];
          result.normalised[to] = row.normalised.p[n];
          result.weights[to] = row.weight[n];
        }
      });
  return result;
}

Reference reference_attention(const InputView<3>& q, const InputView<3>& k, const InputView<3>& v,
                              const AttentionOptions& options, Matrices matrices) {
  const InputView<4> batch_q = as_batch(q), batch_k = as_batch(k);
  return reference_attention(batch_q, batch_k, as_batch(v), one_segment_each(batch_q, batch_k),
                             options, matrices);
}

}  // namespace regard
