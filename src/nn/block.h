// Block: the Transformer layer of every family: attention, in decoders of encoders' outputs
// cross-attention, and an MLP, each with its norms and its way around. The one definition that
// inference, training and inspection share; families differ in what they leave out.
#pragma once

#include <optional>
#include <variant>

#include "nn/attention.h"
#include "nn/experts.h"
#include "nn/mlp.h"
#include "nn/norm.h"
#include "nn/step.h"

namespace regard::nn {

// What follows attention: one MLP, or a mixture of them.
struct FeedForward {
  std::variant<Mlp, Experts> part = Mlp{};

  Tensor operator()(const Tensor& x) const {
    return std::visit([&](const auto& one) { return one(x); }, part);
  }
  int64_t bytes() const noexcept {
    return std::visit([](const auto& one) { return one.bytes(); }, part);
  }
};

struct Block {
  Norms attention_norms = {};
  Attention attention = {};
  Norms cross_norms = {};
  std::optional<Attention> cross = {};
  Norms mlp_norms = {};
  FeedForward mlp = {};
  bool parallel =
      false;          // the MLP looks at x, as attention does (GPT-J, Wang and Komatsuzaki 2021)
  float dropout = 0;  // of what each part adds, in training
  // Where gradients are wanted only x is kept, and the rest is computed again when they are.
  bool checkpoint = false;

  Tensor operator()(const Tensor& x, const Step& step) const;  // [tokens, width]

  int64_t bytes() const noexcept {
    return attention.bytes() + (cross ? cross->bytes() : 0) + mlp.bytes();
  }
};

}  // namespace regard::nn
