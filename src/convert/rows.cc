#include "convert/rows.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "matmul/matmul.h"
#include "writers/encode.h"

namespace regard {
namespace {

constexpr int64_t kNumbersAtOnce = int64_t{1} << 18;
constexpr float kMostF16 = 65504;

// What rounding would hurt and what is small: a router, positions, kinds of tokens, buckets.
bool stays_f32(const TensorInfo& tensor) {
  if (tensor.rank < 2) return true;
  for (const std::string_view part :
       {"ffn_gate_inp", "position_embd", "token_types", "attn_rel_b", "_norm."}) {
    if (tensor.name.find(part) != std::string::npos) return true;
  }
  return false;
}

int64_t row_of(const TensorInfo& tensor) {
  return tensor.rank == 0 ? 1 : tensor.shape[static_cast<std::size_t>(tensor.rank - 1)];
}

void check_numbers(const std::string& file, const std::string& name, std::span<const float> numbers,
                   DType dtype) {
  const bool narrow = dtype != DType::f32 && dtype != DType::bf16;
  for (const float number : numbers) {
    if (!std::isfinite(number)) {
      fail(ErrorKind::unreadable, "{}: tensor {} holds {}, its numbers must be finite", file, name,
           number);
    }
    require(!narrow || std::abs(number) <= kMostF16,
            "{}: tensor {} holds {}, which {} cannot hold; convert to bf16 or f32", file, name,
            number, info(dtype).name);
  }
}

}  // namespace

DType target_dtype(const TensorInfo& tensor, std::optional<DType> wanted) {
  if (wanted) return stays_f32(tensor) ? DType::f32 : *wanted;
  const bool plain = *tensor.dtype == DType::f16 || *tensor.dtype == DType::bf16;
  return plain && tensor.rank >= 2 ? *tensor.dtype : DType::f32;
}

int64_t rows_of(const TensorInfo& tensor) { return tensor.elements() / row_of(tensor); }

void give_rows(const TensorSource& source, const TensorInfo& tensor, int64_t first, int64_t count,
               DType dtype, const std::atomic<bool>* interrupt,
               const std::function<void(Bytes)>& take) {
  const DType stored = *tensor.dtype;
  const int64_t row = row_of(tensor);
  const int64_t rows_at_once = std::max<int64_t>(1, kNumbersAtOnce / row);
  const auto bytes = [&](int64_t rows) {
    return static_cast<std::size_t>(row_bytes(stored, rows * row));
  };
  std::vector<float> numbers;
  std::vector<std::byte> encoded;
  for (int64_t done = 0; done < count; done += rows_at_once) {
    if (interrupt != nullptr && interrupt->load(std::memory_order_relaxed)) {
      fail(ErrorKind::failed, "interrupted; nothing was changed");
    }
    const int64_t rows = std::min(rows_at_once, count - done);
    const std::byte* from = tensor.data.data() + bytes(first + done);
    numbers.resize(static_cast<std::size_t>(rows * row));
    dequantise_row(stored, from, rows * row, numbers.data());
    check_numbers(source.name(), tensor.name, numbers, dtype);
    if (stored == dtype) {
      take({from, bytes(rows)});
      continue;
    }
    encoded.resize(static_cast<std::size_t>(row_bytes(dtype, rows * row)));
    encode_row(dtype, numbers, encoded.data());
    take(encoded);
  }
  source.release(tensor.data.subspan(bytes(first), bytes(count)));
}

}  // namespace regard
