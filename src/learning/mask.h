// Which elements a draw of dropout leaves out: a word of 32 random bits for each, by counting.
//
// word(i) = mix(mix(i ^ first) ^ second), mix being a bijection of 32 bits whose every output bit
// follows every input bit (multiply and xor-shift, Wellons's constants). The two keys come from
// Philox, so draws differ as its words do; Philox itself for every element, four at a time, took 22
// times as long.
#pragma once

#include <cstdint>

namespace regard {

struct Mask {
  uint32_t first = 0, second = 0;  // keys of one draw and one block of 2^32 elements
  uint32_t threshold = 0;          // words below it are left out
  float kept = 1;                  // factor of the others

  uint32_t word(uint32_t element) const noexcept { return mix(mix(element ^ first) ^ second); }

 private:
  static uint32_t mix(uint32_t x) noexcept {
    x = (x ^ x >> 16) * 0x7FEB352Du;
    x = (x ^ x >> 15) * 0x846CA68Bu;
    return x ^ x >> 16;
  }
};

// out[n] = x[n] · kept, or 0 where word(element + n) is left out, for n < count; out may be x. The
// same bits on every target.
void mask_numbers(const float* x, uint32_t element, int64_t count, const Mask& mask, float* out);

}  // namespace regard
