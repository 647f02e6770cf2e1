// Captured arrays: a name, a type and a strided view.
#include "base/check.h"
#include "expr/node.h"

namespace regard {
namespace {

template <class T>
Array owning(std::string name, ElementType type, std::vector<T> numbers, std::vector<int64_t> shape,
             bool differentiable) {
  if (shape.empty()) shape = {static_cast<int64_t>(numbers.size())};
  std::vector<int64_t> strides(shape.size());
  int64_t size = 1;
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    strides[axis] = size;
    size *= shape[axis];
  }
  require(size == static_cast<int64_t>(numbers.size()), "Array {}: {} numbers for a shape of {}",
          name, numbers.size(), size);
  auto owner = std::make_shared<const std::vector<T>>(std::move(numbers));
  const void* data = owner->data();
  return Array(std::move(name), type, data, shape, strides, differentiable, std::move(owner));
}

}  // namespace

Array::Array(std::string name, ElementType type, const void* data, std::span<const int64_t> shape,
             std::span<const int64_t> strides, bool differentiable,
             std::shared_ptr<const void> owner) {
  require(!name.empty(), "Array: the name is empty");
  require(!shape.empty() && shape.size() <= kMaxRank, "Array {}: rank {} is not 1 to {}", name,
          shape.size(), int{kMaxRank});
  require(strides.size() == shape.size(), "Array {}: {} strides for {} axes", name, strides.size(),
          shape.size());
  require(!differentiable || type == ElementType::f32,
          "Array {}: only a real array is differentiable", name);
  bool some = true;
  for (const int64_t extent : shape) {
    require(extent >= 0 && extent <= INT32_MAX, "Array {}: an axis of extent {}", name, extent);
    some &= extent > 0;
  }
  require(data != nullptr || !some, "Array {}: no data", name);
  auto record = std::make_shared<program::ArrayRecord>();
  record->name = std::move(name);
  record->type = type;
  record->data = data;
  record->rank = static_cast<int>(shape.size());
  for (int axis = 0; axis < record->rank; ++axis) {
    record->shape[axis] = shape[axis];
    record->strides[axis] = strides[axis];
  }
  record->differentiable = differentiable;
  record->owner = std::move(owner);
  record_ = std::move(record);
}

Array Array::of(std::string name, std::vector<float> numbers, std::vector<int64_t> shape,
                bool differentiable) {
  return owning(std::move(name), ElementType::f32, std::move(numbers), std::move(shape),
                differentiable);
}
Array Array::of(std::string name, std::vector<int32_t> numbers, std::vector<int64_t> shape) {
  return owning(std::move(name), ElementType::i32, std::move(numbers), std::move(shape), false);
}

const std::string& Array::name() const noexcept { return record_->name; }
ElementType Array::type() const noexcept { return record_->type; }
int Array::rank() const noexcept { return record_->rank; }
int64_t Array::shape(int axis) const noexcept { return record_->shape[axis]; }
int64_t Array::stride(int axis) const noexcept { return record_->strides[axis]; }
const void* Array::data() const noexcept { return record_->data; }
bool Array::differentiable() const noexcept { return record_->differentiable; }

}  // namespace regard
