// int8 keys and values. A vector x of one key (or value) and kv head is stored as whole numbers n
// and one f32 scale: scale = max|x| / 127, n = x / scale rounded to nearest even, x ≈ scale · n.
// The kernels multiply a finished score by its key's scale, and a weight p by its value's.
// A vector that holds a NaN or an infinity gets the scale NaN, which every row that uses it shows.
#pragma once

#include <cstdint>

namespace regard {

// Up to 16 keys into a transposed panel: panel[d * 16 + lane] and scales[lane], lane = first_lane +
// key. rows[key * key_step + d * dim_step], dim <= 1024.
void quantise_keys(const float* rows, int64_t key_step, int64_t dim_step, int64_t dim, int count,
                   int first_lane, int8_t* panel, float* scales) noexcept;
// One value row; numbers up to columns become 0. Returns whether all are finite.
bool quantise_value(const float* row, int64_t step, int64_t dim_v, int64_t columns, int8_t* out,
                    float* scale) noexcept;

}  // namespace regard
