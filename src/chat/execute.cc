// Statements: what they write, and the scopes in which they set names.
#include <algorithm>
#include <utility>

#include "chat/evaluate.h"
#include "values/print.h"

namespace regard::chat {

class Evaluator::Inside {
 public:
  Inside(Evaluator& evaluator, Frame* frame)
      : evaluator_(evaluator), before_(std::exchange(evaluator.frame_, frame)) {}
  ~Inside() { evaluator_.frame_ = before_; }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

 private:
  Evaluator& evaluator_;
  Frame* before_;
};

Evaluator::Evaluator(Run& run, const Tree& tree, std::span<const Value> globals, Text& out,
                     std::vector<ByteRange>& generated)
    : run_(run),
      tree_(tree),
      globals_(globals),
      root_(out),
      generated_(generated),
      out_(&out),
      frame_(make_frame(nullptr)) {
  for (std::size_t i = 0; i < tree.names.size(); ++i) {
    const auto id = static_cast<int>(i);
    if (tree.names[i] == "loop") loop_id_ = id;
    if (tree.names[i] == "caller") caller_id_ = id;
    if (tree.names[i] == "varargs") varargs_id_ = id;
    if (tree.names[i] == "kwargs") kwargs_id_ = id;
  }
}

void Evaluator::render() { execute(tree_.body); }

Frame* Evaluator::make_frame(Frame* parent) {
  auto* frame = run_.make<Frame>(1);
  *frame = {parent, nullptr, 0, 0};
  return frame;
}

void Evaluator::set(Frame& frame, int id, const Value& value) {
  if (id < 0) return;  // no part of the template reads it
  run_.step(frame.size / 8);
  for (int64_t i = 0; i < frame.size; ++i) {
    if (frame.variables[i].id == id) {
      frame.variables[i].value = value;
      return;
    }
  }
  if (frame.size == frame.capacity) {
    const int64_t capacity = std::max<int64_t>(4, 2 * frame.capacity);
    auto* more = run_.make<Variable>(capacity);
    std::copy_n(frame.variables, frame.size, more);
    frame.variables = more;
    frame.capacity = capacity;
  }
  frame.variables[frame.size++] = {id, value};
}

Evaluator::Flow Evaluator::execute(const std::vector<const Node*>& body) {
  const Run::Deeper deeper(run_);
  for (const Node* node : body) {
    run_.step();
    run_.line = node->line;
    const Flow flow = statement(*node);
    if (flow != Flow::on) return flow;
  }
  return Flow::on;
}

void Evaluator::output(const Value& value) {
  write(run_, value, *out_);
  if (root_.size() > run_.budget().output_bytes) {
    run_.exceed("the text is over its budget of {} bytes", run_.budget().output_bytes);
  }
}

Evaluator::Flow Evaluator::statement(const Node& node) {
  Flow flow = Flow::on;
  switch (node.kind) {
    case NodeKind::data:
      out_->add(node.name);
      if (root_.size() > run_.budget().output_bytes) output(none());
      break;
    case NodeKind::output:
      output(evaluate(*node.a));
      break;
    case NodeKind::branch:
      return branch(node);
    case NodeKind::loop:
      loop(node, evaluate(*node.b), 0);
      break;
    case NodeKind::assignment:
      assign(*node.a, evaluate(*node.b));
      break;
    case NodeKind::capture: {
      piped_ = capture(node.blocks[0], make_frame(frame_), flow);
      if (flow != Flow::on) return flow;
      assign(*node.a, node.b != nullptr ? evaluate(*node.b) : piped_);
      break;
    }
    case NodeKind::filtered:
      piped_ = capture(node.blocks[0], make_frame(frame_), flow);
      if (flow != Flow::on) return flow;
      output(evaluate(*node.b));
      break;
    case NodeKind::scope: {
      Frame* frame = make_frame(frame_);
      std::vector<Value> values;
      for (const auto& [name, value] : node.named) values.push_back(evaluate(*value));
      const Inside inside(*this, frame);
      for (std::size_t i = 0; i < values.size(); ++i) assign(*node.items[i], values[i]);
      return execute(node.blocks[0]);
    }
    case NodeKind::macro:
      set(*frame_, node.id, make_macro(node));
      break;
    case NodeKind::call_block: {
      const Value callee = evaluate(*node.a->a);
      Call given = arguments(*node.a);
      given.named.emplace_back("caller", make_macro(*node.b));
      run_.line = node.line;
      output(call(callee, given));
      break;
    }
    case NodeKind::generation:
      generation(node);
      break;
    case NodeKind::stop:
      return Flow::stop;
    case NodeKind::next:
      return Flow::next;
    default:
      run_.fail("this is no statement");
  }
  return flow;
}

Evaluator::Flow Evaluator::branch(const Node& node) {
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    if (truth(evaluate(*node.items[i]))) return execute(node.blocks[i]);
  }
  if (node.blocks.size() > node.items.size()) return execute(node.blocks.back());
  return Flow::on;
}

void Evaluator::loop(const Node& node, const Value& iterable, int64_t depth) {
  std::span<const Value> items = iterate(run_, iterable);
  std::vector<Value> kept;
  if (node.c != nullptr) {
    for (const Value& item : items) {
      run_.step();
      const Inside inside(*this, make_frame(frame_));
      assign(*node.a, item);
      if (truth(evaluate(*node.c))) kept.push_back(item);
    }
    items = {run_.make<Value>(std::ssize(kept)), kept.size()};
    std::copy(kept.begin(), kept.end(), const_cast<Value*>(items.data()));
  }
  auto* state = run_.make<Loop>(1);
  *state = {items, 0, depth, &node, frame_, missing()};
  bool completed = false;
  for (; state->index < std::ssize(items); ++state->index) {
    run_.step();
    Frame* frame = make_frame(state->frame);
    const Inside inside(*this, frame);
    set(*frame, loop_id_, {.kind = Kind::loop, .loop = state});
    assign(*node.a, items[static_cast<std::size_t>(state->index)]);
    const Flow flow = execute(node.blocks[0]);
    completed |= flow == Flow::on;
    if (flow == Flow::stop) break;
  }
  // As in jinja2: also where every pass ended in a break or continue.
  if (!completed && node.blocks.size() > 1) {
    const Inside inside(*this, make_frame(frame_));
    execute(node.blocks[1]);
  }
}

// A scope of its own, and its text noted where it goes straight into the rendered one.
void Evaluator::generation(const Node& node) {
  const Inside inside(*this, make_frame(frame_));
  const int64_t begin = root_.size();
  const bool straight = out_ == &root_;
  execute(node.blocks[0]);
  if (straight && root_.size() > begin) generated_.push_back({begin, root_.size()});
}

Value Evaluator::capture(const std::vector<const Node*>& body, Frame* frame, Flow& flow) {
  Text text(run_);
  const Inside inside(*this, frame);
  Text* const before = std::exchange(out_, &text);
  flow = execute(body);
  out_ = before;
  return text.finish();
}

Value Evaluator::make_macro(const Node& node) {
  auto* macro = run_.make<Macro>(1);
  *macro = {&node, frame_};
  auto* function = run_.make<Function>(1);
  *function = {node.name, nullptr, {}, macro};
  return {.kind = Kind::function, .function = function};
}

Value Evaluator::call_macro(const Macro& macro, const Call& call) {
  const Node& node = *macro.node;
  const std::size_t count = node.items.size();
  std::vector<std::pair<std::string_view, Value>> named = call.named;
  const auto take = [&](std::string_view name) {
    const auto at = std::find_if(named.begin(), named.end(),
                                 [&](const auto& one) { return one.first == name; });
    if (at == named.end()) return missing();
    const Value value = at->second;
    named.erase(at);
    return value;
  };
  Frame* frame = make_frame(macro.frame);
  const Inside inside(*this, frame);
  const std::size_t first_default = count - node.named.size();
  for (std::size_t i = 0; i < count; ++i) {
    const Node& parameter = *node.items[i];
    Value value = i < call.positional.size() ? call.positional[i] : take(parameter.name);
    if (value.is(Kind::missing)) {
      value = i >= first_default ? evaluate(*node.named[i - first_default].second)
                                 : undefined(run_, parameter.name);
    }
    set(*frame, parameter.id, value);
  }
  if (node.uses_caller) {
    const Value caller = take("caller");
    set(*frame, caller_id_,
        caller.is(Kind::missing) ? undefined(run_, "caller", "", "No caller defined") : caller);
  }
  if (node.uses_kwargs) {
    std::vector<Entry> entries;
    for (const auto& [name, value] : named) entries.push_back({text(run_, name), value});
    set(*frame, kwargs_id_, dict(run_, entries));
  } else if (!named.empty()) {
    run_.fail("macro '{}' takes no keyword argument '{}'", node.name, shown(named[0].first));
  }
  if (node.uses_varargs) {
    const std::size_t first = std::min(count, call.positional.size());
    set(*frame, varargs_id_,
        sequence(run_, SequenceKind::tuple, std::span(call.positional).subspan(first)));
  } else if (call.positional.size() > count) {
    run_.fail("macro '{}' takes not more than {} argument(s)", node.name, count);
  }
  Flow flow = Flow::on;
  return capture(node.blocks[0], frame, flow);
}

Value Evaluator::call_loop(Loop& state, const Call& call) {
  if (!state.node->flag) {
    run_.fail("The loop must have the 'recursive' marker to be called recursively.");
  }
  if (call.positional.size() != 1) run_.fail("a loop is called with one iterable");
  Text text(run_);
  const Inside inside(*this, state.frame);
  Text* const before = std::exchange(out_, &text);
  loop(*state.node, call.positional[0], state.depth + 1);
  out_ = before;
  return text.finish();
}

void Evaluator::assign(const Node& target, const Value& value) {
  switch (target.kind) {
    case NodeKind::name:
      return set(*frame_, target.id, value);
    case NodeKind::member: {
      const Value space = look_up(target);
      if (!space.is(Kind::name_space)) {
        run_.fail("cannot assign attribute on non-namespace object");
      }
      if (target.name.starts_with('_')) {
        run_.fail("a namespace cannot store '{}': it begins with an underscore", target.name);
      }
      return regard::chat::assign(run_, *space.name_space, target.b->value, value);
    }
    default:
      break;
  }
  const auto values = iterate(run_, value);
  if (values.size() != target.items.size()) {
    run_.fail("{} values to unpack into {} names", values.size(), target.items.size());
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    run_.step();
    assign(*target.items[i], values[i]);
  }
}

}  // namespace regard::chat
