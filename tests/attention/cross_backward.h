// A case run backwards through the operator, and compared with the reference's chain rule.
#pragma once

#include "cross_compare.h"
#include "cross_magnitude.h"

namespace regard::testing {

constexpr double kGradientAccuracy = 2e-6;

struct BackwardResult {
  LaidOut dq, dk, dv;
  std::vector<std::vector<float>> arrays;  // as Maker::differentiable(), dense
};

// dout is zero in the rows that are near a kink.
inline void leave_out_kinks(CrossProblem& p, const Reference& r) {
  const std::vector<char> near =
      rows_near_a_kink(r, p.q.view().shape[1], p.d.heads, p.segments, p.options, p.maker);
  std::size_t n = 0;
  p.dout.for_each([&](int64_t a, int64_t b, int64_t c, int64_t d) {
    if (near[n++ / static_cast<std::size_t>(p.d.dim_v)] != 0) p.dout.set(a, b, c, d, 0);
  });
}

// out of the forward pass is kept in f32, as the contract asks.
inline BackwardResult run_backward(const CrossProblem& p) {
  CrossProblem forward_problem(p.c);
  forward_problem.c.choice[static_cast<std::size_t>(Axis::extras)] = 1;  // lse
  const bool is_f64 = p.dtypes.q == DType::f64;
  const ForwardResult f = run_forward(forward_problem, is_f64 ? DType::f64 : DType::f32);
  const auto& q = p.q.view();
  const auto& k = p.k.view();
  const auto& v = p.v.view();
  BackwardResult r;
  r.dq = LaidOut(q.shape, p.dtypes.q, p.layout, true);
  r.dk = LaidOut(k.shape, p.dtypes.k, p.layout, true);
  r.dv = LaidOut(v.shape, p.dtypes.v, p.layout, true);
  std::vector<ArrayGradient> wanted;
  for (const Array& array : p.maker.differentiable()) {
    r.arrays.emplace_back(reference::numbers_of(array).size(), 77.0f);
  }
  for (std::size_t n = 0; n < r.arrays.size(); ++n) {
    wanted.push_back({p.maker.differentiable()[n], r.arrays[n].data(), {}});
  }
  View<const float, 3> lse;
  if (!f.lse.empty()) lse = {f.lse.data(), {q.shape[0], q.shape[1], q.shape[2]}};
  const auto lse0 = lse.data == nullptr ? View<const float, 2>() : lse[0];
  const InputView<4> out = f.out.view(), dout = p.dout.view(), q4 = q, k4 = k, v4 = v;
  const auto dq = r.dq.view(), dk = r.dk.view(), dv = r.dv.view();
  if (p.c.form() == Form::single) {
    attention_backward(slab0(q4), slab0(k4), slab0(v4), slab0(out), lse0, slab0(dout), slab0(dq),
                       slab0(dk), slab0(dv), p.options, wanted);
  } else if (p.c.form() == Form::batch) {
    attention_backward(q4, k4, v4, out, lse, dout, dq, dk, dv, p.options, wanted);
  } else {
    attention_backward(slab0(q4), slab0(k4), slab0(v4), slab0(out), lse0, slab0(dout), slab0(dq),
                       slab0(dk), slab0(dv), p.segments, p.options, wanted);
  }
  return r;
}

// Empty, or what is wrong with the result.
inline std::string compare_backward(const CrossProblem& p, const BackwardResult& r,
                                    const Reference& forward) {
  const ReferenceGradients want =
      reference_gradients(p.q.view(), p.k.view(), p.v.view(), p.dout.view(), p.segments, p.options);
  const Magnitudes magnitudes = magnitudes_of(p, forward);
  std::string complaint;
  const auto array = [&](const char* name, const LaidOut& is, const std::vector<double>& wanted,
                         const std::vector<double>& sizes) {
    const std::vector<double> numbers = is.numbers();
    const int64_t dim = is.view().shape[3];
    Measure measure(is.view().dtype, kGradientAccuracy);
    for (std::size_t row = 0; row < sizes.size(); ++row) {
      const auto first = static_cast<int64_t>(row) * dim;
      measure.add_row(numbers.data() + first, wanted.data() + first, dim, sizes[row]);
    }
    if (complaint.empty() && !measure.complaint().empty()) {
      complaint = std::string(name) + ": " + measure.complaint();
    }
    if (complaint.empty() && is.stray_bytes() != 0) {
      complaint = std::string(name) + ": bytes beside it were written";
    }
  };
  array("dv", r.dv, want.dv, magnitudes.dv);
  array("dq", r.dq, want.dq, magnitudes.dq);
  array("dk", r.dk, want.dk, magnitudes.dk);
  for (std::size_t n = 0; n < r.arrays.size(); ++n) {
    const Array& of = p.maker.differentiable()[n];
    const std::vector<double> is(r.arrays[n].begin(), r.arrays[n].end()), wanted = want.of(of);
    Measure measure(DType::f32, kGradientAccuracy);
    measure.add_row(is.data(), wanted.data(), static_cast<int64_t>(is.size()),
                    magnitudes.arrays[n]);
    if (complaint.empty() && !measure.complaint().empty()) {
      complaint = "d" + of.name() + ": " + measure.complaint();
    }
  }
  return complaint;
}

}  // namespace regard::testing
