// Linear layers on packed weights against the f64 product with the dequantised weights, and the
// promise that a number of y depends on its row of x and its feature alone.
#include "matmul/matmul.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <vector>

#include "base/check.h"
#include "matmul/weights.h"
#include "simd/target.h"

namespace regard {
namespace {

struct Problem {
  DType dtype;
  int64_t rows, outputs, inputs;
  std::vector<std::byte> stored;  // [outputs] rows
  std::vector<float> x;           // [rows, inputs]
  std::vector<float> bias;        // [outputs]
};

Problem make_problem(DType dtype, int64_t rows, int64_t outputs, int64_t inputs, unsigned seed) {
  WeightMaker maker(seed);
  Problem p{dtype, rows, outputs, inputs, maker.matrix(dtype, outputs, inputs), {}, {}};
  for (int64_t i = 0; i < rows * inputs; ++i) p.x.push_back(maker.normal());
  for (int64_t i = 0; i < outputs; ++i) p.bias.push_back(maker.normal());
  return p;
}

PackedMatrix pack(const Problem& p, ThreadPool& pool) {
  return PackedMatrix::pack(p.dtype, p.stored, p.outputs, p.inputs, pool);
}

// Rows first .. first + count - 1 of the product, dense.
std::vector<float> run(const Problem& p, const PackedMatrix& weight, int64_t first, int64_t count,
                       ThreadPool& pool) {
  std::vector<float> y(static_cast<std::size_t>(count * p.outputs), -77.0f);
  const MatmulTarget target{&weight, {y.data(), {count, p.outputs}}, p.bias.data()};
  matmul({p.x.data() + first * p.inputs, {count, p.inputs}}, {&target, 1}, pool);
  return y;
}

std::vector<double> oracle(const Problem& p) {
  std::vector<double> y;
  std::vector<float> w(static_cast<std::size_t>(p.outputs * p.inputs));
  for (int64_t o = 0; o < p.outputs; ++o) {
    dequantise_row(p.dtype, p.stored.data() + o * row_bytes(p.dtype, p.inputs), p.inputs,
                   w.data() + o * p.inputs);
  }
  for (int64_t r = 0; r < p.rows; ++r) {
    for (int64_t o = 0; o < p.outputs; ++o) {
      double sum = p.bias[o];
      for (int64_t k = 0; k < p.inputs; ++k) {
        sum += double{p.x[r * p.inputs + k]} * double{w[o * p.inputs + k]};
      }
      y.push_back(sum);
    }
  }
  return y;
}

// The largest ‖y - reference‖ / ‖reference‖ of a row.
double worst_error(const std::vector<float>& y, const std::vector<double>& reference,
                   int64_t outputs) {
  double worst = 0.0;
  for (std::size_t row = 0; row < y.size(); row += static_cast<std::size_t>(outputs)) {
    double error = 0.0, size = 0.0;
    for (std::size_t i = row; i < row + static_cast<std::size_t>(outputs); ++i) {
      error += (y[i] - reference[i]) * (y[i] - reference[i]);
      size += reference[i] * reference[i];
    }
    worst = std::max(worst, std::sqrt(error / size));
  }
  return worst;
}

bool same_bits(const float* a, const float* b, std::size_t count) {
  return std::memcmp(a, b, count * sizeof(float)) == 0;
}

class Matmul : public testing::TestWithParam<DType> {};

INSTANTIATE_TEST_SUITE_P(Formats, Matmul, testing::ValuesIn(kWeightTypes), [](const auto& test) {
  return std::string(regard::info(test.param).name);
});

// Sizes around the edges of panels, groups, tiles and input blocks: every number of outputs with
// inputs of one block and a part, every number of inputs with a few outputs.
TEST_P(Matmul, AgreesWithTheFormulaAndItself) {
  const DType dtype = GetParam();
  const int block = info(dtype).block_elements;
  ThreadPool pool(2);
  for (const int64_t inputs : {1, 7, 32, 33, 250, 256, 257, 288, 512, 576, 1536}) {
    if (inputs % block != 0) continue;
    for (const int64_t outputs : {1, 15, 16, 17, 63, 64, 65, 100, 192}) {
      const bool all_outputs = inputs == 288 || (block == 256 && inputs == 512);
      if (!all_outputs && outputs != 1 && outputs != 17 && outputs != 100) continue;
      const Problem p = make_problem(dtype, 25, outputs, inputs, static_cast<unsigned>(inputs));
      const PackedMatrix weight = pack(p, pool);
      const std::vector<float> whole = run(p, weight, 0, p.rows, pool);
      SCOPED_TRACE(testing::Message() << outputs << " x " << inputs);
      // A single output has nothing to average over: where it happens to be near zero its
      // relative error says little.
      EXPECT_LT(worst_error(whole, oracle(p), outputs), outputs == 1 ? 2e-4 : 2e-6);
      for (const Target target : available_targets()) {
        // The one-lane target is slow; its row counts are those around its own tile.
        const ScopedTarget forced(target);
        const bool slow = target == Target::scalar;
        if (slow && outputs > 65) continue;
        for (const int64_t rows : {1, 2, 3, 4, 5, 6, 11, 12, 13, 25}) {
          if (slow && rows != 1 && rows != 5 && rows != 13) continue;
          const int64_t first = (25 - rows) / 2;
          const std::vector<float> part = run(p, weight, first, rows, pool);
          EXPECT_TRUE(same_bits(part.data(), whole.data() + first * outputs, part.size()))
              << rows << " rows on " << name(target);
        }
      }
    }
  }
}

// Blocks that all cancel or underflow: no -0 in y, whatever the path.
TEST_P(Matmul, NeverWritesNegativeZero) {
  const DType dtype = GetParam();
  Problem p = make_problem(dtype, 13, 40, 256, 5);
  for (float& x : p.x) x = -std::numeric_limits<float>::denorm_min();
  for (float& b : p.bias) b = -0.0f;
  ThreadPool pool(1);
  const PackedMatrix weight = pack(p, pool);
  for (const int64_t rows : {1, 3, 13}) {
    for (const float y : run(p, weight, 0, rows, pool)) EXPECT_FALSE(y == 0.0f && std::signbit(y));
  }
}

TEST(MatmulBits, DoNotDependOnThreadsOrCompany) {
  ThreadPool one(1);
  std::vector<Problem> problems;
  std::vector<PackedMatrix> weights;
  const DType dtypes[] = {DType::q4_1, DType::q8_0, DType::f16, DType::q6_k};
  const int64_t outputs[] = {576, 65, 17, 192};
  for (int i = 0; i < 4; ++i) {
    problems.push_back(make_problem(dtypes[i], 600, outputs[i], 512, 11));
    problems.back().x = problems.front().x;
    weights.push_back(pack(problems.back(), one));
  }
  for (const int64_t rows : {1, 2, 4, 30, 600}) {
    std::vector<std::vector<float>> alone;
    for (int i = 0; i < 4; ++i) alone.push_back(run(problems[i], weights[i], 0, rows, one));
    for (const int threads : {1, 2, 3, 7}) {
      ThreadPool pool(threads);
      std::vector<std::vector<float>> together;
      std::vector<MatmulTarget> targets;
      for (int i = 0; i < 4; ++i) {
        together.emplace_back(static_cast<std::size_t>(rows * outputs[i]));
        targets.push_back(
            {&weights[i], {together[i].data(), {rows, outputs[i]}}, problems[i].bias.data()});
      }
      matmul({problems[0].x.data(), {rows, 512}}, targets, pool);
      for (int i = 0; i < 4; ++i) {
        EXPECT_TRUE(same_bits(together[i].data(), alone[i].data(), alone[i].size()))
            << "matrix " << i << ", " << rows << " rows, " << threads << " threads";
      }
    }
  }
}

TEST(MatmulViews, StridedRowsAndNothingBesideThem) {
  ThreadPool pool(2);
  for (const Target target : available_targets()) {
    const ScopedTarget forced(target);
    for (const int64_t outputs : {1, 17, 100}) {
      for (const int64_t rows : {1, 3, 13}) {
        const int64_t inputs = 288, x_step = 301, y_step = outputs + 5;
        const Problem p = make_problem(DType::q4_1, rows, outputs, inputs, 3);
        const PackedMatrix weight = pack(p, pool);
        const std::vector<float> dense = run(p, weight, 0, rows, pool);
        std::vector<float> x(static_cast<std::size_t>(rows * x_step), std::nanf(""));
        std::vector<float> y(static_cast<std::size_t>((rows + 2) * y_step), 123.0f);
        for (int64_t r = 0; r < rows; ++r) {
          std::memcpy(x.data() + r * x_step, p.x.data() + r * inputs, inputs * sizeof(float));
        }
        const MatmulTarget one{
            &weight, {y.data() + y_step, {rows, outputs}, {y_step, 1}}, p.bias.data()};
        matmul({x.data(), {rows, inputs}, {x_step, 1}}, {&one, 1}, pool);
        for (int64_t r = 0; r < rows + 2; ++r) {
          for (int64_t o = 0; o < y_step; ++o) {
            const bool inside = r >= 1 && r <= rows && o < outputs;
            EXPECT_EQ(y[r * y_step + o], inside ? dense[(r - 1) * outputs + o] : 123.0f)
                << "row " << r << " column " << o << " on " << name(target);
          }
        }
      }
    }
  }
}

TEST(MatmulViews, NoBiasIsNoBias) {
  ThreadPool pool(1);
  Problem p = make_problem(DType::q5_0, 5, 20, 320, 4);
  const PackedMatrix weight = pack(p, pool);
  std::vector<float> y(100);
  const MatmulTarget target{&weight, {y.data(), {5, 20}}};
  matmul({p.x.data(), {5, 320}}, {&target, 1}, pool);
  std::fill(p.bias.begin(), p.bias.end(), 0.0f);
  EXPECT_LT(worst_error(y, oracle(p), 20), 2e-6);
}

TEST(MatmulEdges, NotFiniteStaysInItsRow) {
  ThreadPool pool(1);
  for (const Target target : available_targets()) {
    const ScopedTarget forced(target);
    for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
      for (const int64_t rows : {3, 13}) {
        Problem p = make_problem(DType::q4_1, rows, 33, 288, 6);
        const PackedMatrix weight = pack(p, pool);
        const std::vector<float> clean = run(p, weight, 0, rows, pool);
        p.x[288 + 5] = bad;
        const std::vector<float> y = run(p, weight, 0, rows, pool);
        for (int64_t r = 0; r < rows; ++r) {
          for (int64_t o = 0; o < 33; ++o) {
            if (r == 1) {
              EXPECT_FALSE(std::isfinite(y[r * 33 + o]));
            } else {
              EXPECT_EQ(y[r * 33 + o], clean[r * 33 + o]);
            }
          }
        }
      }
    }
  }
}

TEST(MatmulEdges, NoRowsAndNoTargetsAreNothing) {
  ThreadPool pool(1);
  const Problem p = make_problem(DType::f32, 1, 4, 8, 6);
  const PackedMatrix weight = pack(p, pool);
  const MatmulTarget target{&weight, {nullptr, {0, 4}}};
  matmul({nullptr, {0, 8}}, {&target, 1}, pool);
  matmul({p.x.data(), {1, 8}}, {}, pool);
}

void expect_refused(const std::function<void()>& call, const std::string& words) {
  try {
    call();
    ADD_FAILURE() << "accepted: " << words;
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::invalid_argument);
    EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
  }
}

TEST(MatmulErrors, NameTheRuleAndTheNumbers) {
  ThreadPool pool(1);
  const Problem p = make_problem(DType::q4_0, 2, 20, 64, 6);
  const PackedMatrix weight = pack(p, pool);
  std::vector<float> y(200);
  const View<const float, 2> x(p.x.data(), {2, 64});
  const auto call = [&](View<const float, 2> from, const PackedMatrix* w, View<float, 2> to) {
    return [=, &pool] {
      const MatmulTarget target{w, to};
      matmul(from, {&target, 1}, pool);
    };
  };
  const PackedMatrix empty;
  expect_refused(call(x, nullptr, {y.data(), {2, 20}}), "empty");
  expect_refused(call(x, &empty, {y.data(), {2, 20}}), "empty");
  expect_refused(call({p.x.data(), {2, 32}}, &weight, {y.data(), {2, 20}}), "32 columns");
  expect_refused(call(x, &weight, {y.data(), {1, 20}}), "[1, 20]");
  expect_refused(call(x, &weight, {y.data(), {2, 19}}), "[2, 19]");
  expect_refused(call(x, &weight, {y.data(), {2, 20}, {40, 2}}), "stride 2");
  expect_refused(call({p.x.data(), {1, 64}, {64, 2}}, &weight, {y.data(), {1, 20}}), "stride 2");

  const auto packing = [&](DType dtype, int64_t outputs, int64_t inputs, int64_t halves = 0) {
    return [=, &p, &pool] { PackedMatrix::pack(dtype, p.stored, outputs, inputs, pool, halves); };
  };
  expect_refused(packing(DType::f64, 2, 64), "f64");
  expect_refused(packing(DType::q4_0, 0, 64), "outputs (0)");
  expect_refused(packing(DType::q4_0, 20, -64), "inputs (-64)");
  expect_refused(packing(DType::q4_0, 20, 48), "multiple of q4_0's block (32)");
  expect_refused(packing(DType::q4_k, 20, 64), "multiple of q4_k's block (256)");
  expect_refused(packing(DType::q4_0, 21, 64), "720");
  expect_refused(packing(DType::q4_0, int64_t{1} << 55, 64), "too many");
  expect_refused(packing(DType::f32, 2, int64_t{1} << 60), "too many");
  expect_refused(packing(DType::q4_0, 20, 64, 3), "permute_halves (3)");
  expect_refused(packing(DType::q4_0, 20, 64, 8), "permute_halves (8)");
}

}  // namespace
}  // namespace regard
