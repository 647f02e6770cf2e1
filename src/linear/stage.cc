// stage, through_features and unstage, compiled once per target.
#include "linear/stage.h"

#include <type_traits>

#include "simd/highway.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "linear/stage.cc"
#include <hwy/foreach_target.h>

#include "simd/math-inl.h"
#include "simd/simd-inl.h"
#include "simd/tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {
namespace {

// Numbers i .. i + 15 of a row, zeros behind its end.
template <class T>
HWY_INLINE HWY_ATTR F32x16 load_part(const T* row, int64_t step, int64_t i, int64_t count) {
  if (step == 1 && i + 16 <= count) return load(row + i);
  T lanes[16] = {};
  for (int64_t at = i; at < count && at < i + 16; ++at) lanes[at - i] = row[at * step];
  return load(lanes);
}

HWY_INLINE HWY_ATTR F32x16 apply(FeatureMap map, const F32x16& x) {
  switch (map) {
    case FeatureMap::elu:
      return select(less(zero(), x), add(x, broadcast(1.0f)), exp(x));
    case FeatureMap::relu:
      return max(zero(), x);  // x where it is NaN
    case FeatureMap::exp:
      return exp(x);
    case FeatureMap::identity:
      break;
  }
  return x;
}

HWY_INLINE HWY_ATTR F32x16 slope(FeatureMap map, const F32x16& x) {
  const F32x16 one = broadcast(1.0f);
  switch (map) {
    case FeatureMap::elu:
      return select(less(zero(), x), one, exp(x));
    case FeatureMap::relu:
      return select(less(zero(), x), one, mul(min(zero(), x), zero()));
    case FeatureMap::exp:
      return exp(x);
    case FeatureMap::identity:
      break;
  }
  return one;
}

template <class T>
HWY_ATTR void store_part(const F32x16& x, T* row, int64_t step, int64_t i, int64_t count) {
  if (step == 1 && i + 16 <= count) {
    store(x, row + i);
    return;
  }
  alignas(64) T lanes[16];
  store(x, lanes);
  for (int64_t at = i; at < count && at < i + 16; ++at) row[at * step] = lanes[at - i];
}

// Rows lie far apart, a head of every token, where the machine does not guess the next: it is asked
// for so many rows ahead.
constexpr int64_t kRowsAhead = 8;

template <FeatureMap kMap, class T>
HWY_ATTR void stage_rows(const RowsIn& from, int64_t rows, int64_t count, float factor, float* out,
                         int64_t out_step) {
  const T* row = static_cast<const T*>(from.data);
  const F32x16 by = broadcast(factor);
  const int64_t whole = from.step == 1 ? count / 16 * 16 : 0;
  for (int64_t r = 0; r < rows; ++r, row += from.row_step, out += out_step) {
    int64_t i = 0;
    for (; i < whole; i += 16) {
      if (i * static_cast<int64_t>(sizeof(T)) % 64 == 0) {
        __builtin_prefetch(row + kRowsAhead * from.row_step + i, 0, 3);
      }
      store(mul(apply(kMap, load(row + i)), by), out + i);
    }
    for (; i < count; i += 16) {
      const F32x16 x = mul(apply(kMap, load_part(row, from.step, i, count)), by);
      const int left = count - i < 16 ? static_cast<int>(count - i) : 16;
      store(select(first_lanes(left), x, zero()), out + i);
    }
    for (; i < out_step; i += 16) store(zero(), out + i);
  }
}

}  // namespace

HWY_ATTR void stage(const RowsIn& from, int64_t rows, int64_t count, FeatureMap map, float factor,
                    float* out, int64_t out_step) {
  with_dtype(from.dtype, [&](auto t) HWY_ATTR {
    using T = decltype(t);
    switch (map) {
      case FeatureMap::identity:
        return stage_rows<FeatureMap::identity, T>(from, rows, count, factor, out, out_step);
      case FeatureMap::elu:
        return stage_rows<FeatureMap::elu, T>(from, rows, count, factor, out, out_step);
      case FeatureMap::relu:
        return stage_rows<FeatureMap::relu, T>(from, rows, count, factor, out, out_step);
      case FeatureMap::exp:
        return stage_rows<FeatureMap::exp, T>(from, rows, count, factor, out, out_step);
    }
  });
}

HWY_ATTR void through_features(const RowsIn& from, int64_t rows, int64_t count, FeatureMap map,
                               float* g, int64_t g_step) {
  with_dtype(from.dtype, [&](auto t) HWY_ATTR {
    const auto* row = static_cast<const decltype(t)*>(from.data);
    for (int64_t r = 0; r < rows; ++r, row += from.row_step, g += g_step) {
      for (int64_t i = 0; i < count; i += 16) {
        store(mul(load(g + i), slope(map, load_part(row, from.step, i, count))), g + i);
      }
    }
  });
}

HWY_ATTR void unstage(const float* from, int64_t from_step, const float* factors, int64_t rows,
                      int64_t count, const RowsOut& to) {
  with_dtype(to.dtype, [&](auto t) HWY_ATTR {
    using T = std::conditional_t<std::is_same_v<decltype(t), int8_t>, float, decltype(t)>;
    auto* row = static_cast<T*>(to.data);
    for (int64_t r = 0; r < rows; ++r, row += to.row_step, from += from_step) {
      const F32x16 factor = broadcast(factors != nullptr ? factors[r] : 1.0f);
      for (int64_t i = 0; i < count; i += 16) {
        store_part(add(mul(load(from + i), factor), zero()), row, to.step, i, count);
      }
    }
  });
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace regard {

void stage(const RowsIn& from, int64_t rows, int64_t count, FeatureMap map, float factor,
           float* out, int64_t out_step) noexcept {
  REGARD_DISPATCH(stage)(from, rows, count, map, factor, out, out_step);
}
void through_features(const RowsIn& from, int64_t rows, int64_t count, FeatureMap map, float* g,
                      int64_t g_step) noexcept {
  if (map != FeatureMap::identity) {
    REGARD_DISPATCH(through_features)(from, rows, count, map, g, g_step);
  }
}
void unstage(const float* from, int64_t from_step, const float* factors, int64_t rows,
             int64_t count, const RowsOut& to) noexcept {
  REGARD_DISPATCH(unstage)(from, from_step, factors, rows, count, to);
}

}  // namespace regard
#endif
