#include "models/gguf_weights.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/check.h"

namespace regard::models {
namespace {

// The order that turns rows 2i and 2i + 1 of each head into rows i and i + n/2.
std::vector<float> to_halves(std::vector<float> bias, int64_t head) {
  std::vector<float> turned(bias.size());
  const int64_t half = head / 2;
  for (int64_t first = 0; first < std::ssize(bias); first += head) {
    for (int64_t i = 0; i < half; ++i) {
      turned[first + i] = bias[first + 2 * i];
      turned[first + half + i] = bias[first + 2 * i + 1];
    }
  }
  return turned;
}

std::string shape_of(const GgufTensor& tensor) {
  std::string text;
  for (int axis = 0; axis < std::max(tensor.rank, 1); ++axis) {
    text += fmt::format("{}{}", axis > 0 ? ", " : "", tensor.dims[axis]);
  }
  return text;
}

}  // namespace

const GgufTensor& GgufWeights::checked(const std::string& name, int64_t inputs,
                                       int64_t outputs) const {
  const GgufTensor& tensor = file_.get(name);
  const bool vector = outputs == 0;
  if (tensor.dims[0] != inputs || tensor.dims[1] != (vector ? 1 : outputs) || tensor.dims[2] != 1 ||
      tensor.dims[3] != 1) {
    const std::string wanted =
        vector ? fmt::format("{}", inputs) : fmt::format("{}, {}", inputs, outputs);
    fail(ErrorKind::unreadable, "{}: tensor {} is ({}), the model's sizes ask for ({})",
         file_.name(), name, shape_of(tensor), wanted);
  }
  if (!tensor.dtype || *tensor.dtype == DType::f64) {
    fail(ErrorKind::unreadable,
         "{}: tensor {} is of type {}, which has no kernel; f32, f16, bf16, q8_0, q4_0, q4_1, "
         "q5_0, q5_1, q4_k, q5_k and q6_k have",
         file_.name(), name, tensor.type_name);
  }
  return tensor;
}

std::shared_ptr<const PackedMatrix> GgufWeights::matrix(const std::string& name, int64_t outputs,
                                                        int64_t inputs, int64_t halves) const {
  const GgufTensor& tensor = checked(name, inputs, outputs);
  auto packed = std::make_shared<const PackedMatrix>(
      PackedMatrix::pack(*tensor.dtype, tensor.data, outputs, inputs, pool_, halves));
  file_.release(tensor.data);
  return packed;
}

std::vector<float> GgufWeights::vector(const std::string& name, int64_t count) const {
  const GgufTensor& tensor = checked(name, count, 0);
  std::vector<float> numbers(static_cast<std::size_t>(count));
  dequantise_row(*tensor.dtype, tensor.data.data(), count, numbers.data());
  for (const float number : numbers) {
    if (!std::isfinite(number)) {
      fail(ErrorKind::unreadable, "{}: tensor {} holds {}, its numbers must be finite",
           file_.name(), name, number);
    }
  }
  return numbers;
}

nn::Linear GgufWeights::linear(const std::string& name, int64_t outputs, int64_t inputs,
                               int64_t halves) const {
  nn::Linear layer{matrix(name + ".weight", outputs, inputs, halves), {}};
  if (has(name + ".bias")) {
    layer.bias = vector(name + ".bias", outputs);
    if (halves > 0) layer.bias = to_halves(std::move(layer.bias), halves);
  }
  return layer;
}

nn::Norm GgufWeights::rms_norm(const std::string& name, int64_t width, float epsilon) const {
  return {nn::Norm::Kind::rms, vector(name + ".weight", width), {}, epsilon};
}

}  // namespace regard::models
