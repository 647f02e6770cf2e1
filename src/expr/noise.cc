// Random numbers by counting, as expressions: a hash of (seed, sequence, head, i, j) in 32-bit
// integer operations, which are exact everywhere. What depends on the row alone is hashed once a
// row, into two words, and what depends on the key once a key; a score then costs five operations.
// The mixing function is Wellons' lowbias32 (2018); its last multiplication stands where the two
// meet, so that neighbouring scores share nothing.
#include <bit>
#include <cmath>

#include "base/check.h"
#include "expr/node.h"
#include "regard/attention_options.h"

namespace regard {
namespace program {
namespace {

constexpr uint32_t kFirst = 0x7feb352d, kSecond = 0x846ca68b;

// Streams that have nothing to do with each other.
enum class Stream : uint32_t { uniform, gumbel };

uint32_t mixed(uint32_t x) {
  x ^= x >> 16;
  x *= kFirst;
  x ^= x >> 15;
  x *= kSecond;
  return x ^ x >> 16;
}

Expr whole(uint32_t bits) { return Expr(std::bit_cast<int32_t>(bits)); }
// x ^ x >> count as if x had no sign; lowering makes one instruction of it.
Expr xor_shift(const Expr& x, int count) {
  return x ^ ((x >> count) & whole(0xffffffffu >> count));
}
Expr mixed(const Expr& x) {
  const Expr once = xor_shift(x, 16) * whole(kFirst);
  return xor_shift(xor_shift(once, 15) * whole(kSecond), 16);
}

// 32 bits, uniform and independent for each (sequence, head, i, j).
Expr random_bits(uint64_t seed, Stream stream) {
  const auto low = static_cast<uint32_t>(seed), high = static_cast<uint32_t>(seed >> 32);
  const auto word = [&](uint32_t salt) {
    return mixed(mixed(mixed(low ^ salt) ^ high) + static_cast<uint32_t>(stream));
  };
  const auto of_row = [&](uint32_t salt) {
    return mixed(mixed(mixed(whole(word(salt)) ^ sequence()) ^ head()) ^ query());
  };
  const Expr of_key = mixed(whole(word(0x9e3779b9)) ^ key());
  const Expr met = (of_key ^ of_row(0x85ebca6b)) * whole(kFirst);
  return (xor_shift(met, 15) ^ of_row(0xc2b2ae35)) * whole(kSecond);
}

}  // namespace

// The top bits are the best mixed. Their sign is left where it is: ⌊bits / 2^8⌋ + 2^23 is uniform.
Expr uniform(uint64_t seed) {
  return to_real(random_bits(seed, Stream::uniform) >> 8) * 0x1p-24 + 0.5;
}

// u is one of 2^23 numbers, at least 2^-24 away from 0 and 1; all of this but log is exact.
Expr gumbel_noise(uint64_t seed) {
  const Expr centre = to_real(random_bits(seed, Stream::gumbel) >> 9) + (0x1p22 + 0.5);
  return -log(-log(centre * 0x1p-23));
}

}  // namespace program

Expr dropout(float rate, uint64_t seed) {
  require(rate >= 0 && rate <= 1, "dropout: rate ({}) is not in 0 .. 1", rate);
  if (rate == 0) return program::weight();
  if (rate == 1) return 0.0;
  // uniform(seed) >= rate, said of the bits themselves.
  const auto first = static_cast<int64_t>(std::ceil(static_cast<double>(rate) * 0x1p24));
  const Expr kept = program::random_bits(seed, program::Stream::uniform) >=
                    Expr((first - (int64_t{1} << 23)) * 256);
  return where(kept, program::weight() * (1 / (1 - rate)), 0.0);
}

}  // namespace regard
