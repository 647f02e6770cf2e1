// Keys rotated on their way into a cache: rope()'s arithmetic on rows of any strides.
#include "cache/rotate.h"

#include <cstring>

#include "simd/highway.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cache/rotate.cc"
#include <hwy/foreach_target.h>

#include "simd/rotate-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {

HWY_ATTR void rotate_keys(const float* rows, int64_t key_step, int64_t dim_step, int64_t dim,
                          int count, const float* const* cosines, const float* const* sines,
                          int64_t rotated, bool pairs, float* out) {
  for (int key = 0; key < count; ++key, rows += key_step, out += dim) {
    if (dim_step == 1) {
      std::memcpy(out, rows, static_cast<std::size_t>(dim) * sizeof(float));
    } else {
      for (int64_t d = 0; d < dim; ++d) out[d] = rows[d * dim_step];
    }
    rotate(out, cosines[key], sines[key], rotated / 2, pairs);
  }
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace regard {

void rotate_keys(const float* rows, int64_t key_step, int64_t dim_step, int64_t dim, int count,
                 const float* const* cosines, const float* const* sines, int64_t rotated,
                 bool pairs, float* out) noexcept {
  REGARD_DISPATCH(rotate_keys)
  (rows, key_step, dim_step, dim, count, cosines, sines, rotated, pairs, out);
}

}  // namespace regard
#endif
