// Interval arithmetic: what it proves holds at every point, and it proves what makes tiles skip.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <cmath>

#include "expr/graph.h"
#include "expr/random_program.h"
#include "regard/error.h"

namespace regard {
namespace {

using namespace regard::program;
using regard::testing::RandomProgram;

// The value as kernels compute it: every real rounded to f32, % and // by the rounded quotient.
double evaluate_f32(const Graph& graph, const Point& p, bool& poisoned) {
  std::vector<double> values;
  for (const GraphNode& node : graph.nodes) {
    double arg[4] = {};
    for (int k = 0; k < node.count; ++k) arg[k] = values[node.args[k]];
    const auto a = static_cast<float>(arg[0]), b = static_cast<float>(arg[1]);
    double value = 0;
    if (node.op == Op::gather) {
      std::vector<Expr> index;
      for (int k = 0; k < node.count; ++k) index.emplace_back(static_cast<int64_t>(arg[k]));
      value = evaluate(graph.arrays[node.array].gather(index), {});
      if (std::isnan(value) && node.kind != ValueKind::real) {
        poisoned = true;
        value = 0;
      }
    } else if (node.count == 0) {
      const double leaves[] = {node.kind == ValueKind::real ? node.number : node.integer,
                               p.s,
                               static_cast<double>(p.batch),
                               static_cast<double>(p.sequence),
                               static_cast<double>(p.head),
                               static_cast<double>(p.i),
                               static_cast<double>(p.j),
                               static_cast<double>(p.row)};
      value = leaves[static_cast<int>(node.op)];
    } else if (node.op == Op::select) {
      value = arg[0] != 0 ? arg[1] : arg[2];
    } else if (graph.nodes[node.args[0]].kind != ValueKind::real) {
      value = node.op == Op::to_real ? arg[0]
                                     : compute(node.op, node.kind, static_cast<int32_t>(arg[0]),
                                               static_cast<int32_t>(arg[1]));
    } else {
      switch (node.op) {
        case Op::add:
          value = a + b;
          break;
        case Op::sub:
          value = a - b;
          break;
        case Op::mul:
          value = a * b;
          break;
        case Op::div:
          value = a / b;
          break;
        case Op::floor_div:
          value = std::floor(a / b);
          break;
        case Op::mod:
          value = std::isinf(b) ? std::fmod(a, b) : std::fma(-std::floor(a / b), b, a);
          break;
        case Op::min:
          value = std::isnan(a) || a < b ? a : b;
          break;
        case Op::max:
          value = std::isnan(a) || a > b ? a : b;
          break;
        case Op::less:
          value = a < b;
          break;
        case Op::less_equal:
          value = a <= b;
          break;
        case Op::equal:
          value = a == b;
          break;
        case Op::not_equal:
          value = a != b;
          break;
        case Op::neg:
          value = -a;
          break;
        case Op::abs:
          value = std::abs(a);
          break;
        case Op::floor:
          value = std::floor(a);
          break;
        case Op::sqrt:
          value = std::sqrt(a);
          break;
        case Op::exp:
          value = a < -87.336f ? 0 : std::exp(a);
          break;  // as simd/math-inl.h
        case Op::log:
          value = std::log(a);
          break;
        case Op::tanh:
          value = std::tanh(a);
          break;
        case Op::sigmoid:
          value = a < -87.336f ? 0 : 1 / (1 + std::exp(-a));
          break;
        case Op::sin:
          value = std::sin(a);
          break;
        default:
          value = std::cos(a);
      }
    }
    values.push_back(node.kind == ValueKind::real ? to_f32(value) : value);
  }
  return values[graph.roots[0]];
}

Span random_span(RandomProgram& random) {
  const int first = random.pick(48) - 4;
  return {first, first + random.pick(3) * random.pick(24)};
}
int64_t inside(RandomProgram& random, const Span& span) {
  return span.first + random.pick(static_cast<int>(span.last - span.first) + 1);
}

TEST(Bounds, HoldEveryValue) {
  int proved = 0, finite = 0;
  const bool ok = rc::check("a value lies in its interval", [&](uint64_t seed) {
    RandomProgram random(seed);
    const Expr e = random.any(1 + random.pick(5));
    Ranges ranges{.batch = random_span(random),
                  .head = random_span(random),
                  .i = random_span(random),
                  .j = random_span(random),
                  .row = random_span(random),
                  .sequence = random_span(random)};
    const double a = static_cast<float>(random.number()), b = static_cast<float>(random.number());
    if (random.pick(4) != 0) ranges.s = {std::min(a, b), std::max(a, b), false, false};
    const Interval interval = bound(e, ranges);
    proved += interval.always_true() || interval.always_false() ? 1 : 0;
    finite += e.kind() == ValueKind::real && std::isfinite(interval.hi - interval.lo) ? 1 : 0;
    Evaluator evaluate_at(e);
    const Graph graph = flatten({&e, 1});
    for (int k = 0; k < 30; ++k) {
      const double share = random.pick(5) / 4.0;
      const Point point{.s = std::isfinite(ranges.s.lo)
                                 ? std::lerp(std::min(a, b), std::max(a, b), share)
                                 : a * share,
                        .batch = inside(random, ranges.batch),
                        .head = inside(random, ranges.head),
                        .i = inside(random, ranges.i),
                        .j = inside(random, ranges.j),
                        .row = inside(random, ranges.row),
                        .sequence = inside(random, ranges.sequence)};
      bool poisoned = false;
      const double rounded = evaluate_f32(graph, point, poisoned);
      RC_ASSERT(interval.poison || !poisoned);
      double value = evaluate_at(point);
      const auto holds = [&] {
        return std::isnan(value) ? interval.nan : interval.lo <= value && value <= interval.hi;
      };
      if (holds() && !poisoned) value = rounded;
      if (holds()) continue;
      RC_FAIL(to_string(e) + " = " + std::to_string(value) + " outside " +
              std::to_string(interval.lo) + " .. " + std::to_string(interval.hi));
    }
  });
  EXPECT_TRUE(ok);
  EXPECT_GT(proved, 0);  // intervals that always say "perhaps" would pass, too
  EXPECT_GT(finite, 0);
}

Ranges tile(int64_t i, int64_t rows, int64_t j, int64_t keys) {
  return {.i = {i, i + rows - 1}, .j = {j, j + keys - 1}, .row = {i, i + rows - 1}};
}

TEST(Bounds, ProveTilesEmptyAndFull) {
  EXPECT_TRUE(bound(causal_mask(), tile(128, 8, 0, 128)).always_true());
  EXPECT_TRUE(bound(causal_mask(), tile(120, 8, 128, 128)).always_false());
  EXPECT_FALSE(bound(causal_mask(), tile(128, 8, 128, 128)).always_true());
  EXPECT_FALSE(bound(causal_mask(), tile(128, 8, 128, 128)).always_false());
  const Expr local = causal_mask() & window(256, 0);
  EXPECT_TRUE(bound(local, tile(1024, 8, 0, 128)).always_false());
  EXPECT_TRUE(bound(local, tile(1024, 8, 896, 128)).always_true());
  EXPECT_TRUE(bound(chunk(128), tile(128, 64, 128, 128)).always_true());
  EXPECT_TRUE(bound(chunk(128), tile(128, 64, 256, 128)).always_false());
  EXPECT_TRUE(bound(prefix(256) | causal_mask(), tile(0, 8, 128, 128)).always_true());
  EXPECT_TRUE(bound(natten(4096, 31), tile(1024, 16, 0, 128)).always_false());
}

TEST(Bounds, ProveTilesOfDocuments) {
  std::vector<int32_t> ids(4096);
  for (int k = 0; k < 4096; ++k) ids[k] = k / 1000;
  const Expr mask = documents(Array::of("ids", ids)) & causal_mask();
  EXPECT_TRUE(bound(mask, tile(1024, 48, 0, 128)).always_false());
  EXPECT_TRUE(bound(mask, tile(1536, 48, 1024, 128)).always_true());
  const Interval edge = bound(mask, tile(2000, 48, 1920, 128));
  EXPECT_FALSE(edge.always_false() || edge.always_true());
  // More than is read element by element.
  EXPECT_TRUE(bound(mask, tile(2048, 512, 1008, 512)).always_false());
  EXPECT_TRUE(bound(documents(Array::of("ids", ids)), tile(2016, 900, 2016, 900)).always_true());
}

TEST(Bounds, ProveTilesOfBooleanArrays) {
  std::vector<uint8_t> bytes(512 * 512);
  for (int i = 0; i < 512; ++i) {
    for (int j = 0; j < 512; ++j) bytes[i * 512 + j] = j >= 160 && j < 400 ? 1 : 0;
  }
  const Expr mask = allowed(Array("mask", View<const uint8_t, 2>(bytes.data(), {512, 512})));
  EXPECT_TRUE(bound(mask, tile(64, 48, 0, 128)).always_false());
  EXPECT_TRUE(bound(mask, tile(64, 48, 256, 128)).always_true());
  const Interval edge = bound(mask, tile(64, 48, 128, 128));
  EXPECT_FALSE(edge.always_false() || edge.always_true());
  const uint8_t blocks[] = {1, 0, 0, 1};
  const Expr sparse = block_sparse(Array("b", View<const uint8_t, 2>(blocks, {2, 2})), 128, 128);
  EXPECT_TRUE(bound(sparse, tile(128, 48, 0, 128)).always_false());
  EXPECT_TRUE(bound(sparse, tile(128, 48, 128, 128)).always_true());
  // A broadcast axis is summarised once.
  View<const uint8_t, 3> heads(blocks, {1 << 20, 2, 2});
  heads.strides = {0, 2, 1};
  EXPECT_TRUE(bound(block_sparse(Array("h", heads), 128, 128), tile(0, 8, 0, 128)).always_true());
}

TEST(Bounds, OfLengthsAreThoseOfTheSequence) {
  std::vector<int32_t> counts(40, 10);
  counts[7] = 1000;
  const Expr mask = lengths(Array::of("counts", counts));
  Ranges ranges = tile(0, 8, 512, 128);
  ranges.batch = {7, 7};
  EXPECT_TRUE(bound(mask, ranges).always_true());
  ranges.batch = {8, 8};
  EXPECT_TRUE(bound(mask, ranges).always_false());
}

// A tile whose gather may leave its array is neither empty nor full.
TEST(Bounds, SayWhereAGatherMayLeaveItsArray) {
  const Expr mask = documents(Array::of("ids", std::vector<int32_t>(100, 3)));
  EXPECT_TRUE(bound(mask, tile(0, 8, 64, 36)).always_true());
  const Interval over = bound(mask, tile(0, 8, 64, 37));
  EXPECT_TRUE(over.poison && over.nan);
  EXPECT_FALSE(over.always_true() || over.always_false());
  const Interval masked = bound(mask & (key() < 0), tile(0, 8, 64, 128));
  EXPECT_FALSE(masked.always_false());
}

TEST(Bounds, OfUnreadArraysAreWide) {
  const Bounds bounds(documents(Array::of("ids", std::vector<int32_t>(256, 3))));
  EXPECT_FALSE(bounds(tile(0, 8, 0, 128)).always_true());
}

TEST(Bounds, SeeArraysChange) {
  std::vector<int32_t> ids(256, 3);
  Bounds bounds(documents(Array("ids", View<const int32_t, 1>(ids.data(), {256}))));
  bounds.read_arrays();
  EXPECT_TRUE(bounds(tile(0, 8, 128, 128)).always_true());
  std::fill(ids.begin() + 128, ids.end(), 4);
  bounds.read_arrays();
  EXPECT_TRUE(bounds(tile(0, 8, 128, 128)).always_false());
}

// A comparison of reals that f32 rounds is not decided at its edge.
TEST(Bounds, LeaveRoomForRounding) {
  Ranges ranges = tile(0, 1, 7, 1);
  const Expr e = to_real(key()) * 0.1 * 10.0 >= 7.0;
  const Interval edge = bound(e, ranges);
  EXPECT_FALSE(edge.always_true() || edge.always_false());
  ranges.j = {8, 8};
  EXPECT_TRUE(bound(e, ranges).always_true());
  ranges.s = {0, 3e38, false, false};
  EXPECT_EQ(bound(score() + score(), ranges).hi, std::numeric_limits<double>::infinity());
}

TEST(Bounds, RefuseRangesThatAreNone) {
  EXPECT_THROW(bound(causal_mask(), {.i = {3, 2}}), Error);
  EXPECT_THROW(bound(causal_mask(), {.i = {0, int64_t{1} << 31}}), Error);
  EXPECT_THROW(bound(Expr(), {}), Error);
}

}  // namespace
}  // namespace regard
