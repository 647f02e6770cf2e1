#include "models/transforms.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "base/check.h"
#include "matmul/matmul.h"

namespace regard::models {
namespace {

int64_t count_of(const TensorInfo& tensor) {
  int64_t count = 1;
  for (const int64_t extent : tensor.shape) count *= extent;
  return count;
}

std::size_t item_bytes(const TensorInfo& tensor) {
  return static_cast<std::size_t>(info(*tensor.dtype).block_bytes);
}

// Row of the stored tensor that becomes each row of the result.
std::vector<int64_t> row_order(Transform how, int64_t rows, const Settings& settings) {
  std::vector<int64_t> order(static_cast<std::size_t>(rows));
  std::iota(order.begin(), order.end(), int64_t{0});
  if (how == Transform::heads_apart) {
    // [heads, 3, dim] -> [3, heads, dim]
    const int64_t heads = settings.heads, dim = settings.dim;
    for (int64_t part = 0; part < 3; ++part) {
      for (int64_t head = 0; head < heads; ++head) {
        for (int64_t d = 0; d < dim; ++d) {
          order[(part * heads + head) * dim + d] = (head * 3 + part) * dim + d;
        }
      }
    }
    return order;
  }
  const int64_t dim = settings.dim, half = settings.rope.dim / 2;
  for (int64_t head = 0; head < rows / dim; ++head) {
    for (int64_t i = 0; i < half; ++i) {
      order[head * dim + 2 * i] = head * dim + i;
      order[head * dim + 2 * i + 1] = head * dim + half + i;
    }
  }
  return order;
}

std::vector<std::byte> reordered(const TensorInfo& tensor, std::span<const int64_t> order) {
  std::vector<std::byte> made(tensor.data.size());
  const std::size_t row = made.size() / order.size();
  for (std::size_t i = 0; i < order.size(); ++i) {
    std::memcpy(made.data() + i * row,
                tensor.data.data() + static_cast<std::size_t>(order[i]) * row, row);
  }
  return made;
}

// In squares, so that either side of the copy stays in the first cache. Stored numbers lie at any
// address.
template <std::size_t kBytes>
void transpose(const std::byte* from, int64_t rows, int64_t columns, std::byte* to) {
  constexpr int64_t kSquare = 32;
  for (int64_t row = 0; row < rows; row += kSquare) {
    for (int64_t column = 0; column < columns; column += kSquare) {
      for (int64_t r = row; r < std::min(row + kSquare, rows); ++r) {
        for (int64_t c = column; c < std::min(column + kSquare, columns); ++c) {
          std::memcpy(to + (c * rows + r) * kBytes, from + (r * columns + c) * kBytes, kBytes);
        }
      }
    }
  }
}

std::vector<std::byte> transposed(const TensorInfo& tensor) {
  std::vector<std::byte> made(tensor.data.size());
  const std::byte* from = tensor.data.data();
  const int64_t rows = tensor.shape[0], columns = tensor.shape[1];
  switch (item_bytes(tensor)) {
    case 2:
      transpose<2>(from, rows, columns, made.data());
      break;
    case 4:
      transpose<4>(from, rows, columns, made.data());
      break;
    default:
      transpose<8>(from, rows, columns, made.data());
  }
  return made;
}

std::vector<std::byte> plus_one(const TensorInfo& tensor) {
  std::vector<std::byte> made(static_cast<std::size_t>(count_of(tensor)) * sizeof(float));
  std::vector<float> numbers(static_cast<std::size_t>(count_of(tensor)));
  dequantise_row(*tensor.dtype, tensor.data.data(), std::ssize(numbers), numbers.data());
  for (float& number : numbers) number += 1.0f;
  std::memcpy(made.data(), numbers.data(), made.size());
  return made;
}

std::vector<std::byte> stacked(std::span<const TensorInfo* const> parts) {
  std::vector<std::byte> made;
  made.reserve(parts.size() * parts.front()->data.size());
  for (const TensorInfo* part : parts) {
    made.insert(made.end(), part->data.begin(), part->data.end());
  }
  return made;
}

int64_t rows_wanted(Transform how, const Settings& settings) {
  if (how == Transform::query_pairs) return settings.heads * settings.dim;
  if (how == Transform::key_pairs) return settings.kv_heads * settings.dim;
  return 3 * settings.heads * settings.dim;
}

}  // namespace

int64_t rows_asked(Transform how, const Settings& settings) {
  switch (how) {
    case Transform::query_pairs:
    case Transform::key_pairs:
    case Transform::heads_apart:
      return rows_wanted(how, settings);
    default:
      return 0;
  }
}

TransformedShape transformed(Transform how, std::span<const TensorInfo* const> parts,
                             const Settings& settings) {
  const TensorInfo& first = *parts.front();
  require(first.dtype && !is_quantised(*first.dtype) && *first.dtype != DType::i8,
          "is of type {}, which cannot be made into GGUF's form", first.type_name);
  require(first.rank >= 1 && first.rank <= 3, "has {} dimensions", first.rank);
  TransformedShape shape{first.dtype, first.rank, first.shape};
  switch (how) {
    case Transform::as_is:
      break;
    case Transform::plus_one:
      require(first.rank == 1 && *first.dtype != DType::f64, "is no vector of f32, f16 or bf16");
      shape.dtype = DType::f32;
      break;
    case Transform::transposed:
      require(first.rank <= 2, "has {} dimensions, not 1 or 2", first.rank);
      if (first.rank == 2) std::swap(shape.extents[0], shape.extents[1]);
      break;
    case Transform::query_pairs:
    case Transform::key_pairs:
    case Transform::heads_apart:
      require(first.rank <= 2 && first.shape[0] == rows_wanted(how, settings),
              "has shape {}, the model's sizes ask for {} rows", shape_text(first),
              rows_wanted(how, settings));
      break;
    case Transform::past_padding:
      require(first.rank == 2 && first.shape[0] > settings.encoder.first_position,
              "has shape {}, no matrix of more than {} rows", shape_text(first),
              settings.encoder.first_position);
      shape.extents[0] -= settings.encoder.first_position;
      break;
    case Transform::stacked:
      require(first.rank == 2, "has {} dimensions, not 2", first.rank);
      for (const TensorInfo* part : parts) {
        require(part->dtype == first.dtype && part->rank == 2 && part->shape == first.shape,
                "is {} {}, another expert's is {} {}", first.type_name, shape_text(first),
                part->type_name, shape_text(*part));
      }
      shape.rank = 3;
      shape.extents = {std::ssize(parts), first.shape[0], first.shape[1], 1};
      break;
  }
  return shape;
}

std::vector<std::byte> transform(Transform how, std::span<const TensorInfo* const> parts,
                                 const Settings& settings) {
  const TensorInfo& first = *parts.front();
  switch (how) {
    case Transform::plus_one:
      return plus_one(first);
    case Transform::transposed:
      return transposed(first);
    case Transform::query_pairs:
    case Transform::key_pairs:
    case Transform::heads_apart:
      return reordered(first, row_order(how, first.shape[0], settings));
    case Transform::past_padding: {
      const std::size_t row = first.data.size() / static_cast<std::size_t>(first.shape[0]);
      const auto kept =
          first.data.subspan(row * static_cast<std::size_t>(settings.encoder.first_position));
      return {kept.begin(), kept.end()};
    }
    case Transform::stacked:
      return stacked(parts);
    case Transform::as_is:
      break;
  }
  return {first.data.begin(), first.data.end()};
}

std::vector<std::byte> restored(Transform how, const TensorInfo& own, const Settings& settings) {
  switch (how) {
    case Transform::plus_one: {
      std::vector<float> numbers(static_cast<std::size_t>(count_of(own)));
      std::memcpy(numbers.data(), own.data.data(), own.data.size());
      for (float& number : numbers) number -= 1.0f;
      std::vector<std::byte> made(own.data.size());
      std::memcpy(made.data(), numbers.data(), made.size());
      return made;
    }
    case Transform::transposed:
      return transposed(own);
    case Transform::query_pairs:
    case Transform::key_pairs:
    case Transform::heads_apart: {
      const std::vector<int64_t> order = row_order(how, own.shape[0], settings);
      std::vector<int64_t> back(order.size());
      for (std::size_t i = 0; i < order.size(); ++i) {
        back[static_cast<std::size_t>(order[i])] = static_cast<int64_t>(i);
      }
      return reordered(own, back);
    }
    case Transform::as_is:
    case Transform::past_padding:
    case Transform::stacked:
      break;
  }
  return {own.data.begin(), own.data.end()};
}

}  // namespace regard::models
