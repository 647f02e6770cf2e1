// Rows of a tensor in another type, some at a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>

#include "formats/tensor_source.h"
#include "writers/tensor_to_write.h"

namespace regard {

// The type a tensor gets, by GGUF's name and form. wanted: of matrices; nothing: as they are where
// they are f16 or bf16. Everything else is f32.
DType target_dtype(const TensorInfo& tensor, std::optional<DType> wanted);

// Of all but the last dimension together.
int64_t rows_of(const TensorInfo& tensor);

// Rows [first, first + count) as dtype, to `take` in pieces; then they are released. Throws Error:
// unreadable for a number that is not finite, invalid_argument for one that dtype cannot hold,
// failed once *interrupt is true.
void give_rows(const TensorSource& source, const TensorInfo& tensor, int64_t first, int64_t count,
               DType dtype, const std::atomic<bool>* interrupt,
               const std::function<void(Bytes)>& take);

}  // namespace regard
