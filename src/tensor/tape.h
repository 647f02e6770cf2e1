// The tape: what was computed from what, so that gradients can be computed backwards.
//
// An operation whose input wants a gradient records its result: a node that knows the nodes of its
// inputs and how a gradient of the result becomes gradients of them. Reverse-mode automatic
// differentiation (Linnainmaa 1970). backward() visits nodes in the reverse order of their making,
// so that every gradient gets its terms in one fixed order, whatever the threads.
//
// Gradients have the dtype of f32 for tensors of f32, f16 and bf16, and f64 for f64. Nothing is
// recorded where no input wants a gradient: inference pays one test for each operation.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <vector>

#include "tensor/tensor.h"

namespace regard {

// Where a recorded operation puts the gradients of its inputs, numbered as record() was given them.
class InputGradients {
 public:
  explicit InputGradients(std::span<const std::shared_ptr<Node>> inputs) : inputs_(inputs) {}

  // Does input i want a gradient? Then add() it, at most once for each use of the input.
  bool wants(int64_t i) const noexcept { return inputs_[static_cast<std::size_t>(i)] != nullptr; }
  // Throws Error unless the shape is that of the input. A gradient that nobody wants is dropped.
  void add(int64_t i, Tensor gradient);

  // The sum that input i has so far, out of its node and with no other owner: to be added to where
  // it lies, and given back by add(). Empty when nothing came yet or nothing is wanted.
  Tensor take(int64_t i);

 private:
  std::span<const std::shared_ptr<Node>> inputs_;
};

// Called once with the gradient of the result, on the thread and pool of backward(), while nothing
// is recorded. What it keeps of tensors it keeps detached: Tensor::detach().
using Backward = std::function<void(const Tensor& gradient, InputGradients& inputs)>;

// Node of the tape. A leaf is a tensor that wants a gradient and was not computed.
struct Node {
  std::vector<std::shared_ptr<Node>> inputs = {};  // null where no gradient is wanted
  Backward backward = {};                          // empty: a leaf, or used up
  Tensor gradient = {};                            // the sum of what came so far; empty = zero
  std::array<int64_t, kMaxRank> shape = {};
  int8_t rank = 0;
  bool leaf = false;
  uint64_t order = 0;    // of making
  uint64_t version = 0;  // counts writes to a leaf's numbers
  // What linear() computed from the tensor's numbers for later calls, its packed panels; counts
  // while the version is that of the numbers.
  std::shared_ptr<const void> derived = {};
  uint64_t derived_version = 0;

  ~Node();  // long chains of nodes end without recursion
};

// Is any of these tensors one whose gradient is wanted, here and now? Empty tensors are not.
bool recording(std::initializer_list<const Tensor*> inputs) noexcept;

// `made` as the result of an operation on inputs. Call it only where recording(inputs).
Tensor record(Tensor made, std::initializer_list<const Tensor*> inputs, Backward backward);
Tensor record(Tensor made, std::span<const Tensor> inputs, Backward backward);

// While it lives, nothing is recorded on this thread.
class NoGradient {
 public:
  NoGradient() noexcept;
  ~NoGradient();
  NoGradient(const NoGradient&) = delete;
  NoGradient& operator=(const NoGradient&) = delete;

 private:
  bool before_;
};

// Adds d(result · cotangent)/d(leaf) to the gradient of every leaf that result was computed from.
// cotangent: shaped like result; the first form takes a result of one number and 1.
// The tape behind result is used up: memory is given back as nodes are visited.
// Throws Error when result was not recorded, shapes differ, or the tape was used already.
void backward(const Tensor& result);
void backward(const Tensor& result, const Tensor& cotangent);

// A function of tensors whose inner results are not kept but computed a second time when their
// gradients are needed (Chen et al. 2016). function must give the same numbers both times; leaves
// that it captures get their gradients too.
Tensor checkpointed(const std::function<Tensor(std::span<const Tensor>)>& function,
                    std::span<const Tensor> inputs);

}  // namespace regard
