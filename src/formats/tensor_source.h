// TensorSource: what the tensors of a checkpoint look like, whatever file or folder holds them.
// Nothing is copied: data lies in mapped files for as long as the source lives.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "regard/dtype.h"

namespace regard {

// One row-major array.
struct TensorInfo {
  std::string name;            // as the file has it
  std::optional<DType> dtype;  // nothing: a legal type that regard does not compute with
  std::string type_name;       // lower case: "bf16", "q4_1", "iq2_xs", "f8_e4m3"
  int rank = 0;                // 0: one number. Above 4: described, and refused by get()
  std::array<int64_t, 4> shape{1, 1, 1, 1};  // outermost first; 1 past `rank`; may hold zeros
  std::span<const std::byte> data;           // exactly the bytes of shape and type
  int64_t inner = 1;                         // numbers behind each of the first four dimensions

  int64_t elements() const noexcept { return shape[0] * shape[1] * shape[2] * shape[3] * inner; }
};

class TensorSource {
 public:
  virtual ~TensorSource() = default;

  virtual const std::string& name() const noexcept = 0;  // the file or folder, as in messages
  virtual std::span<const TensorInfo> tensors() const noexcept = 0;          // in the file's order
  virtual const TensorInfo* find(std::string_view name) const noexcept = 0;  // nullptr if absent

  // The name that the file has for it, for messages; of a missing one, that it would have.
  virtual std::string stored_name(std::string_view name) const { return std::string(name); }

  // `part` (a tensor's data, once it is packed) is not needed for now: its whole pages leave
  // resident memory and come back from the file if they are touched.
  virtual void release(std::span<const std::byte> part) const noexcept = 0;

  bool has(std::string_view name) const noexcept { return find(name) != nullptr; }

  // Throws Error(unreadable) if the tensor is missing or has more than four dimensions.
  const TensorInfo& get(std::string_view name) const;
};

// "[49152, 576]"
std::string shape_text(const TensorInfo& tensor);

// Finds tensors by name: a sorted list of indices.
class TensorIndex {
 public:
  TensorIndex() = default;
  explicit TensorIndex(std::span<const TensorInfo> tensors);

  const TensorInfo* find(std::span<const TensorInfo> tensors, std::string_view name) const noexcept;

  // Two tensors of one name, nullptr if there are none.
  const TensorInfo* duplicate(std::span<const TensorInfo> tensors) const noexcept;

 private:
  std::vector<uint32_t> order_;
};

}  // namespace regard
