#include "models/weights.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace regard::models {
namespace {

// Rows 2i and 2i + 1 of each head become rows i and i + n/2; head: numbers of one, row: of a row.
std::vector<float> to_halves(std::span<const float> numbers, int64_t head, int64_t row = 1) {
  std::vector<float> turned(numbers.size());
  const int64_t half = head / row / 2;
  for (int64_t first = 0; first < std::ssize(numbers); first += head) {
    for (int64_t i = 0; i < 2 * half; ++i) {
      const int64_t to = i / 2 + (i % 2) * half;
      std::copy_n(numbers.begin() + first + i * row, row, turned.begin() + first + to * row);
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
  const TensorInfo& tensor = source_->get(name);
  if (tensor.shape != shape) {
    fail(ErrorKind::unreadable, "{}: tensor {} is {}, the model's sizes ask for {}",
         source_->name(), source_->stored_name(name), shape_text(tensor), text_of(rank, shape));
  }
  if (!tensor.dtype || *tensor.dtype == DType::i8) {
    fail(ErrorKind::unreadable,
         "{}: tensor {} is of type {}, which has no kernel; f32, f16, bf16, f64, q8_0, q4_0, q4_1, "
         "q5_0, q5_1, q4_k, q5_k and q6_k have",
         source_->name(), source_->stored_name(name), tensor.type_name);
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
        DType::f32, std::as_bytes(std::span(numbers)), outputs, inputs, *pool_, halves));
  }
  return std::make_shared<const PackedMatrix>(
      PackedMatrix::pack(*tensor.dtype, rows, outputs, inputs, *pool_, halves));
}

// Rows of the tensor, which become a leaf called `name`.
Tensor Weights::leaf(const TensorInfo& tensor, const std::string& name, int64_t outputs,
                     int64_t inputs, const Rows& rows) const {
  std::vector<float> numbers = finite(tensor, rows.first, outputs, inputs);
  if (rows.halves > 0) numbers = to_halves(numbers, rows.halves * inputs, inputs);
  return make_.parameters->add(name, Tensor::of(numbers.data(), {outputs, inputs}));
}

nn::Matrix Weights::matrix(const std::string& name, int64_t outputs, int64_t inputs,
                           const Rows& rows) const {
  if (!stored()) {
    const Tensor made = make_.initial.normal(name, {outputs, inputs}, make_.deviation);
    return nn::Matrix(make_.leaf(name, made));
  }
  const int64_t all = rows.all > 0 ? rows.all : outputs;
  const TensorInfo& tensor = checked(name, 2, {all, inputs, 1, 1});
  nn::Matrix made;
  if (learns()) {
    const std::string called = rows.part.empty() ? name : std::string(rows.part) + ".weight";
    made = nn::Matrix(leaf(tensor, called, outputs, inputs, rows));
  } else {
    made = nn::Matrix(packed(tensor, rows.first, outputs, inputs, rows.halves));
  }
  if (rows.first + outputs == all) source_->release(tensor.data);
  return made;
}

std::vector<float> Weights::finite(const TensorInfo& tensor, int64_t first, int64_t rows,
                                   int64_t columns) const {
  std::vector<float> numbers(static_cast<std::size_t>(rows * columns));
  if (*tensor.dtype == DType::f64) {
    const std::size_t row = static_cast<std::size_t>(columns) * sizeof(double);
    numbers = narrowed(tensor.data.subspan(static_cast<std::size_t>(first) * row,
                                           static_cast<std::size_t>(rows) * row));
  } else {
    const auto row = static_cast<std::size_t>(row_bytes(*tensor.dtype, columns));
    for (int64_t i = 0; i < rows; ++i) {
      dequantise_row(*tensor.dtype, tensor.data.data() + static_cast<std::size_t>(first + i) * row,
                     columns, numbers.data() + i * columns);
    }
  }
  for (const float number : numbers) {
    if (!std::isfinite(number)) {
      fail(ErrorKind::unreadable, "{}: tensor {} holds {}, its numbers must be finite",
           source_->name(), source_->stored_name(tensor.name), number);
    }
  }
  return numbers;
}

std::vector<float> Weights::vector(const std::string& name, int64_t count) const {
  return finite(checked(name, 1, {count, 1, 1, 1}), 0, 1, count);
}

std::vector<float> Weights::numbers(const std::string& name, int64_t rows, int64_t columns) const {
  return finite(checked(name, 2, {rows, columns, 1, 1}), 0, rows, columns);
}

std::shared_ptr<const PackedMatrix> Weights::pack(std::span<const float> numbers, int64_t outputs,
                                                  int64_t inputs) const {
  return std::make_shared<const PackedMatrix>(
      PackedMatrix::pack(DType::f32, std::as_bytes(numbers), outputs, inputs, *pool_));
}

nn::Linear Weights::linear(const std::string& name, int64_t outputs, int64_t inputs,
                           const Rows& rows, double times) const {
  if (!stored()) return make_.linear(name, outputs, inputs, rows.bias, times);
  return stored_linear(name, outputs, inputs, rows);
}

nn::Linear Weights::stored_linear(const std::string& name, int64_t outputs, int64_t inputs,
                                  const Rows& rows) const {
  nn::Linear layer{matrix(name + ".weight", outputs, inputs, rows), {}};
  if (!rows.bias && !has(name + ".bias")) return layer;
  const std::vector<float> all = vector(name + ".bias", rows.all > 0 ? rows.all : outputs);
  const std::span<const float> ours = std::span(all).subspan(static_cast<std::size_t>(rows.first),
                                                             static_cast<std::size_t>(outputs));
  layer.bias = rows.halves > 0 ? tensor_of(to_halves(ours, rows.halves)) : tensor_of(ours);
  if (learns()) {
    const std::string called = rows.part.empty() ? name : std::string(rows.part);
    layer.bias = make_.parameters->add(called + ".bias", std::move(layer.bias));
  }
  return layer;
}

nn::Norm Weights::norm(nn::Norm::Kind kind, const std::string& name, int64_t width,
                       float epsilon) const {
  if (!stored()) return make_.norm(kind, name, width, epsilon);
  const auto numbers = [&](const std::string& whole) {
    Tensor made = tensor_of(vector(whole, width));
    return learns() ? make_.parameters->add(whole, std::move(made)) : made;
  };
  nn::Norm layer{kind, numbers(name + ".weight"), {}, epsilon};
  if (kind == nn::Norm::Kind::layer && has(name + ".bias")) layer.shift = numbers(name + ".bias");
  return layer;
}

std::vector<nn::Linear> Weights::experts(const std::string& name, int64_t experts, int64_t outputs,
                                         int64_t inputs) const {
  require(!learns(), "{}: a mixture of experts cannot be trained; choose a family without", name);
  const TensorInfo& tensor = checked(name + ".weight", 3, {experts, outputs, inputs, 1});
  std::vector<nn::Linear> layers;
  for (int64_t expert = 0; expert < experts; ++expert) {
    layers.push_back({packed(tensor, expert * outputs, outputs, inputs, 0), {}});
  }
  source_->release(tensor.data);
  return layers;
}

}  // namespace regard::models
