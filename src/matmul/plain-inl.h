// Sixteen columns of a plain matrix as a panel of f32, zero past its last column: what the register
// tile multiplies with.
#if defined(REGARD_MATMUL_PLAIN_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef REGARD_MATMUL_PLAIN_INL_H_
#undef REGARD_MATMUL_PLAIN_INL_H_
#else
#define REGARD_MATMUL_PLAIN_INL_H_
#endif

#include <algorithm>

#include "matmul/pack.h"
#include "matmul/plain.h"
#include "simd/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {

template <class T>
float number(T x) {
  return to_f32(x);
}
template <>
inline HWY_MAYBE_UNUSED float number(float x) {
  return x;
}

// Columns lie one after the other.
template <class T>
HWY_NOINLINE void copy_panel(const T* from, int64_t step, int64_t count, int columns, float* out) {
  if (columns == kPanel) {
    for (int64_t k = 0; k < count; ++k) store(load(from + k * step), out + k * kPanel);
    return;
  }
  for (int64_t k = 0; k < count; ++k) {
    for (int j = 0; j < kPanel; ++j) {
      out[k * kPanel + j] = j < columns ? number(from[k * step + j]) : 0.0f;
    }
  }
}

// Sixteen rows of sixteen, turned.
REGARD_INLINE void turn16(const float* from, int64_t step, float* out) {
  transpose16(from, step, out, kPanel);
}
template <class T>
REGARD_INLINE void turn16(const T* from, int64_t step, float* out) {
  alignas(64) float wide[16 * 16];
  for (int i = 0; i < 16; ++i) store(load(from + i * step), wide + 16 * i);
  transpose16(wide, 16, out, kPanel);
}

// Numbers of a column lie one after the other, or anywhere.
template <class T>
HWY_NOINLINE void turn_panel(const T* from, int64_t row_step, int64_t column_step, int64_t count,
                             int columns, float* out) {
  int64_t k = 0;
  if (columns == kPanel && row_step == 1) {
    for (; k + 16 <= count; k += 16) turn16(from + k, column_step, out + k * kPanel);
  }
  for (; k < count; ++k) {
    for (int j = 0; j < kPanel; ++j) {
      out[k * kPanel + j] = j < columns ? number(from[k * row_step + j * column_step]) : 0.0f;
    }
  }
}

// `count` rows of b from row k on, 16 columns from `column` on, as out [count][16].
template <class T>
void expand(const PlainMatrix& b, int64_t k, int64_t count, int64_t column, float* out) {
  const T* const from = static_cast<const T*>(b.data) + k * b.strides[0] + column * b.strides[1];
  const int columns = static_cast<int>(std::min<int64_t>(kPanel, b.shape[1] - column));
  if (b.strides[1] == 1) {
    copy_panel(from, b.strides[0], count, columns, out);
  } else {
    turn_panel(from, b.strides[0], b.strides[1], count, columns, out);
  }
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
