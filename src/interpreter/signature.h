// What each operation of a tile program is called, takes and gives.
#pragma once

#include <cstdint>
#include <iterator>
#include <string_view>

#include "interpreter/program.h"

namespace regard {

inline constexpr std::string_view kTileOpNames[] = {
    "load_score", "load_batch", "load_sequence", "load_head",    "load_query",
    "load_key",   "load_row",   "constant_f32",  "constant_i32", "add",
    "sub",        "mul",        "div",           "floor_div",    "mod",
    "min",        "max",        "neg",           "abs",          "floor",
    "sqrt",       "exp",        "log",           "tanh",         "sigmoid",
    "sin",        "cos",        "iadd",          "isub",         "imul",
    "ifloor_div", "imod",       "imin",          "imax",         "ineg",
    "iabs",       "iand",       "ior",           "ixor",         "inot",
    "ishl",       "ishr",       "ixor_shift",    "lt",           "le",
    "eq",         "ne",         "ilt",           "ile",          "ieq",
    "ine",        "select",     "to_real",       "bool_to_int",  "gather_f32",
    "gather_i32", "gather_bool"};
static_assert(std::size(kTileOpNames) == static_cast<std::size_t>(TileOp::gather_bool) + 1);

// What a slot may hold: a set, because a constant 0 is an integer and false.
inline constexpr uint8_t kReal = 1, kInteger = 2, kTruth = 4;

struct Signature {
  int operands;
  uint8_t first, others;  // what the operands may be
  bool agree;             // operands (of select: b and c) have one type, also the result's
  uint8_t result;
};

constexpr bool within(TileOp op, TileOp first, TileOp last) { return first <= op && op <= last; }

inline Signature signature(TileOp op, int rank) {
  constexpr uint8_t kWhole = kInteger | kTruth;
  if (op == TileOp::load_score || op == TileOp::constant_f32) return {0, 0, 0, false, kReal};
  if (op <= TileOp::constant_i32) return {0, 0, 0, false, kInteger};
  if (op <= TileOp::max) return {2, kReal, kReal, false, kReal};
  if (op <= TileOp::cos) return {1, kReal, kReal, false, kReal};
  if (op <= TileOp::imax) return {2, kInteger, kInteger, false, kInteger};
  if (op <= TileOp::iabs) return {1, kInteger, kInteger, false, kInteger};
  if (op <= TileOp::ixor) return {2, kWhole, kWhole, true, 0};
  if (op == TileOp::inot) return {1, kWhole, kWhole, true, 0};
  if (op <= TileOp::ixor_shift) return {2, kInteger, kInteger, false, kInteger};
  if (op <= TileOp::ne) return {2, kReal, kReal, false, kTruth};
  if (op <= TileOp::ile) return {2, kInteger, kInteger, false, kTruth};
  if (op <= TileOp::ine) return {2, kWhole, kWhole, true, kTruth};
  switch (op) {
    case TileOp::select:
      return {3, kTruth, kReal | kWhole, true, 0};
    case TileOp::to_real:
      return {1, kWhole, kWhole, false, kReal};
    case TileOp::bool_to_int:
      return {1, kTruth, kTruth, false, kInteger};
    case TileOp::gather_f32:
      return {rank, kInteger, kInteger, false, kReal};
    case TileOp::gather_i32:
      return {rank, kInteger, kInteger, false, kInteger};
    default:
      return {rank, kInteger, kInteger, false, kTruth};
  }
}

}  // namespace regard
