// stored_tensors(): a GGUF's tensors seen as a folder of transformers has them: FamilyTensors the
// other way round.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "formats/tensor_source.h"
#include "models/family.h"
#include "regard/dtype.h"

namespace regard::models {

struct StoredTensor {
  std::string name;                             // in the folder
  Transform transform = Transform::as_is;       // that is to be undone: see restored()
  std::vector<const TensorInfo*> parts;         // whose rows lie one under another
  int64_t first = 0;                            // row of the parts, where it is a slice of them
  int64_t rows = 0;                             // of GGUF's form
  int rank = 0;                                 // of the stored form
  std::array<int64_t, 4> shape = {1, 1, 1, 1};  // of the stored form

  // In GGUF's form as one tensor, given the parts' numbers one behind another, which outlive it.
  TensorInfo joined(DType dtype, std::span<const std::byte> numbers) const;
};

// own outlives the result. What the settings already say is left out: factors of frequencies.
// Q, K and V, and gate and up, that the file has apart are joined where the family has them so.
// Throws Error(unreadable) for a tensor that no rule names and for shapes that do not fit.
std::vector<StoredTensor> stored_tensors(const TensorSource& own, const Family& family,
                                         const Settings& settings);

}  // namespace regard::models
