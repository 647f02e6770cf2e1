// The reference's gradients are the slopes of its own formula: central differences in double
// precision, for every normaliser x similarity x score program x weight program.
//
// One step moves a whole array along a random direction of signs: q, k, v and every captured array.
#include <gtest/gtest.h>

#include <cmath>

#include "kinks.h"
#include "menu.h"
#include "reference/reference.h"

namespace regard {
namespace {

using namespace regard::testing;

constexpr double kStep = 0x1p-17;  // 7.6e-6
constexpr double kAccuracy = 1e-6;

struct Problem {
  Dimensions d{.batch = 1,
               .rows = 4,
               .keys = 6,
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
      x->resize(x == &q ? 4 * 2 * 3 : x == &k ? 6 * 3 : x == &v ? 6 * 2 : 4 * 2 * 2);
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

// numbers [n] lie `stride` apart.
template <class T>
void expect_slope(const Problem& problem, T* numbers, const std::vector<double>& gradient,
                  const std::function<std::size_t(std::size_t)>& place, const std::string& what) {
  Random random(7);
  double slope = 0, norm = 0;
  std::vector<double> direction(gradient.size());
  for (std::size_t n = 0; n < direction.size(); ++n) {
    direction[n] = random.one_in(2) ? 1 : -1;
    slope += direction[n] * gradient[n];
    norm += gradient[n] * gradient[n];
  }
  const auto moved = [&](double step) {
    for (std::size_t n = 0; n < direction.size(); ++n) {
      numbers[place(n)] += static_cast<T>(step * direction[n]);
    }
    return problem.loss();
  };
  const double above = moved(kStep), below = moved(-2 * kStep);
  moved(kStep);
  EXPECT_NEAR((above - below) / (2 * kStep), slope, kAccuracy * std::sqrt(norm) + 1e-9) << what;
}

void expect_slopes(Problem& p, const std::string& name) {
  p.leave_out_kinks();
  const ReferenceGradients g =
      reference_gradients(p.q_view(), p.k_view(), p.v_view(), p.dout_view(), p.options);
  const auto dense = [](std::size_t n) { return n; };
  expect_slope(p, p.v.data(), g.dv, dense, name + ": dv");
  expect_slope(p, p.q.data(), g.dq, dense, name + ": dq");
  expect_slope(p, p.k.data(), g.dk, dense, name + ": dk");
  for (const Array& array : p.maker.differentiable()) {
    // Arrays of a Maker are evenly spaced.
    const auto step = static_cast<std::size_t>(array.stride(array.rank() - 1));
    expect_slope(
        p, static_cast<float*>(const_cast<void*>(array.data())), g.of(array),
        [step](std::size_t n) { return n * step; }, name + ": d" + array.name());
  }
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

}  // namespace
}  // namespace regard
