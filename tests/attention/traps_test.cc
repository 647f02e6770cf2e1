// Traps that hurt users of other attention libraries, each a test of its own (threads of other
// projects are named where there is one). Those that are not here stand in edges_test.cc.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include "owned.h"
#include "problem.h"
#include "regard/error.h"

namespace regard {
namespace {

using namespace regard::testing;

constexpr double kAccuracy = 2e-6;

std::vector<double> doubles(const Floats& x) { return {x.data.begin(), x.data.end()}; }

void expect_formula(const Floats& q, const Floats& k, const Floats& v,
                    const AttentionOptions& options) {
  const Reference want = reference_attention(q.view(), k.view(), v.view(), options);
  for (const Target target : available_targets()) {
    const ScopedTarget forced(target);
    EXPECT_LE(relative_difference(doubles(attend(q, k, v, options)), want.out), kAccuracy)
        << name(target);
  }
}

void expect_chain_rule(const Floats& q, const Floats& k, const Floats& v, const Floats& dout,
                       const AttentionOptions& options) {
  const auto want = reference_gradients(q.view(), k.view(), v.view(), dout.view(), options);
  for (const Target target : available_targets()) {
    const ScopedTarget forced(target);
    const auto g = gradients(q, k, v, dout, options);
    EXPECT_LE(relative_difference(doubles(g.dq), want.dq), 5e-6) << name(target);
    EXPECT_LE(relative_difference(doubles(g.dk), want.dk), 5e-6) << name(target);
    EXPECT_LE(relative_difference(doubles(g.dv), want.dv), 5e-6) << name(target);
  }
}

struct Arrays {
  Floats q, k, v, dout;
  Arrays(int64_t rows, int64_t keys, int64_t heads = 2, int64_t dim = 16) {
    Random random(static_cast<uint64_t>(rows * 1000 + keys));
    q = Floats::normal(random, rows, heads, dim);
    k = Floats::normal(random, keys, 1, dim);
    v = Floats::normal(random, keys, 1, dim);
    dout = Floats::normal(random, rows, heads, dim);
  }
};

// Keys allowed by number, whatever the row.
Expr only(std::initializer_list<std::pair<int64_t, int64_t>> runs, int64_t keys) {
  const auto flags = std::make_shared<std::vector<uint8_t>>(static_cast<std::size_t>(keys));
  for (const auto& [first, end] : runs) {
    std::fill(flags->begin() + first, flags->begin() + end, uint8_t{1});
  }
  const int64_t shape[] = {keys}, stride[] = {1};
  return program::allowed(
      Array("flags", ElementType::boolean, flags->data(), shape, stride, false, flags));
}

TEST(Traps, FirstTileMaskedAndALaterOneNot) {
  const Arrays a(5, 300);
  for (const AttentionOptions& options : {AttentionOptions{.mask = only({{130, 300}}, 300)},
                                          AttentionOptions{.mask = program::key() >= 130}}) {
    expect_formula(a.q, a.k, a.v, options);
    expect_chain_rule(a.q, a.k, a.v, a.dout, options);
  }
}

TEST(Traps, ARowAliveOnlyInItsLastTile) {
  const Arrays a(3, 1300);
  for (const Expr& mask : {only({{1298, 1300}}, 1300), only({{1290, 1292}}, 1300),
                           Expr(program::key() + program::row() >= 1297)}) {
    expect_formula(a.q, a.k, a.v, {.mask = mask});
    expect_chain_rule(a.q, a.k, a.v, a.dout, {.mask = mask});
  }
}

TEST(Traps, AnEmptyChunkBetweenTwoOthers) {
  const Arrays a(4, 1600);
  const AttentionOptions options{.mask = only({{0, 100}, {1030, 1600}}, 1600)};
  expect_formula(a.q, a.k, a.v, options);
  expect_chain_rule(a.q, a.k, a.v, a.dout, options);
}

TEST(Traps, ScoresOf1e20) {
  const Floats q = Floats::of({{1}}), v = Floats::of({{1}, {2}, {4}});
  const auto out = [&](float a, float b, float c) {
    return attend(q, Floats::of({{a}, {b}, {c}}), v, {.scale = 1})(0, 0, 0);
  };
  EXPECT_EQ(out(1e20f, -1e20f, 0), 1.0f);
  EXPECT_FLOAT_EQ(out(-1e20f, -1e20f, -1e20f), static_cast<float>(7.0 / 3));
  EXPECT_EQ(out(-2e20f, 1e20f, 1e20f), 3.0f);
}

// A masked logit is absent, not very small: valid ones may lie below any sentinel
// (flashinfer#4401).
TEST(Traps, ValidScoresBelowAnySentinel) {
  const Floats q = Floats::of({{1}}), v = Floats::of({{1}, {2}, {4}});
  const Floats k = Floats::of({{-3e38}, {-3e38}, {0}});
  EXPECT_EQ(attend(q, k, v, {.mask = program::key() < 2, .scale = 1})(0, 0, 0), 1.5f);
}

TEST(Traps, WindowsWithMoreRowsThanKeys) {
  const Arrays a(150, 20);
  for (const auto& [left, right] : {std::pair{3, 0}, {0, 3}, {5, 130}, {130, 0}}) {
    const AttentionOptions options{.mask = program::window(left, right)};
    expect_formula(a.q, a.k, a.v, options);
    expect_chain_rule(a.q, a.k, a.v, a.dout, options);
  }
}

TEST(Traps, ZeroLengthSequencesInARaggedBatchForwardsAndBackwards) {
  const Arrays a(30, 40);
  const std::vector<Segment> segments{{.rows = 0, .keys = 0},
                                      {.rows = 10, .keys = 0},
                                      {.first_row = 10, .rows = 0, .keys = 12},
                                      {.first_row = 10, .rows = 20, .keys = 28, .first_key = 12},
                                      {.first_row = 30, .rows = 0, .keys = 0, .first_key = 40}};
  const AttentionOptions options{.mask = causal()};
  const InputView<4> q = as_batch(InputView<3>(a.q.view())), k = as_batch(InputView<3>(a.k.view())),
                     v = as_batch(InputView<3>(a.v.view())),
                     dout = as_batch(InputView<3>(a.dout.view()));
  const Reference want = reference_attention(q, k, v, segments, options);
  Floats out(30, 2, 16, 7);
  std::vector<float> lse(60, 7);
  AttentionExtras extras;
  extras.lse = {lse.data(), {1, 30, 2}};
  attention(a.q.view(), a.k.view(), a.v.view(), out.view(), segments, options, extras);
  EXPECT_LE(relative_difference(doubles(out), want.out), kAccuracy);
  EXPECT_EQ(largest(out.rows(0, 10).data), 0);
  for (int n = 0; n < 20; ++n) EXPECT_EQ(lse[static_cast<std::size_t>(n)], -INFINITY);
  Floats dq(30, 2, 16, 7), dk(40, 1, 16, 7), dv(40, 1, 16, 7);
  attention_backward(a.q.view(), a.k.view(), a.v.view(), std::as_const(out).view(),
                     View<const float, 2>(lse.data(), {30, 2}), a.dout.view(), dq.view(), dk.view(),
                     dv.view(), segments, options);
  const auto back = reference_gradients(q, k, v, dout, segments, options);
  EXPECT_LE(relative_difference(doubles(dq), back.dq), 5e-6);
  EXPECT_LE(relative_difference(doubles(dk), back.dk), 5e-6);
  EXPECT_LE(relative_difference(doubles(dv), back.dv), 5e-6);
  EXPECT_EQ(largest(dk.rows(0, 12).data), 0);
}

TEST(Traps, MasksOfEveryRankWithBroadcasting) {
  Random random(1);
  const int64_t batch = 2, heads = 3, rows = 5, keys = 140;
  const Floats x = Floats::normal(random, batch * keys, heads, 8);
  const View<const float, 4> q(x.data.data(), {batch, rows, heads, 8}),
      k(x.data.data(), {batch, keys, heads, 8});
  for (int rank = 1; rank <= 4; ++rank) {
    for (int broadcast = 0; broadcast < 1 << (rank - 1); ++broadcast) {
      const std::vector<int64_t> full{batch, heads, rows, keys};
      std::vector<int64_t> shape(full.end() - rank, full.end()), strides(shape.size());
      for (int axis = 0; axis + 1 < rank; ++axis) {
        if ((broadcast >> axis & 1) != 0) shape[static_cast<std::size_t>(axis)] = 1;
      }
      int64_t size = 1;
      for (std::size_t axis = shape.size(); axis-- > 0; size *= shape[axis]) strides[axis] = size;
      const auto flags = std::make_shared<std::vector<uint8_t>>(static_cast<std::size_t>(size));
      for (uint8_t& flag : *flags) flag = random.one_in(2) ? 1 : 0;
      const AttentionOptions options{
          .mask = program::allowed(
              Array("mask", ElementType::boolean, flags->data(), shape, strides, false, flags))};
      const Reference want = reference_attention(q, k, k, one_segment_each(q, k), options);
      std::vector<float> out(want.out.size());
      attention(q, k, k, View<float, 4>(out.data(), {batch, rows, heads, 8}), options);
      EXPECT_LE(relative_difference(std::vector<double>(out.begin(), out.end()), want.out),
                kAccuracy)
          << "rank " << rank << " broadcast " << broadcast;
    }
  }
}

// Sequences longer than 65,536 (pytorch#162588).
TEST(Traps, MoreThan65536RowsAndKeys) {
  const Arrays a(66000, 66000, 1, 4);
  const AttentionOptions options{.mask = program::window(3, 0)};
  const Floats out = attend(a.q, a.k, a.v, options);
  for (const int64_t row : {0, 1, 65535, 65536, 65537, 65999}) {
    const int64_t first = std::max<int64_t>(row - 3, 0);
    const Reference want =
        reference_attention(a.q.rows(row, row + 1).view(), a.k.rows(first, row + 1).view(),
                            a.v.rows(first, row + 1).view());
    EXPECT_LE(relative_difference(doubles(out.rows(row, row + 1)), want.out), kAccuracy) << row;
  }
  const Floats last = a.q.rows(65999, 66000);
  expect_formula(last, a.k, a.v, {});
}

// Rows 2^31 elements apart, in memory of which only what is used exists.
// A band and the mask it was taken from agree as far as positions go; further is refused.
TEST(Traps, PositionsAtTheirEnds) {
  constexpr int64_t kEnd = int64_t{1} << 29;
  const Arrays a(3, 40);
  const InputView<4> q = as_batch(InputView<3>(a.q.view())), k = as_batch(InputView<3>(a.k.view())),
                     v = as_batch(InputView<3>(a.v.view()));
  Floats out(3, 2, 16);
  const auto run = [&](int64_t position, const Expr& mask) {
    const std::vector<Segment> segments{{.rows = 3, .keys = 40, .position = position}};
    attention(a.q.view(), a.k.view(), a.v.view(), out.view(), segments, {.mask = mask});
    return reference_attention(q, k, v, segments, {.mask = mask});
  };
  const int32_t far = static_cast<int32_t>(kEnd) - 10;
  for (const Expr& mask :
       {causal(), program::window(far, 0), program::query() - program::key() < 5,
        program::key() + far <= program::query(), program::key() <= program::query() + far}) {
    for (const int64_t position : {kEnd - 3, kEnd - 20, 1 - kEnd, 20 - kEnd, int64_t{30}}) {
      SCOPED_TRACE(to_string(mask) + " from " + std::to_string(position));
      const Reference want = run(position, mask);
      for (std::size_t n = 0; n < want.out.size(); ++n) {  // whole rows may be empty
        ASSERT_NEAR(out.data[n], want.out[n], 1e-5);
      }
    }
  }
  EXPECT_THROW(run(kEnd - 2, causal()), Error);
  EXPECT_THROW(run(-kEnd, causal()), Error);
}

TEST(Traps, StridesBeyondTwoToThe31) {
  const int64_t far = (int64_t{1} << 31) + 12345, rows = 3;
  const std::size_t bytes = static_cast<std::size_t>(far * (rows - 1) + 1024) * sizeof(float);
  const auto map = [&] {
    void* const memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? nullptr : static_cast<float*>(memory);
  };
  float* const memory[2] = {map(), map()};
  ASSERT_TRUE(memory[0] != nullptr && memory[1] != nullptr);
  const View<float, 3> x(memory[0], {rows, 2, 8}, {far, 8, 1});
  const View<float, 3> out(memory[1], {rows, 2, 8}, {far, 8, 1});
  const Arrays a(rows, rows, 2, 8);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t h = 0; h < 2; ++h)
      for (int64_t d = 0; d < 8; ++d) x(i, h, d) = a.q(i, h, d);
  attention(x, x, x, out, {.mask = causal()});
  const Floats dense = attend(a.q, a.q, a.q, {.mask = causal()});
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t h = 0; h < 2; ++h)
      for (int64_t d = 0; d < 8; ++d) EXPECT_EQ(out(i, h, d), dense(i, h, d));
  for (float* const part : memory) munmap(part, bytes);
}

TEST(Traps, SinksCountOnceHoweverKeysAreSplit) {
  const Array sinks = Array::of("sinks", std::vector<float>{7.0f, -1.0f});
  for (const int64_t keys : {100, 513, 5000}) {
    const Arrays a(1, keys);
    expect_formula(a.q, a.k, a.v, {.normaliser = softmax_with_sink(sinks), .threads = 2});
    // The log-sum-exp leaves the sink out, so that parts can be merged before it comes in.
    std::vector<float> with(2), without(2);
    Floats out(1, 2, 16);
    attention(a.q.view(), a.k.view(), a.v.view(), out.view(),
              {.normaliser = softmax_with_sink(sinks)}, View<float, 2>(with.data(), {1, 2}));
    attention(a.q.view(), a.k.view(), a.v.view(), out.view(), {},
              View<float, 2>(without.data(), {1, 2}));
    EXPECT_TRUE(same_bits(with, without));
  }
}

// A shared prefix computed once and merged is exact to rounding wherever it ends. merge() takes
// outputs that are divided already, so its bits are not those of one pass, at no length.
TEST(Traps, ASharedPrefixMayEndAnywhere) {
  const Arrays a(6, 1500);
  const Floats whole = attend(a.q, a.k, a.v);
  for (const int64_t prefix : {1, 100, 511, 512, 513, 1024, 1300}) {
    Floats first(6, 2, 16), second(6, 2, 16);
    std::vector<float> lse_first(12), lse_second(12);
    const auto part = [&](int64_t from, int64_t to, Floats& out, std::vector<float>& lse) {
      attention(a.q.view(), a.k.rows(from, to).view(), a.v.rows(from, to).view(), out.view(), {},
                View<float, 2>(lse.data(), {6, 2}));
    };
    part(0, prefix, first, lse_first);
    part(prefix, 1500, second, lse_second);
    const View<float, 2> lse(lse_first.data(), {6, 2});
    merge(first.view(), lse, second.view(), View<float, 2>(lse_second.data(), {6, 2}), first.view(),
          lse);
    EXPECT_LE(relative_difference(first.data, whole.data), 1e-6) << prefix;
  }
}

// A mask that reads outside its array makes its row NaN in every gradient, though no program is run
// on the scores.
TEST(Traps, AMaskThatReadsOutsideItsArrayShowsInEveryGradient) {
  const Arrays a(9, 4);
  const Array ids = Array::of("ids", std::vector<int32_t>(4, 0));  // rows 0 to 4 stand before key 0
  for (const Normaliser& normaliser : {softmax(), sigmoid(), entmax15(), relu()}) {
    const AttentionOptions options{.mask = program::documents(ids), .normaliser = normaliser};
    const auto g = gradients(a.q, a.k, a.v, a.dout, options);
    for (int64_t row = 0; row < 9; ++row) {
      EXPECT_EQ(std::isnan(g.dq(row, 0, 0)), row < 5) << row;
    }
    EXPECT_TRUE(std::isnan(g.dk(0, 0, 0)));
    EXPECT_TRUE(std::isnan(g.dv(0, 0, 0)));
  }
}

TEST(Traps, HardmaxPassesNoGradientToABiasNotEvenANaN) {
  Arrays a(3, 20);
  a.q(1, 0, 0) = NAN;
  const Array bias = Array::of("bias", std::vector<float>(20, 0.5f), {20}, true);
  std::vector<float> dbias(20, 7);
  const ArrayGradient wanted[] = {{bias, dbias.data(), {}}};
  const auto g =
      gradients(a.q, a.k, a.v, a.dout,
                {.score = program::additive_bias(bias), .normaliser = hardmax()}, wanted);
  EXPECT_EQ(dbias, std::vector<float>(20, 0));
  EXPECT_EQ(largest(g.dq.data), 0);
  EXPECT_TRUE(std::isnan(g.dv(0, 0, 0)));
}

}  // namespace
}  // namespace regard
