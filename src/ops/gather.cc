// Rows by index: embedding and gather.
#include <cstring>

#include "ops/ops.h"
#include "ops/rows.h"

namespace regard {

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

}  // namespace regard
