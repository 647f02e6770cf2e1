// The packed layout of a weight matrix, known to whoever writes it (pack.cc) and to whoever reads
// it (weights-inl.h, matmul.cc).
//
// A panel is 16 output features, so that a vector's lanes are features. Up to four panels form a
// group whose numbers are interleaved along the inputs: a thread that multiplies one row reads
// one sequential stream. A group is a sequence of blocks of inputs, a block of `panels` panels is
//     header[panels]                       scales of each panel
//     quants[block / 32][panels]           32 inputs of each panel at a time
// Quants of 32 inputs (n of 8 numbers: number i is input 8 n + i, lane = feature):
//     f32, f16, bf16, q8_0   [32][16], as they are
//     4 bits    4 words of 16 x u32; number i of word n is its nibble i
//     5 bits    4 such words, then one u32: number i's high bit is bit 8 (i / 2) + 2 n + i % 2
//     6 bits    4 such words, then two u32: its high bits are bits 8 (i / 2) + 4 (n % 2) +
//               2 (i % 2) and the next of the (n / 2)-th
// so that byte i / 2 of a word shifted into place meets its high bits by one shift and one merge.
// Formats without a minimum (q4_0, q5_0, q6_k) hold their codes in two's complement.
// Headers, 16 numbers (one a feature) each:
//     q8_0, q4_0, q5_0   d f16
//     q4_1, q5_1         d f16, m f16
//     q4_k, q5_k         d f16, dmin f16, then for each 32 inputs scale u8, min u8
//     q6_k               d f16, then for each 16 inputs scale i8
#pragma once

#include <cstddef>
#include <cstdint>

#include "regard/dtype.h"

namespace regard {

inline constexpr int kPanel = 16;       // output features of a panel
inline constexpr int kGroupPanels = 4;  // panels of a whole group

struct PanelLayout {
  int block;   // inputs under one header
  int header;  // bytes of one panel's header
  int quants;  // bytes of one panel's 32 inputs

  constexpr int block_bytes() const { return header + block / 32 * quants; }
};

constexpr PanelLayout panel_layout(DType dtype) {
  switch (dtype) {
    case DType::f16:
    case DType::bf16:
      return {32, 0, 32 * kPanel * 2};
    case DType::q8_0:
      return {32, 2 * kPanel, 32 * kPanel};
    case DType::q4_0:
      return {32, 2 * kPanel, 256};
    case DType::q4_1:
      return {32, 4 * kPanel, 256};
    case DType::q5_0:
      return {32, 2 * kPanel, 320};
    case DType::q5_1:
      return {32, 4 * kPanel, 320};
    case DType::q4_k:
      return {256, (4 + 8 * 2) * kPanel, 256};
    case DType::q5_k:
      return {256, (4 + 8 * 2) * kPanel, 320};
    case DType::q6_k:
      return {256, (2 + 16) * kPanel, 384};
    default:  // f32
      return {32, 0, 32 * kPanel * 4};
  }
}

// Bytes of one panel. Plain formats may end in a block of fewer than 32 inputs.
constexpr int64_t panel_bytes(DType dtype, int64_t inputs) {
  const PanelLayout layout = panel_layout(dtype);
  return inputs / layout.block * layout.block_bytes() + inputs % layout.block * layout.quants / 32;
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
