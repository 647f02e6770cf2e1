#include "tensor/tape.h"

#include <algorithm>
#include <atomic>
#include <queue>
#include <string>
#include <utility>

#include "tensor/pool.h"

namespace regard {
namespace {

thread_local bool record_here = true;
std::atomic<uint64_t> made_so_far{0};

bool same_shape(const Node& node, const Tensor& x) {
  return x.rank() == node.rank &&
         std::equal(x.shape().begin(), x.shape().end(), node.shape.begin());
}

std::string describe(const Node& node) {
  std::string text = "[";
  for (int axis = 0; axis < node.rank; ++axis) {
    text += fmt::format("{}{}", axis > 0 ? ", " : "", node.shape[static_cast<std::size_t>(axis)]);
  }
  return text + "]";
}

template <class T>
void accumulate(std::span<const T> from, std::span<T> to) {
  constexpr int64_t kBlock = 16384;
  const auto add = [&](int64_t block, int) {
    const int64_t last = std::min<int64_t>(std::ssize(to), (block + 1) * kBlock);
    for (int64_t i = block * kBlock; i < last; ++i) {
      to[static_cast<std::size_t>(i)] += from[static_cast<std::size_t>(i)];
    }
  };
  const int64_t blocks = (std::ssize(to) + kBlock - 1) / kBlock;
  if (blocks == 1) return add(0, 0);
  current_pool().parallel_for(blocks, add);
}

// sum where it lies, or a copy when somebody else has it too.
Tensor owned(Tensor sum) {
  if (!sum || sum.sole_owner()) return sum;
  Tensor own = Tensor::like(sum);
  if (sum.dtype() == DType::f64) {
    std::ranges::copy(sum.numbers<double>(), own.writable_numbers<double>().begin());
  } else {
    std::ranges::copy(sum.numbers<float>(), own.writable_numbers<float>().begin());
  }
  return own;
}

// sum + term, where sum lies when nobody else has it.
Tensor plus(Tensor sum, const Tensor& term) {
  sum = owned(std::move(sum));
  if (sum.dtype() == DType::f64) {
    accumulate(term.numbers<double>(), sum.writable_numbers<double>());
  } else {
    accumulate(term.numbers<float>(), sum.writable_numbers<float>());
  }
  return sum;
}

void add_to(Node& node, Tensor gradient) {
  gradient = gradient.detach();
  node.gradient = node.gradient ? plus(std::move(node.gradient), gradient) : std::move(gradient);
}

template <class Inputs, class NodeOf>
std::shared_ptr<Node> make_node(const Tensor& made, const Inputs& inputs, const NodeOf& node_of,
                                Backward backward) {
  auto node = std::make_shared<Node>();
  node->inputs.reserve(inputs.size());
  for (const auto& input : inputs) node->inputs.push_back(node_of(input));
  node->backward = std::move(backward);
  std::ranges::copy(made.shape(), node->shape.begin());
  node->rank = static_cast<int8_t>(made.rank());
  node->order = ++made_so_far;
  return node;
}

struct LaterFirst {
  bool operator()(const std::shared_ptr<Node>& a, const std::shared_ptr<Node>& b) const noexcept {
    return a->order < b->order;
  }
};

// Nodes that have a gradient and pass it on, the latest made on top. All that use a node were made
// behind it: when it is on top its gradient is whole.
class Waiting {
 public:
  void push(const std::shared_ptr<Node>& node) {
    if (node->leaf) return;
    nodes_.push(node);
  }
  // The next node, once.
  std::shared_ptr<Node> pop() {
    std::shared_ptr<Node> top = nodes_.top();
    while (!nodes_.empty() && nodes_.top() == top) nodes_.pop();
    return top;
  }
  bool empty() const { return nodes_.empty(); }

 private:
  std::priority_queue<std::shared_ptr<Node>, std::vector<std::shared_ptr<Node>>, LaterFirst> nodes_;
};

void visit(Node& node, Waiting& waiting) {
  require(static_cast<bool>(node.backward),
          "backward: this part of the tape was used already; compute the result anew");
  const Backward backward = std::exchange(node.backward, nullptr);
  const Tensor gradient = std::exchange(node.gradient, Tensor());
  InputGradients inputs(node.inputs);
  backward(gradient, inputs);
  for (const std::shared_ptr<Node>& input : node.inputs) {
    if (input && input->gradient) waiting.push(input);
  }
}

}  // namespace

Tensor on_tape(Tensor made, std::shared_ptr<Node> node) {
  made.node_ = std::move(node);
  return made;
}

// A chain of nodes, each the last owner of the one before it, is taken apart from a list: the depth
// of the stack does not grow with the length of a recurrence.
Node::~Node() {
  thread_local std::vector<std::shared_ptr<Node>>* ending = nullptr;
  if (ending != nullptr) {
    for (std::shared_ptr<Node>& input : inputs) ending->push_back(std::move(input));
    return;
  }
  std::vector<std::shared_ptr<Node>> list = std::move(inputs);
  ending = &list;
  backward = nullptr;
  while (!list.empty()) {
    const std::shared_ptr<Node> last = std::move(list.back());
    list.pop_back();
  }
  ending = nullptr;
}

void InputGradients::add(int64_t i, Tensor gradient) {
  const std::shared_ptr<Node>& node = inputs_[static_cast<std::size_t>(i)];
  if (!node) return;
  require(same_shape(*node, gradient), "backward: a gradient {} for an input {}", gradient,
          describe(*node));
  add_to(*node, std::move(gradient));
}

Tensor InputGradients::take(int64_t i) {
  const std::shared_ptr<Node>& node = inputs_[static_cast<std::size_t>(i)];
  return node ? owned(std::exchange(node->gradient, Tensor())) : Tensor();
}

bool recording(std::initializer_list<const Tensor*> inputs) noexcept {
  return record_here &&
         std::ranges::any_of(inputs, [](const Tensor* input) { return input->tracked(); });
}

Tensor record(Tensor made, std::initializer_list<const Tensor*> inputs, Backward backward) {
  auto node = make_node(
      made, inputs, [](const Tensor* input) { return input->node(); }, std::move(backward));
  return on_tape(std::move(made), std::move(node));
}

Tensor record(Tensor made, std::span<const Tensor> inputs, Backward backward) {
  auto node = make_node(
      made, inputs, [](const Tensor& input) { return input.node(); }, std::move(backward));
  return on_tape(std::move(made), std::move(node));
}

NoGradient::NoGradient() noexcept : before_(std::exchange(record_here, false)) {}

NoGradient::~NoGradient() { record_here = before_; }

void backward(const Tensor& result) {
  require(result.size() == 1, "backward: {} is not one number; give a cotangent", result);
  Tensor one(result.shape(), result.dtype() == DType::f64 ? DType::f64 : DType::f32);
  if (one.dtype() == DType::f64) {
    one.writable_numbers<double>()[0] = 1;
  } else {
    one.writable_numbers<float>()[0] = 1;
  }
  backward(result, one);
}

void backward(const Tensor& result, const Tensor& cotangent) {
  require(result.tracked(), "backward: {} was not recorded: no input wants a gradient", result);
  require(same_shape(*result.node(), cotangent), "backward: a cotangent {} for {}", cotangent,
          result);
  const NoGradient quiet;
  Waiting waiting;
  add_to(*result.node(), cotangent);
  waiting.push(result.node());
  while (!waiting.empty()) {
    const std::shared_ptr<Node> node = waiting.pop();
    visit(*node, waiting);
    node->inputs.clear();
  }
}

Tensor checkpointed(const std::function<Tensor(std::span<const Tensor>)>& function,
                    std::span<const Tensor> inputs) {
  if (!record_here) return function(inputs);
  std::vector<Tensor> kept;
  for (const Tensor& input : inputs) kept.push_back(input.detach());
  Tensor made;
  {
    const NoGradient quiet;
    made = function(kept);
  }
  // Recorded whether or not an input wants a gradient: leaves that function captures may.
  return record(std::move(made).detach(), inputs,
                [function, kept](const Tensor& gradient, InputGradients& to) {
                  std::vector<Tensor> again = kept;
                  for (std::size_t i = 0; i < again.size(); ++i) {
                    if (again[i] && to.wants(static_cast<int64_t>(i))) again[i].require_gradient();
                  }
                  Tensor result;
                  {
                    const bool before = std::exchange(record_here, true);
                    try {
                      result = function(again);
                    } catch (...) {
                      record_here = before;
                      throw;
                    }
                    record_here = before;
                  }
                  if (!result.tracked()) return;
                  regard::backward(result, gradient);
                  for (std::size_t i = 0; i < again.size(); ++i) {
                    if (again[i].tracked() && again[i].gradient()) {
                      to.add(static_cast<int64_t>(i), again[i].gradient());
                    }
                  }
                });
}

}  // namespace regard
