#include "formats/ggml_types.h"

#include <array>

namespace regard {
namespace {

constexpr GgmlType kNone{{}, 0, 0, {}};

// Indexed by ggml's type number (ggml.h, enum ggml_type; block sizes from ggml-common.h).
constexpr std::array<GgmlType, 43> kTypes{{
    {"f32", 1, 4, DType::f32},        // 0
    {"f16", 1, 2, DType::f16},        // 1
    {"q4_0", 32, 18, DType::q4_0},    // 2
    {"q4_1", 32, 20, DType::q4_1},    // 3
    kNone,                            // 4, was q4_2
    kNone,                            // 5, was q4_3
    {"q5_0", 32, 22, DType::q5_0},    // 6
    {"q5_1", 32, 24, DType::q5_1},    // 7
    {"q8_0", 32, 34, DType::q8_0},    // 8
    {"q8_1", 32, 36, {}},             // 9
    {"q2_k", 256, 84, {}},            // 10
    {"q3_k", 256, 110, {}},           // 11
    {"q4_k", 256, 144, DType::q4_k},  // 12
    {"q5_k", 256, 176, DType::q5_k},  // 13
    {"q6_k", 256, 210, DType::q6_k},  // 14
    {"q8_k", 256, 292, {}},           // 15
    {"iq2_xxs", 256, 66, {}},         // 16
    {"iq2_xs", 256, 74, {}},          // 17
    {"iq3_xxs", 256, 98, {}},         // 18
    {"iq1_s", 256, 50, {}},           // 19
    {"iq4_nl", 32, 18, {}},           // 20
    {"iq3_s", 256, 110, {}},          // 21
    {"iq2_s", 256, 82, {}},           // 22
    {"iq4_xs", 256, 136, {}},         // 23
    {"i8", 1, 1, {}},                 // 24
    {"i16", 1, 2, {}},                // 25
    {"i32", 1, 4, {}},                // 26
    {"i64", 1, 8, {}},                // 27
    {"f64", 1, 8, DType::f64},        // 28
    {"iq1_m", 256, 56, {}},           // 29
    {"bf16", 1, 2, DType::bf16},      // 30
    kNone,                            // 31, was q4_0_4_4
    kNone,                            // 32, was q4_0_4_8
    kNone,                            // 33, was q4_0_8_8
    {"tq1_0", 256, 54, {}},           // 34
    {"tq2_0", 256, 66, {}},           // 35
    kNone,                            // 36, was iq4_nl_4_4
    kNone,                            // 37, was iq4_nl_4_8
    kNone,                            // 38, was iq4_nl_8_8
    {"mxfp4", 32, 17, {}},            // 39
    {"nvfp4", 64, 36, {}},            // 40
    {"q1_0", 128, 18, {}},            // 41
    {"q2_0", 64, 18, {}},             // 42
}};

}  // namespace

const GgmlType* find_ggml_type(uint32_t id) noexcept {
  if (id >= kTypes.size() || kTypes[id].block_elements == 0) return nullptr;
  return &kTypes[id];
}

bool is_removed_ggml_type(uint32_t id) noexcept {
  return id < kTypes.size() && kTypes[id].block_elements == 0;
}

}  // namespace regard
