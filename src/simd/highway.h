// Before any Highway header: which targets are compiled, and the switch that picks one.
//
// Only targets that fuse multiply-add count; the oldest is one lane through std::fma. A kernel
// file is laid out as
//     #include "simd/highway.h"
//     #undef HWY_TARGET_INCLUDE
//     #define HWY_TARGET_INCLUDE "kernels/NAME.cc"
//     #include "hwy/foreach_target.h"
//     #include "simd/simd-inl.h"
//     HWY_BEFORE_NAMESPACE(); namespace regard::HWY_NAMESPACE { ...kernels... }
//     HWY_AFTER_NAMESPACE(); #if HWY_ONCE namespace regard { void f(...) {
//     REGARD_DISPATCH(kernel)(...); } } #endif
#ifndef REGARD_SIMD_HIGHWAY_H_
#define REGARD_SIMD_HIGHWAY_H_

#define HWY_COMPILE_ALL_ATTAINABLE
#define HWY_BROKEN_EMU128 1      // the one-lane target is HWY_SCALAR with every compiler
#ifndef REGARD_LEFT_OUT_TARGETS  // besides: what need not be compiled for a fuzzer
#define REGARD_LEFT_OUT_TARGETS 0
#endif
#define HWY_DISABLED_TARGETS                                                           \
  (REGARD_LEFT_OUT_TARGETS | HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | \
   HWY_SVE_256 | HWY_SVE2_128 | HWY_WASM | HWY_WASM_EMU256 | HWY_RVV | HWY_PPC8)

#include <hwy/detect_targets.h>

#include "simd/target.h"

#if HWY_TARGETS & HWY_SCALAR
#define REGARD_CASE_SCALAR(kernel) \
  case Target::scalar:             \
    return &N_SCALAR::kernel;
#else
#error "regard: the one-lane target must be compiled: its results are the definition"
#endif
#if HWY_TARGETS & HWY_AVX2
#define REGARD_CASE_AVX2(kernel) \
  case Target::avx2:             \
    return &N_AVX2::kernel;
#else
#define REGARD_CASE_AVX2(kernel)
#endif
#if HWY_TARGETS & HWY_AVX3
#define REGARD_CASE_AVX512(kernel) \
  case Target::avx512:             \
    return &N_AVX3::kernel;
#else
#define REGARD_CASE_AVX512(kernel)
#endif
#if HWY_TARGETS & HWY_NEON
#define REGARD_CASE_NEON(kernel) \
  case Target::neon:             \
    return &N_NEON::kernel;
#else
#define REGARD_CASE_NEON(kernel)
#endif

// The active target's version of a function that every target defines.
#define REGARD_DISPATCH(kernel)          \
  ([]() -> decltype(&N_SCALAR::kernel) { \
    switch (active_target()) {           \
      REGARD_CASE_AVX512(kernel)         \
      REGARD_CASE_AVX2(kernel)           \
      REGARD_CASE_NEON(kernel)           \
      REGARD_CASE_SCALAR(kernel)         \
      default:                           \
        return &N_SCALAR::kernel;        \
    }                                    \
  }())

#endif  // REGARD_SIMD_HIGHWAY_H_
