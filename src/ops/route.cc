// Mixtures of experts: which rows go to which expert, and how much each counts. The choice has no
// gradient, the weights of what was chosen have: those of softmax.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "ops/ops.h"
#include "ops/rows.h"

namespace regard {
namespace {

// The places of the `used` largest of every row in x [rows, experts] flattened, [rows · used].
template <class T>
std::vector<int64_t> largest(const Tensor& scores, int64_t used) {
  const auto in = scores.view<T, 2>();
  std::vector<int64_t> places, order(static_cast<std::size_t>(in.shape[1]));
  places.reserve(static_cast<std::size_t>(in.shape[0] * used));
  for (int64_t row = 0; row < in.shape[0]; ++row) {
    const T* of = in[row].data;
    const auto value = [&](int64_t expert) {
      return std::isnan(of[expert]) ? -std::numeric_limits<T>::infinity() : of[expert];
    };
    std::iota(order.begin(), order.end(), int64_t{0});
    std::partial_sort(order.begin(), order.begin() + used, order.end(), [&](int64_t a, int64_t b) {
      return value(a) > value(b) || (value(a) == value(b) && a < b);
    });
    for (int64_t i = 0; i < used; ++i) {
      places.push_back(row * in.shape[1] + order[static_cast<std::size_t>(i)]);
    }
  }
  return places;
}

}  // namespace

Routes route(const Tensor& scores, int64_t used) {
  const bool wide = in_f64("route", {&scores});
  require(scores.rank() == 2, "route: {} is not [rows, experts]", scores);
  const int64_t rows = scores.shape(0), experts = scores.shape(1);
  require(used >= 1 && used <= experts, "route: {} of {} experts", used, experts);
  const std::vector<int64_t> chosen =
      wide ? largest<double>(scores, used) : largest<float>(scores, used);
  const Tensor weights =
      softmax(gather(scores.reshape({rows * experts, 1}), chosen).reshape({rows, used}))
          .reshape({rows * used, 1});

  Routes routes(static_cast<std::size_t>(experts));
  std::vector<std::vector<int64_t>> places(routes.size());  // in weights
  for (int64_t n = 0; n < std::ssize(chosen); ++n) {
    const auto expert = static_cast<std::size_t>(chosen[static_cast<std::size_t>(n)] % experts);
    routes[expert].rows.push_back(n / used);
    places[expert].push_back(n);
  }
  for (std::size_t expert = 0; expert < routes.size(); ++expert) {
    routes[expert].expert = static_cast<int64_t>(expert);
    routes[expert].weights = gather(weights, places[expert]).reshape({std::ssize(places[expert])});
  }
  return routes;
}

}  // namespace regard
