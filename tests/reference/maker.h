// Maker: the captured arrays of one random case, which live as long as it does.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "random.h"
#include "regard/attention_options.h"

namespace regard::testing {

struct Dimensions {
  int64_t batch = 1;  // sequences
  int64_t rows = 1;   // of the longest
  int64_t keys = 1;   // of the longest
  int64_t heads = 1, kv_heads = 1;
  int64_t dim = 1;  // of q
  int64_t dim_k = 1, dim_v = 1;
};

class Maker {
 public:
  Maker(const Dimensions& dimensions, uint64_t seed) : d(dimensions), random(seed) {}

  const Dimensions d;
  Random random;

  // Reals of that size, multiples of 2^-12 so that a small step from each is exact. Every other
  // array lies with gaps.
  Array real(const std::string& name, const std::vector<int64_t>& shape, double size = 1,
             bool differentiable = true) {
    const auto number = [&] { return std::round(random.normal() * size * 4096) / 4096; };
    Array array = make<float>(name, ElementType::f32, shape, number, differentiable);
    if (differentiable) differentiable_.push_back(array);
    return array;
  }
  // least .. most
  Array integers(const std::string& name, const std::vector<int64_t>& shape, int64_t least,
                 int64_t most) {
    return make<int32_t>(name, ElementType::i32, shape,
                         [&] { return random.between(least, std::max(least, most)); });
  }
  Array booleans(const std::string& name, const std::vector<int64_t>& shape, double share_true) {
    return make<uint8_t>(name, ElementType::boolean, shape,
                         [&] { return random.uniform() < share_true ? 1 : 0; });
  }

  // The score program (or the weight program) has no derivative where expr is 0.
  void score_kink(const Expr& expr) { score_kinks_.push_back(expr); }
  void weight_kink(const Expr& expr) { weight_kinks_.push_back(expr); }

  const std::vector<Array>& differentiable() const { return differentiable_; }
  const std::vector<Expr>& score_kinks() const { return score_kinks_; }
  const std::vector<Expr>& weight_kinks() const { return weight_kinks_; }

 private:
  template <class T, class Number>
  Array make(const std::string& name, ElementType type, const std::vector<int64_t>& shape,
             const Number& number, bool differentiable = false) {
    std::vector<int64_t> strides(shape.size());
    int64_t step = random.one_in(2) ? 1 : 2;
    for (std::size_t axis = shape.size(); axis-- > 0; step *= shape[axis]) strides[axis] = step;
    const auto numbers = std::make_shared<std::vector<T>>(static_cast<std::size_t>(step));
    for (T& x : *numbers) x = static_cast<T>(number());
    return {name, type, numbers->data(), shape, strides, differentiable, numbers};
  }

  std::vector<Array> differentiable_;
  std::vector<Expr> score_kinks_, weight_kinks_;
};

}  // namespace regard::testing
