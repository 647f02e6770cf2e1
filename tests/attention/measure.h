// How far results are from the reference, in the measures of the contract.
//
// f32: ‖error‖₂ / ‖reference‖₂ of each row of a head. f16 and bf16: the root mean square error of a
// whole array as a multiple of that of rounding the reference correctly.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "regard/half.h"

namespace regard::testing {

constexpr double kRowAccuracy = 2e-6;
constexpr double kRoundingAccuracy = 1.05;
constexpr double kF64Accuracy = 1e-14;  // the formula itself

inline double rounded(double x, DType dtype) {
  const auto narrow = static_cast<float>(x);
  if (dtype == DType::f16) return to_f32(to_f16(narrow));
  if (dtype == DType::bf16) return to_f32(to_bf16(narrow));
  return dtype == DType::f64 ? x : narrow;
}

// Collects the rows of one result.
class Measure {
 public:
  Measure(DType dtype, double accuracy)
      : dtype_(dtype), accuracy_(dtype == DType::f64 ? kF64Accuracy : accuracy) {}

  // magnitude: what the norm of such a row is on the average. The row's own norm may be far
  // smaller where its terms cancel, and the error of those terms is not.
  void add_row(const double* is, const double* wanted, int64_t count, double magnitude) {
    double error = 0, norm = 0, rounding = 0;
    for (int64_t n = 0; n < count; ++n) {
      if (std::isnan(is[n]) != std::isnan(wanted[n])) mismatch_ = "NaN on one side only";
      if (std::isnan(wanted[n]) || is[n] == wanted[n]) continue;
      error += (is[n] - wanted[n]) * (is[n] - wanted[n]);
      norm += wanted[n] * wanted[n];
      const double best = rounded(wanted[n], dtype_) - wanted[n];
      rounding += best * best;
    }
    const double size = std::max(std::sqrt(norm), magnitude);
    error_ += error;
    rounding_ += rounding;
    size_ += size * size;
    if (error != 0) worst_ = std::max(worst_, std::sqrt(error) / size);
    if (std::isnan(error)) worst_ = error;
  }

  double worst_row() const { return worst_; }
  // Empty if the result is as exact as promised.
  std::string complaint() const {
    if (!mismatch_.empty()) return mismatch_;
    if (dtype_ == DType::f32 || dtype_ == DType::f64) {
      if (worst_ <= accuracy_) return "";
      return "a row is off by " + std::to_string(worst_ * 1e6) + "e-6 of its norm";
    }
    // What remains of f32's own error after rounding.
    const double allowed = kRoundingAccuracy * std::sqrt(rounding_) + accuracy_ * std::sqrt(size_);
    if (std::sqrt(error_) <= allowed) return "";
    return "the error is " + std::to_string(std::sqrt(error_ / rounding_)) +
           " times that of rounding";
  }

 private:
  DType dtype_;
  double accuracy_;
  double error_ = 0, rounding_ = 0, size_ = 0, worst_ = 0;
  std::string mismatch_;
};

}  // namespace regard::testing
