#include "chat/evaluate.h"

#include "chat/builtins.h"
#include "values/print.h"

namespace regard::chat {

Value Evaluator::evaluate(const Node& node) {
  run_.step();
  const Run::Deeper deeper(run_);
  run_.line = node.line;
  return compute(node);
}

Value Evaluator::compute(const Node& node) {
  switch (node.kind) {
    case NodeKind::constant:
      return node.value;
    case NodeKind::name:
      return look_up(node);
    case NodeKind::tuple:
    case NodeKind::list: {
      std::vector<Value> values;
      values.reserve(node.items.size());
      for (const Node* item : node.items) values.push_back(evaluate(*item));
      return sequence(run_, node.kind == NodeKind::tuple ? SequenceKind::tuple : SequenceKind::list,
                      values);
    }
    case NodeKind::dict:
      return make_dict(node);
    case NodeKind::conditional:
      if (truth(evaluate(*node.b))) return evaluate(*node.a);
      if (node.c != nullptr) return evaluate(*node.c);
      return undefined(run_, "", "", "an inline if is false and has no else");
    case NodeKind::both: {
      const Value left = evaluate(*node.a);
      return truth(left) ? evaluate(*node.b) : left;
    }
    case NodeKind::either: {
      const Value left = evaluate(*node.a);
      return truth(left) ? left : evaluate(*node.b);
    }
    case NodeKind::negation:
      return boolean(!truth(evaluate(*node.a)));
    case NodeKind::comparison:
      return compare_chain(node);
    case NodeKind::arithmetic: {
      const Value left = evaluate(*node.a);
      const Value right = evaluate(*node.b);
      run_.line = node.line;
      return arithmetic(run_, node.operators[0], left, right);
    }
    case NodeKind::minus:
      return negated(run_, evaluate(*node.a));
    case NodeKind::plus:
      return identity(run_, evaluate(*node.a));
    case NodeKind::concat:
      return concat(node);
    case NodeKind::attribute: {
      const Value object = evaluate(*node.a);
      run_.line = node.line;
      return attribute_of(object, node.b->value);
    }
    case NodeKind::subscript:
      return subscript_of(node);
    case NodeKind::call: {
      const Value callee = evaluate(*node.a);
      const Call given = arguments(node);
      run_.line = node.line;
      return call(callee, given);
    }
    case NodeKind::filter:
      return apply(node, node.a != nullptr ? evaluate(*node.a) : piped_);
    case NodeKind::test:
      return apply(node, evaluate(*node.a));
    default:
      break;
  }
  run_.fail("this is no expression");
}

Value Evaluator::look_up(const Node& name) {
  for (const Frame* frame = frame_; frame != nullptr; frame = frame->parent) {
    run_.step(frame->size / 8);
    for (int64_t i = frame->size; i-- > 0;) {
      if (frame->variables[i].id == name.id) return frame->variables[i].value;
    }
  }
  const Value& global = globals_[static_cast<std::size_t>(name.id)];
  return global.is(Kind::missing) ? undefined(run_, name.name) : global;
}

Value Evaluator::compare_chain(const Node& node) {
  Value left = evaluate(*node.a);
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    const Value right = evaluate(*node.items[i]);
    run_.line = node.line;
    if (!compared(run_, node.operators[i], left, right)) return boolean(false);
    left = right;
  }
  return boolean(true);
}

Value Evaluator::concat(const Node& node) {
  Text out(run_);
  for (const Node* item : node.items) write(run_, evaluate(*item), out);
  return out.finish();
}

Value Evaluator::make_dict(const Node& node) {
  std::vector<Entry> entries;
  for (std::size_t i = 0; i < node.items.size(); i += 2) {
    const Value key = evaluate(*node.items[i]);
    entries.push_back({key, evaluate(*node.items[i + 1])});
  }
  run_.line = node.line;
  return dict(run_, entries);
}

Value Evaluator::subscript_of(const Node& node) {
  const Value object = evaluate(*node.a);
  const Node& key = *node.b;
  if (key.kind == NodeKind::slice) {
    const auto bound = [&](const Node* one) { return one == nullptr ? none() : evaluate(*one); };
    const Bounds bounds{bound(key.a), bound(key.b), bound(key.c)};
    run_.line = node.line;
    return slice(run_, object, bounds);
  }
  const Value index = evaluate(key);
  run_.line = node.line;
  if (object.is(Kind::loop) && index.is(Kind::string)) return attribute_of(object, index);
  return subscript(run_, object, index);
}

Value Evaluator::attribute_of(const Value& object, const Value& name) {
  if (object.is(Kind::loop)) return loop_attribute(*object.loop, name.text());
  return attribute(run_, object, name);
}

Value Evaluator::apply(const Node& node, const Value& self) {
  const bool is_filter = node.kind == NodeKind::filter;
  if (node.builtin == nullptr) {
    run_.fail("No {} named '{}'", is_filter ? "filter" : "test", shown(node.name));
  }
  const Call given = arguments(node);
  run_.line = node.line;
  const Value result = invoke(run_, *this, *node.builtin, self, given);
  return is_filter ? result : boolean(truth(result));
}

Call Evaluator::arguments(const Node& node) {
  Call call;
  for (const Node* item : node.items) call.positional.push_back(evaluate(*item));
  for (const auto& [name, item] : node.named) call.named.emplace_back(name, evaluate(*item));
  if (node.b != nullptr && node.kind != NodeKind::subscript) {
    for (const Value& value : iterate(run_, evaluate(*node.b))) {
      run_.step();
      call.positional.push_back(value);
    }
  }
  if (node.c != nullptr) {
    const Value all = evaluate(*node.c);
    if (!all.is(Kind::dict)) run_.fail("argument after ** must be a mapping");
    for (int64_t i = 0; i < all.dict->size; ++i) {
      run_.step();
      const Entry& entry = all.dict->entries[i];
      if (!entry.key.is(Kind::string)) run_.fail("keywords must be strings");
      call.named.emplace_back(entry.key.text(), entry.value);
    }
  }
  for (std::size_t i = 0; i < call.named.size(); ++i) {
    run_.step(static_cast<int64_t>(i) / 8);
    for (std::size_t k = 0; k < i; ++k) {
      if (call.named[k].first == call.named[i].first) {
        run_.fail("keyword argument repeated: {}", shown(call.named[i].first));
      }
    }
  }
  return call;
}

Value Evaluator::call(const Value& callee, const Call& given) {
  defined(run_, callee);
  const Run::Deeper deeper(run_);
  if (callee.is(Kind::loop)) return call_loop(*callee.loop, given);
  if (!callee.is(Kind::function)) run_.fail("'{}' object is not callable", type_name(callee));
  const Function& function = *callee.function;
  if (function.macro != nullptr) return call_macro(*function.macro, given);
  return invoke(run_, *this, *function.builtin, function.self, given);
}

Value Evaluator::filter(std::string_view name, const Value& value, const Call& given) {
  const Builtin* builtin = find_filter(name);
  if (builtin == nullptr) run_.fail("No filter named '{}'", shown(name));
  const Run::Deeper deeper(run_);
  return invoke(run_, *this, *builtin, value, given);
}

bool Evaluator::test(std::string_view name, const Value& value, const Call& given) {
  const Builtin* builtin = find_test(name);
  if (builtin == nullptr) run_.fail("No test named '{}'", shown(name));
  const Run::Deeper deeper(run_);
  return truth(invoke(run_, *this, *builtin, value, given));
}

namespace {

Loop& loop_of(const Arguments& all) { return *all.self.loop; }

Value cycle(const Arguments& all) {
  const auto& values = all.call.positional;
  if (values.empty()) all.run.fail("no items for cycling given");
  return values[static_cast<std::size_t>(loop_of(all).index) % values.size()];
}

Value changed(const Arguments& all) {
  Loop& loop = loop_of(all);
  const Value now = sequence(all.run, SequenceKind::tuple, all.call.positional);
  const bool same = !loop.seen.is(Kind::missing) && equal(all.run, loop.seen, now);
  loop.seen = now;
  return boolean(!same);
}

constexpr Builtin kLoopMethods[] = {{"cycle", cycle, "*"}, {"changed", changed, "*"}};

}  // namespace

Value Evaluator::loop_attribute(Loop& loop, std::string_view name) {
  const auto count = std::ssize(loop.items);
  const auto item = [&](int64_t index, std::string_view hint) {
    return index < 0 || index >= count ? undefined(run_, name, "", hint)
                                       : loop.items[static_cast<std::size_t>(index)];
  };
  if (name == "index") return integer(loop.index + 1);
  if (name == "index0") return integer(loop.index);
  if (name == "first") return boolean(loop.index == 0);
  if (name == "last") return boolean(loop.index + 1 == count);
  if (name == "length") return integer(count);
  if (name == "revindex") return integer(count - loop.index);
  if (name == "revindex0") return integer(count - loop.index - 1);
  if (name == "depth") return integer(loop.depth + 1);
  if (name == "depth0") return integer(loop.depth);
  if (name == "previtem") return item(loop.index - 1, "there is no previous item");
  if (name == "nextitem") return item(loop.index + 1, "there is no next item");
  for (const Builtin& builtin : kLoopMethods) {
    if (builtin.name != name) continue;
    auto* made = run_.make<Function>(1);
    *made = {builtin.name, &builtin, {.kind = Kind::loop, .loop = &loop}, nullptr};
    return {.kind = Kind::function, .function = made};
  }
  return undefined(run_, name, "LoopContext");
}

}  // namespace regard::chat
