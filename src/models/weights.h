// Weights: takes layers out of a checkpoint by GGUF's names, each tensor checked against the shape
// that the model's settings ask for; or makes layers that learn, whose leaves have those names.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/threads.h"
#include "formats/tensor_source.h"
#include "matmul/matmul.h"
#include "nn/linear.h"
#include "nn/make.h"
#include "nn/norm.h"

namespace regard::models {

// How rows of a matrix are taken.
struct Rows {
  int64_t first = 0;   // of a matrix that holds several layers
  int64_t all = 0;     // how many that has; 0 = only ours
  int64_t halves = 0;  // heads of so many rows turn from adjacent-pair RoPE to halves; 0 = as is
  bool bias = false;   // must be there; where there is one it counts anyway
  std::string_view part = {};  // what a leaf of these rows is called; empty: as the whole
};

class Weights {
 public:
  // Both outlive it.
  Weights(const TensorSource& source, ThreadPool& pool) : source_(&source), pool_(&pool) {}
  // Layers that learn: leaves of f32 with the source's numbers, registered in `parameters`; heads
  // in halves. All outlive it.
  Weights(const TensorSource& source, ThreadPool& pool, nn::Parameters& parameters)
      : source_(&source), pool_(&pool), make_{.parameters = &parameters} {}
  // The same with random numbers in place of a source.
  explicit Weights(const nn::Maker& make) : make_(make) {}

  bool learns() const noexcept { return make_.parameters != nullptr; }
  bool stored() const noexcept { return source_ != nullptr; }
  const TensorSource& source() const noexcept { return *source_; }  // requires: stored()
  bool has(const std::string& name) const noexcept { return stored() && source_->has(name); }

  // Throw Error(unreadable) naming file, tensor, both shapes, or the type without kernels.
  nn::Matrix matrix(const std::string& name, int64_t outputs, int64_t inputs,
                    const Rows& rows = {}) const;
  std::vector<float> vector(const std::string& name, int64_t count) const;  // finite
  // A matrix's numbers, [rows, columns], finite, for what is computed from them once; and the
  // matrix that such numbers make.
  std::vector<float> numbers(const std::string& name, int64_t rows, int64_t columns) const;
  std::shared_ptr<const PackedMatrix> pack(std::span<const float> numbers, int64_t outputs,
                                           int64_t inputs) const;
  // name.weight, and name.bias. times: see nn::Maker.
  nn::Linear linear(const std::string& name, int64_t outputs, int64_t inputs, const Rows& rows = {},
                    double times = 1) const;
  // name.weight and, for LayerNorm, name.bias where there is one.
  nn::Norm norm(nn::Norm::Kind kind, const std::string& name, int64_t width, float epsilon) const;
  // name.weight [experts, outputs, inputs], one layer each.
  std::vector<nn::Linear> experts(const std::string& name, int64_t experts, int64_t outputs,
                                  int64_t inputs) const;

 private:
  nn::Linear stored_linear(const std::string& name, int64_t outputs, int64_t inputs,
                           const Rows& rows) const;
  Tensor leaf(const TensorInfo& tensor, const std::string& name, int64_t outputs, int64_t inputs,
              const Rows& rows) const;
  std::vector<float> finite(const TensorInfo& tensor, int64_t first, int64_t rows,
                            int64_t columns) const;
  const TensorInfo& checked(const std::string& name, int rank,
                            const std::array<int64_t, 4>& shape) const;
  std::shared_ptr<const PackedMatrix> packed(const TensorInfo& tensor, int64_t first,
                                             int64_t outputs, int64_t inputs, int64_t halves) const;

  const TensorSource* source_ = nullptr;
  ThreadPool* pool_ = nullptr;
  nn::Maker make_ = {};
};

}  // namespace regard::models
