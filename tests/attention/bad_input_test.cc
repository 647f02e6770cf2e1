// Every kind of bad input, one clear error each, forwards and backwards: nothing is written, and
// the next call works.
#include <gtest/gtest.h>

#include <type_traits>

#include "owned.h"
#include "plan/expect_error.h"

namespace regard {
namespace {

using namespace regard::testing;

// A score is a formula, not a number: `if (s > 0)` does not compile.
static_assert(!std::is_convertible_v<Expr, bool> && !std::is_constructible_v<bool, Expr>);

class BadInput : public ::testing::Test {
 protected:
  BadInput() {
    Random random(3);
    q = Floats::normal(random, 4, 4, 8), k = Floats::normal(random, 6, 2, 8);
    v = Floats::normal(random, 6, 2, 10), dout = Floats::normal(random, 4, 4, 10);
    expected = attend(q, k, v);
    out = dq = dk = dv = Floats(0, 0, 0);
    out = Floats(4, 4, 10, 7), dq = Floats(4, 4, 8, 7), dk = Floats(6, 2, 8, 7);
    dv = Floats(6, 2, 10, 7);
  }

  // The options are refused by both passes with the same words.
  void expect_both(const AttentionOptions& options, const std::string& words) {
    expect_error([&] { attention(q.view(), k.view(), v.view(), out.view(), options); }, words);
    expect_error([&] { backward(out, dout, options); }, words);
    expect_untouched();
  }
  void backward(const Floats& of, const Floats& by, const AttentionOptions& options = {}) {
    attention_backward(q.view(), k.view(), v.view(), of.view(), {}, by.view(), dq.view(), dk.view(),
                       dv.view(), options);
  }
  void expect_untouched() {
    for (const Floats* x : {&out, &dq, &dk, &dv}) {
      for (const float number : x->data) ASSERT_EQ(number, 7);
    }
    EXPECT_EQ(attend(q, k, v).data, expected.data);
  }

  Floats q, k, v, dout, expected, out, dq, dk, dv;
};

TEST_F(BadInput, Shapes) {
  const Floats narrow(6, 2, 7), few(5, 2, 10), odd(4, 3, 8);
  const auto run = [&](const Floats& a, const Floats& b, const Floats& c, Floats& to) {
    attention(a.view(), b.view(), c.view(), to.view());
  };
  expect_error([&] { run(q, narrow, v, out); }, "k has dim 7, q has 8");
  expect_error([&] { run(q, k, few, out); }, "v has 5 keys of 2 heads, k has 6 of 2");
  expect_error([&] { run(odd, k, v, out); }, "heads (3) is not a multiple of kv_heads (2)");
  expect_error([&] { run(q, k, v, dq); }, "out is 4 x 4 x 8, must be 4 x 4 x 10");
  expect_error([&] { backward(dq, dout); }, "out is 4 x 4 x 8, must be 4 x 4 x 10");
  expect_error([&] { backward(out, dv); }, "dout is 6 x 2 x 10, must be 4 x 4 x 10");
  expect_error(
      [&] {
        attention_backward(q.view(), k.view(), v.view(), std::as_const(out).view(), {}, dout.view(),
                           dq.view(), dv.view(), dv.view());
      },
      "dk is 6 x 2 x 10, must be 6 x 2 x 8");
  expect_untouched();
}

TEST_F(BadInput, Dtypes) {
  const auto as = [](auto view, DType dtype) {
    view.dtype = dtype;
    return view;
  };
  const InputView<3> q_in(q.view()), k_in(k.view()), v_in(v.view()), out_in(expected.view());
  const OutputView<3> to(out.view()), dq_to(dq.view()), dk_to(dk.view()), dv_to(dv.view());
  expect_error([&] { attention(as(q_in, DType::q8_0), k_in, v_in, to); }, "q is q8_0");
  expect_error([&] { attention(q_in, as(k_in, DType::q4_1), v_in, to); }, "k is q4_1");
  expect_error([&] { attention(q_in, k_in, v_in, as(to, DType::f64)); },
               "out is f64 and q f32; either all arrays are f64 or none");
  expect_error(
      [&] {
        attention_backward(q_in, k_in, v_in, out_in, {}, as(out_in, DType::q8_0), dq_to, dk_to,
                           dv_to);
      },
      "dout is q8_0, must be f64, f32, f16 or bf16");
  expect_untouched();
}

TEST_F(BadInput, OverlappingOutputs) {
  Floats packed(20, 4, 8, 7);
  const View<float, 3> first(packed.data.data(), {4, 4, 8}), shifted(first.data + 1, {4, 4, 8});
  const View<const float, 3> input(first.data, {4, 2, 8}), values(first.data + 300, {4, 2, 8});
  expect_error([&] { attention(q.view(), input, values, first); }, "out overlaps k");
  expect_error([&] { attention(first, values, values, shifted); }, "out overlaps q");
  Floats square(4, 4, 8, 7);
  expect_error(
      [&] {
        attention_backward(q.view(), q.view(), q.view(), square.view(), {}, square.view(), first,
                           shifted, View<float, 3>(first.data + 300, {4, 4, 8}));
      },
      "overlap");
  for (const float x : packed.data) EXPECT_EQ(x, 7);
  expect_untouched();
}

TEST_F(BadInput, Numbers) {
  expect_both({.scale = NAN}, "scale (nan) is not a finite number");
  expect_both({.scale = INFINITY}, "scale (inf) is not a finite number");
  expect_both({.threads = -1}, "threads (-1)");
}

TEST_F(BadInput, KindsOfExpressions) {
  expect_both({.mask = program::query() - program::key()}, "boolean");
  expect_both({.mask = program::score()}, "boolean");
  expect_both({.score = program::key() < 3}, "boolean");
  expect_both({.weight = program::key() < 3}, "boolean");
  const Array integers = Array::of("integers", std::vector<int32_t>(6, 1));
  expect_error([&] { program::allowed(integers); }, "integers does not hold booleans");
  expect_error([&] { (void)(program::score() & program::key()); }, "real");
  expect_error([&] { (void)integers(program::score()); }, "an index of integers is real");
}

TEST_F(BadInput, CapturedArraysThatAreTooShort) {
  expect_error(
      [] {
        Array::of("bias", std::vector<float>(5), {2, 3});
      },
      "Array bias: 5 numbers for a shape of 6");
  const Array three = Array::of("three", std::vector<float>(3));
  expect_both({.normaliser = softmax_with_sink(three)}, "three");
  expect_both({.similarity = additive(three)}, "three");
  const Array w = Array::of("w", std::vector<float>(21), {3, 7});
  expect_both({.similarity = bilinear(w)}, "w");
  // What an expression finds beyond an array is not known before it runs: it is not read, and NaN.
  const Array shorter = Array::of("shorter", std::vector<float>(5));
  const Floats beyond = attend(q, k, v, {.score = program::score() + shorter(program::key())});
  for (const float x : beyond.data) EXPECT_TRUE(std::isnan(x));
}

}  // namespace
}  // namespace regard
