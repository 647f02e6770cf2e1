// Norm: what a family puts in front of, behind or between the parts of a layer: RMSNorm, LayerNorm
// with or without a shift, or nothing at all.
#pragma once

#include <memory>
#include <utility>

#include "learning/batch_norm.h"
#include "ops/ops.h"

namespace regard::nn {

struct Norm {
  enum class Kind { none, rms, layer };

  Kind kind = Kind::none;
  Tensor gain = {};   // [width]
  Tensor shift = {};  // [width] or empty; of LayerNorm
  float epsilon = 1e-5f;

  explicit operator bool() const noexcept { return kind != Kind::none; }

  // x [rows, width]
  Tensor operator()(Tensor x) const {
    if (kind == Kind::rms) return rms_norm(x, gain, epsilon);
    if (kind == Kind::layer) return layer_norm(x, gain, shift, epsilon);
    return x;
  }

  // With a gain of `factor` times as much.
  Norm times(float factor) const {
    Norm made = *this;
    made.gain = scale(gain, factor);
    return made;
  }

  // Over each head of x [tokens, heads, dim]; gain and shift [dim].
  Tensor of_heads(Tensor x) const {
    if (kind == Kind::none) return x;
    const int64_t tokens = x.shape(0), heads = x.shape(1), dim = x.shape(2);
    return (*this)(std::move(x).reshape({tokens * heads, dim})).reshape({tokens, heads, dim});
  }
};

// Every feature normalised over the rows of the batch; in evaluation by what training saw.
struct BatchNorm {
  Tensor gain = {}, shift = {};  // [width]
  // Copies share it: training moves it.
  std::shared_ptr<RunningStatistics> running = {};
  float epsilon = 1e-5f;

  Tensor operator()(const Tensor& x, Phase phase) const {
    return batch_norm(x, gain, shift, *running, epsilon, phase);
  }
};

// The norms around one part of a block: behind(x + after(part(before(x)))).
//   pre-norm   before               Xiong et al. 2020
//   post-norm  behind               Vaswani et al. 2017
//   sandwich   before and after     Ding et al. 2021; Gemma 2
struct Norms {
  Norm before = {}, after = {}, behind = {};
  bool residual_is_normed = false;  // before(x) takes the place of x in the sum: BLOOM's option

  // normed: before(x); made: what the part made of it.
  Tensor join(const Tensor& x, const Tensor& normed, Tensor made) const {
    return behind((residual_is_normed ? normed : x) + after(std::move(made)));
  }
};

}  // namespace regard::nn
