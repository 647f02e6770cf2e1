// Evaluator: walks the tree of a template and writes what it says.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "chat/ast.h"
#include "values/function.h"
#include "values/text.h"

namespace regard::chat {

// Names that were set in one scope.
struct Variable {
  int id;
  Value value;
};
struct Frame {
  Frame* parent;
  Variable* variables;
  int64_t size;
  int64_t capacity;
};

struct Macro {
  const Node* node;
  Frame* frame;  // where it was defined
};

struct Loop {
  std::span<const Value> items;
  int64_t index;
  int64_t depth;  // of loops that call themselves, from 0
  const Node* node;
  Frame* frame;  // around the loop
  Value seen;    // by changed(); missing before the first
};

class Evaluator {
 public:
  // globals: a value for each of tree.names, missing where there is none.
  // generated: takes the parts of out that generation blocks write.
  Evaluator(Run& run, const Tree& tree, std::span<const Value> globals, Text& out,
            std::vector<ByteRange>& generated);

  void render();

  Value call(const Value& callee, const Call& call);
  Value filter(std::string_view name, const Value& value, const Call& call);
  bool test(std::string_view name, const Value& value, const Call& call);

 private:
  enum class Flow : uint8_t { on, stop, next };

  // Expressions.
  Value evaluate(const Node& node);
  Value compute(const Node& node);
  Value compare_chain(const Node& node);
  Value concat(const Node& node);
  Value make_dict(const Node& node);
  Value subscript_of(const Node& node);
  Value apply(const Node& node, const Value& self);
  Call arguments(const Node& node);
  Value look_up(const Node& name);
  Value attribute_of(const Value& object, const Value& name);
  Value loop_attribute(Loop& loop, std::string_view name);

  // Statements.
  Flow execute(const std::vector<const Node*>& body);
  Flow statement(const Node& node);
  void output(const Value& value);
  Flow branch(const Node& node);
  void loop(const Node& node, const Value& iterable, int64_t depth);
  void generation(const Node& node);
  Value capture(const std::vector<const Node*>& body, Frame* frame, Flow& flow);
  Value call_macro(const Macro& macro, const Call& call);
  Value call_loop(Loop& loop, const Call& call);
  Value make_macro(const Node& node);
  void assign(const Node& target, const Value& value);

  // Scopes.
  Frame* make_frame(Frame* parent);
  void set(Frame& frame, int id, const Value& value);
  class Inside;  // a frame, for as long as it lives

  Run& run_;
  const Tree& tree_;
  std::span<const Value> globals_;
  Text& root_;
  std::vector<ByteRange>& generated_;
  Text* out_;
  Frame* frame_;
  Value piped_;  // what the first filter of a block's chain works on
  int loop_id_ = -1;
  int caller_id_ = -1;
  int varargs_id_ = -1;
  int kwargs_id_ = -1;
};

}  // namespace regard::chat
