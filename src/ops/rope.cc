// Rotary positions. A rotation's gradient is the rotation by the opposite angle.
#include <cstring>
#include <type_traits>
#include <utility>
#include <vector>

#include "kernels/gradients.h"
#include "ops/ops.h"
#include "ops/rows.h"

namespace regard {
namespace {

enum class Way { forwards, backwards };

void turn_f64(View<double, 3> x, const RopeTable& table, std::span<const int32_t> positions,
              RopeLayout layout, Way way) {
  const int64_t half = table.dim() / 2;
  for (int64_t token = 0; token < x.shape[0]; ++token) {
    const int32_t at = positions[static_cast<std::size_t>(token)];
    for (int64_t head = 0; head < x.shape[1]; ++head) {
      for (int64_t i = 0; i < half; ++i) {
        const bool pairs = layout == RopeLayout::pairs;
        double& a = x(token, head, pairs ? 2 * i : i);
        double& b = x(token, head, pairs ? 2 * i + 1 : i + half);
        const double c = table.cosines(at)[i];
        const double s = way == Way::forwards ? table.sines(at)[i] : -table.sines(at)[i];
        const double turned = a * c - b * s;
        b = a * s + b * c;
        a = turned;
      }
    }
  }
}

// x [tokens, heads, dim], turned where `made` is.
template <class T>
Tensor turn(const Tensor& x, Tensor made, const RopeTable& table,
            std::span<const int32_t> positions, RopeLayout layout, Way way) {
  const auto in = x.view<T, 3>();
  const auto out = made.template writable<T, 3>();
  over_rows(out.shape[0], out.shape[1] * out.shape[2], [&](int64_t first, int64_t count) {
    const auto to = out.rows(first, count);
    if (in.data != out.data) {
      std::memcpy(to.data, in.rows(first, count).data,
                  static_cast<std::size_t>(to.size()) * sizeof(T));
    }
    const auto some =
        positions.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count));
    if constexpr (std::is_same_v<T, double>) {
      turn_f64(to, table, some, layout, way);
    } else {
      way == Way::forwards ? regard::rope(to, table, some, layout)
                           : rope_gradient(to, table, some, layout);
    }
  });
  return made;
}

}  // namespace

Tensor rope(Tensor x, const RopeTable& table, std::span<const int32_t> positions,
            RopeLayout layout) {
  return rope(std::move(x), std::shared_ptr<const RopeTable>(std::shared_ptr<void>(), &table),
              positions, layout);
}

Tensor rope(Tensor x, const std::shared_ptr<const RopeTable>& owned,
            std::span<const int32_t> positions, RopeLayout layout) {
  const RopeTable& table = *owned;
  const bool wide = in_f64("rope", {&x});
  require(x.rank() == 3 && std::ssize(positions) == x.shape(0), "rope: {} positions for {}",
          positions.size(), x);
  require(table.dim() <= x.shape(2), "rope: {} rotated numbers in heads of {}", table.dim(),
          x.shape(2));
  for (const int32_t position : positions) {
    require(position >= 0 && position < table.positions(), "rope: position {} is not in 0 .. {}",
            position, table.positions() - 1);
  }
  const auto run = [wide](const Tensor& from, Tensor made, const RopeTable& by,
                          std::span<const int32_t> at, RopeLayout pairs, Way way) {
    return wide ? turn<double>(from, std::move(made), by, at, pairs, way)
                : turn<float>(from, std::move(made), by, at, pairs, way);
  };
  const bool recorded = recording({&x});
  Tensor made =
      run(x, recorded ? Tensor::like(x) : place_of(x), table, positions, layout, Way::forwards);
  if (!recorded) return made;
  return record(std::move(made), {&x},
                [run, owned, layout, at = std::vector(positions.begin(), positions.end())](
                    const Tensor& g, InputGradients& to) {
                  to.add(0, run(g, Tensor::like(g), *owned, at, layout, Way::backwards));
                });
}

}  // namespace regard
