// The reference's gradients are the slopes of its own formula: central differences in double
// precision, for every normaliser x similarity x score program x weight program.
//
// One step moves all numbers of q, k and v, or of all captured arrays, by random signs.
#include <gtest/gtest.h>

#include <cmath>

#include "kinks.h"
#include "menu.h"
#include "reference/reference.h"

namespace regard {
namespace {

using namespace regard::testing;

constexpr double kStep =
    0x1p-19;  // 1.9e-6: exact for numbers of a Maker, and where 1 / Σ bends most
constexpr double kAccuracy = 1e-6;

struct Problem {
  Dimensions d{.batch = 1,
               .rows = 3,
               .keys = 5,
               .heads = 2,
               .kv_heads = 1,
               .dim = 3,
               .dim_k = 3,
               .dim_v = 2};
  Maker maker;
  AttentionOptions options;
  std::vector<double> q, k, v, dout;

  explicit Problem(uint64_t seed) : maker(d, seed) {
    for (auto* x : {&q, &k, &v, &dout}) {
      x->resize(x == &q ? 3 * 2 * 3 : x == &k ? 5 * 3 : x == &v ? 5 * 2 : 3 * 2 * 2);
      for (double& number : *x) number = maker.random.normal();
    }
  }
  InputView<3> q_view() const { return {q.data(), {d.rows, d.heads, d.dim}}; }
  InputView<3> k_view() const { return {k.data(), {d.keys, d.kv_heads, d.dim_k}}; }
  InputView<3> v_view() const { return {v.data(), {d.keys, d.kv_heads, d.dim_v}}; }
  InputView<3> dout_view() const { return {dout.data(), {d.rows, d.heads, d.dim_v}}; }

  double loss() const {
    const Reference r = reference_attention(q_view(), k_view(), v_view(), options);
    double sum = 0;
    for (std::size_t n = 0; n < r.out.size(); ++n) sum += r.out[n] * dout[n];
    return sum;
  }
  // A row near a kink has no part in the loss.
  void leave_out_kinks() {
    const Reference r = reference_attention(q_view(), k_view(), v_view(), options, Matrices::keep);
    const std::vector<Segment> all{{.rows = d.rows, .keys = d.keys}};
    const std::vector<char> near = rows_near_a_kink(r, d.rows, d.heads, all, options, maker);
    for (std::size_t n = 0; n < dout.size(); ++n) {
      if (near[n / static_cast<std::size_t>(d.dim_v)] != 0) dout[n] = 0;
    }
  }
};

// Numbers that are moved together, each by a step up or down.
class Direction {
 public:
  template <class T>
  void add(T* numbers, int64_t stride, const std::vector<double>& gradient) {
    std::vector<double> signs;
    for (const double g : gradient) {
      signs.push_back(random_.one_in(2) ? 1 : -1);
      slope_ += signs.back() * g;
      squares_ += g * g;
    }
    moves_.push_back([=, signs = std::move(signs)](double step) {
      for (std::size_t n = 0; n < signs.size(); ++n) {
        numbers[static_cast<int64_t>(n) * stride] += static_cast<T>(step * signs[n]);
      }
    });
  }
  void expect_slope(const Problem& problem, const std::string& what) const {
    const auto moved = [&](double step) {
      for (const auto& move : moves_) move(step);
      return problem.loss();
    };
    const double above = moved(kStep), below = moved(-2 * kStep);
    for (const auto& move : moves_) move(kStep);
    EXPECT_NEAR((above - below) / (2 * kStep), slope_, kAccuracy * std::sqrt(squares_) + 1e-9)
        << what;
  }

 private:
  Random random_{7};
  double slope_ = 0, squares_ = 0;
  std::vector<std::function<void(double)>> moves_;
};

void expect_slopes(Problem& p, const std::string& name) {
  p.leave_out_kinks();
  const ReferenceGradients g =
      reference_gradients(p.q_view(), p.k_view(), p.v_view(), p.dout_view(), p.options);
  Direction inputs, arrays;
  inputs.add(p.q.data(), 1, g.dq);
  inputs.add(p.k.data(), 1, g.dk);
  inputs.add(p.v.data(), 1, g.dv);
  inputs.expect_slope(p, name + ": q, k and v");
  if (p.maker.differentiable().empty()) return;
  for (const Array& array : p.maker.differentiable()) {
    // Arrays of a Maker are evenly spaced.
    arrays.add(static_cast<float*>(const_cast<void*>(array.data())), array.stride(array.rank() - 1),
               g.of(array));
  }
  arrays.expect_slope(p, name + ": captured arrays");
}

bool is_straight_through(const Normaliser& normaliser) {
  return normaliser.kind == Normaliser::Kind::gumbel &&
         normaliser.sample == Normaliser::Sample::straight_through;
}

TEST(Differences, AgreeWithTheChainRuleForEveryCombination) {
  uint64_t seed = 0;
  for (const auto& normaliser : normaliser_menu()) {
    for (const auto& similarity : similarity_menu()) {
      for (const auto& score : score_menu()) {
        for (const auto& weight : weight_menu()) {
          Problem p(++seed);
          p.options = {.mask = program::causal_mask() | (program::key() == 3),
                       .score = score.make(p.maker),
                       .normaliser = normaliser.make(p.maker),
                       .weight = weight.make(p.maker),
                       .similarity = similarity.make(p.maker)};
          if (is_straight_through(p.options.normaliser)) continue;  // not a slope, on purpose
          expect_slopes(
              p, normaliser.name + ", " + similarity.name + ", " + score.name + ", " + weight.name);
          if (HasFailure()) return;
        }
      }
    }
  }
}

// Straight-through: the weights of the largest key, the gradient of the soft ones (Jang et al.).
TEST(Differences, StraightThroughHasTheGradientOfTheSoftWeights) {
  Problem p(1);
  const auto gradients = [&](Normaliser::Sample sample) {
    p.options.normaliser = gumbel_softmax(0.75f, 5, sample);
    return reference_gradients(p.q_view(), p.k_view(), p.v_view(), p.dout_view(), p.options);
  };
  const auto soft = gradients(Normaliser::Sample::soft);
  const auto through = gradients(Normaliser::Sample::straight_through);
  const auto hard = gradients(Normaliser::Sample::hard);
  EXPECT_EQ(through.dq, soft.dq);
  EXPECT_EQ(through.dk, soft.dk);
  EXPECT_EQ(through.dv, hard.dv);
  EXPECT_EQ(hard.dq, std::vector<double>(hard.dq.size()));
}

}  // namespace
}  // namespace regard
