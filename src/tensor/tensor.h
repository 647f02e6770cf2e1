// Tensor: a value made of shared storage, a shape of at most four axes, and a dtype.
//
// Always dense and row-major, so that a reshape or a range of rows is the same storage seen
// otherwise. Copying shares; what is shared is never written again, but for leaves. The shape lies
// inline and the storage comes from the arena of tensors: a loop whose shapes repeat asks the
// system for nothing. Where gradients are wanted a tensor has a node on the tape (tensor/tape.h).
#pragma once

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

#include "base/arena.h"
#include "base/check.h"
#include "regard/dtype.h"
#include "regard/half.h"
#include "regard/view.h"

namespace regard {

inline constexpr int kMaxRank = 4;

template <class T>
inline constexpr DType kDTypeOf = DType::f32;
template <>
inline constexpr DType kDTypeOf<double> = DType::f64;
template <>
inline constexpr DType kDTypeOf<f16> = DType::f16;
template <>
inline constexpr DType kDTypeOf<bf16> = DType::bf16;

struct Node;

class Tensor {
 public:
  using Extents = std::initializer_list<int64_t>;
  using Shape = std::span<const int64_t>;

  Tensor() = default;

  // Contents unspecified. Throws Error unless there are 1 to 4 extents, none negative, and the
  // dtype is a plain one; Error(out_of_memory) when memory is short.
  explicit Tensor(Extents shape, DType dtype = DType::f32)
      : Tensor(Shape(shape.begin(), shape.size()), dtype) {}
  explicit Tensor(Shape shape, DType dtype = DType::f32);
  // Of that tensor's shape and dtype, contents unspecified; not on its tape.
  static Tensor like(const Tensor& x) { return Tensor(x.shape(), x.dtype()); }

  // A copy of n numbers.
  template <class T>
  static Tensor of(const T* numbers, Extents shape) {
    Tensor made(shape, kDTypeOf<T>);
    for (int64_t i = 0; i < made.size(); ++i) reinterpret_cast<T*>(made.data())[i] = numbers[i];
    return made;
  }

  int rank() const noexcept { return rank_; }
  int64_t shape(int axis) const noexcept { return shape_[axis]; }
  Shape shape() const noexcept { return {shape_.data(), static_cast<std::size_t>(rank_)}; }
  int64_t size() const noexcept;
  DType dtype() const noexcept { return dtype_; }
  // False for a tensor that was never made or whose storage was moved away.
  explicit operator bool() const noexcept { return static_cast<bool>(block_); }
  std::string describe() const;  // "f32 [14, 9, 64]"

  // Is this the only owner of the storage? Then an operation may write its result there.
  bool sole_owner() const noexcept { return block_ && !block_.shared(); }

  // Throws Error unless T and Rank are those of the tensor.
  template <class T, int Rank>
  View<const T, Rank> view() const {
    return make_view<const T, Rank>();
  }
  // For its maker, before the tensor is shared; and for the owner of a leaf, between passes.
  template <class T, int Rank>
  View<T, Rank> writable() {
    if (node_) count_write();
    return make_view<T, Rank>();
  }
  // All numbers, in order. Throws Error unless T is that of the tensor.
  template <class T>
  std::span<const T> numbers() const {
    return all<T>();
  }
  template <class T>
  std::span<T> writable_numbers() {
    if (node_) count_write();
    return all<T>();
  }

  // The same storage in another shape of as many numbers.
  Tensor reshape(Shape shape) const&;
  Tensor reshape(Shape shape) &&;
  Tensor reshape(Extents shape) const& { return reshape(Shape(shape.begin(), shape.size())); }
  Tensor reshape(Extents shape) && {
    return std::move(*this).reshape(Shape(shape.begin(), shape.size()));
  }

  // Rows [first, first + count) of the first axis; the storage is shared.
  Tensor rows(int64_t first, int64_t count) const;

  // ---- gradients ----

  // Becomes a leaf of the tape: backward() adds to its gradient. Throws Error unless numbers are
  // f32, f16, bf16 or f64, and for what was computed.
  void require_gradient();
  bool tracked() const noexcept { return node_ != nullptr; }
  // The same numbers, apart from the tape.
  Tensor detach() const;
  // Of a leaf: the sum of what backward() gave since it was cleared; an empty tensor for none.
  Tensor gradient() const;
  void set_gradient(Tensor gradient);  // also empty, which is zero
  const std::shared_ptr<Node>& node() const noexcept { return node_; }

 private:
  friend Tensor on_tape(Tensor made, std::shared_ptr<Node> node);

  void set_shape(Shape shape);
  void count_write() noexcept;
  template <class T>
  std::span<T> all() const {
    using Number = std::remove_const_t<T>;
    if (rank_ == 0 || dtype_ != kDTypeOf<Number>) wrong_view(kDTypeOf<Number>, rank_);
    return {reinterpret_cast<T*>(data()), static_cast<std::size_t>(size())};
  }
  std::byte* data() const noexcept { return block_.data() + offset_bytes_; }
  [[noreturn]] void wrong_view(DType dtype, int rank) const;

  template <class T, int Rank>
  View<T, Rank> make_view() const {
    using Number = std::remove_const_t<T>;
    if (rank_ != Rank || dtype_ != kDTypeOf<Number>) wrong_view(kDTypeOf<Number>, Rank);
    typename View<T, Rank>::Extents extents;
    for (int axis = 0; axis < Rank; ++axis) extents[axis] = shape_[axis];
    return {reinterpret_cast<T*>(data()), extents};
  }

  Block block_;
  std::shared_ptr<Node> node_;
  std::array<int64_t, kMaxRank> shape_{};
  int64_t offset_bytes_ = 0;
  int8_t rank_ = 0;
  DType dtype_ = DType::f32;
};

// A copy of numbers in one axis.
inline Tensor tensor_of(std::span<const float> numbers) {
  return Tensor::of(numbers.data(), {std::ssize(numbers)});
}

}  // namespace regard

// So that an error message asks a tensor for its description only when there is an error.
template <>
struct fmt::formatter<regard::Tensor> : fmt::formatter<std::string> {
  template <class Context>
  auto format(const regard::Tensor& tensor, Context& context) const {
    return fmt::formatter<std::string>::format(tensor.describe(), context);
  }
};
