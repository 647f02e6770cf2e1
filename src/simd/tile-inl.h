// The one matmul tile: C[rows][16 * columns] += A B, a chain of fused multiply-adds over k for
// each number of C. Attention (Q K^T and P V), linear layers and training all run through it.
//
//   A  rows of f32, read one number at a time and broadcast
//   B  sources of F32x16: source(k, j) is row k, columns 16 j .. 16 j + 15
//
// The order of additions of one C number is k ascending, whatever the tile's shape: that is what
// makes a row alone equal the row in a block.
#if defined(REGARD_SIMD_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef REGARD_SIMD_TILE_INL_H_
#undef REGARD_SIMD_TILE_INL_H_
#else
#define REGARD_SIMD_TILE_INL_H_
#endif

#include "regard/dtype.h"
#include "simd/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {

// The accumulators of a tile; they stay in registers.
template <int kRows, int kColumns>
struct Accumulators {
  F32x16 at[kRows][kColumns];
};

template <int kRows, int kColumns>
REGARD_INLINE void clear(Accumulators<kRows, kColumns>& c) {
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int j = 0; j < kColumns; ++j) c.at[r][j] = zero();
  }
}

// Rows of B that lie in memory, of f32, f16, bf16 or i8: column block j starts at base[j], row k is
// k * step numbers further. Key panels and weight panels have step 16, values their row length.
// kAhead: with each row so many cache lines are asked for that a later call will read, ahead_step
// bytes further on each time: panels are too short for the machine to guess what comes next.
template <class T, int kColumns, int kAhead = 0>
struct Stored {
  static constexpr int kGroup = 1;  // rows of B fetched together
  const T* base[kColumns];
  int64_t step;
  const std::byte* ahead[kAhead > 0 ? kAhead : 1];
  int64_t ahead_step;

  struct Group {
    F32x16 row[kColumns];
    template <int kIndex>
    HWY_INLINE HWY_ATTR F32x16 get(int j) const {
      return row[j];
    }
  };
  HWY_INLINE HWY_ATTR Group group(int64_t k) const {
    Group g;
#pragma GCC unroll 8
    for (int j = 0; j < kColumns; ++j) {
      g.row[j] = load(base[j] + k * step);
      if (j < kAhead) __builtin_prefetch(ahead[j] + k * ahead_step, 0, 2);
    }
    return g;
  }
};

// Calls function with a number of the storage type, for its type alone.
template <class Function>
HWY_ATTR void with_dtype(DType dtype, Function&& function) {
  if (dtype == DType::f32) {
    function(float{});
  } else if (dtype == DType::f16) {
    function(f16{});
  } else if (dtype == DType::i8) {
    function(int8_t{});
  } else {
    function(bf16{});
  }
}

// A as rows: number (r, k) at[r * step + k].
struct Rows {
  const float* HWY_RESTRICT at;
  int64_t step;
  HWY_INLINE HWY_ATTR float get(int r, int64_t k) const { return at[r * step + k]; }
};

// The same with an address for every four rows, which the others are a small multiple of step away
// from: a dozen addresses would not fit the registers.
template <int kRows>
struct TallRows {
  static constexpr int kGroups = (kRows + 3) / 4;
  const float* HWY_RESTRICT at[kGroups];
  int64_t step;
  HWY_INLINE HWY_ATTR TallRows(const float* first, int64_t step_of_rows) : step(step_of_rows) {
    for (int g = 0; g < kGroups; ++g) {
      at[g] = first + 4 * g * step;
      asm("" : "+r"(at[g]));  // else the compiler finds the dozen again
    }
  }
  HWY_INLINE HWY_ATTR float get(int r, int64_t k) const { return at[r / 4][r % 4 * step + k]; }
};

// A as columns of kStride numbers: one address serves all rows, which leaves the registers to the
// rest of a tall tile.
template <int kStride>
struct Columns {
  const float* HWY_RESTRICT at;
  HWY_INLINE HWY_ATTR float get(int r, int64_t k) const { return at[k * kStride + r]; }
};

template <int kIndex, int kRows, int kColumns, class A, class Group>
REGARD_INLINE void multiply_add_row(const A& a, int64_t k, const Group& b,
                                    Accumulators<kRows, kColumns>& c) {
  F32x16 w[kColumns];
#pragma GCC unroll 8
  for (int j = 0; j < kColumns; ++j) w[j] = b.template get<kIndex>(j);
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
    const F32x16 x = broadcast(a.get(r, k + kIndex));
#pragma GCC unroll 8
    for (int j = 0; j < kColumns; ++j) c.at[r][j] = fma(x, w[j], c.at[r][j]);
  }
}

template <int kRows, int kColumns, class A, class Group, int... kIndex>
REGARD_INLINE void multiply_add_group(const A& a, int64_t k, const Group& b,
                                      Accumulators<kRows, kColumns>& c,
                                      std::integer_sequence<int, kIndex...>) {
  (multiply_add_row<kIndex>(a, k, b, c), ...);
}

// c += A[rows][0 .. count) B[0 .. count). count must be a multiple of B's group.
template <int kRows, int kColumns, class A, class B>
REGARD_INLINE void multiply_add(const A& a, const B& b, int64_t count,
                                Accumulators<kRows, kColumns>& c) {
#pragma GCC unroll 4
  for (int64_t k = 0; k < count; k += B::kGroup) {
    const typename B::Group rows_of_b = b.group(k);
    multiply_add_group(a, k, rows_of_b, c, std::make_integer_sequence<int, B::kGroup>());
  }
}

// Tile shapes that fill the registers: AVX-512 has room for 24 accumulators, AVX2 for 12 halves
// (6 of 16 lanes), the others follow AVX2. columns_for(rows) is the widest tile of that height.
constexpr int kTileBudget = kParts == 1 ? 24 : 6;
constexpr int kMaxTileRows = kParts == 1 ? 12 : 6;
constexpr int columns_for(int rows) {
  const int columns = kTileBudget / rows;
  return columns >= 8 ? 8 : columns >= 4 ? 4 : columns >= 2 ? 2 : 1;
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
