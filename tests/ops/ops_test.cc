// Each operation against its formula in double, shapes around the sharing of rows between threads.
#include "ops/ops.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <random>
#include <vector>

#include "reference/reference.h"
#include "tensor/pool.h"

namespace regard {
namespace {

std::vector<float> random_numbers(int64_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> numbers(count);
  for (float& number : numbers) number = normal(random);
  return numbers;
}

Tensor random_tensor(std::initializer_list<int64_t> shape, uint32_t seed) {
  int64_t count = 1;
  for (const int64_t extent : shape) count *= extent;
  return Tensor::of(random_numbers(count, seed).data(), shape);
}

template <int Rank>
std::vector<float> numbers(const Tensor& x) {
  const auto view = x.view<float, Rank>();
  return {view.data, view.data + view.size()};
}

PackedMatrix pack(const std::vector<float>& rows, int64_t outputs, int64_t inputs) {
  ThreadPool pool(1);
  return PackedMatrix::pack(DType::f32, std::as_bytes(std::span(rows)), outputs, inputs, pool);
}

// Runs the check alone and on three threads: the result must be the same to the bit.
void on_one_and_three_threads(const std::function<std::vector<float>()>& compute,
                              const std::function<void(const std::vector<float>&)>& check) {
  const std::vector<float> alone = compute();
  check(alone);
  ThreadPool pool(3);
  const UsePool use(pool);
  EXPECT_EQ(compute(), alone);
}

TEST(Ops, LinearAddsTheBias) {
  const int64_t rows = 5, inputs = 300, outputs = 40;
  const auto w = random_numbers(outputs * inputs, 1), biases = random_numbers(outputs, 2);
  const Tensor bias = tensor_of(biases);
  const PackedMatrix matrix = pack(w, outputs, inputs);
  const Tensor x = random_tensor({rows, inputs}, 3);
  on_one_and_three_threads(
      [&] {
        return numbers<2>(linear(x, {&matrix, nullptr, &bias}));
      },
      [&](const std::vector<float>& y) {
        const auto in = x.view<float, 2>();
        for (int64_t row = 0; row < rows; ++row) {
          for (int64_t out = 0; out < outputs; ++out) {
            double sum = biases[out];
            for (int64_t i = 0; i < inputs; ++i) {
              sum += static_cast<double>(in(row, i)) * w[out * inputs + i];
            }
            EXPECT_NEAR(y[row * outputs + out], sum, 1e-4);
          }
        }
      });
}

TEST(Ops, FusedLinearIsEachAlone) {
  const PackedMatrix a = pack(random_numbers(48 * 64, 1), 48, 64);
  const PackedMatrix b = pack(random_numbers(17 * 64, 2), 17, 64);
  const Tensor x = random_tensor({7, 64}, 3);
  const auto [left, right] = linear_fused(x, Weight{&a}, Weight{&b});
  EXPECT_EQ(numbers<2>(left), numbers<2>(linear(x, {&a, {}})));
  EXPECT_EQ(numbers<2>(right), numbers<2>(linear(x, {&b, {}})));
}

TEST(Ops, EmbeddingTakesRows) {
  const auto table = random_numbers(50 * 64, 1);
  const PackedMatrix matrix = pack(table, 50, 64);
  std::vector<int32_t> ids;
  for (int i = 0; i < 400; ++i) ids.push_back(i * 7 % 50);
  on_one_and_three_threads([&] { return numbers<2>(embedding(matrix, ids)); },
                           [&](const std::vector<float>& x) {
                             for (std::size_t i = 0; i < x.size(); ++i) {
                               ASSERT_EQ(x[i], table[ids[i / 64] * 64 + i % 64]);
                             }
                           });
  EXPECT_THROW(embedding(matrix, std::vector<int32_t>{50}), Error);
  EXPECT_THROW(embedding(matrix, std::vector<int32_t>{-1}), Error);
}

TEST(Ops, GatherTakesRows) {
  const Tensor x = random_tensor({6, 5}, 1);
  const Tensor chosen = gather(x, std::vector<int64_t>{4, 0, 4});
  for (int64_t d = 0; d < 5; ++d) {
    EXPECT_EQ((chosen.view<float, 2>()(0, d)), (x.view<float, 2>()(4, d)));
    EXPECT_EQ((chosen.view<float, 2>()(1, d)), (x.view<float, 2>()(0, d)));
  }
  EXPECT_THROW(gather(x, std::vector<int64_t>{6}), Error);
}

TEST(Ops, AddAndSwigluAreElementByElement) {
  const Tensor a = random_tensor({90, 333}, 1), b = random_tensor({90, 333}, 2);
  const auto x = numbers<2>(a), y = numbers<2>(b);
  on_one_and_three_threads([&] { return numbers<2>(a + b); },
                           [&](const std::vector<float>& sum) {
                             for (std::size_t i = 0; i < sum.size(); ++i)
                               ASSERT_EQ(sum[i], x[i] + y[i]);
                           });
  on_one_and_three_threads([&] { return numbers<2>(activate_gated(Activation::silu, a, b)); },
                           [&](const std::vector<float>& gated) {
                             for (std::size_t i = 0; i < gated.size(); ++i) {
                               const double g = x[i];
                               ASSERT_NEAR(gated[i], g / (1 + std::exp(-g)) * y[i], 1e-5);
                             }
                           });
  EXPECT_THROW(add(a, random_tensor({90, 332}, 3)), Error);
  EXPECT_THROW(activate_gated(Activation::silu, a, random_tensor({89, 333}, 3)), Error);
}

// A shared tensor is not written; one that was moved in gives its storage.
TEST(Ops, TakeStorageOnlyFromTheSoleOwner) {
  const Tensor a = random_tensor({3, 8}, 1);
  Tensor b = random_tensor({3, 8}, 2);
  const auto before = numbers<2>(b);
  const Tensor kept = add(a, b);
  EXPECT_EQ(numbers<2>(b), before);
  const float* storage = b.view<float, 2>().data;
  const Tensor taken = add(a, std::move(b));
  EXPECT_EQ((taken.view<float, 2>().data), storage);
  EXPECT_EQ(numbers<2>(taken), numbers<2>(kept));
}

TEST(Ops, RmsNormAndLogSumExpTakeRows) {
  const int64_t rows = 70, width = 200;
  const Tensor x = random_tensor({rows, width}, 1);
  const auto gain = random_numbers(width, 2);
  const auto in = x.view<float, 2>();
  on_one_and_three_threads([&] { return numbers<2>(rms_norm(x, tensor_of(gain), 1e-5f)); },
                           [&](const std::vector<float>& y) {
                             for (int64_t row = 0; row < rows; ++row) {
                               double sum = 0;
                               for (int64_t i = 0; i < width; ++i)
                                 sum += double{in(row, i)} * in(row, i);
                               const double root = std::sqrt(sum / width + 1e-5);
                               for (int64_t i = 0; i < width; ++i) {
                                 ASSERT_NEAR(y[row * width + i], in(row, i) / root * gain[i], 2e-6);
                               }
                             }
                           });
  on_one_and_three_threads([&] { return numbers<1>(log_sum_exp(x)); },
                           [&](const std::vector<float>& sums) {
                             for (int64_t row = 0; row < rows; ++row) {
                               double sum = 0;
                               for (int64_t i = 0; i < width; ++i)
                                 sum += std::exp(double{in(row, i)});
                               ASSERT_NEAR(sums[row], std::log(sum), 2e-6);
                             }
                           });
  EXPECT_THROW(rms_norm(x, tensor_of(std::span(gain).first(9)), 1e-5f), Error);
}

TEST(Ops, RopeTurnsEveryHeadByItsPosition) {
  RopeTable table(16, 10000);
  table.reserve(1000);
  const Tensor x = random_tensor({150, 5, 16}, 1);
  const auto before = numbers<3>(x);
  std::vector<int32_t> positions;
  for (int i = 0; i < 150; ++i) positions.push_back(i * 6);
  on_one_and_three_threads(
      [&] { return numbers<3>(rope(x, table, positions, RopeLayout::halves)); },
      [&](const std::vector<float>& y) {
        for (int64_t token = 0; token < 150; ++token) {
          for (int64_t head = 0; head < 5; ++head) {
            const int64_t at = (token * 5 + head) * 16;
            for (int64_t i = 0; i < 8; ++i) {
              const double angle = positions[token] * std::pow(10000.0, -2.0 * i / 16);
              const double a = before[at + i], b = before[at + 8 + i];
              ASSERT_NEAR(y[at + i], a * std::cos(angle) - b * std::sin(angle), 2e-6);
              ASSERT_NEAR(y[at + 8 + i], a * std::sin(angle) + b * std::cos(angle), 2e-6);
            }
          }
        }
      });
  EXPECT_EQ(numbers<3>(x), before);  // it was shared
  positions[3] = 1000;
  EXPECT_THROW(rope(x, table, positions, RopeLayout::halves), Error);
}

// Two sequences, the second with keys from an earlier call.
TEST(Ops, AttentionAppendsAndThenLooksAtAllKeys) {
  const int64_t heads = 4, kv_heads = 2, dim = 16, earlier = 37, rows_a = 20, rows_b = 5;
  const float scale = 0.25f;
  ThreadPool pool(2);
  const UsePool use(pool);
  KvCache cache({.layers = 2,
                 .pages = 8,
                 .page_keys = 16,
                 .kv_heads = kv_heads,
                 .dim = dim,
                 .dim_v = dim,
                 .k_dtype = DType::f32,
                 .v_dtype = DType::f32});
  const std::vector<int32_t> pages_a{5, 0}, pages_b{1, 7, 3};
  const Tensor old_k = random_tensor({earlier, kv_heads, dim}, 1);
  const Tensor old_v = random_tensor({earlier, kv_heads, dim}, 2);
  const std::vector<Segment> first{{0, earlier, earlier, pages_b}};
  AttentionPlan plan({heads, kv_heads, dim, dim}, first,
                     {.mask = causal(), .scale = scale, .threads = 2});
  attention(random_tensor({earlier, heads, dim}, 3), old_k, old_v, cache, 1, first, plan);

  const Tensor q = random_tensor({rows_a + rows_b, heads, dim}, 4);
  const Tensor k = random_tensor({rows_a + rows_b, kv_heads, dim}, 5);
  const Tensor v = random_tensor({rows_a + rows_b, kv_heads, dim}, 6);
  const std::vector<Segment> second{{0, rows_a, rows_a, pages_a},
                                    {rows_a, rows_b, earlier + rows_b, pages_b}};
  plan.replan(second);
  const Tensor out = attention(q, k, v, cache, 1, second, plan);

  const auto all_of = [&](const Tensor& old, const Tensor& fresh) {
    std::vector<float> all = numbers<3>(old);
    const std::vector<float> part = numbers<3>(fresh.rows(rows_a, rows_b));
    all.insert(all.end(), part.begin(), part.end());
    return Tensor::of(all.data(), {earlier + rows_b, kv_heads, dim});
  };
  const AttentionOptions options{.mask = causal(), .scale = scale};
  const auto expect = [&](const Tensor& rows, const Reference& wanted) {
    const auto got = numbers<3>(rows);
    for (std::size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], wanted.out[i], 2e-6);
  };
  expect(out.rows(0, rows_a),
         reference_attention(q.rows(0, rows_a).view<float, 3>(), k.rows(0, rows_a).view<float, 3>(),
                             v.rows(0, rows_a).view<float, 3>(), options));
  expect(out.rows(rows_a, rows_b), reference_attention(q.rows(rows_a, rows_b).view<float, 3>(),
                                                       all_of(old_k, k).view<float, 3>(),
                                                       all_of(old_v, v).view<float, 3>(), options));
  const std::vector<Segment> beyond{{0, 26, 26, pages_a}};
  EXPECT_THROW(attention(q, k, v, cache, 1, beyond, plan), Error);
}

}  // namespace
}  // namespace regard
