// Building and printing programs: kinds, promotion, folding, notation.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "regard/error.h"
#include "regard/program.h"

namespace regard {
namespace {

using namespace regard::program;

std::string refusal(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::invalid_argument);
    return error.what();
  }
  return "";
}

TEST(Expr, PrintsItself) {
  EXPECT_EQ(to_string(tanh(score() / 30) * 30), "tanh(s / 30) * 30");
  EXPECT_EQ(to_string(softcap(50)), "tanh(s / 50) * 50");
  EXPECT_EQ(to_string(causal_mask() & (query() - key() < 256)), "(j <= i) & (i - j < 256)");
  EXPECT_EQ(to_string(where(key() == 0, 0.0, score())), "where(j == 0, 0, s)");
  EXPECT_EQ(to_string(weight() * (sequence() + row())), "s * (sequence + row)");
  EXPECT_EQ(to_string(Expr()), "");
  const Array slopes = Array::of("slopes", std::vector<float>{0.5f, 0.25f});
  EXPECT_EQ(to_string(alibi(slopes)), "s + slopes[head] * (j - i)");
  EXPECT_EQ(to_string(chunk(64)), "i // 64 == j // 64");
}

TEST(Expr, PrintsNoParenthesisTooMany) {
  const Expr a = score(), i = query(), j = key();
  EXPECT_EQ(to_string(a + a * a), "s + s * s");
  EXPECT_EQ(to_string((a + a) * a), "(s + s) * s");
  EXPECT_EQ(to_string(a - (a - a)), "s - (s - s)");
  EXPECT_EQ(to_string(a - a - a), "s - s - s");
  EXPECT_EQ(to_string(a / (a * a)), "s / (s * s)");
  EXPECT_EQ(to_string(-(a + a)), "-(s + s)");
  EXPECT_EQ(to_string(-a * a), "-s * s");
  EXPECT_EQ(to_string(~(i < j) | (i == 3)), "~(i < j) | (i == 3)");
  EXPECT_EQ(to_string((i & j) == 3), "i & j == 3");  // Python's precedence
  EXPECT_EQ(to_string((i < j) == (j < i)), "(i < j) == (j < i)");
  EXPECT_EQ(to_string(i << j + 1), "i << j + 1");
  EXPECT_EQ(to_string((i | j) ^ i), "(i | j) ^ i");
  EXPECT_EQ(to_string(i - -2), "i - -2");
  EXPECT_EQ(to_string(i / j), "i / j");
  EXPECT_EQ(to_string(mod(i, 4)), "i % 4");
}

// What is printed has the kind it had.
TEST(Expr, PrintsWhatIsReal) {
  const Expr i = query(), j = key();
  EXPECT_EQ(to_string(i * 2), "i * 2");
  EXPECT_EQ(to_string(i * 2.0), "to_real(i) * 2.0");
  EXPECT_EQ(to_string(score() * i), "s * i");
  EXPECT_EQ(to_string(score() * 0.1), "s * 0.1");
  EXPECT_EQ(to_string(sqrt(i)), "sqrt(i)");
  EXPECT_EQ(to_string((i < j) * score()), "to_integer(i < j) * s");
  EXPECT_EQ(to_string(Expr(-std::numeric_limits<double>::infinity())), "-inf");
}

TEST(Expr, NamesSharedPartsOfALargeProgram) {
  Expr e = score();
  for (int k = 0; k < 200; ++k) e = e * e + 1;
  const std::string text = to_string(e);
  EXPECT_EQ(text.substr(0, 26), "t1 = s * s + 1; t2 = t1 * ");
  EXPECT_LT(text.size(), 6000u);
}

TEST(Expr, IsWrittenAsAFunction) {
  const auto local = mask([](Index i, Index j) { return j <= i && i - j < 256; });
  EXPECT_EQ(to_string(local), "(j <= i) & (i - j < 256)");
  const auto capped = score([](Value s) { return 30.0f * tanh(s / 30.0f); });
  EXPECT_EQ(to_string(capped), "30 * tanh(s / 30)");
  EXPECT_EQ(to_string(mask([](Index b, Index h, Index i, Index j) {
              return b == 0 || !(h < 2) || i == j || true;
            })),
            "True");
  EXPECT_EQ(
      to_string(mask([](Index b, Index h, Index i, Index j) { return b + h < i || !(i < j); })),
      "(batch + head < i) | ~(i < j)");
  EXPECT_EQ(to_string(score([](Value s, Index i, Index j) { return s - abs(i - j); })),
            "s - abs(i - j)");
  EXPECT_EQ(to_string(score([](Value s, Index b, Index h, Index i, Index j) {
              return where(h == b, s * (i - j), 0.0);
            })),
            "where(head == batch, s * (i - j), 0)");
  EXPECT_EQ(to_string(weight([](Value p) { return p * p; })), "s * s");
}

TEST(Expr, PromotesAsPythonDoes) {
  EXPECT_EQ((query() + key()).kind(), ValueKind::integer);
  EXPECT_EQ((query() / key()).kind(), ValueKind::real);
  EXPECT_EQ((query() + 0.5).kind(), ValueKind::real);
  EXPECT_EQ((query() < 0.5).kind(), ValueKind::boolean);
  EXPECT_EQ(((query() < key()) + (key() < 3)).kind(), ValueKind::integer);
  EXPECT_EQ(((query() < key()) & (key() < 3)).kind(), ValueKind::boolean);
  EXPECT_EQ(((query() < key()) & key()).kind(), ValueKind::integer);
  EXPECT_EQ(where(query() < key(), 1, 0.0).kind(), ValueKind::real);
  EXPECT_EQ(floor(query()).kind(), ValueKind::integer);
  EXPECT_EQ(exp(query()).kind(), ValueKind::real);
}

TEST(Expr, RefusesWrongKinds) {
  EXPECT_EQ(refusal([] { score() & key(); }),
            "program: & takes integers or booleans, not real and integer");
  EXPECT_EQ(refusal([] { key() << 0.5; }),
            "program: << takes integers or booleans, not integer and real");
  EXPECT_EQ(refusal([] { key() && (key() < 3); }), "program: && takes booleans, not integer");
  EXPECT_EQ(refusal([] { (key() < 3) || score(); }), "program: || takes booleans, not real");
  EXPECT_EQ(refusal([] { !key(); }), "program: ! takes booleans, not integer");
  EXPECT_EQ(refusal([] { ~score(); }), "program: ~ takes an integer or boolean, not real");
  EXPECT_EQ(refusal([] { where(key(), 1, 2); }),
            "program: where takes a boolean condition, not integer");
  EXPECT_EQ(refusal([] { score() + Expr(); }), "program: + of an empty expression");
  EXPECT_EQ(refusal([] { Expr(int64_t{1} << 31); }),
            "program: the constant 2147483648 does not fit 32 bits");
  const Array table = Array::of("table", std::vector<float>{1, 2, 3, 4}, {2, 2});
  EXPECT_EQ(refusal([&] { table(key()); }), "program: table has 2 axes and is given 1 indices");
  EXPECT_EQ(refusal([&] { table(key(), score()); }),
            "program: an index of table is real, not integer");
  EXPECT_NE(refusal([] {
              Expr e = score();
              for (int k = 0; k < 2000; ++k) e = e + 1.5;
            }),
            "");
}

TEST(Expr, RefusesArraysThatAreNone) {
  const float numbers[4] = {};
  const int64_t shape[] = {4}, strides[] = {1};
  const auto make = [&](ElementType type, const void* data, int64_t extent, bool differentiable) {
    const int64_t extents[] = {extent};
    return refusal([&] { Array("a", type, data, extents, strides, differentiable); });
  };
  EXPECT_EQ(make(ElementType::f32, numbers, 4, true), "");
  EXPECT_EQ(make(ElementType::f32, nullptr, 0, false), "");
  EXPECT_NE(make(ElementType::f32, nullptr, 4, false), "");
  EXPECT_NE(make(ElementType::f32, numbers, -1, false), "");
  EXPECT_NE(make(ElementType::i32, numbers, 4, true), "");
  EXPECT_NE(refusal([&] { Array("", ElementType::f32, numbers, shape, strides); }), "");
  EXPECT_NE(refusal([&] { Array::of("a", std::vector<float>{1, 2, 3}, {2, 2}); }), "");
}

TEST(Expr, FoldsConstants) {
  EXPECT_EQ(to_string(Expr(3) + 4), "7");
  EXPECT_EQ(to_string(floor_div(Expr(-7), 2)), "-4");
  EXPECT_EQ(to_string(mod(Expr(-7), 4)), "1");
  EXPECT_EQ(to_string(Expr(0.5) * 4.0), "2.0");
  EXPECT_EQ(to_string(Expr(2147483647) + 1), "-2147483648");  // wraps around
  EXPECT_EQ(to_string(query() + (Expr(1) << 4)), "i + 16");
  // 0.1 is no f32: f32(0.1) + f32(0.2) is not f32(0.1 + 0.2).
  EXPECT_EQ(to_string(Expr(0.1) + 0.2), "0.1 + 0.2");
}

TEST(Expr, UsesOnlyIdentitiesThatChangeNoBit) {
  const Expr s = score(), i = query(), b = key() < 3;
  EXPECT_EQ(to_string(s * 1), "s");
  EXPECT_EQ(to_string(s / 1), "s");
  EXPECT_EQ(to_string(s - 0), "s");
  EXPECT_EQ(to_string(i + 0), "i");
  EXPECT_EQ(to_string(i * 0), "0");
  EXPECT_EQ(to_string(-(-s)), "s");
  EXPECT_EQ(to_string(b & true), "j < 3");
  EXPECT_EQ(to_string(b | true), "True");
  EXPECT_EQ(to_string(where(Expr(true), s, 2 * s)), "s");
  EXPECT_EQ(to_string(s + 0), "s + 0");  // -0 + 0 is +0
  EXPECT_EQ(to_string(s * 0), "s * 0");  // NaN and inf stay
  EXPECT_EQ(to_string(s - s), "s - s");
  // An index out of range must still be seen.
  const Array ids = Array::of("ids", std::vector<int32_t>{1, 2});
  EXPECT_EQ(to_string(ids(key()) * 0), "ids[j] * 0");
  EXPECT_EQ(to_string((ids(key()) == 1) & false), "(ids[j] == 1) & False");
}

}  // namespace
}  // namespace regard
