// Keys rotated on their way into a cache.
#pragma once

#include <cstdint>

namespace regard {

// Up to 16 keys rotated as rope() does it (halves or adjacent pairs), into out [count][dim].
// cosines, sines: [rotated / 2] for each key; numbers from rotated on stay.
void rotate_keys(const float* rows, int64_t key_step, int64_t dim_step, int64_t dim, int count,
                 const float* const* cosines, const float* const* sines, int64_t rotated,
                 bool pairs, float* out) noexcept;

}  // namespace regard
