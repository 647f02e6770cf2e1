#include "nn/experts.h"

#include <utility>

namespace regard::nn {

Tensor Experts::operator()(const Tensor& x) const {
  const Routes routes = route(router(x), used);
  Tensor sum = zeros({x.shape(0), x.shape(1)});
  for (const Route& to : routes) {
    if (to.rows.empty()) continue;
    const Tensor made = experts[static_cast<std::size_t>(to.expert)](gather(x, to.rows));
    sum = scatter_add(std::move(sum), made, to.rows, to.weights);
  }
  return sum;
}

}  // namespace regard::nn
