#include "tensor/tensor.h"

#include <cstring>
#include <limits>
#include <utility>

#include "tensor/tape.h"

namespace regard {

Tensor::Tensor(Shape shape, DType dtype) : dtype_(dtype) {
  require(!is_quantised(dtype), "tensor: {} has blocks, a tensor holds plain numbers",
          info(dtype).name);
  set_shape(shape);
  block_ = Arena::global().take(static_cast<std::size_t>(row_bytes(dtype, size())));
}

void Tensor::set_shape(Shape shape) {
  require(shape.size() >= 1 && shape.size() <= kMaxRank, "tensor: rank {} is not in 1 .. {}",
          shape.size(), kMaxRank);
  std::array<int64_t, kMaxRank> extents{};
  int8_t rank = 0;
  int64_t room = std::numeric_limits<int64_t>::max() / 8;  // numbers of at most 8 bytes
  for (const int64_t extent : shape) {
    require(extent >= 0, "tensor: extent {} of axis {} is negative", extent, int{rank});
    require(extent <= room, "tensor: more numbers than 64 bits can count");
    if (extent > 0) room /= extent;
    extents[static_cast<std::size_t>(rank++)] = extent;
  }
  shape_ = extents;
  rank_ = rank;
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

Tensor Tensor::reshape(Shape shape) const& { return Tensor(*this).reshape(shape); }

Tensor Tensor::reshape(Shape shape) && {
  const int64_t before = size();
  Tensor same = std::move(*this);
  const Tensor from = recording({&same}) ? same : Tensor();
  const std::array<int64_t, kMaxRank> old = same.shape_;
  const auto rank = static_cast<std::size_t>(same.rank_);
  same.set_shape(shape);
  require(same.size() == before, "reshape: {} numbers do not fill {}", before, same);
  same.node_ = nullptr;
  if (!from) return same;
  return record(std::move(same), {&from}, [old, rank](const Tensor& gradient, InputGradients& to) {
    to.add(0, gradient.reshape(Shape(old.data(), rank)));
  });
}

Tensor Tensor::rows(int64_t first, int64_t count) const {
  require(rank_ > 0 && first >= 0 && count >= 0 && first <= shape_[0] - count,
          "rows: [{}, {}) is not inside {}", first, first + count, *this);
  Tensor part = detach();
  const int64_t row = shape_[0] > 0 ? size() / shape_[0] : 0;
  part.offset_bytes_ += row_bytes(dtype_, first * row);
  part.shape_[0] = count;
  if (!recording({this})) return part;
  const auto rank = static_cast<std::size_t>(rank_);
  return record(std::move(part), {this},
                [first, row, shape = shape_, rank](const Tensor& gradient, InputGradients& to) {
                  Tensor whole(Shape(shape.data(), rank), gradient.dtype());
                  const auto bytes = static_cast<std::size_t>(row_bytes(gradient.dtype(), row));
                  std::byte* const out = whole.data();
                  std::memset(out, 0, bytes * static_cast<std::size_t>(shape[0]));
                  std::memcpy(out + bytes * static_cast<std::size_t>(first), gradient.data(),
                              bytes * static_cast<std::size_t>(gradient.shape_[0]));
                  to.add(0, std::move(whole));
                });
}

Tensor Tensor::detach() const {
  Tensor same = *this;
  same.node_ = nullptr;
  return same;
}

void Tensor::require_gradient() {
  require(static_cast<bool>(*this), "require_gradient: an empty tensor has none");
  require(
      dtype_ == DType::f32 || dtype_ == DType::f64 || dtype_ == DType::f16 || dtype_ == DType::bf16,
      "require_gradient: {} numbers have no gradient", info(dtype_).name);
  if (node_) return require(node_->leaf, "require_gradient: {} was computed from others", *this);
  node_ = std::make_shared<Node>();
  node_->leaf = true;
  node_->shape = shape_;
  node_->rank = rank_;
}

Tensor Tensor::gradient() const {
  require(node_ && node_->leaf, "gradient: {} is no leaf of the tape", *this);
  return node_->gradient;
}

void Tensor::set_gradient(Tensor gradient) {
  require(node_ && node_->leaf, "set_gradient: {} is no leaf of the tape", *this);
  require(!gradient || (gradient.rank_ == rank_ && gradient.shape_ == shape_),
          "set_gradient: {} for {}", gradient, *this);
  node_->gradient = gradient.detach();
}

void Tensor::count_write() noexcept { ++node_->version; }

void Tensor::wrong_view(DType dtype, int rank) const {
  fail(ErrorKind::invalid_argument, "view: {} numbers of rank {} asked of a tensor {}",
       info(dtype).name, rank, describe());
}

}  // namespace regard
