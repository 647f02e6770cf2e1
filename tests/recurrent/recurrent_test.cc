// Recurrent layers: gradients through time, lengths, directions, and what a step alone gives.
#include "recurrent/recurrent.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "ops/gradient_check.h"
#include "ops/ops.h"
#include "simd/target.h"

namespace regard {
namespace {

constexpr Cell kCells[] = {Cell::rnn_tanh, Cell::rnn_relu, Cell::gru, Cell::lstm};
constexpr int64_t kTime = 12, kBatch = 3, kInputs = 4, kHidden = 5, kSource = 6, kUnits = 7,
                  kWidth = 3;
const std::vector<int64_t> kLengths = {12, 7, 0};
const std::vector<int64_t> kSourceLengths = {6, 1, 4};

// x, weight_ih, weight_hh, bias_ih, bias_hh, h, (c); with attention keys, values, query, score.
std::vector<Tensor> inputs_of(Cell cell, bool attends, int64_t time = kTime,
                              int64_t hidden = kHidden) {
  const int64_t gates = gates_of(cell) * hidden;
  const double size = 1 / std::sqrt(static_cast<double>(hidden));
  std::vector<Tensor> made = {random_f64({time, kBatch, kInputs}, 1),
                              random_f64({gates, kInputs + (attends ? kWidth : 0)}, 2, 0.3),
                              random_f64({gates, hidden}, 3, size),
                              random_f64({gates}, 4),
                              random_f64({gates}, 5),
                              random_f64({kBatch, hidden}, 6)};
  if (cell == Cell::rnn_relu) {  // half of the units on, half off: no difference meets the corner
    double sign = 9;
    for (double& bias : made[3].writable_numbers<double>()) bias = sign = -sign;
    for (double& w : made[2].writable_numbers<double>()) w *= 0.1;
  }
  if (cell == Cell::lstm) made.push_back(random_f64({kBatch, hidden}, 7));
  if (attends) {
    made.push_back(random_f64({kBatch, kSource, kUnits}, 8));
    made.push_back(random_f64({kBatch, kSource, kWidth}, 9));
    made.push_back(random_f64({kUnits, hidden}, 10));
    made.push_back(random_f64({kUnits}, 11));
  }
  return made;
}

struct Case {
  Cell cell;
  bool attends = false, ragged = false, reverse = false;
};

Recurrence run(const Case& c, std::span<const Tensor> in, const RecurrentPanels* panels = nullptr) {
  const RecurrentWeights weights{in[1], in[2], in[3], in[4]};
  const bool has_c = c.cell == Cell::lstm;
  RecurrentState first{in[5], has_c ? in[6] : Tensor()};
  RecurrentOptions options{.reverse = c.reverse, .panels = panels};
  if (c.ragged) options.lengths = kLengths;
  AdditiveAttention attention;
  if (c.attends) {
    const auto at = static_cast<std::size_t>(has_c ? 7 : 6);
    attention = {in[at], in[at + 1], in[at + 2], in[at + 3], {}};
    if (c.ragged) attention.lengths = kSourceLengths;
    options.attention = &attention;
  }
  return recur(c.cell, in[0], weights, first, options);
}

// All that a recurrence gives, in one tensor.
Tensor everything(const Case& c, std::span<const Tensor> in) {
  const Recurrence made = run(c, in);
  std::vector<Tensor> parts = {made.steps.reshape({made.steps.size()})};
  if (!c.attends) parts.push_back(made.last.h.reshape({made.last.h.size()}));
  if (!c.attends && made.last.c) parts.push_back(made.last.c.reshape({made.last.c.size()}));
  return concat_rows(parts);
}

template <class Check>
void each_case(const Check& check) {
  for (const Cell cell : kCells) {
    for (const bool attends : {false, true}) {
      for (const bool ragged : {false, true}) {
        for (const bool reverse : {false, true}) {
          if (attends && reverse && !ragged) continue;
          SCOPED_TRACE(testing::Message()
                       << "cell " << static_cast<int>(cell) << " attention " << attends
                       << " ragged " << ragged << " reverse " << reverse);
          check(Case{cell, attends, ragged, reverse});
        }
      }
    }
  }
}

TEST(Recurrent, S2_2_GradientsThroughTwelveStepsAgreeWithCentralDifferences) {
  each_case([](const Case& c) {
    EXPECT_TRUE(
        check_gradients([&](auto in) { return everything(c, in); }, inputs_of(c.cell, c.attends)));
  });
}

TEST(Recurrent, F32AgreesWithTheFormulaAndHasTheSameBitsForAnyThreads) {
  each_case([](const Case& c) {
    EXPECT_TRUE(check_f32([&](auto in) { return everything(c, in); },
                          inputs_of(c.cell, c.attends, kTime, 37), 2e-5));
  });
}

TEST(Recurrent, HasTheSameBitsOnEveryTarget) {
  each_case([](const Case& c) {
    std::vector<Tensor> in;
    for (const Tensor& x : inputs_of(c.cell, c.attends, 4, 37)) {
      in.push_back(gradient_check::to_f32(x));
    }
    Case whole = c;
    whole.ragged = false;
    const auto function = [&](auto of) { return everything(whole, of); };
    const Tensor cotangent = gradient_check::to_f32(random_f64(function(in).shape(), 30));
    gradient_check::Run first;
    for (const Target target : available_targets()) {
      const ScopedTarget forced(target);
      const gradient_check::Run got = gradient_check::run(function, in, cotangent);
      if (!first.result) first = got;
      EXPECT_TRUE(gradient_check::same_numbers(first.result, got.result)) << name(target);
      for (std::size_t k = 0; k < in.size(); ++k) {
        EXPECT_TRUE(gradient_check::same_numbers(first.gradients[k], got.gradients[k]))
            << name(target) << " input " << k;
      }
    }
  });
}

// Equations written once more, step by step, of one row.
TEST(Recurrent, StepsAreTheEquations) {
  for (const Cell cell : kCells) {
    const std::vector<Tensor> in = inputs_of(cell, false);
    const Recurrence made = run({cell}, in);
    const auto x = in[0].view<double, 3>(), steps = made.steps.view<double, 3>();
    const auto w = in[1].view<double, 2>(), u = in[2].view<double, 2>();
    const auto sigma = [](double v) { return 1 / (1 + std::exp(-v)); };
    std::vector<double> h(kHidden), c(kHidden);
    for (int64_t i = 0; i < kHidden; ++i) {
      h[static_cast<std::size_t>(i)] = in[5].view<double, 2>()(1, i);
      if (cell == Cell::lstm) c[static_cast<std::size_t>(i)] = in[6].view<double, 2>()(1, i);
    }
    for (int64_t t = 0; t < kTime; ++t) {
      std::vector<double> next(kHidden);
      for (int64_t i = 0; i < kHidden; ++i) {
        const auto unit = static_cast<std::size_t>(i);
        const auto a = [&](int64_t gate) {
          double sum = in[3].numbers<double>()[static_cast<std::size_t>(gate * kHidden + i)];
          for (int64_t k = 0; k < kInputs; ++k) sum += w(gate * kHidden + i, k) * x(t, 1, k);
          return sum;
        };
        const auto b = [&](int64_t gate) {
          double sum = in[4].numbers<double>()[static_cast<std::size_t>(gate * kHidden + i)];
          for (int64_t k = 0; k < kHidden; ++k) {
            sum += u(gate * kHidden + i, k) * h[static_cast<std::size_t>(k)];
          }
          return sum;
        };
        if (cell == Cell::rnn_tanh) next[unit] = std::tanh(a(0) + b(0));
        if (cell == Cell::rnn_relu) next[unit] = std::max(0.0, a(0) + b(0));
        if (cell == Cell::gru) {
          const double r = sigma(a(0) + b(0)), z = sigma(a(1) + b(1));
          next[unit] = (1 - z) * std::tanh(a(2) + r * b(2)) + z * h[unit];
        }
        if (cell == Cell::lstm) {
          c[unit] = sigma(a(1) + b(1)) * c[unit] + sigma(a(0) + b(0)) * std::tanh(a(2) + b(2));
          next[unit] = sigma(a(3) + b(3)) * std::tanh(c[unit]);
        }
      }
      h = next;
      for (int64_t i = 0; i < kHidden; ++i) {
        EXPECT_NEAR(steps(t, 1, i), h[static_cast<std::size_t>(i)], 1e-12);
      }
    }
  }
}

TEST(Recurrent, FinishedRowsKeepTheirStateAndTheirInputsGetNoGradient) {
  for (const Cell cell : kCells) {
    std::vector<Tensor> in = inputs_of(cell, false);
    for (Tensor& x : in) x.require_gradient();
    const Recurrence made = run({cell, false, true}, in);
    const auto steps = made.steps.view<double, 3>();
    for (int64_t t = 0; t < kTime; ++t) {
      for (int64_t i = 0; i < kHidden; ++i) {
        if (t >= 7) {
          EXPECT_EQ(steps(t, 1, i), steps(6, 1, i));
        }
        EXPECT_EQ(steps(t, 2, i), (in[5].view<double, 2>()(2, i)));
      }
    }
    backward(made.steps, random_f64(made.steps.shape(), 20));
    const Tensor dx = in[0].gradient();
    const auto rows = dx.view<double, 3>();
    for (int64_t t = 0; t < kTime; ++t) {
      for (int64_t b = 0; b < kBatch; ++b) {
        for (int64_t k = 0; k < kInputs; ++k) {
          EXPECT_EQ(rows(t, b, k) == 0, t >= kLengths[static_cast<std::size_t>(b)]);
        }
      }
    }
  }
}

Tensor row_of(const Tensor& x, int64_t row) {  // of the batch, the second axis
  Tensor turned = permute(x, {1, 0, 2}).rows(row, 1);
  return permute(turned, {1, 0, 2});
}

TEST(Recurrent, ARowAloneAndAStepAtATimeHaveTheBitsOfTheBatch) {
  const Case c{Cell::lstm, true, false, false};
  std::vector<Tensor> in;
  for (const Tensor& x : inputs_of(c.cell, true, 4, 37)) in.push_back(gradient_check::to_f32(x));
  const Recurrence all = run(c, in);
  std::vector<Tensor> alone = in;
  alone[0] = row_of(in[0], 1);
  for (const std::size_t i : {5, 6, 7, 8}) alone[i] = in[i].rows(1, 1);
  EXPECT_TRUE(gradient_check::same_numbers(run(c, alone).steps, row_of(all.steps, 1)));

  const RecurrentWeights weights{in[1], in[2], in[3], in[4]};
  const AdditiveAttention attention{in[7], in[8], in[9], in[10], {}};
  const auto panels = recurrent_panels(weights, &attention);
  std::vector<Tensor> step = in;
  for (int64_t t = 0; t < 4; ++t) {
    step[0] = in[0].rows(t, 1);
    const Recurrence one = run(c, step, panels.get());
    EXPECT_TRUE(gradient_check::same_numbers(one.steps, all.steps.rows(t, 1)));
    step[5] = columns(one.steps, 0, 37).reshape({kBatch, 37});
    step[6] = one.last.c;
  }
}

TEST(Recurrent, S1_2_WeightsOfEachStepSumToOneOverTheSource) {
  std::vector<Tensor> in;
  for (const Tensor& x : inputs_of(Cell::gru, true)) in.push_back(gradient_check::to_f32(x));
  const Recurrence made = run({Cell::gru, true, true, false}, in);
  const auto alpha = made.weights.view<float, 3>();
  for (int64_t b = 0; b < kBatch; ++b) {
    for (int64_t t = 0; t < kTime; ++t) {
      double sum = 0;
      for (int64_t j = 0; j < kSource; ++j) {
        if (j >= kSourceLengths[static_cast<std::size_t>(b)]) {
          EXPECT_EQ(alpha(b, t, j), 0);
        }
        sum += alpha(b, t, j);
      }
      EXPECT_NEAR(sum, t < kLengths[static_cast<std::size_t>(b)] ? 1 : 0, 1e-6);
    }
  }
}

TEST(Recurrent, WrongShapesAreNamed) {
  const std::vector<Tensor> in = inputs_of(Cell::gru, false);
  const RecurrentWeights weights{in[1], in[2], in[3], in[4]};
  EXPECT_THROW(recur(Cell::lstm, in[0], weights), Error);
  EXPECT_THROW(recur(Cell::gru, in[1], weights), Error);
  EXPECT_THROW(recur(Cell::gru, in[0], weights, {{}, in[5]}), Error);
  const std::vector<int64_t> too_long = {13, 1, 1};
  EXPECT_THROW(recur(Cell::gru, in[0], weights, {}, {.lengths = too_long}), Error);
}

}  // namespace
}  // namespace regard
