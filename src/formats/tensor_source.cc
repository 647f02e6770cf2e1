#include "formats/tensor_source.h"

#include <algorithm>
#include <numeric>

#include "base/check.h"
#include "base/printable.h"

namespace regard {

const TensorInfo& TensorSource::get(std::string_view wanted) const {
  const TensorInfo* tensor = find(wanted);
  if (tensor == nullptr) {
    fail(ErrorKind::unreadable,
         "{}: tensor \"{}\" is missing, and the model cannot be read without it", name(),
         printable(stored_name(wanted)));
  }
  if (tensor->rank > 4) {
    fail(ErrorKind::unreadable, "{}: tensor \"{}\" has {} dimensions; at most 4 can be used",
         name(), printable(stored_name(wanted)), tensor->rank);
  }
  return *tensor;
}

std::string shape_text(const TensorInfo& tensor) {
  const auto axes = static_cast<std::size_t>(std::min(tensor.rank, 4));
  return fmt::format("[{}{}]", fmt::join(std::span(tensor.shape).first(axes), ", "),
                     tensor.rank > 4 ? ", ..." : "");
}

TensorIndex::TensorIndex(std::span<const TensorInfo> tensors) : order_(tensors.size()) {
  std::iota(order_.begin(), order_.end(), 0u);
  std::sort(order_.begin(), order_.end(), [&](uint32_t a, uint32_t b) {
    const int compared = tensors[a].name.compare(tensors[b].name);
    return compared != 0 ? compared < 0 : a < b;
  });
}

const TensorInfo* TensorIndex::find(std::span<const TensorInfo> tensors,
                                    std::string_view name) const noexcept {
  const auto at =
      std::lower_bound(order_.begin(), order_.end(), name,
                       [&](uint32_t i, std::string_view text) { return tensors[i].name < text; });
  return at != order_.end() && tensors[*at].name == name ? &tensors[*at] : nullptr;
}

const TensorInfo* TensorIndex::duplicate(std::span<const TensorInfo> tensors) const noexcept {
  const auto at = std::adjacent_find(order_.begin(), order_.end(), [&](uint32_t a, uint32_t b) {
    return tensors[a].name == tensors[b].name;
  });
  return at == order_.end() ? nullptr : &tensors[*at];
}

}  // namespace regard
