#include "recurrent/alignment.h"

#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "base/check.h"
#include "ops/ops.h"
#include "ops/rows.h"
#include "recurrent/additive_rows.h"

namespace regard {
namespace {

struct Scores {
  Tensor queries, keys, v;  // detached
  std::vector<int64_t> lengths;
  int64_t batch, time, source, units;

  template <class T>
  AdditiveRow<T> row(int64_t b, int64_t t) const {
    return {lengths[static_cast<std::size_t>(b)], units,
            queries.numbers<T>().data() + (b * time + t) * units,
            keys.numbers<T>().data() + b * source * units, v.numbers<T>().data()};
  }
};

std::vector<int64_t> lengths_of(const char* call, std::span<const int64_t> given, int64_t batch,
                                int64_t source) {
  if (given.empty()) return std::vector<int64_t>(static_cast<std::size_t>(batch), source);
  require(std::ssize(given) == batch, "{}: {} lengths for a batch of {}", call, given.size(),
          batch);
  for (const int64_t length : given) {
    require(length >= 0 && length <= source, "{}: a length is {}, not 0 to {}", call, length,
            source);
  }
  return {given.begin(), given.end()};
}

// work(b) for each of the batch, on the pool.
template <class Work>
void over_sources(int64_t batch, const Work& work) {
  current_pool().parallel_for(batch, [&](int64_t b, int) { work(b); });
}

template <class T>
Tensor forward(const Scores& s) {
  Tensor made({s.batch, s.time, s.source}, kDTypeOf<T>);
  T* const out = made.writable_numbers<T>().data();
  over_sources(s.batch, [&](int64_t b) {
    for (int64_t t = 0; t < s.time; ++t) {
      const AdditiveRow<T> row = s.row<T>(b, t);
      T* const scores = out + (b * s.time + t) * s.source;
      additive_scores(row, scores);
      std::fill_n(scores + row.keys, s.source - row.keys, -std::numeric_limits<T>::infinity());
    }
  });
  return made;
}

template <class T>
void backward(const Scores& s, const Tensor& dscores, InputGradients& to) {
  Tensor dqueries = Tensor::like(s.queries), dkeys = Tensor::like(s.keys);
  Tensor partial({s.batch, s.units}, kDTypeOf<T>), dv({s.units}, kDTypeOf<T>);
  T* const queries = dqueries.writable_numbers<T>().data();
  T* const keys = dkeys.writable_numbers<T>().data();
  T* const sums = partial.writable_numbers<T>().data();
  const T* const de = dscores.numbers<T>().data();
  over_sources(s.batch, [&](int64_t b) {
    T* const own = keys + b * s.source * s.units;
    std::fill_n(own, s.source * s.units, T{0});
    std::fill_n(sums + b * s.units, s.units, T{0});
    for (int64_t t = 0; t < s.time; ++t) {
      additive_scores_gradient(s.row<T>(b, t), de + (b * s.time + t) * s.source,
                               queries + (b * s.time + t) * s.units, own, sums + b * s.units);
    }
  });
  T* const weights = dv.writable_numbers<T>().data();
  std::fill_n(weights, s.units, T{0});
  for (int64_t b = 0; b < s.batch; ++b) {
    for (int64_t i = 0; i < s.units; ++i) weights[i] += sums[b * s.units + i];
  }
  to.add(0, std::move(dqueries));
  to.add(1, std::move(dkeys));
  to.add(2, std::move(dv));
}

}  // namespace

Tensor additive_scores(const Tensor& queries, const Tensor& keys, const Tensor& v,
                       std::span<const int64_t> lengths) {
  const bool wide = in_f64("additive_scores", {&queries, &keys, &v});
  require(queries.rank() == 3 && keys.rank() == 3 && v.rank() == 1 &&
              queries.shape(0) == keys.shape(0) && queries.shape(2) == keys.shape(2) &&
              v.shape(0) == keys.shape(2),
          "additive_scores: queries {}, keys {} and v {} must be [batch, time, units], "
          "[batch, source, units] and [units]",
          queries, keys, v);
  auto s = std::make_shared<Scores>(
      Scores{queries.detach(), keys.detach(), v.detach(),
             lengths_of("additive_scores", lengths, keys.shape(0), keys.shape(1)), queries.shape(0),
             queries.shape(1), keys.shape(1), keys.shape(2)});
  Tensor made = wide ? forward<double>(*s) : forward<float>(*s);
  if (!recording({&queries, &keys, &v})) return made;
  return record(std::move(made), {&queries, &keys, &v},
                [s, wide](const Tensor& dscores, InputGradients& to) {
                  wide ? backward<double>(*s, dscores, to) : backward<float>(*s, dscores, to);
                });
}

Tensor dot_scores(const Tensor& queries, const Tensor& keys, std::span<const int64_t> lengths) {
  require(queries.rank() == 3 && keys.rank() == 3,
          "dot_scores: queries {} and keys {} must be [batch, time, width] and "
          "[batch, source, width]",
          queries, keys);
  const Tensor scores = matmul(queries, permute(keys, {0, 2, 1}));
  if (lengths.empty()) return scores;
  const std::vector<int64_t> whole =
      lengths_of("dot_scores", lengths, keys.shape(0), keys.shape(1));
  Tensor mask({scores.shape(0), scores.shape(1), scores.shape(2)}, scores.dtype());
  const auto fill = [&]<class T>(std::span<T> out) {
    for (int64_t row = 0; row < scores.shape(0) * scores.shape(1); ++row) {
      const int64_t length = whole[static_cast<std::size_t>(row / scores.shape(1))];
      for (int64_t j = 0; j < scores.shape(2); ++j) {
        out[static_cast<std::size_t>(row * scores.shape(2) + j)] =
            j < length ? T{0} : -std::numeric_limits<T>::infinity();
      }
    }
  };
  if (scores.dtype() == DType::f64) {
    fill(mask.writable_numbers<double>());
  } else {
    fill(mask.writable_numbers<float>());
  }
  return add(scores, std::move(mask));
}

Aligned align(const Tensor& scores, const Tensor& values) {
  require(scores.rank() == 3 && values.rank() == 3 && scores.shape(0) == values.shape(0) &&
              scores.shape(2) == values.shape(1),
          "align: scores {} and values {} must be [batch, time, source] and "
          "[batch, source, width]",
          scores, values);
  Aligned made;
  made.weights = softmax(scores);
  made.context = matmul(made.weights, values);
  return made;
}

}  // namespace regard
