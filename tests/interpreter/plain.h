// What a tile program means, one score at a time, in doubles and 64-bit integers; a tile between
// guards; and the means to write a program. The tile interpreter is compared with it.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "interpreter/program.h"
#include "interpreter/signature.h"
#include "kernels/bits.h"
#include "kernels/elementwise.h"
#include "simd/target.h"

namespace regard {

inline constexpr float kInf = std::numeric_limits<float>::infinity();
inline constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
inline constexpr TileShape kOne = TileShape::one, kRow = TileShape::row, kKey = TileShape::key,
                           kFull = TileShape::full;

// ---- the plain evaluation: one lane, doubles and 64-bit integers ----

inline float elementary(void (*function)(const float*, int64_t, float*), float x) {
  const ScopedTarget forced(Target::scalar);
  float y = 0;
  function(&x, 1, &y);
  return y;
}
float plain_sigmoid(float x);  // the one elementary function without an array form: the test's
inline float real(uint32_t bits) { return std::bit_cast<float>(bits); }
inline uint32_t bits(double x) { return std::bit_cast<uint32_t>(static_cast<float>(x)); }
inline uint32_t truth(bool yes) { return yes ? ~0u : 0u; }
inline uint32_t wrapped(int64_t x) { return static_cast<uint32_t>(static_cast<uint64_t>(x)); }

// Python's // and % of reals, exactly: fmod is exact, and the rest is rounded once.
inline double python_mod(float a, float b) {
  double rest = std::fmod(double{a}, double{b});
  if (rest != 0 && (rest < 0) != (b < 0)) rest += b;
  return rest;
}
inline int64_t python_div(int64_t a, int64_t b) {
  return b == 0 ? 0 : a / b - (a % b != 0 && (a < 0) != (b < 0));
}

struct Spot {
  int32_t batch, sequence, head, query, key, row;
  float score;
};

struct Plain {
  const TileProgram& program;
  bool poisoned = false;  // some integer or boolean gather was outside its array
  bool outside = false;   // this one

  uint32_t gather(const TileInstruction& code, const std::vector<uint32_t>& slot) {
    const TileArray& array = program.arrays[code.array];
    const uint16_t index[4] = {code.a, code.b, code.c, code.d};
    int64_t offset = 0;
    for (int k = 0; k < array.rank; ++k) {
      const int64_t i = static_cast<int32_t>(slot[index[k]]);
      if (i < 0 || i >= array.shape[k]) {
        outside = code.op != TileOp::gather_f32;
        return code.op == TileOp::gather_f32 ? std::bit_cast<uint32_t>(kNaN) : 0;
      }
      offset += i * array.strides[k];
    }
    if (code.op == TileOp::gather_bool) {
      return truth(static_cast<const uint8_t*>(array.data)[offset] != 0);
    }
    uint32_t found;
    std::memcpy(&found, static_cast<const std::byte*>(array.data) + 4 * offset, sizeof found);
    return found;
  }

  uint32_t evaluate(const TileInstruction& code, const std::vector<uint32_t>& slot,
                    const std::vector<bool>& is_truth, const Spot& spot) {
    const uint32_t a = slot[code.a], b = slot[code.b], c = slot[code.c];
    const float x = real(a), y = real(b);
    const double wide_x = x, wide_y = y;
    const int64_t i = static_cast<int32_t>(a), j = static_cast<int32_t>(b);
    // clang-format off
    switch (code.op) {
      case TileOp::load_score: return bits(spot.score);
      case TileOp::load_batch: return wrapped(spot.batch);
      case TileOp::load_sequence: return wrapped(spot.sequence);
      case TileOp::load_head: return wrapped(spot.head);
      case TileOp::load_query: return wrapped(spot.query);
      case TileOp::load_key: return wrapped(spot.key);
      case TileOp::load_row: return wrapped(spot.row);
      case TileOp::constant_f32:
      case TileOp::constant_i32: return code.bits;
      case TileOp::add: return bits(wide_x + wide_y);
      case TileOp::sub: return bits(wide_x - wide_y);
      case TileOp::mul: return bits(wide_x * wide_y);
      case TileOp::div: return bits(wide_x / wide_y);
      // Not in random programs: // and % have tests of their own.
      case TileOp::floor_div:
      case TileOp::mod: return 0;
      case TileOp::min: return std::isnan(x) ? a : std::isnan(y) || !(x < y) ? b : a;
      case TileOp::max: return std::isnan(x) ? a : std::isnan(y) || !(x > y) ? b : a;
      case TileOp::neg: return a ^ 0x80000000u;
      case TileOp::abs: return a & 0x7fffffffu;
      case TileOp::floor: return bits(std::floor(wide_x));
      case TileOp::sqrt: return bits(std::sqrt(wide_x));
      case TileOp::exp: return bits(elementary(regard::exp, x));
      case TileOp::log: return bits(elementary(regard::log, x));
      case TileOp::tanh: return bits(elementary(regard::tanh, x));
      case TileOp::sigmoid: return bits(plain_sigmoid(x));
      case TileOp::sin: return bits(elementary(regard::sin, x));
      case TileOp::cos: return bits(elementary(regard::cos, x));
      case TileOp::iadd: return wrapped(i + j);
      case TileOp::isub: return wrapped(i - j);
      case TileOp::imul: return wrapped(i * j);
      case TileOp::ifloor_div: return wrapped(python_div(i, j));
      case TileOp::imod: return j == 0 ? 0 : wrapped(i - python_div(i, j) * j);
      case TileOp::imin: return wrapped(std::min(i, j));
      case TileOp::imax: return wrapped(std::max(i, j));
      case TileOp::ineg: return wrapped(-i);
      case TileOp::iabs: return wrapped(i < 0 ? -i : i);
      case TileOp::iand: return a & b;
      case TileOp::ior: return a | b;
      case TileOp::ixor: return a ^ b;
      case TileOp::inot: return ~a;
      case TileOp::ishl: return b < 32 ? a << b : 0;
      case TileOp::ishr: return wrapped(b < 32 ? i >> b : i >> 31);
      case TileOp::ixor_shift: return b < 32 ? a ^ a >> b : a;
      case TileOp::lt: return truth(x < y);
      case TileOp::le: return truth(x <= y);
      case TileOp::eq: return truth(x == y);
      case TileOp::ne: return truth(!(x == y));
      case TileOp::ilt: return truth(i < j);
      case TileOp::ile: return truth(i <= j);
      case TileOp::ieq: return truth(i == j);
      case TileOp::ine: return truth(i != j);
      case TileOp::select: return a != 0 ? b : c;
      case TileOp::to_real: return is_truth[code.a] ? bits(a & 1) : bits(static_cast<double>(i));
      case TileOp::bool_to_int: return a & 1;
      default: return gather(code, slot);
    }
    // clang-format on
  }
};

// ---- a tile and what a program makes of it ----

struct Tile {
  int rows, keys;
  int32_t batch = 3, first_key = 128, sequence = 17;
  std::vector<int32_t> head, query, row;
  std::vector<float> scores;  // [rows][128]

  Tile(int rows_, int keys_, uint32_t seed) : rows(rows_), keys(keys_) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    for (int r = 0; r < rows; ++r) {
      head.push_back(static_cast<int32_t>(random() % 8));
      query.push_back(static_cast<int32_t>(random() % 300));
      row.push_back(r);
    }
    for (int i = 0; i < rows * kTileKeys; ++i) {
      const float special[] = {0.0f, -0.0f, kInf, -kInf, kNaN, 1e38f, 1e-40f, 3.0f};
      scores.push_back(random() % 16 == 0 ? special[random() % 8] : 4 * normal(random));
    }
  }
  TilePlace place() const {
    return {batch, first_key, head.data(), query.data(), row.data(), rows, keys, sequence};
  }
  Spot spot(int r, int key) const {
    const auto i = static_cast<std::size_t>(r);
    return {batch,
            sequence,
            head[i],
            query[i],
            first_key + key,
            row[i],
            scores[i * kTileKeys + static_cast<std::size_t>(key)]};
  }
};

struct Result {
  std::vector<float> scores;
  std::vector<uint16_t> masks;
  std::vector<std::vector<uint32_t>> outputs = {};  // [rows][128] each
};

// Runs it between guards, in a scratch with guards, all of it poisoned before.
inline Result run(const TileProgram& program, const Tile& tile) {
  constexpr std::size_t kGuard = 32;
  const std::size_t scores = static_cast<std::size_t>(tile.rows) * kTileKeys;
  const std::size_t masks = static_cast<std::size_t>(tile.rows) * kTilePanels;
  std::vector<float> s(scores + 2 * kGuard, 77.0f);
  std::copy(tile.scores.begin(), tile.scores.end(), s.begin() + kGuard);
  std::vector<uint16_t> m(masks + 2 * kGuard, 0xabcd);
  const auto need = static_cast<std::size_t>(tile_program_scratch(program));
  std::vector<uint8_t> scratch(need + 2 * kGuard, 0xee);
  std::vector<std::vector<uint32_t>> numbers;
  std::vector<void*> outputs;
  for (const TileShape shape : program.prepared.outputs) {
    const auto size = static_cast<std::size_t>(tile_output(shape, tile.rows).size);
    outputs.push_back(numbers.emplace_back(size + 2 * kGuard, 0xbeefu).data() + kGuard);
  }
  run_tile_program(program, tile.place(), s.data() + kGuard, m.data() + kGuard,
                   scratch.data() + kGuard, outputs.data());
  for (std::size_t i = 0; i < kGuard; ++i) {
    EXPECT_EQ(s[i], 77.0f);
    EXPECT_EQ(s[kGuard + scores + i], 77.0f);
    EXPECT_EQ(m[i], 0xabcd);
    EXPECT_EQ(m[kGuard + masks + i], 0xabcd);
    EXPECT_EQ(scratch[i], 0xee);
    EXPECT_EQ(scratch[kGuard + need + i], 0xee);
  }
  Result result{{s.begin() + kGuard, s.end() - kGuard}, {m.begin() + kGuard, m.end() - kGuard}};
  for (std::size_t k = 0; k < numbers.size(); ++k) {
    const TileOutput of = tile_output(program.prepared.outputs[k], tile.rows);
    std::vector<uint32_t>& whole = result.outputs.emplace_back(scores);
    for (int n = 0; n < static_cast<int>(scores); ++n) {
      const int at = n / kTileKeys * of.row_step + n % kTileKeys * of.key_step;
      whole[static_cast<std::size_t>(n)] = numbers[k][kGuard + static_cast<std::size_t>(at)];
    }
    for (std::size_t i = 0; i < kGuard; ++i) {
      EXPECT_EQ(numbers[k][i], 0xbeefu);
      EXPECT_EQ(numbers[k][numbers[k].size() - 1 - i], 0xbeefu);
    }
  }
  return result;
}

// Reals and truth values of a program, told apart by the operations that made them.
inline std::vector<bool> truths(const TileProgram& program) {
  std::vector<bool> is_truth(static_cast<std::size_t>(program.slots));
  for (const TileInstruction& code : program.code) {
    bool made = (code.op >= TileOp::lt && code.op <= TileOp::ine) || code.op == TileOp::gather_bool;
    if (code.op >= TileOp::iand && code.op <= TileOp::inot) made = is_truth[code.a];
    if (code.op == TileOp::select) made = is_truth[code.b] || is_truth[code.c];
    is_truth[code.to] = made;
  }
  return is_truth;
}

inline int operands_of(const TileInstruction& code, const TileProgram& program) {
  const bool gathers = code.op >= TileOp::gather_f32;
  return signature(code.op, gathers ? program.arrays[code.array].rank : 0).operands;
}

// What the program means for every score of the tile.
inline Result plain(const TileProgram& program, const Tile& tile) {
  const std::vector<bool> is_truth = truths(program);
  std::vector<uint32_t> slot(static_cast<std::size_t>(program.slots));
  Result means{tile.scores,
               std::vector<uint16_t>(static_cast<std::size_t>(tile.rows) * kTilePanels)};
  means.outputs.assign(program.outputs.size(), std::vector<uint32_t>(tile.scores.size()));
  for (int r = 0; r < tile.rows; ++r) {
    for (int key = 0; key < tile.keys; ++key) {
      const Spot spot = tile.spot(r, key);
      Plain lane{program};
      std::vector<bool> spoiled(slot.size());
      for (const TileInstruction& code : program.code) {
        lane.outside = false;
        slot[code.to] = lane.evaluate(code, slot, is_truth, spot);
        bool spoils = lane.outside;
        const uint16_t from[4] = {code.a, code.b, code.c, code.d};
        for (int k = 0; k < operands_of(code, program); ++k) spoils = spoils || spoiled[from[k]];
        spoiled[code.to] = spoils;
        lane.poisoned = lane.poisoned || lane.outside;
      }
      float& score = means.scores[static_cast<std::size_t>(r * kTileKeys + key)];
      if (program.score >= 0) score = real(slot[static_cast<std::size_t>(program.score)]);
      bool allowed = program.mask < 0 || slot[static_cast<std::size_t>(program.mask)] != 0;
      // What read outside an array spoils the score, and the mask where that depends on it.
      if (lane.poisoned) score = kNaN;
      allowed = allowed || (program.mask >= 0 && spoiled[static_cast<std::size_t>(program.mask)]);
      for (std::size_t k = 0; k < program.outputs.size(); ++k) {
        means.outputs[k][static_cast<std::size_t>(r * kTileKeys + key)] =
            slot[static_cast<std::size_t>(program.outputs[k])];
      }
      uint16_t& panel = means.masks[static_cast<std::size_t>(r * kTilePanels + key / 16)];
      panel = static_cast<uint16_t>(panel | allowed << key % 16);
    }
  }
  return means;
}

// Every score of the tile's keys and every bit of the masks.
inline void expect_same(const Tile& tile, const Result& means, const Result& got) {
  for (int r = 0; r < tile.rows; ++r) {
    for (int key = 0; key < tile.keys; ++key) {
      const auto i = static_cast<std::size_t>(r * kTileKeys + key);
      ASSERT_TRUE(same_bits(got.scores[i], means.scores[i]))
          << "row " << r << " key " << key << ": " << got.scores[i] << " for " << means.scores[i];
      for (std::size_t k = 0; k < means.outputs.size(); ++k) {
        const uint32_t expected = means.outputs[k][i], found = got.outputs[k][i];
        ASSERT_TRUE(found == expected || same_bits(real(found), real(expected)))
            << "output " << k << " row " << r << " key " << key << ": " << found << " for "
            << expected;
      }
    }
  }
  ASSERT_EQ(got.masks, means.masks);
}
inline void expect_plain(const TileProgram& program, const Tile& tile, const Result& got) {
  expect_same(tile, plain(program, tile), got);
}

// ---- writing programs ----

struct Writer {
  TileProgram program;

  int write(TileInstruction code) {
    code.to = static_cast<uint16_t>(program.slots++);
    program.code.push_back(code);
    return code.to;
  }
  int op(TileOp op, TileShape shape, int a = 0, int b = 0, int c = 0, int d = 0, int array = 0) {
    return write({.op = op,
                  .shape = shape,
                  .a = static_cast<uint16_t>(a),
                  .b = static_cast<uint16_t>(b),
                  .c = static_cast<uint16_t>(c),
                  .d = static_cast<uint16_t>(d),
                  .array = static_cast<uint16_t>(array)});
  }
  int constant(float value) {
    return write(
        {.op = TileOp::constant_f32, .shape = kOne, .bits = std::bit_cast<uint32_t>(value)});
  }
  int constant(int32_t value) {
    return write({.op = TileOp::constant_i32, .shape = kOne, .bits = static_cast<uint32_t>(value)});
  }
  int score() { return op(TileOp::load_score, kFull); }
  int query() { return op(TileOp::load_query, kRow); }
  int key() { return op(TileOp::load_key, kKey); }
  int head() { return op(TileOp::load_head, kRow); }
  TileProgram done(int score_slot, int mask_slot = -1) {
    program.score = score_slot;
    program.mask = mask_slot;
    prepare_tile_program(program);
    return program;
  }
};

}  // namespace regard
