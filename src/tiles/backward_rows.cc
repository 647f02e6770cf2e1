// What surrounds the products of the backward pass: rows of any dtype and strides staged, widened,
// multiplied with each other and stored.
#include "simd/highway.h"
#include "tiles/backward.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tiles/backward_rows.cc"
#include <hwy/foreach_target.h>

#include "simd/math-inl.h"
#include "simd/simd-inl.h"
#include "simd/tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {
namespace {

// Calls function with a number of a floating dtype, for its type alone.
template <class Function>
HWY_INLINE HWY_ATTR void with_numbers(DType dtype, const Function& function) {
  if (dtype == DType::f32) {
    function(float{});
  } else if (dtype == DType::f16) {
    function(f16{});
  } else {
    function(bf16{});
  }
}

HWY_INLINE float widen(float x) { return x; }
HWY_INLINE float widen(f16 x) { return to_f32(x); }
HWY_INLINE float widen(bf16 x) { return to_f32(x); }
HWY_INLINE void narrow(float x, float& to) { to = x; }
HWY_INLINE void narrow(float x, f16& to) { to = to_f16(x); }
HWY_INLINE void narrow(float x, bf16& to) { to = to_bf16(x); }

// Numbers 0 .. count - 1, count <= 16; zeros beyond.
template <class T>
HWY_INLINE HWY_ATTR F32x16 load_numbers(const T* from, int64_t step, int64_t count) {
  if (step == 1 && count >= 16) return load(from);
  alignas(64) float lanes[16] = {};
  const int64_t some = count < 16 ? count : 16;
  for (int64_t i = 0; i < some; ++i) lanes[i] = widen(from[i * step]);
  return load(lanes);
}

template <class T>
const T* row_of(const RawRows& rows, int r) {
  return static_cast<const T*>(rows.first) + r * rows.row_step;
}

// Rows lie far apart, so the machine does not guess the next one: it is asked for.
constexpr int kAhead = 8;
template <class T>
HWY_INLINE void ask_ahead(const RawRows& rows, int r, int64_t dim) {
  if (r + kAhead >= rows.count || rows.step != 1) return;
  const auto* const at = reinterpret_cast<const std::byte*>(row_of<T>(rows, r + kAhead));
  const int64_t bytes = dim * static_cast<int64_t>(sizeof(T));
  for (int64_t line = 0; line < bytes; line += 64) __builtin_prefetch(at + line, 0, 3);
}

template <class T>
HWY_ATTR bool stage(const RawRows& rows, int64_t dim, float factor, float* out) {
  const F32x16 by = broadcast(factor);
  F32x16 seen = zero();
  for (int r = 0; r < rows.count; ++r) {
    const T* const from = row_of<T>(rows, r);
    ask_ahead<T>(rows, r, dim);
    for (int64_t d = 0; d < dim; d += 16) {
      const F32x16 x = mul(load_numbers(from + d * rows.step, rows.step, dim - d), by);
      seen = fma(x, zero(), seen);  // 0 · x is NaN exactly where x is not finite
      store(x, out + d * kGradientRows + r * 16);
    }
  }
  return sum_lanes(seen) == 0.0f;
}

template <class T>
HWY_ATTR void stage_panels_of(const RawRows& rows, int64_t dim, float* panels) {
  for (int key = 0; key < rows.count; key += kPanelKeys, panels += dim * kPanelKeys) {
    const int some = rows.count - key < kPanelKeys ? rows.count - key : kPanelKeys;
    for (int r = 0; r < some; ++r) ask_ahead<T>(rows, key + r + 8, dim);
    for (int64_t d = 0; d < dim; d += 16) {
      alignas(64) float lanes[16 * 16], turned[16 * 16];
      for (int r = 0; r < 16; ++r) {
        store(r < some ? load_numbers(row_of<T>(rows, key + r) + d * rows.step, rows.step, dim - d)
                       : zero(),
              lanes + 16 * r);
      }
      const bool whole = d + 16 <= dim;
      float* const to = panels + d * kPanelKeys;
      transpose16(lanes, 16, whole ? to : turned, 16);
      for (int64_t i = d; !whole && i < dim; ++i) {
        store(load(turned + (i - d) * 16), panels + i * kPanelKeys);
      }
    }
  }
}

// The same of rows that are to be written.
HWY_INLINE void ask_to_write(const void* row, int64_t bytes) {
  const auto* const at = static_cast<const std::byte*>(row);
  for (int64_t line = 0; line < bytes; line += 64) __builtin_prefetch(at + line, 1, 3);
}

template <class A, class B>
HWY_ATTR void multiply_rows(const RawRows& a, const RawRows& b, int64_t dim, float* out) {
  for (int r = 0; r < a.count; ++r) {
    F32x16 sum = zero();
    ask_ahead<A>(a, r, dim);
    ask_ahead<B>(b, r, dim);
    for (int64_t d = 0; d < dim; d += 16) {
      sum = fma(load_numbers(row_of<A>(a, r) + d * a.step, a.step, dim - d),
                load_numbers(row_of<B>(b, r) + d * b.step, b.step, dim - d), sum);
    }
    out[r] = sum_lanes(sum);
  }
}

template <class T>
HWY_ATTR void store_all(const float* from, int64_t from_step, int64_t dim, const RawRows& rows,
                        T* to) {
  for (int r = 0; r < rows.count; ++r, from += from_step, to += rows.row_step) {
    if (rows.step == 1 && r + kAhead < rows.count) {
      ask_to_write(to + kAhead * rows.row_step, dim * static_cast<int64_t>(sizeof(T)));
    }
    for (int64_t d = 0; d < dim; d += 16) {
      const F32x16 x = add(load_numbers(from + d, 1, dim - d), zero());
      if (rows.step == 1 && d + 16 <= dim) {
        store(x, to + d);
        continue;
      }
      alignas(64) float lanes[16];
      store(x, lanes);
      for (int64_t i = d; i < dim && i < d + 16; ++i) narrow(lanes[i - d], to[i * rows.step]);
    }
  }
}

}  // namespace

HWY_ATTR bool stage_rows(const RawRows& rows, int64_t dim, float factor, float* out) {
  bool finite = true;
  with_numbers(rows.dtype,
               [&](auto t) HWY_ATTR { finite = stage<decltype(t)>(rows, dim, factor, out); });
  return finite;
}

HWY_ATTR void widen_rows(const RawRows& rows, int64_t dim, float* out, int64_t out_step) {
  with_numbers(rows.dtype, [&](auto t) HWY_ATTR {
    using T = decltype(t);
    for (int r = 0; r < rows.count; ++r) {
      const T* const from = row_of<T>(rows, r);
      for (int64_t d = 0; d < dim; d += 16) {
        store(load_numbers(from + d * rows.step, rows.step, dim - d), out + r * out_step + d);
      }
    }
  });
}

HWY_ATTR void stage_key_panels(const RawRows& rows, int64_t dim, float* panels) {
  with_numbers(rows.dtype,
               [&](auto t) HWY_ATTR { stage_panels_of<decltype(t)>(rows, dim, panels); });
}

HWY_ATTR void row_products(const RawRows& a, const RawRows& b, int64_t dim, float* out) {
  with_numbers(a.dtype, [&](auto s) HWY_ATTR {
    with_numbers(b.dtype,
                 [&](auto t) HWY_ATTR { multiply_rows<decltype(s), decltype(t)>(a, b, dim, out); });
  });
}

HWY_ATTR void store_rows(const float* from, int64_t from_step, int64_t dim, const RawRows& rows,
                         void* to) {
  with_numbers(rows.dtype, [&](auto t) HWY_ATTR {
    store_all(from, from_step, dim, rows, static_cast<decltype(t)*>(to));
  });
}

HWY_ATTR void add_rows(const float* from, int64_t from_step, int count, int64_t dim, bool begin,
                       float* to, int64_t to_row_step, int64_t to_step) {
  for (int r = 0; r < count; ++r, from += from_step, to += to_row_step) {
    if (to_step == 1 && r + kAhead < count) {
      ask_to_write(to + kAhead * to_row_step, dim * static_cast<int64_t>(sizeof(float)));
    }
    for (int64_t d = 0; d < dim; d += 16) {
      const F32x16 x = load_numbers(from + d, 1, dim - d);
      const F32x16 sum = add(x, begin ? zero() : load_numbers(to + d * to_step, to_step, dim - d));
      if (to_step == 1 && d + 16 <= dim) {
        store(sum, to + d);
        continue;
      }
      alignas(64) float lanes[16];
      store(sum, lanes);
      for (int64_t i = d; i < dim && i < d + 16; ++i) to[i * to_step] = lanes[i - d];
    }
  }
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace regard {

bool stage_rows(const RawRows& rows, int64_t dim, float factor, float* out) noexcept {
  return REGARD_DISPATCH(stage_rows)(rows, dim, factor, out);
}

void widen_rows(const RawRows& rows, int64_t dim, float* out, int64_t out_step) noexcept {
  REGARD_DISPATCH(widen_rows)(rows, dim, out, out_step);
}

void stage_key_panels(const RawRows& rows, int64_t dim, float* panels) noexcept {
  REGARD_DISPATCH(stage_key_panels)(rows, dim, panels);
}

void row_products(const RawRows& a, const RawRows& b, int64_t dim, float* out) noexcept {
  REGARD_DISPATCH(row_products)(a, b, dim, out);
}

void store_rows(const float* from, int64_t from_step, int64_t dim, const RawRows& rows,
                void* to) noexcept {
  REGARD_DISPATCH(store_rows)(from, from_step, dim, rows, to);
}

void add_rows(const float* from, int64_t from_step, int count, int64_t dim, bool begin, float* to,
              int64_t to_row_step, int64_t to_step) noexcept {
  REGARD_DISPATCH(add_rows)(from, from_step, count, dim, begin, to, to_row_step, to_step);
}

}  // namespace regard
#endif
