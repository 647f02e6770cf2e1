// Mixtures of experts: which rows go to which expert, and how they come back.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "base/check.h"
#include "ops/ops.h"

namespace regard {

Routes route(const Tensor& scores, int64_t used) {
  const auto in = scores.view<float, 2>();
  const int64_t experts = in.shape[1];
  require(used >= 1 && used <= experts, "route: {} of {} experts", used, experts);
  Routes routes(static_cast<std::size_t>(experts));
  for (int64_t expert = 0; expert < experts; ++expert) routes[expert].expert = expert;
  std::vector<int64_t> order(routes.size());
  std::vector<float> weights(static_cast<std::size_t>(used));
  for (int64_t row = 0; row < in.shape[0]; ++row) {
    const float* of = in[row].data;
    const auto value = [&](int64_t expert) {
      return std::isnan(of[expert]) ? -std::numeric_limits<float>::infinity() : of[expert];
    };
    std::iota(order.begin(), order.end(), int64_t{0});
    std::partial_sort(order.begin(), order.begin() + used, order.end(), [&](int64_t a, int64_t b) {
      return value(a) > value(b) || (value(a) == value(b) && a < b);
    });
    for (int64_t i = 0; i < used; ++i) weights[i] = of[order[i]];
    const View<float, 2> chosen(weights.data(), {1, used});
    softmax(chosen, chosen);
    for (int64_t i = 0; i < used; ++i) {
      routes[order[i]].rows.push_back(row);
      routes[order[i]].weights.push_back(weights[i]);
    }
  }
  return routes;
}

Tensor zeros(Tensor::Extents shape) {
  Tensor made(shape);
  const auto all = made.reshape({made.size()}).writable<float, 1>();
  std::fill_n(all.data, made.size(), 0.0f);
  return made;
}

Tensor scatter_add(Tensor x, const Tensor& rows, std::span<const int64_t> indices,
                   std::span<const float> weights) {
  const auto added = rows.view<float, 2>();
  require(std::ssize(indices) == added.shape[0] && std::ssize(weights) == added.shape[0] &&
              x.shape(1) == added.shape[1],
          "scatter_add: {} indices and {} weights for {} into {}", indices.size(), weights.size(),
          rows, x);
  if (!x.sole_owner()) x = x + zeros({x.shape(0), x.shape(1)});
  const auto out = x.writable<float, 2>();
  for (int64_t n = 0; n < added.shape[0]; ++n) {
    const int64_t index = indices[static_cast<std::size_t>(n)];
    require(index >= 0 && index < out.shape[0], "scatter_add: row {} is not in {}", index, x);
    const float weight = weights[static_cast<std::size_t>(n)];
    float* to = out[index].data;
    const float* from = added[n].data;
    for (int64_t i = 0; i < out.shape[1]; ++i) to[i] += weight * from[i];
  }
  return x;
}

}  // namespace regard
