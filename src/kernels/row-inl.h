// Walks over one row of f32, sixteen numbers at a time; past the row's end nothing is read or
// written. Functions are passed as objects, so that each walk is compiled with its body inside.
#if defined(REGARD_KERNELS_ROW_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef REGARD_KERNELS_ROW_INL_H_
#undef REGARD_KERNELS_ROW_INL_H_
#else
#define REGARD_KERNELS_ROW_INL_H_
#endif

#include "simd/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {

// out[i] = function(in[i]...) for i in [0, count). out may be any of the inputs.
template <class Function, class... In>
REGARD_INLINE void map_row(const Function& function, int64_t count, float* out, const In*... in) {
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) store(function(load(in + i)...), out + i);
  const int left = static_cast<int>(count - i);
  if (left > 0) store_first(function(load_first(in + i, left)...), out + i, left);
}

// Folds in[0 .. count) into 16 virtual lanes, lane i mod 16 in ascending order of i, from `lanes`:
// the one shape of a row's sum. Lanes past the end see `beyond`, which must leave them as they are.
template <class Function>
REGARD_INLINE F32x16 fold_row(const Function& function, const float* in, int64_t count,
                              F32x16 lanes, float beyond) {
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) lanes = function(lanes, load(in + i));
  const int left = static_cast<int>(count - i);
  if (left > 0) {
    const F32x16 x = select(first_lanes(left), load_first(in + i, left), broadcast(beyond));
    lanes = function(lanes, x);
  }
  return lanes;
}

// The same over several arrays: function(state, in[i]...) may keep several sums in its state. Lanes
// past the end see zeros, which must leave them as they are.
template <class State, class Function, class... In>
REGARD_INLINE void fold_rows(const Function& function, int64_t count, State& state,
                             const In*... in) {
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) function(state, load(in + i)...);
  const int left = static_cast<int>(count - i);
  if (left > 0) function(state, load_first(in + i, left)...);
}

// 1 / sqrt(total / width + epsilon), in every lane.
REGARD_INLINE F32x16 inverse_root(float total, int64_t width, float epsilon) {
  const F32x16 mean = broadcast(total / static_cast<float>(width));
  return div(broadcast(1.0f), sqrt(add(mean, broadcast(epsilon))));
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
