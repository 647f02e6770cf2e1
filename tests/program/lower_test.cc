// Lowered programs compute what the expressions mean, as narrowly and with as few slots as may be.
#include "program/lower.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <bit>
#include <cmath>
#include <set>

#include "expr/random_program.h"
#include "regard/error.h"

namespace regard {
namespace {

using namespace regard::program;
using regard::testing::RandomProgram;

// The meaning of a TileProgram on 2 rows x 2 keys, reals in f64: a number is written and read only
// where its shape says that it varies.
class Interpreter {
 public:
  explicit Interpreter(const TileProgram& program) : program_(program) {}

  void run(const Point points[2][2]) {
    slots_.assign(program_.slots, {});
    for (const TileInstruction& code : program_.code) {
      const bool by_row = code.shape == TileShape::row || code.shape == TileShape::full;
      const bool by_key = code.shape == TileShape::key || code.shape == TileShape::full;
      Slot& to = slots_[code.to];
      for (int r = 0; r < (by_row ? 2 : 1); ++r) {
        for (int k = 0; k < (by_key ? 2 : 1); ++k) {
          to.at[r][k] = compute(code, points[r][k], r, k);
        }
      }
      to.shape = code.shape;
    }
  }
  double score(int r, int k) const { return poisoned_[r][k] ? NAN : read(program_.score, r, k).f; }
  double output(std::size_t n, ValueKind kind, int r, int k) const {
    const Number found = read(program_.outputs[n], r, k);
    return poisoned_[r][k] ? NAN : kind == ValueKind::real ? found.f : found.i;
  }
  double mask(int r, int k) const {
    return poisoned_[r][k] ? NAN : read(program_.mask, r, k).i == -1 ? 1 : 0;
  }

 private:
  struct Number {
    double f = 0;
    int32_t i = 0;
  };
  struct Slot {
    Number at[2][2];
    TileShape shape = TileShape::one;
  };
  Number read(int slot, int r, int k) const {
    const Slot& from = slots_[slot];
    const bool by_row = from.shape == TileShape::row || from.shape == TileShape::full;
    const bool by_key = from.shape == TileShape::key || from.shape == TileShape::full;
    return from.at[by_row ? r : 0][by_key ? k : 0];
  }

  Number compute(const TileInstruction& code, const Point& p, int r, int k) {
    const uint16_t operands[] = {code.a, code.b, code.c, code.d};
    Number v[4];
    for (int n = 0; n < 4; ++n) v[n] = read(operands[n], r, k);
    // What each operation means is evaluate()'s business; here it is named.
    const auto real = [&](const Expr& e) { return Number{evaluate(e, {.s = v[0].f}), 0}; };
    const auto reals = [&](Expr (*f)(const Expr&, const Expr&)) {
      return evaluate(f(Expr(v[0].f), Expr(v[1].f)), {});
    };
    const auto whole = [&](Expr (*f)(const Expr&, const Expr&)) {
      const double x = evaluate(f(query(), key()), {.i = v[0].i, .j = v[1].i});
      return Number{0, static_cast<int32_t>(x)};
    };
    const auto truth = [](double x) { return Number{0, x != 0 ? -1 : 0}; };
    using E = const Expr&;
    switch (code.op) {
      case TileOp::load_score:
        return {p.s, 0};
      case TileOp::load_batch:
        return {0, static_cast<int32_t>(p.batch)};
      case TileOp::load_sequence:
        return {0, static_cast<int32_t>(p.sequence)};
      case TileOp::load_head:
        return {0, static_cast<int32_t>(p.head)};
      case TileOp::load_query:
        return {0, static_cast<int32_t>(p.i)};
      case TileOp::load_key:
        return {0, static_cast<int32_t>(p.j)};
      case TileOp::load_row:
        return {0, static_cast<int32_t>(p.row)};
      case TileOp::constant_f32:
        return {std::bit_cast<float>(code.bits), 0};
      case TileOp::constant_i32:
        return {0, static_cast<int32_t>(code.bits)};
      case TileOp::add:
        return {v[0].f + v[1].f, 0};
      case TileOp::sub:
        return {v[0].f - v[1].f, 0};
      case TileOp::mul:
        return {v[0].f * v[1].f, 0};
      case TileOp::div:
        return {v[0].f / v[1].f, 0};
      case TileOp::floor_div:
        return {reals([](E a, E b) { return floor_div(a, b); }), 0};
      case TileOp::mod:
        return {reals([](E a, E b) { return mod(a, b); }), 0};
      case TileOp::min:
        return {reals([](E a, E b) { return min(a, b); }), 0};
      case TileOp::max:
        return {reals([](E a, E b) { return max(a, b); }), 0};
      case TileOp::neg:
        return {-v[0].f, 0};
      case TileOp::abs:
        return {std::abs(v[0].f), 0};
      case TileOp::floor:
        return real(floor(program::score()));
      case TileOp::sqrt:
        return real(sqrt(program::score()));
      case TileOp::exp:
        return real(exp(program::score()));
      case TileOp::log:
        return real(log(program::score()));
      case TileOp::tanh:
        return real(tanh(program::score()));
      case TileOp::sigmoid:
        return real(sigmoid(program::score()));
      case TileOp::sin:
        return real(sin(program::score()));
      case TileOp::cos:
        return real(cos(program::score()));
      case TileOp::iadd:
        return whole([](E a, E b) { return a + b; });
      case TileOp::isub:
        return whole([](E a, E b) { return a - b; });
      case TileOp::imul:
        return whole([](E a, E b) { return a * b; });
      case TileOp::ifloor_div:
        return whole([](E a, E b) { return floor_div(a, b); });
      case TileOp::imod:
        return whole([](E a, E b) { return mod(a, b); });
      case TileOp::imin:
        return whole([](E a, E b) { return min(a, b); });
      case TileOp::imax:
        return whole([](E a, E b) { return max(a, b); });
      case TileOp::ineg:
        return whole([](E a, E) { return -a; });
      case TileOp::iabs:
        return whole([](E a, E) { return abs(a); });
      case TileOp::iand:
        return {0, v[0].i & v[1].i};
      case TileOp::ior:
        return {0, v[0].i | v[1].i};
      case TileOp::ixor:
        return {0, v[0].i ^ v[1].i};
      case TileOp::inot:
        return {0, ~v[0].i};
      case TileOp::ishl:
        return whole([](E a, E b) { return a << b; });
      case TileOp::ishr:
        return whole([](E a, E b) { return a >> b; });
      case TileOp::ixor_shift: {
        const auto bits = static_cast<uint32_t>(v[0].i), count = static_cast<uint32_t>(v[1].i);
        return {0, static_cast<int32_t>(bits ^ (count < 32 ? bits >> count : 0))};
      }
      case TileOp::lt:
        return truth(v[0].f < v[1].f);
      case TileOp::le:
        return truth(v[0].f <= v[1].f);
      case TileOp::eq:
        return truth(v[0].f == v[1].f);
      case TileOp::ne:
        return truth(v[0].f != v[1].f);
      case TileOp::ilt:
        return truth(v[0].i < v[1].i);
      case TileOp::ile:
        return truth(v[0].i <= v[1].i);
      case TileOp::ieq:
        return truth(v[0].i == v[1].i);
      case TileOp::ine:
        return truth(v[0].i != v[1].i);
      case TileOp::select:
        EXPECT_TRUE(v[0].i == 0 || v[0].i == -1);
        return v[0].i != 0 ? v[1] : v[2];
      case TileOp::to_real:
        return {static_cast<double>(v[0].i), 0};
      case TileOp::bool_to_int:
        return {0, v[0].i != 0 ? 1 : 0};
      default:
        break;
    }
    const TileArray& array = program_.arrays[code.array];
    int64_t offset = 0;
    for (int axis = 0; axis < array.rank; ++axis) {
      if (v[axis].i < 0 || v[axis].i >= array.shape[axis]) {
        if (code.op != TileOp::gather_f32) poison(code.shape, r, k);
        return {NAN, 0};
      }
      offset += v[axis].i * array.strides[axis];
    }
    if (code.op == TileOp::gather_f32) return {static_cast<const float*>(array.data)[offset], 0};
    if (code.op == TileOp::gather_i32) return {0, static_cast<const int32_t*>(array.data)[offset]};
    return truth(static_cast<const uint8_t*>(array.data)[offset]);
  }
  void poison(TileShape shape, int row, int key) {
    const bool by_row = shape == TileShape::row || shape == TileShape::full;
    const bool by_key = shape == TileShape::key || shape == TileShape::full;
    for (int r = 0; r < 2; ++r) {
      for (int k = 0; k < 2; ++k) {
        poisoned_[r][k] |= (!by_row || r == row) && (!by_key || k == key);
      }
    }
  }

  const TileProgram& program_;
  std::vector<Slot> slots_;
  bool poisoned_[2][2] = {};
};

bool same(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }

TEST(Lower, ComputesWhatTheExpressionMeans) {
  int numbers = 0;
  const bool ok = rc::check("a lowered program is the expression", [&](uint64_t seed) {
    RandomProgram random(seed);
    const int depth = 1 + random.pick(5);
    const Expr new_score = random.pick(2) == 0 ? random.real(depth) : random.integer(depth);
    const Expr mask = random.boolean(depth);
    const Expr outputs[] = {random.real(depth), random.integer(depth), new_score};
    TileProgram program;
    try {
      program = lower(new_score, mask, outputs);
    } catch (const Error&) {
      RC_DISCARD("too large");
    }
    RC_ASSERT(program.slots <= kMaxTileSlots);
    prepare_tile_program(program);  // throws where slots, types or shapes do not agree
    Point points[2][2];
    const int64_t batch = random.pick(3), sequence = random.pick(44);
    for (int r = 0; r < 2; ++r) {
      const Point row{.batch = batch,
                      .head = random.pick(4),
                      .i = random.pick(44),
                      .row = r,
                      .sequence = sequence};
      for (int k = 0; k < 2; ++k) {
        points[r][k] = row;
        points[r][k].s = static_cast<float>(random.number());
        points[r][k].j = r == 0 ? random.pick(44) : points[0][k].j;
      }
    }
    Interpreter interpreter(program);
    interpreter.run(points);
    Evaluator score_at(to_real(new_score)), mask_at(mask);
    for (int r = 0; r < 2; ++r) {
      for (int k = 0; k < 2; ++k) {
        const double s = score_at(points[r][k]), m = mask_at(points[r][k]);
        if (std::isnan(interpreter.mask(r, k))) {  // any part may spoil the whole
          RC_ASSERT(std::isnan(s) || std::isnan(m) ||
                    std::isnan(evaluate(outputs[0], points[r][k])) ||
                    std::isnan(evaluate(outputs[1], points[r][k])));
          continue;
        }
        RC_ASSERT(same(interpreter.score(r, k), s));
        RC_ASSERT(same(interpreter.mask(r, k), m));
        for (std::size_t n = 0; n < std::size(outputs); ++n) {
          const double value = evaluate(outputs[n], points[r][k]);
          if (std::isnan(value)) continue;  // of an integer: it read outside an array
          RC_ASSERT(same(interpreter.output(n, outputs[n].kind(), r, k), value));
          ++numbers;
        }
      }
    }
  });
  EXPECT_TRUE(ok);
  EXPECT_GT(numbers, 100);
}

TEST(Lower, ComputesEveryValueOnceAndAsNarrowlyAsItVaries) {
  const Array slopes = Array::of("slopes", alibi_slopes(8));
  const Expr twice = alibi(slopes) + slopes(head()) * (key() - query()) * (sequence() % 2);
  const TileProgram program = lower(twice, key() - query() <= 3);
  int gathers = 0, differences = 0;
  for (const TileInstruction& code : program.code) {
    if (code.op == TileOp::gather_f32) {
      ++gathers;
      EXPECT_EQ(code.shape, TileShape::row);
    }
    differences += code.op == TileOp::isub ? 1 : 0;
    if (code.op == TileOp::load_key) {
      EXPECT_EQ(code.shape, TileShape::key);
    }
    if (code.op == TileOp::constant_i32 || code.op == TileOp::load_sequence) {
      EXPECT_EQ(code.shape, TileShape::one);
    }
    if (code.op == TileOp::ile) {
      EXPECT_EQ(code.shape, TileShape::full);
    }
  }
  EXPECT_EQ(gathers, 1);
  EXPECT_EQ(differences, 1);
}

TEST(Lower, LeavesWhatIsNotGiven) {
  const TileProgram mask = lower({}, causal_mask());
  EXPECT_EQ(mask.score, -1);
  EXPECT_GE(mask.mask, 0);
  const TileProgram program = lower(query() - key(), {});  // an integer score becomes real
  EXPECT_EQ(program.mask, -1);
  EXPECT_EQ(program.code.back().op, TileOp::to_real);
  EXPECT_TRUE(lower({}, {}).code.empty());
}

TEST(Lower, DividesByPowersOfTwoWithShifts) {
  const Expr hashed = key() ^ ((key() >> 5) & 0x7ffffff);
  const auto codes = [](const Expr& e) {
    std::multiset<TileOp> found;
    for (const TileInstruction& code : lower(e, {}).code) found.insert(code.op);
    return found;
  };
  EXPECT_EQ(codes(floor_div(key(), 64)),
            (std::multiset{TileOp::load_key, TileOp::constant_i32, TileOp::ishr, TileOp::to_real}));
  EXPECT_EQ(codes(key() % 64),
            (std::multiset{TileOp::load_key, TileOp::constant_i32, TileOp::iand, TileOp::to_real}));
  EXPECT_EQ(codes(hashed), (std::multiset{TileOp::load_key, TileOp::constant_i32,
                                          TileOp::ixor_shift, TileOp::to_real}));
  for (const Expr& other :
       {floor_div(key(), 63), key() % -64, key() % 0, key() ^ ((key() >> 5) & 0x3ffffff),
        key() ^ ((query() >> 5) & 0x7ffffff)}) {
    const std::multiset<TileOp> found = codes(other);
    EXPECT_FALSE(found.contains(TileOp::ixor_shift)) << to_string(other);
    EXPECT_TRUE(found.contains(TileOp::imod) || found.contains(TileOp::ifloor_div) ||
                found.contains(TileOp::ixor))
        << to_string(other);
  }
  // Of any sign, they are what Python's // and % are.
  for (const Expr& e :
       {floor_div(query(), 64) * 100 + query() % 64, query() % 1, floor_div(query(), 1 << 30),
        query() ^ ((query() >> 5) & 0x7ffffff), ((query() >> 31) & 1) ^ query()}) {
    const TileProgram program = lower(e, {});
    for (const int i : {0, 1, 63, 64, 65, -1, -63, -64, -65, INT32_MAX, INT32_MIN}) {
      Point points[2][2] = {{{.i = i}, {.i = i}}, {{.i = i}, {.i = i}}};
      Interpreter interpreter(program);
      interpreter.run(points);
      EXPECT_EQ(interpreter.score(0, 0), evaluate(e, points[0][0])) << to_string(e) << " at " << i;
    }
  }
}

TEST(Lower, ReusesSlots) {
  Expr e = score();
  for (int k = 0; k < 100; ++k) e = tanh(e) + 0.5;
  EXPECT_LE(lower(e, {}).slots, 3);
  // A balanced tree of 512 leaves needs one slot a level.
  std::vector<Expr> level;
  for (int k = 0; k < 256; ++k) level.push_back(score() * k);
  while (level.size() > 1) {
    std::vector<Expr> above;
    for (std::size_t k = 0; k < level.size(); k += 2) above.push_back(level[k] + level[k + 1]);
    level = above;
  }
  EXPECT_LE(lower(level[0], {}).slots, 12);
}

TEST(Lower, RefusesWhatIsTooLargeOrOfTheWrongKind) {
  Expr long_sum = score();
  for (int k = 0; k < 600; ++k) long_sum = long_sum * (k + 0.5);
  EXPECT_THROW(lower(long_sum, {}), Error);
  // 70 values that are all needed twice.
  Expr up = score(), down = 0;
  std::vector<Expr> values;
  for (int k = 0; k < 70; ++k) values.push_back(sin(score() * (k + 2)));
  for (int k = 0; k < 70; ++k) up = up * values[k];
  for (int k = 0; k < 70; ++k) down = down + values[k];
  EXPECT_THROW(lower(up + down, {}), Error);
  EXPECT_THROW(lower(causal_mask(), {}), Error);
  EXPECT_THROW(lower({}, score()), Error);
  for (const Expr& none : {Expr(), causal_mask()}) {
    EXPECT_THROW(lower({}, {}, {&none, 1}), Error);
  }
}

}  // namespace
}  // namespace regard
