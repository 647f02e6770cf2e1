// Packing of plain matrices, which training does after every change of a weight: sixteen columns at
// a time through registers.
#include <algorithm>
#include <memory>

#include "base/arena.h"
#include "base/check.h"
#include "matmul/matmul.h"
#include "matmul/pack.h"
#include "simd/highway.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "matmul/pack_plain.cc"
#include <hwy/foreach_target.h>

#include "matmul/plain-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {

// Panel `panel` of `panels` that form a group, from column `column` of b [inputs, outputs] on.
template <class T>
void pack_panel_as(const PlainMatrix& b, int64_t column, int64_t panel, int64_t panels, T* group) {
  constexpr int64_t kTogether = 32;
  alignas(64) float numbers[kTogether * kPanel];
  for (int64_t k = 0; k < b.shape[0]; k += kTogether) {
    const int64_t count = std::min(kTogether, b.shape[0] - k);
    expand<T>(b, k, count, column, numbers);
    for (int64_t i = 0; i < count; i += 8) {  // matmul/pack.h: eight[panels]
      const int64_t eight = std::min<int64_t>(8, count - i);
      T* const to = group + ((k + i) * panels + eight * panel) * kPanel;
      for (int64_t n = 0; n < eight; ++n) store(load(numbers + (i + n) * kPanel), to + n * kPanel);
    }
  }
}

void pack_panel(const PlainMatrix& b, int64_t column, int64_t panel, int64_t panels,
                std::byte* group) {
  switch (b.dtype) {
    case DType::f16:
      return pack_panel_as(b, column, panel, panels, reinterpret_cast<f16*>(group));
    case DType::bf16:
      return pack_panel_as(b, column, panel, panels, reinterpret_cast<bf16*>(group));
    default:
      return pack_panel_as(b, column, panel, panels, reinterpret_cast<float*>(group));
  }
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace regard {

PackedMatrix PackedMatrix::pack(const PlainMatrix& weights, ThreadPool& pool) {
  require(
      weights.dtype == DType::f32 || weights.dtype == DType::f16 || weights.dtype == DType::bf16,
      "pack: plain weights are {}, not f32, f16 or bf16", info(weights.dtype).name);
  require(weights.shape[0] > 0 && weights.shape[1] > 0,
          "pack: outputs ({}) and inputs ({}) must be positive", weights.shape[0],
          weights.shape[1]);
  PackedMatrix packed;
  packed.dtype_ = weights.dtype;
  packed.outputs_ = weights.shape[0];
  packed.inputs_ = weights.shape[1];
  const int64_t panels = panel_count(packed.outputs_);
  const int64_t bytes = panel_bytes(packed.dtype_, packed.inputs_);
  packed.bytes_ = panels * bytes;
  const auto block =
      std::make_shared<Block>(Arena::global().take(static_cast<std::size_t>(packed.bytes_)));
  std::byte* const memory = block->data();
  packed.data_ = std::shared_ptr<const std::byte>(block, memory);
  const PlainMatrix b = weights.transposed();
  const auto kernel = REGARD_DISPATCH(pack_panel);
  pool.parallel_for(panels, [&](int64_t panel, int) {
    const int64_t first = panel / kGroupPanels * kGroupPanels;
    kernel(b, panel * kPanel, panel - first, std::min<int64_t>(kGroupPanels, panels - first),
           memory + first * bytes);
  });
  return packed;
}

}  // namespace regard
#endif  // HWY_ONCE
