// Random tile programs over every operation, the arrays they read, and the sizes of tile to try.
#pragma once

#include <array>

#include "interpreter/plain.h"

namespace regard {

// ---- random programs ----

struct Arrays {
  std::vector<float> reals;
  std::vector<int32_t> integers;
  std::vector<uint8_t> truths;
  Arrays() {
    for (int i = 0; i < 4096; ++i) {
      reals.push_back(0.25f * static_cast<float>(i % 61) - 3);
      integers.push_back(i * 37 % 501 - 40);
      truths.push_back(static_cast<uint8_t>(i % 3 == 0 ? i % 5 + 1 : 0));
    }
  }
  // Two for each gather; lengths that random indices miss now and then.
  std::vector<TileArray> all() const {
    return {{reals.data(), 1, {400}, {1}},    {reals.data() + 4095, 3, {8, 8, 60}, {-480, -60, -1}},
            {integers.data(), 1, {400}, {2}}, {integers.data(), 2, {8, 430}, {500, 1}},
            {truths.data(), 1, {420}, {1}},   {truths.data(), 4, {4, 8, 2, 50}, {800, 100, 50, 1}}};
  }
};
inline const Arrays& arrays() {
  static const Arrays shared;
  return shared;
}

enum class Type { real, integer, truth };

struct Wide {
  int slot;
  Type type;
  TileShape shape;
};

inline TileShape join(TileShape a, TileShape b) {
  if (a == b || b == kOne) return a;
  return a == kOne ? b : kFull;
}

// A random program: leaves, then up to 20 operations on whatever there is, over all of TileOp
// except real // and %, whose rule is exact only in a range.
inline TileProgram random_program(std::mt19937& random, bool slots_again, int outputs = 0) {
  Writer w;
  w.program.arrays = arrays().all();
  std::vector<Wide> values;
  const auto have = [&](int slot, Type type, TileShape shape) {
    values.push_back({slot, type, shape});
  };
  have(w.score(), Type::real, kFull);
  have(w.query(), Type::integer, kRow);
  have(w.key(), Type::integer, kKey);
  have(w.head(), Type::integer, kRow);
  have(w.op(TileOp::load_row, kRow), Type::integer, kRow);
  have(w.op(TileOp::load_batch, kOne), Type::integer, kOne);
  have(w.op(TileOp::load_sequence, kOne), Type::integer, kOne);
  have(w.constant(random() % 2 != 0 ? 0.75f : -2.5f), Type::real, kOne);
  have(w.constant(static_cast<int32_t>(random() % 9) - 4), Type::integer, kOne);
  have(w.op(TileOp::ile, kFull, values[2].slot, values[1].slot), Type::truth, kFull);
  const auto pick = [&](Type type) {
    for (;;) {
      // The newest are taken more often, so that programs are deep.
      const std::size_t n = values.size();
      const std::size_t i =
          random() % 2 != 0 ? random() % n : n - 1 - random() % std::min(n, std::size_t{4});
      if (values[i].type == type) return values[i];
      const std::size_t j = random() % n;
      if (values[j].type == type) return values[j];
    }
  };
  const int count = 1 + static_cast<int>(random() % 20);
  for (int n = 0; n < count; ++n) {
    TileOp op;
    do {
      op = static_cast<TileOp>(static_cast<int>(TileOp::add) +
                               random() % (static_cast<unsigned>(TileOp::gather_bool) -
                                           static_cast<unsigned>(TileOp::add) + 1));
    } while (op == TileOp::floor_div || op == TileOp::mod ||
             // Poison hides all else: now and then is enough.
             (op >= TileOp::gather_i32 && random() % 4 != 0));
    std::array<Wide, 4> from{};
    int operands = 2, array = 0;
    Type made = Type::real;
    const auto take = [&](int k, Type type) { from[static_cast<std::size_t>(k)] = pick(type); };
    if (op <= TileOp::max) {
      take(0, Type::real), take(1, Type::real);
    } else if (op <= TileOp::cos) {
      operands = 1, take(0, Type::real);
    } else if (op <= TileOp::imax || (op >= TileOp::ishl && op <= TileOp::ixor_shift)) {
      made = Type::integer, take(0, made), take(1, made);
    } else if (op <= TileOp::iabs) {
      operands = 1, made = Type::integer, take(0, made);
    } else if (op <= TileOp::inot) {
      made = random() % 2 != 0 ? Type::integer : Type::truth;
      take(0, made), take(1, made);
      operands = op == TileOp::inot ? 1 : 2;
    } else if (op <= TileOp::ne) {
      made = Type::truth, take(0, Type::real), take(1, Type::real);
    } else if (op <= TileOp::ine) {
      made = Type::truth;
      const Type of = op >= TileOp::ieq && random() % 2 != 0 ? Type::truth : Type::integer;
      take(0, of), take(1, of);
    } else if (op == TileOp::select) {
      operands = 3;
      made = static_cast<Type>(random() % 3);
      take(0, Type::truth), take(1, made), take(2, made);
    } else if (op == TileOp::to_real) {
      operands = 1, take(0, random() % 2 != 0 ? Type::integer : Type::truth);
    } else if (op == TileOp::bool_to_int) {
      operands = 1, made = Type::integer, take(0, Type::truth);
    } else {
      const int kind = static_cast<int>(op) - static_cast<int>(TileOp::gather_f32);
      array = 2 * kind + static_cast<int>(random() % 2);
      operands = w.program.arrays[static_cast<std::size_t>(array)].rank;
      made = kind == 0 ? Type::real : kind == 1 ? Type::integer : Type::truth;
      for (int k = 0; k < operands; ++k) take(k, Type::integer);
    }
    TileShape shape = kOne;
    for (int k = 0; k < operands; ++k) shape = join(shape, from[static_cast<std::size_t>(k)].shape);
    if (random() % 16 == 0) shape = kFull;  // wider than need be
    const int slot = w.op(op, shape, from[0].slot, from[1].slot, from[2].slot, from[3].slot, array);
    // Now and then an older slot is written again; nobody finds its old value any more.
    const std::size_t old = random() % values.size();
    if (slots_again && random() % 3 == 0 && values[old].type == made && old > 8) {
      w.program.code.back().to = static_cast<uint16_t>(values[old].slot);
      values[old].shape = shape;
    } else {
      have(slot, made, shape);
    }
  }
  for (int n = 0; n < outputs; ++n) {
    w.program.outputs.push_back(pick(random() % 2 != 0 ? Type::real : Type::integer).slot);
  }
  return w.done(random() % 8 == 0 ? -1 : pick(Type::real).slot,
                random() % 4 == 0 ? -1 : pick(Type::truth).slot);
}

inline constexpr int kRowSizes[] = {1, 2, 3, 4, 5, 11, 12, 13, 16, 17, 24, 31, 47, 48};
inline constexpr int kKeySizes[] = {1, 2, 8, 15, 16, 17, 31, 33, 64, 100, 111, 112, 113, 127, 128};

}  // namespace regard
