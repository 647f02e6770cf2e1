// A template as a tree. Nodes look into their Tree and live as long as it.
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "values/operators.h"

namespace regard::chat {

enum class NodeKind : uint8_t {
  // Expressions.
  constant,     // value
  name,         // id
  tuple,        // items
  list,         // items
  dict,         // items: key, value, key, value, ...
  conditional,  // a if b else c; c may be null
  both,         // a and b
  either,       // a or b
  negation,     // not a
  comparison,   // a, then operators with items
  arithmetic,   // a operators[0] b
  minus,        // -a
  plus,         // +a
  concat,       // items, joined by ~
  attribute,    // a.name
  subscript,    // a[b]
  slice,        // a:b:c, as the b of a subscript; each may be null
  call,         // a(items, named, *b, **c)
  filter,       // a | name(items, named, *b, **c); a may be null: the text of a block
  test,         // a is name(items, named, *b, **c)
  // Targets of assignments: name, tuple, and
  member,  // name id, attribute name: ns.x
  // Statements.
  data,        // name: the text
  output,      // a
  branch,      // items: tests, blocks: their bodies, then perhaps one more without a test
  loop,        // for a in b if c: blocks[0], else blocks[1]; flag: recursive
  assignment,  // set a = b
  capture,     // set a | b: blocks[0]; b may be null
  filtered,    // filter b: blocks[0]
  scope,       // with named targets items = values in named: blocks[0]
  macro,       // id, name, items: parameters, defaults in named: blocks[0]
  call_block,  // a: the call, b: the macro made of the body
  generation,  // blocks[0]
  stop,        // break
  next,        // continue
};

struct Node {
  NodeKind kind = NodeKind::constant;
  int line = 1;
  int depth = 1;  // of the tree below
  int id = -1;    // of a name: its place in Tree::names
  bool flag = false;
  bool uses_caller = false;  // of a macro
  bool uses_varargs = false;
  bool uses_kwargs = false;
  std::string_view name = {};
  const Builtin* builtin = nullptr;  // of a filter or test; null where there is none of its name
  Value value = {};
  String string = {};  // what value points to
  const Node* a = nullptr;
  const Node* b = nullptr;
  const Node* c = nullptr;
  std::vector<const Node*> items = {};
  std::vector<Operator> operators = {};
  std::vector<std::pair<std::string_view, const Node*>> named = {};
  std::vector<std::vector<const Node*>> blocks = {};
};

struct Tree {
  std::string source;  // lines ended by "\n"
  std::deque<Node> nodes;
  std::deque<std::string> strings;
  std::vector<std::string_view> names;
  std::vector<const Node*> body;
};

// Throws Error(unreadable) "name, line 3: ...".
void parse(std::string_view source, std::string_view name, const ChatBudget& budget, Tree& tree);

}  // namespace regard::chat
