// linear_attention_backward() against central differences of the recurrence in f64.
#include <gtest/gtest.h>

#include <limits>

#include "kernels/bits.h"
#include "linear/recurrence.h"
#include "regard/error.h"

namespace regard::linear_test {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

struct Upstream {
  Numbers dout, dstate, dkey_sum;
};
Upstream make_upstream(const Problem& p) {
  std::mt19937 random(11);
  std::normal_distribution<float> normal(0, 1);
  const Size& s = p.size;
  Upstream up;
  up.dout.resize(static_cast<std::size_t>(s.batch * s.tokens * s.heads * s.dim_v));
  up.dstate.resize(p.x.state.size());
  up.dkey_sum.resize(p.x.key_sum.size());
  for (Numbers* x : {&up.dout, &up.dstate, &up.dkey_sum}) {
    for (float& number : *x) number = normal(random);
  }
  return up;
}

double loss(const Problem& p, const Arrays<double>& x, const Upstream& up) {
  const Results<double> r = recurrence(p, x);
  double sum = 0;
  for (std::size_t i = 0; i < r.out.size(); ++i) sum += r.out[i] * up.dout[i];
  for (std::size_t i = 0; i < r.state.size(); ++i) sum += r.state[i] * up.dstate[i];
  for (std::size_t i = 0; i < r.key_sum.size(); ++i) sum += r.key_sum[i] * up.dkey_sum[i];
  return sum;
}

Arrays<float> gradients_of(const Problem& p, const Upstream& up, int threads = 1) {
  const Size& s = p.size;
  Arrays<float> g = p.x;
  for (Numbers* x : {&g.q, &g.k, &g.v, &g.decay, &g.beta, &g.state, &g.key_sum}) {
    std::fill(x->begin(), x->end(), kNaN);
  }
  Numbers out(up.dout.size());
  const LinearAttentionInputs in = p.inputs();
  LinearAttentionOptions options = p.options;
  options.threads = threads;
  LinearAttentionUpstream from;
  from.dout = {up.dout.data(), {s.batch, s.tokens, s.heads, s.dim_v}};
  if (options.normalise) {
    linear_attention(in, {.out = View<float, 4>(out.data(), from.dout.shape)}, options);
    from.out = {out.data(), {s.batch, s.tokens, s.heads, s.dim_v}};
    from.dkey_sum = View<const float, 3>(up.dkey_sum.data(), in.key_sum.shape);
  }
  from.dstate = View<const float, 4>(up.dstate.data(), in.state.shape);
  LinearAttentionGradients to;
  to.dq = View<float, 4>(g.q.data(), in.q.shape);
  to.dk = View<float, 4>(g.k.data(), in.k.shape);
  to.dv = View<float, 4>(g.v.data(), in.v.shape);
  if (p.decays()) to.ddecay = View<float, 4>(g.decay.data(), in.decay.shape);
  if (p.delta()) to.dbeta = View<float, 3>(g.beta.data(), in.beta.shape);
  to.dstate = View<float, 4>(g.state.data(), in.state.shape);
  if (options.normalise) to.dkey_sum = View<float, 3>(g.key_sum.data(), in.key_sum.shape);
  linear_attention_backward(in, from, to, options);
  return g;
}

void expect_same(const Arrays<float>& a, const Arrays<float>& b) {
  for (Numbers Arrays<float>::*x :
       {&Arrays<float>::q, &Arrays<float>::k, &Arrays<float>::v, &Arrays<float>::decay,
        &Arrays<float>::beta, &Arrays<float>::state, &Arrays<float>::key_sum}) {
    EXPECT_EQ(first_difference(a.*x, b.*x), -1);
  }
}

// Every number of x moved a little, or about 50 of them.
void expect_slopes(const Problem& p, const Upstream& up, const char* what, const Numbers& is,
                   Wide Arrays<double>::*x) {
  Arrays<double> moved = exact(p.x);
  const std::size_t step = is.size() / 50 + 1;
  double error = 0, size = 0;
  for (std::size_t i = 0; i < is.size(); i += step) {
    const double before = (moved.*x)[i], h = 1e-5;
    (moved.*x)[i] = before + h;
    const double above = loss(p, moved, up);
    (moved.*x)[i] = before - h;
    const double slope = (above - loss(p, moved, up)) / (2 * h);
    (moved.*x)[i] = before;
    error += (is[i] - slope) * (is[i] - slope);
    size += slope * slope;
  }
  EXPECT_LT(std::sqrt(error), 5e-6 * std::sqrt(size) + 1e-6) << what;
}

TEST(LinearBackward, AgreesWithCentralDifferencesAndItsBitsWithEveryTargetAndThread) {
  for (const Problem& p : problems({{1, 1, 1, 1, 1, 1},
                                    {2, 3, 2, 2, 5, 17},
                                    {1, 35, 4, 2, 3, 2},
                                    {1, 66, 1, 1, 4, 3},
                                    {1, 5, 2, 1, 17, 70}})) {
    const Upstream up = make_upstream(p);
    SCOPED_TRACE(describe(p));
    const Arrays<float> is = gradients_of(p, up);
    expect_slopes(p, up, "dq", is.q, &Arrays<double>::q);
    expect_slopes(p, up, "dk", is.k, &Arrays<double>::k);
    expect_slopes(p, up, "dv", is.v, &Arrays<double>::v);
    expect_slopes(p, up, "ddecay", is.decay, &Arrays<double>::decay);
    expect_slopes(p, up, "dbeta", is.beta, &Arrays<double>::beta);
    expect_slopes(p, up, "dstate", is.state, &Arrays<double>::state);
    expect_slopes(p, up, "dkey_sum", is.key_sum, &Arrays<double>::key_sum);
    for (const Target target : available_targets()) {
      const ScopedTarget forced(target);
      expect_same(is, gradients_of(p, up, 2));
    }
  }
}

TEST(LinearBackward, KeysAndRowsMayDifferInNumberWithoutCausal) {
  for (const Size& s : {Size{1, 40, 2, 1, 4, 3, 7}, Size{1, 2, 1, 1, 3, 66, 50}}) {
    const Problem p =
        make_problem(s, {.features = FeatureMap::elu, .normalise = true, .causal = false});
    const Upstream up = make_upstream(p);
    const Arrays<float> is = gradients_of(p, up);
    expect_slopes(p, up, "dq", is.q, &Arrays<double>::q);
    expect_slopes(p, up, "dk", is.k, &Arrays<double>::k);
    expect_slopes(p, up, "dv", is.v, &Arrays<double>::v);
    expect_slopes(p, up, "dstate", is.state, &Arrays<double>::state);
    expect_slopes(p, up, "dkey_sum", is.key_sum, &Arrays<double>::key_sum);
  }
}

// A ragged batch's gradients are those of its sequences, and one that is empty passes its state's
// on.
TEST(LinearBackward, RaggedSequencesAreTheirOwn) {
  for (const UpdateRule rule : {UpdateRule::gated, UpdateRule::gated_delta}) {
    Problem p = make_problem({1, 50, 2, 1, 6, 7}, {.rule = rule});
    const int64_t offsets[] = {0, 40, 40, 50};
    p.x.state.resize(3 * 42);
    for (std::size_t i = 42; i < p.x.state.size(); ++i) p.x.state[i] = p.x.state[i - 42];
    Upstream up = make_upstream(p);
    LinearAttentionInputs in = p.inputs();
    in.offsets = offsets;
    in.state.shape[0] = 3;
    Numbers dq(p.x.q.size()), dstate(3 * 42);
    LinearAttentionUpstream from;
    from.dout = {up.dout.data(), {1, 50, 2, 7}};
    from.dstate = View<const float, 4>(up.dstate.data(), in.state.shape);
    LinearAttentionGradients to;
    to.dq = View<float, 4>(dq.data(), in.q.shape);
    to.dstate = View<float, 4>(dstate.data(), in.state.shape);
    linear_attention_backward(in, from, to, p.options);
    for (std::size_t i = 42; i < 84; ++i) EXPECT_EQ(dstate[i], up.dstate[i]);

    Problem last = p;
    last.size.tokens = 10;
    for (Numbers* x : {&last.x.q, &last.x.k, &last.x.v, &last.x.decay, &last.x.beta, &up.dout}) {
      x->erase(x->begin(), x->begin() + static_cast<int64_t>(x->size()) / 5 * 4);
    }
    last.x.state.erase(last.x.state.begin(), last.x.state.begin() + 84);
    up.dstate.erase(up.dstate.begin(), up.dstate.begin() + 84);
    dq.erase(dq.begin(), dq.begin() + 40 * 12);
    dstate.erase(dstate.begin(), dstate.begin() + 84);
    const Arrays<float> alone = gradients_of(last, up);
    EXPECT_EQ(first_difference(alone.q, dq), -1);
    EXPECT_EQ(first_difference(alone.state, dstate), -1);
  }
}

TEST(LinearBackward, AnySizeMayBeZero) {
  for (const Size& s : {Size{0, 3, 2, 1, 4, 5}, Size{1, 0, 2, 1, 4, 5}, Size{1, 3, 0, 0, 4, 5},
                        Size{1, 3, 2, 1, 0, 5}, Size{1, 3, 2, 1, 4, 0}}) {
    for (const UpdateRule rule : {UpdateRule::linear, UpdateRule::gated_delta}) {
      const Problem p = make_problem(s, {.rule = rule}, 1, true);
      const Upstream up = make_upstream(p);
      const Arrays<float> g = gradients_of(p, up);
      for (float x : g.q) EXPECT_EQ(x, 0);
      for (float x : g.v) EXPECT_TRUE(x == 0 || s.dim > 0);
      for (float x : g.decay) EXPECT_EQ(x, 0);
    }
  }
}

TEST(LinearBackward, RefusesInOneLine) {
  Problem p = make_problem({1, 3, 1, 1, 4, 5}, {.rule = UpdateRule::gated});
  const Upstream up = make_upstream(p);
  const auto refused = [&](const std::string& words, auto spoil) {
    LinearAttentionInputs in = p.inputs();
    LinearAttentionUpstream from;
    from.dout = {up.dout.data(), {1, 3, 1, 5}};
    Numbers dq(12);
    LinearAttentionGradients to;
    to.dq = {dq.data(), {1, 3, 1, 4}};
    spoil(in, from, to);
    try {
      linear_attention_backward(in, from, to, p.options);
      ADD_FAILURE() << "taken: " << words;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
    }
  };
  refused("dout is 1 x 2 x 1 x 5", [](auto&, auto& from, auto&) { from.dout.shape[1] = 2; });
  refused("dq is 1 x 3 x 1 x 3", [](auto&, auto&, auto& to) { to.dq.shape[3] = 3; });
  refused("dbeta is for delta rules", [](auto&, auto&, auto& to) { to.dbeta.data = &to; });
  refused("out is for normalise", [](auto&, auto& from, auto&) { from.out = from.dout; });
  refused("output dq overlaps q",
          [](auto& in, auto&, auto& to) { to.dq.data = const_cast<void*>(in.q.data); });
  refused("outputs dk and dq overlap", [](auto&, auto&, auto& to) { to.dk = to.dq; });
  p.options.normalise = true;
  p.x.key_sum.assign(4, 1);
  refused("normalise needs out", [](auto&, auto&, auto&) {});
}

}  // namespace
}  // namespace regard::linear_test
