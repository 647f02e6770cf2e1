// The packed layout of a weight matrix, known to whoever writes it (pack.cc) and to whoever reads
// it (weights-inl.h, matmul.cc).
//
// A panel is 16 output features, so that a vector's lanes are features. Up to four panels form a
// group whose numbers are interleaved along the inputs: a thread that multiplies one row reads
// one sequential stream. A group is a sequence of blocks of inputs, a block of `panels` panels is
//     header[panels]               scales
//     then for each 32 inputs
//         high[panels]             their codes' bits above the fourth
//         for each 8 inputs
//             eight[panels]        their numbers, or their codes' low four bits
// A number has 16 lanes, one a feature. Number i of the n-th 8:
//     f32, f16, bf16, q8_0   eight [8][16], as they are
//     4 bits                 eight u32 [16]; nibble i
//     5 bits                 and high u32 [16]; bit 8 (i / 2) + 2 n + i % 2
//     6 bits                 and high u32 [2][16]; bits 8 (i / 2) + 4 (n % 2) + 2 (i % 2) and the
//                            next of the (n / 2)-th
// so that one shift brings the high bits of four codes beside their nibbles. Formats without a
// minimum (q4_0, q5_0, q6_k) hold their codes in two's complement. Headers:
//     q8_0, q4_0, q5_0       d f16 [16]
//     q4_1, q5_1             d f16 [16], m f16 [16]
//     q4_k, q5_k             d f16 [16], dmin f16 [16], then for each 32 inputs scale u8 [16],
//                            min u8 [16]
//     q6_k                   d f16 [16], then for each 16 inputs scale i8 [16]
// Plain formats may end in fewer than 8 inputs: then `eight` is that much shorter.
#pragma once

#include <cstddef>
#include <cstdint>

#include "regard/dtype.h"

namespace regard {

inline constexpr int kPanel = 16;       // output features of a panel
inline constexpr int kGroupPanels = 4;  // panels of a whole group

struct PanelLayout {  // bytes of one panel
  int block;          // inputs under one header
  int header;         // 0 for plain formats
  int high;           // of 32 inputs
  int eight;          // of 8 inputs

  constexpr int run() const { return high + 4 * eight; }  // 32 inputs
  constexpr int block_bytes() const { return header + block / 32 * run(); }
};

constexpr PanelLayout panel_layout(DType dtype) {
  switch (dtype) {
    case DType::f16:
    case DType::bf16:
      return {32, 0, 0, 8 * kPanel * 2};
    case DType::q8_0:
      return {32, 2 * kPanel, 0, 8 * kPanel};
    case DType::q4_0:
      return {32, 2 * kPanel, 0, 4 * kPanel};
    case DType::q4_1:
      return {32, 4 * kPanel, 0, 4 * kPanel};
    case DType::q5_0:
      return {32, 2 * kPanel, 4 * kPanel, 4 * kPanel};
    case DType::q5_1:
      return {32, 4 * kPanel, 4 * kPanel, 4 * kPanel};
    case DType::q4_k:
      return {256, (4 + 8 * 2) * kPanel, 0, 4 * kPanel};
    case DType::q5_k:
      return {256, (4 + 8 * 2) * kPanel, 4 * kPanel, 4 * kPanel};
    case DType::q6_k:
      return {256, (2 + 16) * kPanel, 8 * kPanel, 4 * kPanel};
    default:  // f32
      return {32, 0, 0, 8 * kPanel * 4};
  }
}

// Bytes of one panel.
constexpr int64_t panel_bytes(DType dtype, int64_t inputs) {
  const PanelLayout layout = panel_layout(dtype);
  return inputs / layout.block * layout.block_bytes() + inputs % layout.block * layout.eight / 8;
}

constexpr int64_t panel_count(int64_t outputs) { return (outputs + kPanel - 1) / kPanel; }

// Where a panel lies: the start of its group, how many panels that has, and which of them it is.
struct PanelPlace {
  const std::byte* group;
  int64_t panels;
  int64_t index;
};
inline PanelPlace place(const std::byte* data, DType dtype, int64_t outputs, int64_t inputs,
                        int64_t panel) {
  const int64_t first = panel / kGroupPanels * kGroupPanels;
  const int64_t left = panel_count(outputs) - first;
  return {data + first * panel_bytes(dtype, inputs), left < kGroupPanels ? left : kGroupPanels,
          panel - first};
}

}  // namespace regard
