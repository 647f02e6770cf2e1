#include "tensor/tensor.h"

#include <limits>
#include <utility>

namespace regard {

Tensor::Tensor(Extents shape, DType dtype) : dtype_(dtype) {
  require(!is_quantised(dtype), "tensor: {} has blocks, a tensor holds plain numbers",
          info(dtype).name);
  set_shape(shape);
  block_ = Arena::global().take(static_cast<std::size_t>(row_bytes(dtype, size())));
}

void Tensor::set_shape(Extents shape) {
  require(shape.size() >= 1 && shape.size() <= kMaxRank, "tensor: rank {} is not in 1 .. {}",
          shape.size(), kMaxRank);
  rank_ = 0;
  int64_t room = std::numeric_limits<int64_t>::max() / 8;  // numbers of at most 8 bytes
  for (const int64_t extent : shape) {
    require(extent >= 0, "tensor: extent {} of axis {} is negative", extent, int{rank_});
    require(extent <= room, "tensor: more numbers than 64 bits can count");
    if (extent > 0) room /= extent;
    shape_[rank_++] = extent;
  }
}

int64_t Tensor::size() const noexcept {
  int64_t count = rank_ > 0 ? 1 : 0;
  for (int axis = 0; axis < rank_; ++axis) count *= shape_[axis];
  return count;
}

std::string Tensor::describe() const {
  std::string text = fmt::format("{} [", info(dtype_).name);
  for (int axis = 0; axis < rank_; ++axis) {
    text += fmt::format("{}{}", axis > 0 ? ", " : "", shape_[axis]);
  }
  return text + "]";
}

Tensor Tensor::reshape(Extents shape) const& { return Tensor(*this).reshape(shape); }

Tensor Tensor::reshape(Extents shape) && {
  const int64_t before = size();
  Tensor same = std::move(*this);
  same.set_shape(shape);
  require(same.size() == before, "reshape: {} numbers do not fill {}", before, same);
  return same;
}

Tensor Tensor::rows(int64_t first, int64_t count) const {
  require(rank_ > 0 && first >= 0 && count >= 0 && first <= shape_[0] - count,
          "rows: [{}, {}) is not inside {}", first, first + count, *this);
  Tensor part = *this;
  const int64_t row = shape_[0] > 0 ? size() / shape_[0] : 0;
  part.offset_bytes_ += row_bytes(dtype_, first * row);
  part.shape_[0] = count;
  return part;
}

void Tensor::wrong_view(DType dtype, int rank) const {
  fail(ErrorKind::invalid_argument, "view: {} numbers of rank {} asked of a tensor {}",
       info(dtype).name, rank, describe());
}

}  // namespace regard
