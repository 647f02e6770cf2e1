// The loops of the tile interpreter: what one step does to all its vectors.
#if defined(REGARD_INTERPRETER_LOOPS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef REGARD_INTERPRETER_LOOPS_INL_H_
#undef REGARD_INTERPRETER_LOOPS_INL_H_
#else
#define REGARD_INTERPRETER_LOOPS_INL_H_
#endif

#include <cstring>

#include "interpreter/steps.h"
#include "simd/integer-inl.h"
#include "simd/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {

struct Extent {
  int rows, vectors;
};

// A run: where the bases are by now, and how much there is of each shape.
struct TileRun {
  const TilePlace* place = nullptr;
  const TileArray* arrays = nullptr;
  const uint32_t* constants = nullptr;
  float* tile = nullptr;
  float* scores = nullptr;    // of the block
  uint16_t* masks = nullptr;  // of the block
  void* const* outputs = nullptr;
  uint16_t* poison[2] = {};  // of the tile, [rows][8]: of scores, of scores and masks
  bool poisoned = false;
  int first_row = 0;
  int panels = 0;
  Extent extent[4];  // by shape

  HWY_INLINE float* to(const TileOperand& at) const {
    if (at.base == TileBase::outputs) return output(at);
    return (at.base == TileBase::scores ? scores : tile) + at.offset;
  }
  HWY_INLINE float* output(const TileOperand& at) const {
    return static_cast<float*>(outputs[at.offset]) + first_row * at.row_step;
  }
  HWY_INLINE const float* from(const TileOperand& at) const {
    switch (at.base) {
      case TileBase::constants:
        return reinterpret_cast<const float*>(constants + at.offset);
      case TileBase::rows:
        return tile + first_row + at.offset;
      case TileBase::scores:
        return scores + at.offset;
      case TileBase::outputs:
        return output(at);
      default:
        return tile + at.offset;
    }
  }
  HWY_INLINE Extent of(const TileStep& step) const { return extent[static_cast<int>(step.shape)]; }
};

// An operand: 16 numbers for each vector, or one for the row.
template <bool kVector>
struct Operand {
  const float* at;
  int row_step;
  F32x16 now;

  HWY_INLINE HWY_ATTR Operand(const TileRun& run, const TileOperand& operand)
      : at(run.from(operand)), row_step(operand.row_step) {}
  HWY_INLINE HWY_ATTR void start_row() {
    if constexpr (!kVector) now = broadcast(*at);
  }
  HWY_INLINE HWY_ATTR F32x16 get(int vector) const {
    if constexpr (kVector) return load(at + 16 * vector);
    return now;
  }
  HWY_INLINE void end_row() { at += row_step; }
};

// Calls work(vector) for a row; whole rows are unrolled where that is a register a vector.
template <bool kUnroll, class Work>
HWY_INLINE HWY_ATTR void for_row(int vectors, const Work& work) {
  if (kUnroll && kParts <= 2 && vectors == kTilePanels) {
#pragma GCC unroll 8
    for (int v = 0; v < kTilePanels; ++v) work(v);
  } else {
#pragma GCC unroll 1
    for (int v = 0; v < vectors; ++v) work(v);
  }
}

template <class Op, bool kA>
HWY_ATTR void each(TileRun& run, const TileStep& step) {
  const Extent extent = run.of(step);
  Operand<kA> a(run, step.operand[0]);
  float* to = run.to(step.to);
  for (int r = 0; r < extent.rows; ++r) {
    a.start_row();
    for_row<Op::kShort>(extent.vectors,
                        [&](int v) HWY_ATTR { store(Op::of(a.get(v)), to + 16 * v); });
    a.end_row();
    to += step.to.row_step;
  }
}

template <class Op, bool kA, bool kB>
struct Pairs {
  static HWY_ATTR void run(TileRun& tile, const TileStep& step) {
    const Extent extent = tile.of(step);
    Operand<kA> a(tile, step.operand[0]);
    Operand<kB> b(tile, step.operand[1]);
    float* to = tile.to(step.to);
    for (int r = 0; r < extent.rows; ++r) {
      a.start_row();
      b.start_row();
      for_row<Op::kShort>(extent.vectors,
                          [&](int v) HWY_ATTR { store(Op::of(a.get(v), b.get(v)), to + 16 * v); });
      a.end_row();
      b.end_row();
      to += step.to.row_step;
    }
  }
};

template <bool kA, bool kB, bool kC>
HWY_ATTR void choose(TileRun& run, const TileStep& step) {
  const Extent extent = run.of(step);
  Operand<kA> a(run, step.operand[0]);
  Operand<kB> b(run, step.operand[1]);
  Operand<kC> c(run, step.operand[2]);
  float* to = run.to(step.to);
  for (int r = 0; r < extent.rows; ++r) {
    a.start_row();
    b.start_row();
    c.start_row();
    for_row<true>(extent.vectors, [&](int v) HWY_ATTR {
      store(select(mask_of(bits_of(a.get(v))), b.get(v), c.get(v)), to + 16 * v);
    });
    a.end_row();
    b.end_row();
    c.end_row();
    to += step.to.row_step;
  }
}

// x ± slope real(key - row), or real(row - key): ALiBi.
template <bool kSubtracts, bool kReversed>
HWY_ATTR void add_distance(TileRun& run, const TileStep& step) {
  const Extent extent = run.of(step);
  Operand<true> x(run, step.operand[0]);
  Operand<false> slope(run, step.operand[1]);
  Operand<true> key(run, step.operand[2]);
  Operand<false> row(run, step.operand[3]);
  float* to = run.to(step.to);
  for (int r = 0; r < extent.rows; ++r) {
    slope.start_row();
    row.start_row();
    for_row<true>(extent.vectors, [&](int v) HWY_ATTR {
      const I32x16 at = bits_of(key.get(v)), from = bits_of(row.now);
      const F32x16 far = mul(to_f32(kReversed ? sub(from, at) : sub(at, from)), slope.now);
      store(kSubtracts ? sub(x.get(v), far) : add(x.get(v), far), to + 16 * v);
    });
    x.end_row();
    slope.end_row();
    key.end_row();
    row.end_row();
    to += step.to.row_step;
  }
}

// masks &= bits(vector) for a row. Eight panels are put together in two words first: every target
// stores the lowest byte first.
template <class Bits>
HWY_INLINE HWY_ATTR void narrow_row(int panels, uint16_t* masks, const Bits& bits) {
  if (kParts <= 2 && panels == kTilePanels) {
    uint64_t half[2] = {0, 0}, before[2];
#pragma GCC unroll 8
    for (int v = 0; v < kTilePanels; ++v) half[v / 4] |= uint64_t{bits(v)} << (v % 4 * 16);
    std::memcpy(before, masks, sizeof before);
    half[0] &= before[0];
    half[1] &= before[1];
    std::memcpy(masks, half, sizeof half);
  } else {
    for (int v = 0; v < panels; ++v) masks[v] = static_cast<uint16_t>(masks[v] & bits(v));
  }
}

template <class Op, bool kA, bool kB>
struct MaskPairs {
  static HWY_ATTR void run(TileRun& tile, const TileStep& step) {
    const Extent extent = tile.of(step);
    Operand<kA> a(tile, step.operand[0]);
    Operand<kB> b(tile, step.operand[1]);
    uint16_t* masks = tile.masks;
    for (int r = 0; r < extent.rows; ++r, masks += kTilePanels) {
      a.start_row();
      b.start_row();
      narrow_row(extent.vectors, masks,
                 [&](int v) HWY_ATTR { return bits_of(Op::where(a.get(v), b.get(v))); });
      a.end_row();
      b.end_row();
    }
  }
};

template <bool kA>
HWY_ATTR void mask_and(TileRun& run, const TileStep& step) {
  const Extent extent = run.of(step);
  Operand<kA> a(run, step.operand[0]);
  uint16_t* masks = run.masks;
  for (int r = 0; r < extent.rows; ++r, masks += kTilePanels) {
    a.start_row();
    narrow_row(extent.vectors, masks,
               [&](int v) HWY_ATTR { return bits_of(mask_of(bits_of(a.get(v)))); });
    a.end_row();
  }
}

// ---- operations on one vector ----

// kShort: a few instructions, worth unrolling.
#define REGARD_OP1(name, is_short, expression)                                   \
  struct Op_##name {                                                             \
    static constexpr bool kShort = is_short;                                     \
    static HWY_INLINE HWY_ATTR F32x16 of(const F32x16& a) { return expression; } \
  };
#define REGARD_OP2(name, is_short, expression)                                                    \
  struct Op_##name {                                                                              \
    static constexpr bool kShort = is_short;                                                      \
    static HWY_INLINE HWY_ATTR F32x16 of(const F32x16& a, const F32x16& b) { return expression; } \
  };
#define REGARD_OP_COMPARE(name, expression)                                     \
  struct Op_##name {                                                            \
    static constexpr bool kShort = true;                                        \
    static HWY_INLINE HWY_ATTR Mask16 where(const F32x16& a, const F32x16& b) { \
      return expression;                                                        \
    }                                                                           \
    static HWY_INLINE HWY_ATTR F32x16 of(const F32x16& a, const F32x16& b) {    \
      return as_f32(ones_where(where(a, b)));                                   \
    }                                                                           \
  };
#define REGARD_INTEGERS2(function) as_f32(function(bits_of(a), bits_of(b)))
#define REGARD_INTEGERS1(function) as_f32(function(bits_of(a)))

REGARD_OP2(add, true, add(a, b))
REGARD_OP2(sub, true, sub(a, b))
REGARD_OP2(mul, true, mul(a, b))
REGARD_OP2(div, false, div(a, b))
REGARD_OP2(floor_div, false, divide_floor(a, b).quotient)
REGARD_OP2(mod, false, divide_floor(a, b).rest)
// NaN in b comes out of min by itself.
REGARD_OP2(min, true, select(equal(a, a), min(a, b), a))
REGARD_OP2(max, true, select(equal(a, a), max(a, b), a))
REGARD_OP1(neg, true, neg(a))
REGARD_OP1(abs, true, abs(a))
REGARD_OP1(floor, true, floor(a))
REGARD_OP1(sqrt, false, sqrt(a))
REGARD_OP1(exp, false, exp(a))
REGARD_OP1(log, false, log(a))
REGARD_OP1(tanh, false, tanh(a))
REGARD_OP1(sigmoid, false, sigmoid(a))
REGARD_OP1(sin, false, sin(a))
REGARD_OP1(cos, false, cos(a))
REGARD_OP2(iadd, true, REGARD_INTEGERS2(add))
REGARD_OP2(isub, true, REGARD_INTEGERS2(sub))
REGARD_OP2(imul, true, REGARD_INTEGERS2(mul))
REGARD_OP2(ifloor_div, false, REGARD_INTEGERS2(floor_div))
REGARD_OP2(imod, false, REGARD_INTEGERS2(mod))
REGARD_OP2(imin, true, REGARD_INTEGERS2(min))
REGARD_OP2(imax, true, REGARD_INTEGERS2(max))
REGARD_OP1(ineg, true, REGARD_INTEGERS1(neg))
REGARD_OP1(iabs, true, REGARD_INTEGERS1(abs))
REGARD_OP2(iand, true, REGARD_INTEGERS2(bit_and))
REGARD_OP2(ior, true, REGARD_INTEGERS2(bit_or))
REGARD_OP2(ixor, true, REGARD_INTEGERS2(bit_xor))
REGARD_OP1(inot, true, REGARD_INTEGERS1(bit_not))
REGARD_OP2(ishl, false, REGARD_INTEGERS2(shift_left))
REGARD_OP2(ishr, false, REGARD_INTEGERS2(shift_right))
REGARD_OP2(ixor_shift, true, REGARD_INTEGERS2(xor_shift))
REGARD_OP1(to_real, true, to_f32(bits_of(a)))
REGARD_OP1(bool_to_int, true, as_f32(bit_and(bits_of(a), broadcast_bits(1))))
REGARD_OP1(truth_to_real, true, as_f32(bit_and(bits_of(a), bits_of(broadcast(1.0f)))))
REGARD_OP1(copy, true, a)
REGARD_OP_COMPARE(lt, less(a, b))
REGARD_OP_COMPARE(le, less_equal(a, b))
REGARD_OP_COMPARE(eq, equal(a, b))
REGARD_OP_COMPARE(ne, opposite(equal(a, b)))
REGARD_OP_COMPARE(ilt, less(bits_of(a), bits_of(b)))
REGARD_OP_COMPARE(ile, opposite(less(bits_of(b), bits_of(a))))
REGARD_OP_COMPARE(ieq, equal(bits_of(a), bits_of(b)))
REGARD_OP_COMPARE(ine, opposite(equal(bits_of(a), bits_of(b))))
#undef REGARD_OP1
#undef REGARD_OP2
#undef REGARD_OP_COMPARE
#undef REGARD_INTEGERS1
#undef REGARD_INTEGERS2

// clang-format off
#define REGARD_TILE_UNARY(X)                                                    \
  X(neg) X(abs) X(floor) X(sqrt) X(exp) X(log) X(tanh) X(sigmoid) X(sin) X(cos) \
  X(ineg) X(iabs) X(inot) X(to_real) X(bool_to_int)
#define REGARD_TILE_BINARY(X)                                     \
  X(add) X(sub) X(mul) X(div) X(floor_div) X(mod) X(min) X(max)   \
  X(iadd) X(isub) X(imul) X(ifloor_div) X(imod) X(imin) X(imax)   \
  X(iand) X(ior) X(ixor) X(ishl) X(ishr) X(ixor_shift)
#define REGARD_TILE_COMPARE(X) X(lt) X(le) X(eq) X(ne) X(ilt) X(ile) X(ieq) X(ine)
// clang-format on

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
