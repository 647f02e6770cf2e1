// Rotary positions.
#include <cstring>
#include <utility>

#include "ops/ops.h"
#include "ops/rows.h"

namespace regard {

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
  Tensor turned = x.sole_owner() ? std::move(x) : Tensor::like(x);
  const auto out = turned.writable<float, 3>();
  if (x) std::memcpy(out.data, in.data, in.size() * sizeof(float));
  over_rows(out.shape[0], out.shape[1] * out.shape[2], [&](int64_t first, int64_t count) {
    regard::rope(out.rows(first, count), table, positions.subspan(first, count), layout);
  });
  return turned;
}

}  // namespace regard
