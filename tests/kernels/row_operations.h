// Row kernels against their formulas in f64, on every target: sizes around the vector's width,
// rows apart, in place, alone and together, guards of NaN around everything.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "kernels/bits.h"
#include "regard/error.h"
#include "regard/view.h"
#include "simd/target.h"

namespace regard {

inline const float kPoison = std::bit_cast<float>(0x7fc0deadu);  // a NaN: reading it is seen too
inline constexpr int64_t kGuard = 24;

inline constexpr int64_t kWidths[] = {1,  2,  7,  8,   15,  16,  17,  31,  32,  33,  47,   48,
                                      63, 64, 65, 127, 128, 129, 255, 256, 257, 576, 1000, 4096};

// Rows with poison before, between and after them.
struct Rows {
  std::vector<float> storage;
  View<float, 2> view;

  Rows(int64_t rows, int64_t width)
      : storage(static_cast<std::size_t>(kGuard + rows * (width + kGuard)), kPoison),
        view(storage.data() + kGuard, {rows, width}, {width + kGuard, 1}) {}
  Rows(const Rows& other)
      : storage(other.storage),
        view(storage.data() + kGuard, other.view.shape, other.view.strides) {}

  std::vector<float> numbers() const {
    std::vector<float> all;
    for (int64_t r = 0; r < view.shape[0]; ++r) {
      for (int64_t i = 0; i < view.shape[1]; ++i) all.push_back(view(r, i));
    }
    return all;
  }
  bool guards_are_whole() const {
    const auto poisoned = [](float x) {
      return std::bit_cast<uint32_t>(x) == std::bit_cast<uint32_t>(kPoison);
    };
    const auto at = [this](int64_t i) { return storage[static_cast<std::size_t>(i)]; };
    const int64_t step = view.shape[1] + kGuard;
    for (int64_t r = 0; r <= view.shape[0]; ++r) {
      for (int64_t i = 0; i < kGuard; ++i) {
        if (!poisoned(at(r * step + i))) return false;
      }
    }
    return true;
  }
};

inline Rows random_rows(int64_t rows, int64_t width, uint64_t seed, float size) {
  std::mt19937_64 random(seed * 1000003 + static_cast<uint64_t>(width));
  std::normal_distribution<float> normal(0.1f, size);
  Rows x(rows, width);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < width; ++i) x.view(r, i) = normal(random);
  }
  return x;
}

inline std::vector<float> random_numbers(int64_t count, uint64_t seed) {
  return random_rows(1, count, seed, 1.0f).numbers();
}

using Inputs = std::vector<View<const float, 2>>;
using Row = std::vector<double>;

struct Operation {
  const char* name;
  int inputs;
  float size;  // standard deviation of the inputs
  std::function<void(const Inputs&, View<float, 2>)> run;
  std::function<Row(const std::vector<Row>&)> formula;
  // |error| <= relative |exact| + of_row (the row's largest |exact|) + absolute
  double relative, of_row, absolute;
};

// The row weights that norms use, longer than any width; poison follows what a width needs.
inline std::vector<float> weights_for(int64_t width, uint64_t seed) {
  std::vector<float> w = random_numbers(width, seed);
  w.resize(static_cast<std::size_t>(width + 32), kPoison);
  return w;
}

inline Row each(const Row& x, double (*f)(double)) {
  Row y;
  for (const double number : x) y.push_back(f(number));
  return y;
}

inline double mean_of(const Row& x) {
  double total = 0;
  for (const double number : x) total += number;
  return total / static_cast<double>(x.size());
}

inline void expect_close(const Operation& op, const std::vector<Rows>& in,
                         View<const float, 2> out) {
  for (int64_t r = 0; r < out.shape[0]; ++r) {
    std::vector<Row> rows;
    for (const Rows& x : in) {
      const float* first = x.view[r].data;
      rows.emplace_back(first, first + x.view.shape[1]);
    }
    const Row exact = op.formula(rows);
    double largest = 0;
    for (const double y : exact) largest = std::max(largest, std::abs(y));
    for (int64_t i = 0; i < out.shape[1]; ++i) {
      const double y = exact[static_cast<std::size_t>(i)];
      const double allowed = op.relative * std::abs(y) + op.of_row * largest + op.absolute;
      ASSERT_LE(std::abs(out(r, i) - y), allowed)
          << "row " << r << " number " << i << ": " << out(r, i) << " for " << y;
    }
  }
}

inline void agree_with_formulas_on_every_target(const std::vector<Operation>& operations) {
  constexpr int64_t kRows = 3;
  for (const Operation& op : operations) {
    SCOPED_TRACE(op.name);
    for (const int64_t width : kWidths) {
      SCOPED_TRACE("width " + std::to_string(width));
      std::vector<Rows> in;
      for (int k = 0; k < op.inputs; ++k) {
        in.push_back(random_rows(kRows, width, static_cast<uint64_t>(k + 1), op.size));
      }
      Inputs views;
      for (const Rows& x : in) views.push_back(x.view);
      std::vector<float> definition;
      for (const Target target : available_targets()) {
        SCOPED_TRACE(name(target));
        const ScopedTarget forced(target);
        Rows out(kRows, width);
        op.run(views, out.view);
        EXPECT_TRUE(out.guards_are_whole());
        const std::vector<float> together = out.numbers();
        if (target == Target::scalar) {
          definition = together;
          expect_close(op, in, out.view);
        }
        EXPECT_EQ(first_difference(together, definition), -1);

        Rows alone(kRows, width);
        for (int64_t r = 0; r < kRows; ++r) {
          Inputs one;
          for (const auto& view : views) one.push_back(view.rows(r, 1));
          op.run(one, alone.view.rows(r, 1));
        }
        EXPECT_EQ(first_difference(alone.numbers(), definition), -1) << "alone";

        for (int k = 0; k < op.inputs; ++k) {
          Rows place = in[static_cast<std::size_t>(k)];
          Inputs inputs = views;
          inputs[static_cast<std::size_t>(k)] = place.view;
          op.run(inputs, place.view);
          EXPECT_TRUE(place.guards_are_whole());
          EXPECT_EQ(first_difference(place.numbers(), definition), -1) << "in place of " << k;
        }
      }
    }
  }
}

inline void take_rows_backwards_and_repeated(const std::vector<Operation>& operations) {
  for (const Operation& op : operations) {
    SCOPED_TRACE(op.name);
    const Rows x = random_rows(3, 37, 5, op.size);
    Rows forwards(3, 37);
    op.run(Inputs(static_cast<std::size_t>(op.inputs), x.view), forwards.view);
    const auto [rows, width] = x.view.shape;
    const View<const float, 2> reversed(x.view.data + 2 * x.view.strides[0], {rows, width},
                                        {-x.view.strides[0], 1});
    Rows backwards(3, 37);
    op.run(Inputs(static_cast<std::size_t>(op.inputs), reversed), backwards.view);
    const View<const float, 2> same(x.view.data, {rows, width}, {0, 1});
    Rows repeated(3, 37);
    op.run(Inputs(static_cast<std::size_t>(op.inputs), same), repeated.view);
    for (int64_t r = 0; r < 3; ++r) {
      for (int64_t i = 0; i < 37; ++i) {
        ASSERT_TRUE(same_bits(backwards.view(2 - r, i), forwards.view(r, i)));
        ASSERT_TRUE(same_bits(repeated.view(r, i), forwards.view(0, i)));
      }
    }
  }
}

inline void refuse_what_does_not_fit(const std::vector<Operation>& operations) {
  for (const Operation& op : operations) {
    SCOPED_TRACE(op.name);
    const Rows x(2, 16);
    Rows narrow(2, 15);
    Rows low(1, 16);
    const Inputs in(static_cast<std::size_t>(op.inputs), x.view);
    EXPECT_THROW(op.run(in, narrow.view), Error);
    EXPECT_THROW(op.run(in, low.view), Error);
    Rows out(2, 16);
    const View<const float, 2> column(x.view.data, {2, 16}, {1, 2});
    EXPECT_THROW(op.run(Inputs(static_cast<std::size_t>(op.inputs), column), out.view), Error);
  }
}

inline void have_nothing_to_do_without_rows_or_width(const std::vector<Operation>& operations) {
  for (const Operation& op : operations) {
    Rows none(0, 16);
    op.run(Inputs(static_cast<std::size_t>(op.inputs), none.view), none.view);
    EXPECT_TRUE(none.guards_are_whole()) << op.name;
    Rows thin(3, 0);
    op.run(Inputs(static_cast<std::size_t>(op.inputs), thin.view), thin.view);
    EXPECT_TRUE(thin.guards_are_whole()) << op.name;
  }
}

}  // namespace regard
