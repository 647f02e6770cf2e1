// Parameters: what training changes, in the order of making, each by its dotted name. Layers hold
// the same tensors: a leaf's copies share its numbers and its gradient.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"
#include "tensor/tensor.h"

namespace regard::nn {

struct Parameter {
  std::string name;
  Tensor leaf;
  // Does weight decay pull it towards zero? Matrices, not the gains and biases of which each number
  // stands alone.
  bool decay = true;
};

class Parameters {
 public:
  // The tensor becomes a leaf and is returned. decay: by default of what has two axes or more.
  // Throws Error for a name that is taken.
  Tensor add(std::string name, Tensor tensor) {
    const bool decay = tensor.rank() > 1;
    return add(std::move(name), std::move(tensor), decay);
  }
  Tensor add(std::string name, Tensor tensor, bool decay) {
    require(find(name) == nullptr, "parameters: there are two of name {}", name);
    tensor.require_gradient();
    all_.push_back({std::move(name), tensor, decay});
    return tensor;
  }

  const Parameter* find(std::string_view name) const noexcept {
    for (const Parameter& one : all_) {
      if (one.name == name) return &one;
    }
    return nullptr;
  }
  // Throws Error for a name that is not there.
  const Tensor& get(std::string_view name) const {
    const Parameter* const found = find(name);
    require(found != nullptr, "parameters: none has the name {}", name);
    return found->leaf;
  }

  auto begin() const noexcept { return all_.begin(); }
  auto end() const noexcept { return all_.end(); }
  auto begin() noexcept { return all_.begin(); }
  auto end() noexcept { return all_.end(); }
  int64_t size() const noexcept { return std::ssize(all_); }
  int64_t numbers() const noexcept {
    int64_t sum = 0;
    for (const Parameter& one : all_) sum += one.leaf.size();
    return sum;
  }

  // Before the next backward(): every gradient is nothing again.
  void clear_gradients() {
    for (Parameter& one : all_) one.leaf.set_gradient({});
  }

 private:
  std::vector<Parameter> all_;
};

}  // namespace regard::nn
