// Maker: layers with numbers to begin with, their leaves registered by dotted names: name.weight
// and name.bias.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <utility>

#include "learning/cast.h"
#include "nn/init.h"
#include "nn/linear.h"
#include "nn/norm.h"
#include "nn/parameters.h"

namespace regard::nn {

struct Maker {
  Parameters* parameters = nullptr;  // outlives the maker
  Initial initial = {};
  double deviation = 0;      // of matrices' numbers, which are normal; 0: Xavier's
  DType dtype = DType::f32;  // f64: for checks of gradients, the same numbers

  // A leaf of that dtype.
  Tensor leaf(const std::string& name, const Tensor& numbers) const {
    return parameters->add(name, cast(numbers, dtype));
  }

  Tensor matrix(const std::string& name, int64_t outputs, int64_t inputs, double times = 1) const {
    const std::string weight = name + ".weight";
    Tensor made = deviation > 0 ? initial.normal(weight, {outputs, inputs}, deviation * times)
                                : initial.xavier(weight, {outputs, inputs});
    return leaf(weight, made);
  }
  // times: of the deviation, where that is given.
  Linear linear(const std::string& name, int64_t outputs, int64_t inputs, bool bias = true,
                double times = 1) const {
    Linear made{matrix(name, outputs, inputs, times), {}};
    if (bias) made.bias = leaf(name + ".bias", constant({outputs}, 0));
    return made;
  }
  // Rows of variance 1 / width, unless a deviation is given.
  Embedding embedding(const std::string& name, int64_t rows, int64_t width) const {
    const std::string weight = name + ".weight";
    const double usual = 1 / std::sqrt(static_cast<double>(width));
    return {Matrix(
        leaf(weight, initial.normal(weight, {rows, width}, deviation > 0 ? deviation : usual)))};
  }
  Norm norm(Norm::Kind kind, const std::string& name, int64_t width, float epsilon = 1e-5f,
            bool shift = true) const {
    if (kind == Norm::Kind::none) return {};
    Norm made{kind, leaf(name + ".weight", constant({width}, 1)), {}, epsilon};
    if (kind == Norm::Kind::layer && shift) {
      made.shift = leaf(name + ".bias", constant({width}, 0));
    }
    return made;
  }
  BatchNorm batch_norm(const std::string& name, int64_t width) const {
    return {parameters->add(name + ".weight", constant({width}, 1)),
            parameters->add(name + ".bias", constant({width}, 0)),
            std::make_shared<RunningStatistics>(RunningStatistics::of_width(width))};
  }
};

}  // namespace regard::nn
