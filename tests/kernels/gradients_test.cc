// Gradient kernels against the chain rule in f64, on every target.
#include "kernels/gradients.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "kernels/row_operations.h"

namespace regard {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

double sigma(double x) { return 1 / (1 + std::exp(-x)); }

struct Formula {
  const char* name;
  Activation function;
  double (*value)(double);
  double (*slope)(double);
};

const Formula kFormulas[] = {
    {"silu", Activation::silu, [](double x) { return x * sigma(x); },
     [](double x) { return sigma(x) * (1 + x * sigma(-x)); }},
    {"gelu_tanh", Activation::gelu_tanh,
     [](double x) { return x * sigma(2 * std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)); },
     [](double x) {
       const double c = 2 * std::sqrt(2 / M_PI), t = c * (x + 0.044715 * x * x * x);
       return sigma(t) + x * sigma(t) * sigma(-t) * c * (1 + 3 * 0.044715 * x * x);
     }},
    {"gelu_erf", Activation::gelu_erf,
     [](double x) { return x / 2 * std::erfc(-x / std::sqrt(2.0)); },
     [](double x) {
       return std::erfc(-x / std::sqrt(2.0)) / 2 + x * std::exp(-x * x / 2) / std::sqrt(2 * M_PI);
     }},
    {"relu", Activation::relu, [](double x) { return x > 0 ? x : 0; },
     [](double x) { return x > 0 ? 1.0 : 0.0; }},
    {"tanh", Activation::tanh, [](double x) { return std::tanh(x); },
     [](double x) { return 4 * sigma(2 * x) * sigma(-2 * x); }},
    {"sigmoid", Activation::sigmoid, [](double x) { return sigma(x); },
     [](double x) { return sigma(x) * sigma(-x); }},
    {"identity", Activation::identity, [](double x) { return x; }, [](double) { return 1.0; }},
};

double dot(const Row& a, const Row& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

Row gains(const Row& x) {
  const auto w = weights_for(static_cast<int64_t>(x.size()), 7);
  return {w.begin(), w.begin() + static_cast<int64_t>(x.size())};
}

// What all rows share is tested below: here the sums go nowhere.
std::vector<float> nowhere(int64_t width) {
  return std::vector<float>(static_cast<std::size_t>(width));
}

std::vector<Operation> operations() {
  std::vector<Operation> all;
  for (const Formula& f : kFormulas) {
    all.push_back({f.name, 2, 3.0f,
                   [&f](const Inputs& in, View<float, 2> out) {
                     activate_gradient(f.function, in[0], in[1], out);
                   },
                   [&f](const std::vector<Row>& in) {
                     Row y = in[0];
                     for (std::size_t i = 0; i < y.size(); ++i) y[i] = in[1][i] * f.slope(y[i]);
                     return y;
                   },
                   2e-6, 3e-7, 1e-9});
    all.push_back({f.name, 3, 3.0f,  // gate, up, dy: the gate's gradient
                   [&f](const Inputs& in, View<float, 2> out) {
                     Rows up(out.shape[0], out.shape[1]);
                     activate_gated_gradient(f.function, in[0], in[1], in[2], out, up.view);
                     EXPECT_TRUE(up.guards_are_whole());
                   },
                   [&f](const std::vector<Row>& in) {
                     Row y = in[0];
                     for (std::size_t i = 0; i < y.size(); ++i) {
                       y[i] = in[2][i] * in[1][i] * f.slope(y[i]);
                     }
                     return y;
                   },
                   2e-6, 3e-7, 1e-9});
    all.push_back({f.name, 3, 3.0f,  // and that of up
                   [&f](const Inputs& in, View<float, 2> out) {
                     Rows gate(out.shape[0], out.shape[1]);
                     activate_gated_gradient(f.function, in[0], in[1], in[2], gate.view, out);
                   },
                   [&f](const std::vector<Row>& in) {
                     Row y = in[0];
                     for (std::size_t i = 0; i < y.size(); ++i) y[i] = in[2][i] * f.value(y[i]);
                     return y;
                   },
                   2e-6, 3e-7, 1e-9});
  }
  all.push_back(
      {"softcap", 2, 20.0f,
       [](const Inputs& in, View<float, 2> out) { softcap_gradient(in[0], 15.0f, in[1], out); },
       [](const std::vector<Row>& in) {
         Row y = in[0];
         for (std::size_t i = 0; i < y.size(); ++i) {
           y[i] = in[1][i] * 4 * sigma(2 * y[i] / 15) * sigma(-2 * y[i] / 15);
         }
         return y;
       },
       2e-6, 0, 0});
  all.push_back({"rms_norm", 2, 1.0f,
                 [](const Inputs& in, View<float, 2> out) {
                   auto sums = nowhere(out.shape[1]);
                   const auto gain = weights_for(out.shape[1], 7);
                   rms_norm_gradient(in[0], gain.data(), 1e-5f, in[1], out, sums.data());
                 },
                 [](const std::vector<Row>& in) {
                   const Row& x = in[0];
                   const auto n = static_cast<double>(x.size());
                   Row back = gains(x);
                   for (std::size_t i = 0; i < x.size(); ++i) back[i] *= in[1][i];
                   const double r = 1 / std::sqrt(dot(x, x) / n + 1e-5f);
                   const double pull = dot(back, x) / n * r * r;
                   for (std::size_t i = 0; i < x.size(); ++i) back[i] = r * (back[i] - x[i] * pull);
                   return back;
                 },
                 0, 2e-6, 1e-6});
  all.push_back({"layer_norm", 2, 3.0f,
                 [](const Inputs& in, View<float, 2> out) {
                   auto gain_sums = nowhere(out.shape[1]), shift_sums = gain_sums;
                   const auto gain = weights_for(out.shape[1], 7);
                   layer_norm_gradient(in[0], gain.data(), 1e-2f, in[1], out, gain_sums.data(),
                                       shift_sums.data());
                 },
                 [](const std::vector<Row>& in) {
                   Row h = in[0];
                   const auto n = static_cast<double>(h.size());
                   Row back = gains(h);
                   for (std::size_t i = 0; i < h.size(); ++i) back[i] *= in[1][i];
                   const double mean = mean_of(h);
                   for (double& x : h) x -= mean;
                   const double r = 1 / std::sqrt(dot(h, h) / n + 1e-2f);
                   for (double& x : h) x *= r;
                   const double level = mean_of(back), pull = dot(back, h) / n;
                   for (std::size_t i = 0; i < h.size(); ++i) {
                     back[i] = r * (back[i] - level - h[i] * pull);
                   }
                   return back;
                 },
                 0, 4e-6, 1e-5});  // one or two numbers of a row cancel altogether
  all.push_back({"softmax", 2, 1.0f,
                 [](const Inputs& in, View<float, 2> out) {
                   Rows y(in[0].shape[0], in[0].shape[1]);
                   softmax(in[0], y.view);
                   softmax_gradient(y.view, in[1], out);
                 },
                 [](const std::vector<Row>& in) {
                   Row y = in[0];
                   double whole = 0;
                   for (const double x : in[0]) whole += std::exp(x);
                   for (double& x : y) x = std::exp(x) / whole;
                   const double mean = dot(y, in[1]);
                   for (std::size_t i = 0; i < y.size(); ++i) y[i] *= in[1][i] - mean;
                   return y;
                 },
                 1e-6, 1e-6, 1e-7});
  all.push_back({"log_softmax", 2, 1.0f,
                 [](const Inputs& in, View<float, 2> out) {
                   Rows y(in[0].shape[0], in[0].shape[1]);
                   log_softmax(in[0], y.view);
                   log_softmax_gradient(y.view, in[1], out);
                 },
                 [](const std::vector<Row>& in) {
                   Row y = in[0];
                   double whole = 0, total = 0;
                   for (const double x : in[0]) whole += std::exp(x);
                   for (const double d : in[1]) total += d;
                   for (std::size_t i = 0; i < y.size(); ++i) {
                     y[i] = in[1][i] - std::exp(y[i]) / whole * total;
                   }
                   return y;
                 },
                 1e-6, 1e-6, 1e-6});
  all.push_back({"log_sum_exp", 1, 2.0f,
                 [](const Inputs& in, View<float, 2> out) {
                   const auto rows = static_cast<std::size_t>(in[0].shape[0]);
                   std::vector<float> s(rows), ds(rows, 1.5f);
                   log_sum_exp(in[0], s.data());
                   log_sum_exp_gradient(in[0], s.data(), ds.data(), out);
                 },
                 [](const std::vector<Row>& in) {
                   double whole = 0;
                   for (const double x : in[0]) whole += std::exp(x);
                   Row y = in[0];
                   for (double& x : y) x = 1.5 * std::exp(x) / whole;
                   return y;
                 },
                 3e-6, 0, 0});
  return all;
}

TEST(Gradients, AgreeWithTheFormulaOnEveryTarget) {
  agree_with_formulas_on_every_target(operations());
}
TEST(Gradients, TakeRowsBackwardsAndRepeated) { take_rows_backwards_and_repeated(operations()); }
TEST(Gradients, RefuseWhatDoesNotFit) { refuse_what_does_not_fit(operations()); }
TEST(Gradients, NoRowsAndNoWidthAreNothingToDo) {
  have_nothing_to_do_without_rows_or_width(operations());
}

TEST(Gradients, SlopesEndAtInfinity) {
  for (const Formula& f : kFormulas) {
    SCOPED_TRACE(f.name);
    const float far[] = {-kInf, -3e38f, -300.0f, 300.0f, 3e38f, kInf};
    const float ones[] = {1, 1, 1, 1, 1, 1};
    float slopes[6];
    const View<const float, 2> x(far, {1, 6}), dy(ones, {1, 6});
    activate_gradient(f.function, x, dy, View<float, 2>(slopes, {1, 6}));
    for (int i = 0; i < 6; ++i) {
      EXPECT_EQ(slopes[i], static_cast<float>(f.slope(i < 3 ? -300.0 : 300.0))) << far[i];
    }
  }
}

// Sums over rows: ascending, on top of what is there, with the same bits on every target.
TEST(Gradients, GainsAndShiftsAreSummedOverRows) {
  constexpr int64_t kRows = 5;
  for (const int64_t width : {1, 15, 16, 33, 200}) {
    SCOPED_TRACE(width);
    const Rows x = random_rows(kRows, width, 1, 1.0f), dy = random_rows(kRows, width, 2, 1.0f);
    const auto gain = weights_for(width, 7);
    std::vector<float> definition;
    for (const Target target : available_targets()) {
      SCOPED_TRACE(name(target));
      const ScopedTarget forced(target);
      Rows dx(kRows, width);
      std::vector<float> sums(static_cast<std::size_t>(3 * width + 16), 0.5f);
      rms_norm_gradient(x.view, gain.data(), 0.1f, dy.view, dx.view, sums.data());
      layer_norm_gradient(x.view, gain.data(), 0.1f, dy.view, dx.view, sums.data() + width,
                          sums.data() + 2 * width);
      for (int64_t i = 3 * width; i < 3 * width + 16; ++i) {
        EXPECT_EQ(sums[static_cast<std::size_t>(i)], 0.5f);
      }
      if (target == Target::scalar) definition = sums;
      EXPECT_EQ(first_difference(sums, definition), -1);
      // One row after the other is all at once.
      std::vector<float> apart(sums.size(), 0.5f);
      for (int64_t r = 0; r < kRows; ++r) {
        const auto one = x.view.rows(r, 1), back = dy.view.rows(r, 1);
        rms_norm_gradient(one, gain.data(), 0.1f, back, dx.view.rows(r, 1), apart.data());
        layer_norm_gradient(one, gain.data(), 0.1f, back, dx.view.rows(r, 1), apart.data() + width,
                            apart.data() + 2 * width);
      }
      EXPECT_EQ(first_difference(apart, sums), -1);
    }
    for (int64_t i = 0; i < width; ++i) {
      double of_rms = 0.5, of_layer = 0.5, of_shift = 0.5;
      for (int64_t r = 0; r < kRows; ++r) {
        double squares = 0, mean = 0, spread = 0;
        for (int64_t k = 0; k < width; ++k) {
          squares += double{x.view(r, k)} * x.view(r, k) / static_cast<double>(width);
          mean += x.view(r, k) / static_cast<double>(width);
        }
        for (int64_t k = 0; k < width; ++k) {
          spread += (x.view(r, k) - mean) * (x.view(r, k) - mean) / static_cast<double>(width);
        }
        of_rms += dy.view(r, i) * x.view(r, i) / std::sqrt(squares + 0.1);
        of_layer += dy.view(r, i) * (x.view(r, i) - mean) / std::sqrt(spread + 0.1);
        of_shift += dy.view(r, i);
      }
      EXPECT_NEAR(definition[static_cast<std::size_t>(i)], of_rms, 4e-6);
      EXPECT_NEAR(definition[static_cast<std::size_t>(width + i)], of_layer, 4e-6);
      EXPECT_NEAR(definition[static_cast<std::size_t>(2 * width + i)], of_shift, 4e-6);
    }
  }
}

TEST(Gradients, CrossEntropyIsTheFormulaOnEveryTarget) {
  constexpr int64_t kRows = 3;
  for (const float smoothing : {0.0f, 0.25f}) {
    for (const int64_t width : {2, 15, 16, 33, 1000}) {
      SCOPED_TRACE(width);
      Rows x = random_rows(kRows, width, 3, 4.0f);
      for (int64_t i = 0; i < width; ++i) x.view(1, i) = kPoison;  // never read
      const int32_t targets[] = {0, -7, static_cast<int32_t>(width - 1)};
      const float factors[] = {0.5f, 0.0f, -2.0f};
      const Smoothed q{1 - smoothing, smoothing / static_cast<float>(width)};
      std::vector<float> definition;
      for (const Target target : available_targets()) {
        SCOPED_TRACE(name(target));
        const ScopedTarget forced(target);
        float losses[kRows], lse[kRows];
        Rows dx(kRows, width);
        cross_entropy(x.view, targets, factors, q, losses, lse);
        cross_entropy_gradient(x.view, targets, factors, q, lse, dx.view);
        EXPECT_TRUE(dx.guards_are_whole());
        std::vector<float> all = dx.numbers();
        all.insert(all.end(), losses, losses + kRows);
        if (target == Target::scalar) definition = all;
        EXPECT_EQ(first_difference(all, definition), -1);

        EXPECT_EQ(losses[1], 0.0f);
        for (int64_t i = 0; i < width; ++i) EXPECT_EQ(dx.view(1, i), 0.0f);
        for (const int64_t r : {0, 2}) {
          double whole = 0, sum = 0;
          for (int64_t i = 0; i < width; ++i) whole += std::exp(double{x.view(r, i)});
          for (int64_t i = 0; i < width; ++i) {
            const double wanted = (i == targets[r] ? double{q.target} : 0) + q.each;
            const double p = std::exp(double{x.view(r, i)}) / whole;
            sum += wanted * (std::log(whole) - x.view(r, i));
            EXPECT_NEAR(dx.view(r, i), factors[r] * (p - wanted), 2e-6);
          }
          EXPECT_NEAR(losses[r], sum, 1e-5);
        }
        // In place.
        Rows place = x;
        cross_entropy_gradient(place.view, targets, factors, q, lse, place.view);
        EXPECT_EQ(first_difference(place.numbers(), dx.numbers()), -1);
      }
    }
  }
}

TEST(Gradients, NothingIsLeftOfALogSumExpOfNothing) {
  const float none[] = {-kInf, -kInf, -kInf}, s = -kInf, ds = 1;
  float dx[3] = {9, 9, 9};
  log_sum_exp_gradient(View<const float, 2>(none, {1, 3}), &s, &ds, View<float, 2>(dx, {1, 3}));
  for (const float x : dx) EXPECT_EQ(x, 0.0f);
}

// The opposite rotation: back to where it came from, and the transpose of a rotation with a gain.
TEST(Gradients, RopeTurnsBack) {
  for (const RopeLayout layout : {RopeLayout::halves, RopeLayout::pairs}) {
    for (const int64_t dim : {2, 30, 32, 34, 64}) {
      SCOPED_TRACE(dim);
      RopeTable table(dim, 10000, {}, 1.0, 2.0);
      table.reserve(50);
      const int64_t width = dim + 3;
      const Rows x = random_rows(4, width, 1, 1.0f);
      const std::vector<int32_t> positions{0, 7, 49, 30};
      std::vector<float> definition;
      for (const Target target : available_targets()) {
        const ScopedTarget forced(target);
        Rows turned = x;
        const View<float, 3> heads(turned.view.data, {4, 1, width},
                                   {turned.view.strides[0], turned.view.strides[0], 1});
        rope_gradient(heads, table, positions, layout);
        EXPECT_TRUE(turned.guards_are_whole());
        if (target == Target::scalar) definition = turned.numbers();
        EXPECT_EQ(first_difference(turned.numbers(), definition), -1);
        rope(heads, table, positions, layout);
        for (int64_t r = 0; r < 4; ++r) {
          for (int64_t i = 0; i < width; ++i) {
            EXPECT_NEAR(turned.view(r, i), (i < dim ? 4 : 1) * x.view(r, i), 4e-6);
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace regard
