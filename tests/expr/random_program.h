// Random programs over every operation, random points, and the arrays that they capture.
#pragma once

#include <random>
#include <vector>

#include "regard/program.h"

namespace regard::testing {

class RandomProgram {
 public:
  // wild: with numbers near the ends of their ranges and indices that leave their arrays.
  explicit RandomProgram(uint64_t seed, bool wild = true) : random_(seed), wild_(wild) {}

  Expr real(int depth) {
    if (depth == 0) {
      switch (pick(6)) {
        case 0:
        case 1:
          return program::score();
        case 2:
          return to_real(integer(0));
        case 3:
          return reals_(index(integer(0), 12));
        default: {
          constexpr double kNumbers[] = {0, -0.0, 1, -2.5, 0.1f, 30, 7, -1, 1e30f, 1e-30f};
          return kNumbers[pick(wild_ ? 10 : 8)];
        }
      }
    }
    const auto next = [&] { return real(depth - 1 - pick(2) * (depth > 1)); };
    switch (pick(20)) {
      case 0:
      case 1:
        return next() + next();
      case 2:
        return next() - next();
      case 3:
      case 4:
        return next() * next();
      case 5:
        return next() / next();
      case 6:
        return floor_div(next(), next());
      case 7:
        return mod(next(), next());
      case 8:
        return min(next(), next());
      case 9:
        return max(next(), next());
      case 10:
        return -next();
      case 11:
        return abs(next());
      case 12:
        return floor(next());
      case 13:
        return sqrt(next());
      case 14:
        return exp(next());
      case 15:
        return log(next());
      case 16:
        return pick(2) == 0 ? tanh(next()) : sigmoid(next());
      case 17:
        return pick(2) == 0 ? sin(next()) : cos(next());
      case 18:
        return where(boolean(depth - 1), next(), next());
      default:
        return to_real(integer(depth - 1));
    }
  }

  Expr integer(int depth) {
    if (depth == 0) {
      switch (pick(9)) {
        case 8:
          return program::sequence();
        case 0:
          return program::query();
        case 1:
          return program::key();
        case 2:
          return program::head();
        case 3:
          return program::row();
        case 4:
          return program::batch();
        case 5:
          return integers_(index(program::key(), 40));
        default: {
          constexpr int kNumbers[] = {0, 1, -1, 3, -4, 16, 31, 100, 2147483647, -2147483647};
          return kNumbers[pick(wild_ ? 10 : 8)];
        }
      }
    }
    const auto next = [&] { return integer(depth - 1 - pick(2) * (depth > 1)); };
    switch (pick(18)) {
      case 0:
      case 1:
        return next() + next();
      case 2:
      case 3:
        return next() - next();
      case 4:
        return next() * next();
      case 5:
        return floor_div(next(), next());
      case 6:
        return mod(next(), next());
      case 7:
        return min(next(), next());
      case 8:
        return max(next(), next());
      case 9:
        return -next();
      case 10:
        return abs(next());
      case 11:
        return next() & next();
      case 12:
        return next() | next();
      case 13:
        return pick(2) == 0 ? next() ^ next() : ~next();
      case 14:
        return next() << next();
      case 15:
        return next() >> next();
      case 16:
        return where(boolean(depth - 1), next(), next());
      default:
        return to_integer(boolean(depth - 1));
    }
  }

  Expr boolean(int depth) {
    if (depth == 0) {
      if (pick(4) == 0) return flags_(index(program::query(), 40), index(program::key(), 40));
      return program::key() <= program::query();
    }
    const bool whole = pick(3) != 0;
    const auto next = [&] { return whole ? integer(depth - 1) : real(depth - 1); };
    switch (pick(12)) {
      case 0:
        return next() < next();
      case 1:
        return next() <= next();
      case 2:
        return next() > next();
      case 3:
        return next() >= next();
      case 4:
        return next() == next();
      case 5:
        return next() != next();
      case 6:
        return boolean(depth - 1) & boolean(depth - 1);
      case 7:
        return boolean(depth - 1) | boolean(depth - 1);
      case 8:
        return boolean(depth - 1) ^ boolean(depth - 1);
      case 9:
        return ~boolean(depth - 1);
      case 10:
        return boolean(depth - 1) == boolean(depth - 1);
      default:
        return where(boolean(depth - 1), boolean(depth - 1), boolean(depth - 1));
    }
  }

  Expr any(int depth) {
    const int kind = pick(3);
    return kind == 0 ? real(depth) : kind == 1 ? integer(depth) : boolean(depth);
  }

  int pick(int n) { return static_cast<int>(random_() % static_cast<uint64_t>(n)); }
  double number() {
    constexpr double kScales[] = {1, 1, 10, 1e4};
    return std::normal_distribution<double>()(random_) * kScales[pick(4)];
  }

 private:
  // Mostly inside an axis.
  Expr index(const Expr& e, int extent) {
    return wild_ && pick(4) == 0 ? e : max(min(e, extent - 1), 0);
  }

  static Array numbers() {
    std::vector<float> values;
    for (int k = 0; k < 12; ++k) values.push_back(0.37f * static_cast<float>(k) - 2);
    return Array::of("reals", values, {}, true);
  }
  static Array ids() {
    std::vector<int32_t> values;
    for (int k = 0; k < 40; ++k) values.push_back(k / 7 - 2);
    return Array::of("ids", values);
  }
  Array flags() {
    for (int k = 0; k < 1600; ++k) bytes_.push_back((k / 40 + k % 40) % 3 == 0 ? 5 : 0);
    return Array("flags", View<const uint8_t, 2>(bytes_.data(), {40, 40}));
  }

  std::mt19937_64 random_;
  bool wild_;
  std::vector<uint8_t> bytes_;
  Array reals_ = numbers(), integers_ = ids(), flags_ = flags();
};

}  // namespace regard::testing
