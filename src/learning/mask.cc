#include "learning/mask.h"

#include "simd/highway.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "learning/mask.cc"
#include <hwy/foreach_target.h>

#include "simd/integer-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {

// Zeros come in from the left.
template <int kBits>
REGARD_INLINE I32x16 shift_in_zeros(const I32x16& x) {
  return bit_and(shift_right<kBits>(x), broadcast_bits(static_cast<int32_t>(~0u >> kBits)));
}

REGARD_INLINE I32x16 mix(I32x16 x) {
  x = mul(bit_xor(x, shift_in_zeros<16>(x)), broadcast_bits(0x7FEB352D));
  x = mul(bit_xor(x, shift_in_zeros<15>(x)), broadcast_bits(static_cast<int32_t>(0x846CA68Bu)));
  return bit_xor(x, shift_in_zeros<16>(x));
}

HWY_ATTR void mask_row(const float* x, uint32_t element, int64_t count, const Mask& mask,
                       float* out) {
  alignas(64) int32_t lanes[16];
  for (int i = 0; i < 16; ++i) lanes[i] = static_cast<int32_t>(element + static_cast<uint32_t>(i));
  I32x16 at = load(lanes);
  const I32x16 first = broadcast_bits(static_cast<int32_t>(mask.first));
  const I32x16 second = broadcast_bits(static_cast<int32_t>(mask.second));
  // Unsigned order is signed order with the top bit turned.
  const I32x16 top = broadcast_bits(INT32_MIN);
  const I32x16 threshold = bit_xor(broadcast_bits(static_cast<int32_t>(mask.threshold)), top);
  const F32x16 kept = broadcast(mask.kept);
  for (int64_t n = 0; n < count; n += 16) {
    const I32x16 words = mix(bit_xor(mix(bit_xor(at, first)), second));
    const Mask16 left_out = less(bit_xor(words, top), threshold);
    at = add(at, broadcast_bits(16));
    const int left = static_cast<int>(count - n);
    if (left >= 16) {
      store(zero_where(left_out, mul(load(x + n), kept)), out + n);
    } else {
      store_first(zero_where(left_out, mul(load_first(x + n, left), kept)), out + n, left);
    }
  }
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace regard {

void mask_numbers(const float* x, uint32_t element, int64_t count, const Mask& mask, float* out) {
  REGARD_DISPATCH(mask_row)(x, element, count, mask, out);
}

}  // namespace regard
#endif
