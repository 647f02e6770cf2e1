// Expressions from bytes: a stack machine whose every byte does one thing, so that parts are
// shared, deep and of any kind, and so that what does not fit is tried, too.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "bytes.h"
#include "regard/program.h"

namespace regard {

class StackMachine {
 public:
  explicit StackMachine(Bytes& bytes) : bytes_(bytes) {}

  // One step; an Error leaves the stack as it was.
  void step() {
    while (stack_.size() < 3) stack_.push_back(leaf());
    const int code = bytes_.below(64);
    computes([&] {
      if (code < 16) {
        stack_.push_back(leaf());
      } else if (code < 20) {
        stack_.push_back(below_top());
      } else if (code < 26) {
        stack_.push_back(gather(code - 20));
      } else if (code < 44) {
        const Expr made = binary(code - 26, stack_[stack_.size() - 2], stack_.back());
        replace(2, made);
      } else if (code < 60) {
        const Expr made = unary(code - 44, stack_.back());
        replace(1, made);
      } else {
        const std::size_t n = stack_.size();
        const Expr made = where(stack_[n - 3], stack_[n - 2], stack_[n - 1]);
        replace(3, made);
      }
    });
  }

  // The newest of a kind, or none.
  Expr newest(bool boolean) const {
    for (std::size_t n = stack_.size(); n-- > 0;) {
      if ((stack_[n].kind() == ValueKind::boolean) == boolean) return stack_[n];
    }
    return {};
  }
  const Array& reals() const { return reals_; }

 private:
  void replace(std::size_t count, const Expr& made) {
    stack_.resize(stack_.size() - count);
    stack_.push_back(made);
  }
  const Expr& below_top() {
    const auto depth = static_cast<std::size_t>(bytes_.next()) % stack_.size();
    return stack_[stack_.size() - 1 - depth];
  }

  Expr leaf() {
    constexpr double kReals[] = {0, -0.0, 1, -1, 0.5, 1e30f, -1e-30f, 88.7, 3e38f, 1e-45f, 0.1};
    constexpr int64_t kIntegers[] = {0, 1, -1, 31, 32, 1 << 24, INT32_MAX, INT32_MIN, 7, 128};
    switch (bytes_.below(13)) {
      case 0:
        return program::batch();
      case 1:
        return program::head();
      case 2:
        return program::query();
      case 3:
        return program::key();
      case 4:
        return program::row();
      case 5:
        return program::sequence();
      case 6:
        return static_cast<float>(bytes_.next() - 128) / 16.0f;
      case 7:
        return kReals[bytes_.below(static_cast<int>(std::size(kReals)))];
      case 8:
        return bytes_.next() - 128;
      case 9:
        return kIntegers[bytes_.below(static_cast<int>(std::size(kIntegers)))];
      case 10:
        return program::query() - program::key();
      case 11:
        return program::key() <= program::query();
      default:
        return program::score();
    }
  }

  Expr gather(int which) {
    const Expr index = stack_.back(), other = below_top();
    switch (which) {
      case 0:
        return reals_(index);
      case 1:
        return integers_(index);
      case 2:
        return flags_(index);
      case 3:
        return table_(index, other);
      case 4:
        return turned_(other, index);
      default:
        return nothing_(index);
    }
  }

  static Expr binary(int which, const Expr& a, const Expr& b) {
    switch (which) {
      case 0:
        return a + b;
      case 1:
        return a - b;
      case 2:
        return a * b;
      case 3:
        return a / b;
      case 4:
        return floor_div(a, b);
      case 5:
        return mod(a, b);
      case 6:
        return min(a, b);
      case 7:
        return max(a, b);
      case 8:
        return a & b;
      case 9:
        return a | b;
      case 10:
        return a ^ b;
      case 11:
        return a << b;
      case 12:
        return a >> b;
      case 13:
        return a < b;
      case 14:
        return a <= b;
      case 15:
        return a > b;
      case 16:
        return a == b;
      default:
        return a != b;
    }
  }

  static Expr unary(int which, const Expr& a) {
    switch (which) {
      case 0:
        return -a;
      case 1:
        return ~a;
      case 2:
        return abs(a);
      case 3:
        return floor(a);
      case 4:
        return sqrt(a);
      case 5:
        return exp(a);
      case 6:
        return log(a);
      case 7:
        return tanh(a);
      case 8:
        return sigmoid(a);
      case 9:
        return sin(a);
      case 10:
        return cos(a);
      case 11:
        return to_real(a);
      case 12:
        return to_integer(a);
      case 13:
        return !a;
      default:
        return a * a;
    }
  }

  Bytes& bytes_;
  std::vector<Expr> stack_;
  std::vector<uint8_t> flag_numbers_ = {1, 0, 255, 1, 0};
  std::vector<int32_t> table_numbers_ = {0, 3, 1, -4, 2, 9, INT32_MAX, INT32_MIN, 5, 1, 0, 2};
  std::vector<float> turned_numbers_ = {1, -2, 0.5f, 3, std::numeric_limits<float>::infinity(), 7};
  Array reals_ = Array::of("reals", std::vector<float>{1, -2, 0.5f, 3, 0, -1, 2e20f}, {}, true);
  Array integers_ = Array::of("integers", std::vector<int32_t>{0, 3, 1, -4, 2, 9, 5});
  Array flags_ = Array("flags", View<const uint8_t, 1>(flag_numbers_.data(), {5}));
  Array table_ = Array("table", View<const int32_t, 2>(table_numbers_.data(), {3, 4}));
  Array turned_ =
      Array("turned", View<const float, 2>(turned_numbers_.data() + 5, {2, 3}, {-1, -2}));
  Array nothing_ = Array("nothing", View<const float, 1>(turned_numbers_.data(), {0}));
};

}  // namespace regard
