// FamilyTensors: a folder of safetensors seen as its GGUF: names and forms are GGUF's. What needs
// no transform stays where it lies; what does is made when it is asked for and freed by release().
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "formats/tensor_source.h"
#include "models/family.h"

namespace regard::models {

class FamilyTensors final : public TensorSource {
 public:
  // All of them outlive the result. Throws Error(unreadable) for a tensor that no rule names, for
  // two that become one, and for shapes that cannot be transformed.
  FamilyTensors(const TensorSource& stored, const Family& family, const Settings& settings);

  const std::string& name() const noexcept override { return stored_.name(); }
  // Data is empty where a tensor has to be made first: find() or get() it by its name.
  std::span<const TensorInfo> tensors() const noexcept override { return tensors_; }
  const TensorInfo* find(std::string_view name) const noexcept override;
  std::string stored_name(std::string_view name) const override;
  // part: the whole data of a tensor.
  void release(std::span<const std::byte> part) const noexcept override;

 private:
  struct Origin {
    Transform transform = Transform::as_is;
    std::vector<const TensorInfo*> parts;  // one, one of each expert, none of the settings' own
    mutable std::vector<std::byte> made;   // the data, where it had to be made
  };

  void collect();
  void describe(std::size_t index);
  void add_numbers(std::string name, std::span<const float> numbers);
  void make(std::size_t index) const;

  const TensorSource& stored_;
  const Family& family_;
  const Settings& settings_;
  mutable std::vector<TensorInfo> tensors_;
  std::vector<Origin> origins_;  // of each tensor
  TensorIndex index_;
};

}  // namespace regard::models
