// Numbers drawn by counting: Philox 4x32-10 turns (seed, position) into a uniform number, so that
// a draw depends on nothing that was drawn before or beside it.
// Parallel Random Numbers: As Easy as 1, 2, 3 (Salmon, Moraes, Dror, Shaw 2011).
#pragma once

#include <array>
#include <cstdint>

namespace regard {

inline std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, uint64_t seed) noexcept {
  uint32_t key0 = static_cast<uint32_t>(seed);
  uint32_t key1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t left = uint64_t{0xD2511F53u} * counter[0];
    const uint64_t right = uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<uint32_t>(right >> 32) ^ counter[1] ^ key0, static_cast<uint32_t>(right),
               static_cast<uint32_t>(left >> 32) ^ counter[3] ^ key1, static_cast<uint32_t>(left)};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return counter;
}

// In [0, 1), a multiple of 2^-53.
inline double uniform(uint64_t seed, uint64_t position) noexcept {
  const auto words =
      philox({static_cast<uint32_t>(position), static_cast<uint32_t>(position >> 32), 0, 0}, seed);
  const uint64_t bits = (uint64_t{words[1]} << 32 | words[0]) >> 11;
  return static_cast<double>(bits) * 0x1p-53;
}

}  // namespace regard
