// GgufWeights: takes layers out of a GGUF file, each tensor checked against the shape that the
// model's configuration asks for.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/threads.h"
#include "formats/gguf.h"
#include "matmul/matmul.h"
#include "nn/linear.h"
#include "nn/norm.h"

namespace regard::models {

class GgufWeights {
 public:
  GgufWeights(const GgufFile& file, ThreadPool& pool) : file_(file), pool_(pool) {}

  bool has(const std::string& name) const noexcept { return file_.find(name) != nullptr; }

  // Throw Error(unreadable) naming file, tensor, both shapes, or the type without kernels.
  // halves: heads of that many rows turn from adjacent-pair RoPE to halves; 0 = as they are.
  std::shared_ptr<const PackedMatrix> matrix(const std::string& name, int64_t outputs,
                                             int64_t inputs, int64_t halves = 0) const;
  std::vector<float> vector(const std::string& name, int64_t count) const;
  // name.weight, and name.bias where the file has one.
  nn::Linear linear(const std::string& name, int64_t outputs, int64_t inputs,
                    int64_t halves = 0) const;
  nn::Norm rms_norm(const std::string& name, int64_t width, float epsilon) const;

 private:
  const GgufTensor& checked(const std::string& name, int64_t inputs, int64_t outputs) const;

  const GgufFile& file_;
  ThreadPool& pool_;
};

}  // namespace regard::models
