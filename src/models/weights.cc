#include "models/weights.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace regard::models {
namespace {

// The order that turns rows 2i and 2i + 1 of each head into rows i and i + n/2.
std::vector<float> to_halves(std::span<const float> bias, int64_t head) {
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

std::vector<float> narrowed(std::span<const std::byte> doubles) {
  std::vector<float> numbers(doubles.size() / sizeof(double));
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    double number;
    std::memcpy(&number, doubles.data() + i * sizeof number, sizeof number);
    numbers[i] = static_cast<float>(number);
  }
  return numbers;
}

std::string text_of(int rank, const std::array<int64_t, 4>& shape) {
  TensorInfo wanted;
  wanted.rank = rank;
  wanted.shape = shape;
  return shape_text(wanted);
}

}  // namespace

const TensorInfo& Weights::checked(const std::string& name, int rank,
                                   const std::array<int64_t, 4>& shape) const {
  const TensorInfo& tensor = source_.get(name);
  if (tensor.shape != shape) {
    fail(ErrorKind::unreadable, "{}: tensor {} is {}, the model's sizes ask for {}", source_.name(),
         source_.stored_name(name), shape_text(tensor), text_of(rank, shape));
  }
  if (!tensor.dtype || *tensor.dtype == DType::i8) {
    fail(ErrorKind::unreadable,
         "{}: tensor {} is of type {}, which has no kernel; f32, f16, bf16, f64, q8_0, q4_0, q4_1, "
         "q5_0, q5_1, q4_k, q5_k and q6_k have",
         source_.name(), source_.stored_name(name), tensor.type_name);
  }
  return tensor;
}

std::shared_ptr<const PackedMatrix> Weights::packed(const TensorInfo& tensor, int64_t first,
                                                    int64_t outputs, int64_t inputs,
                                                    int64_t halves) const {
  const auto row = static_cast<std::size_t>(row_bytes(*tensor.dtype, inputs));
  const auto rows = tensor.data.subspan(static_cast<std::size_t>(first) * row,
                                        static_cast<std::size_t>(outputs) * row);
  if (*tensor.dtype == DType::f64) {
    const std::vector<float> numbers = narrowed(rows);
    return std::make_shared<const PackedMatrix>(PackedMatrix::pack(
        DType::f32, std::as_bytes(std::span(numbers)), outputs, inputs, pool_, halves));
  }
  return std::make_shared<const PackedMatrix>(
      PackedMatrix::pack(*tensor.dtype, rows, outputs, inputs, pool_, halves));
}

std::shared_ptr<const PackedMatrix> Weights::matrix(const std::string& name, int64_t outputs,
                                                    int64_t inputs, const Rows& rows) const {
  const int64_t all = rows.all > 0 ? rows.all : outputs;
  const TensorInfo& tensor = checked(name, 2, {all, inputs, 1, 1});
  auto made = packed(tensor, rows.first, outputs, inputs, rows.halves);
  if (rows.first + outputs == all) source_.release(tensor.data);
  return made;
}

std::vector<float> Weights::finite(const TensorInfo& tensor, int64_t rows, int64_t columns) const {
  std::vector<float> numbers(static_cast<std::size_t>(rows * columns));
  if (*tensor.dtype == DType::f64) {
    numbers = narrowed(tensor.data);
  } else {
    const auto row = static_cast<std::size_t>(row_bytes(*tensor.dtype, columns));
    for (int64_t i = 0; i < rows; ++i) {
      dequantise_row(*tensor.dtype, tensor.data.data() + static_cast<std::size_t>(i) * row, columns,
                     numbers.data() + i * columns);
    }
  }
  for (const float number : numbers) {
    if (!std::isfinite(number)) {
      fail(ErrorKind::unreadable, "{}: tensor {} holds {}, its numbers must be finite",
           source_.name(), source_.stored_name(tensor.name), number);
    }
  }
  return numbers;
}

std::vector<float> Weights::vector(const std::string& name, int64_t count) const {
  return finite(checked(name, 1, {count, 1, 1, 1}), 1, count);
}

std::vector<float> Weights::numbers(const std::string& name, int64_t rows, int64_t columns) const {
  return finite(checked(name, 2, {rows, columns, 1, 1}), rows, columns);
}

std::shared_ptr<const PackedMatrix> Weights::pack(std::span<const float> numbers, int64_t outputs,
                                                  int64_t inputs) const {
  return std::make_shared<const PackedMatrix>(
      PackedMatrix::pack(DType::f32, std::as_bytes(numbers), outputs, inputs, pool_));
}

nn::Linear Weights::linear(const std::string& name, int64_t outputs, int64_t inputs,
                           const Rows& rows) const {
  nn::Linear layer{matrix(name + ".weight", outputs, inputs, rows), {}};
  if (!rows.bias && !has(name + ".bias")) return layer;
  const std::vector<float> all = vector(name + ".bias", rows.all > 0 ? rows.all : outputs);
  const std::span<const float> ours = std::span(all).subspan(static_cast<std::size_t>(rows.first),
                                                             static_cast<std::size_t>(outputs));
  layer.bias = rows.halves > 0 ? tensor_of(to_halves(ours, rows.halves)) : tensor_of(ours);
  return layer;
}

nn::Norm Weights::norm(nn::Norm::Kind kind, const std::string& name, int64_t width,
                       float epsilon) const {
  nn::Norm layer{kind, tensor_of(vector(name + ".weight", width)), {}, epsilon};
  if (kind == nn::Norm::Kind::layer && has(name + ".bias")) {
    layer.shift = tensor_of(vector(name + ".bias", width));
  }
  return layer;
}

std::vector<nn::Linear> Weights::experts(const std::string& name, int64_t experts, int64_t outputs,
                                         int64_t inputs) const {
  const TensorInfo& tensor = checked(name + ".weight", 3, {experts, outputs, inputs, 1});
  std::vector<nn::Linear> layers;
  for (int64_t expert = 0; expert < experts; ++expert) {
    layers.push_back({packed(tensor, expert * outputs, outputs, inputs, 0), {}});
  }
  source_.release(tensor.data);
  return layers;
}

}  // namespace regard::models
