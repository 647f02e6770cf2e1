#include "inspect/contribution.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "regard/error.h"

namespace regard::inspect {
namespace {

std::vector<float> random_numbers(std::size_t count, std::mt19937& random) {
  std::vector<float> numbers(count);
  for (float& number : numbers) number = static_cast<float>(random() >> 8) * 0x1p-23f - 1.0f;
  return numbers;
}

// ‖v W_O‖ by its definition, all in double.
double plain_norm(const std::vector<std::vector<float>>& rows, int64_t first, int64_t dim_v,
                  const float* value) {
  double square = 0;
  for (const std::vector<float>& row : rows) {
    double sum = 0;
    for (int64_t d = 0; d < dim_v; ++d) sum += double{row[first + d]} * double{value[d]};
    square += sum * sum;
  }
  return std::sqrt(square);
}

TEST(OutputGram, AgreesWithTheProductWrittenOut) {
  std::mt19937 random(1);
  for (const auto& [heads, dim_v, width] :
       {std::array<int64_t, 3>{1, 1, 1}, {2, 3, 5}, {9, 64, 576}, {4, 16, 7}}) {
    OutputGram gram(heads, dim_v);
    std::vector<std::vector<float>> rows;
    for (int64_t i = 0; i < width; ++i) {
      rows.push_back(random_numbers(static_cast<std::size_t>(heads * dim_v), random));
      gram.add_row(rows.back());
    }
    for (int64_t head = 0; head < heads; ++head) {
      const std::vector<float> value = random_numbers(static_cast<std::size_t>(dim_v), random);
      const double wanted = plain_norm(rows, head * dim_v, dim_v, value.data());
      EXPECT_NEAR(gram.norm(head, value.data()), wanted, 1e-9 * wanted) << heads << " " << dim_v;
    }
  }
}

TEST(OutputGram, IsZeroForAValueThatTheMatrixDrops) {
  OutputGram gram(1, 2);
  gram.add_row(std::vector<float>{3, -3});
  gram.add_row(std::vector<float>{-0.1f, 0.1f});
  const std::vector<float> dropped{0.7f, 0.7f}, kept{1, 0};
  EXPECT_NEAR(gram.norm(0, dropped.data()), 0, 1e-7);
  EXPECT_NEAR(gram.norm(0, kept.data()), std::sqrt(9 + 0.01), 1e-7);
}

TEST(OutputGram, ShowsANan) {
  OutputGram gram(1, 1);
  gram.add_row(std::vector<float>{2});
  const float nan = std::nanf("");
  EXPECT_TRUE(std::isnan(gram.norm(0, &nan)));
}

TEST(OutputGram, RefusesARowOfAnotherLength) {
  OutputGram gram(2, 3);
  EXPECT_THROW(gram.add_row(std::vector<float>(5)), Error);
}

}  // namespace
}  // namespace regard::inspect
