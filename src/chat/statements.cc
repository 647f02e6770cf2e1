// The tags of a template: what stands between {% and %}.
#include <algorithm>

#include "chat/parser.h"
#include "unicode/utf8.h"

namespace regard::chat {

void parse(std::string_view source, std::string_view name, const ChatBudget& budget, Tree& tree) {
  if (std::ssize(source) > budget.source_bytes) {
    regard::fail(ErrorKind::unreadable, "{}: {} bytes are over the budget of {}", name,
                 source.size(), budget.source_bytes);
  }
  if (const int64_t bad = unicode::first_invalid_utf8(source); bad >= 0) {
    const auto line = 1 + std::count(source.begin(), source.begin() + bad, '\n');
    fail_syntax(name, static_cast<int>(line), fmt::format("not UTF-8 at byte {}", bad));
  }
  tree.source = normal_lines(source);
  Parser(name, budget, tree).run();
}

void Parser::run() { tree_.body = body({}); }

// Everything up to one of the tags `ends`, whose name is then the token at hand; the whole rest of
// the template where there are none.
Parser::Nodes Parser::body(std::initializer_list<std::string_view> ends) {
  if (++level_ > budget_.depth) fail(fmt::format("nested deeper than {} levels", budget_.depth));
  Nodes nodes;
  while (true) {
    const Token& token = now();
    switch (token.kind) {
      case Token::Kind::data: {
        Node& node = make(NodeKind::data, token.line);
        node.name = take().text;
        nodes.push_back(done(node));
        continue;
      }
      case Token::Kind::variable_begin: {
        Node& node = make(NodeKind::output, take().line);
        node.a = tuple();
        if (now().kind != Token::Kind::variable_end) unexpected();
        take();
        nodes.push_back(done(node));
        continue;
      }
      case Token::Kind::block_begin: {
        take();
        if (now().kind != Token::Kind::name) fail("tag name expected");
        if (std::find(ends.begin(), ends.end(), now().text) != ends.end()) {
          --level_;
          return nodes;
        }
        nodes.push_back(statement());
        end_block();
        continue;
      }
      default:
        break;
    }
    if (ends.size() > 0) {
      fail(fmt::format("unexpected end of the template; it looks for '{}'", *(ends.end() - 1)));
    }
    --level_;
    return nodes;
  }
}

void Parser::end_block() {
  if (now().kind != Token::Kind::block_end) unexpected();
  take();
}

const Node* Parser::statement() {
  const Token& token = take();
  const std::string_view tag = token.text;
  const int line = token.line;
  if (tag == "for") return loop(line);
  if (tag == "if") return branch(line);
  if (tag == "set") return assignment(line);
  if (tag == "macro") return macro(line);
  if (tag == "call") return call_block(line);
  if (tag == "filter") return filter_block(line);
  if (tag == "with") return with(line);
  if (tag == "generation") return generation(line);
  if (tag == "break" || tag == "continue") {
    if (loops_ == 0) fail_syntax(name_, line, fmt::format("'{}' outside loop", tag));
    return done(make(tag == "break" ? NodeKind::stop : NodeKind::next, line));
  }
  if (tag == "include" || tag == "import" || tag == "from" || tag == "extends" || tag == "block") {
    fail_syntax(
        name_, line,
        fmt::format("'{}' is refused: a chat template is one file and reads no other", tag));
  }
  fail_syntax(name_, line, fmt::format("Encountered unknown tag '{}'", shown(tag)));
}

const Node* Parser::loop(int line) {
  Node& node = make(NodeKind::loop, line);
  node.a = target("in", false);
  expect_name("in");
  node.b = tuple(false, false, "recursive");
  if (skip_name("if")) node.c = expression();
  node.flag = skip_name("recursive");
  end_block();
  ++loops_;
  node.blocks.push_back(body({"else", "endfor"}));
  --loops_;
  if (skip_name("else")) {
    end_block();
    node.blocks.push_back(body({"endfor"}));
  }
  expect_name("endfor");
  return done(node);
}

const Node* Parser::branch(int line) {
  Node& node = make(NodeKind::branch, line);
  do {
    node.items.push_back(tuple(false));
    end_block();
    node.blocks.push_back(body({"elif", "else", "endif"}));
  } while (skip_name("elif"));
  if (skip_name("else")) {
    end_block();
    node.blocks.push_back(body({"endif"}));
  }
  expect_name("endif");
  return done(node);
}

// A name, ns.x, or several in brackets.
const Node* Parser::one_target(bool with_members) {
  if (++level_ > budget_.depth) fail(fmt::format("nested deeper than {} levels", budget_.depth));
  const int line = now().line;
  const Node* result = nullptr;
  if (skip("(")) {
    result = target(")", with_members);
    expect(")");
  } else if (skip("[")) {
    Node& node = make(NodeKind::tuple, line);
    while (!now().is("]")) {
      if (!node.items.empty()) expect(",");
      node.items.push_back(one_target(with_members));
    }
    expect("]");
    result = done(node);
  } else {
    Node& node = make(NodeKind::name, line);
    const std::string_view word = take_name();
    for (const std::string_view taken : {"true", "false", "none", "True", "False", "None"}) {
      if (word == taken) fail(fmt::format("cannot assign to '{}'", word));
    }
    node.name = word;
    node.id = id_of(word);
    if (with_members && skip(".")) {
      node.kind = NodeKind::member;
      node.name = take_name();
      node.b = text_constant(std::string(node.name), line);
    }
    result = done(node);
  }
  --level_;
  return result;
}

const Node* Parser::target(std::string_view ends, bool with_members) {
  const int line = now().line;
  const auto at_end = [&] {
    return now().is(ends) || now().names(ends) || now().kind == Token::Kind::block_end;
  };
  Nodes targets;
  bool commas = false;
  while (true) {
    if (!targets.empty()) expect(",");
    if (at_end()) break;
    targets.push_back(one_target(with_members));
    if (!now().is(",")) break;
    commas = true;
  }
  if (!commas && !targets.empty()) return targets[0];
  if (targets.empty()) unexpected();
  Node& node = make(NodeKind::tuple, line);
  node.items = std::move(targets);
  return done(node);
}

const Node* Parser::assignment(int line) {
  const Node* to = target("=", true);
  if (skip("=")) {
    Node& node = make(NodeKind::assignment, line);
    node.a = to;
    node.b = tuple();
    return done(node);
  }
  Node& node = make(NodeKind::capture, line);
  node.a = to;
  if (now().is("|")) node.b = filter_chain(nullptr, false);
  end_block();
  node.blocks.push_back(body({"endset"}));
  expect_name("endset");
  return done(node);
}

void Parser::parameters(Node& macro) {
  expect("(");
  while (!now().is(")")) {
    if (!macro.items.empty()) expect(",");
    Node& name = make(NodeKind::name, now().line);
    name.name = take_name();
    name.id = id_of(name.name);
    macro.items.push_back(done(name));
    if (skip("=")) {
      macro.named.emplace_back(name.name, expression());
    } else if (!macro.named.empty()) {
      fail("non-default argument follows default argument");
    }
  }
  expect(")");
}

void Parser::macro_body(Node& macro, std::string_view end) {
  macros_.push_back(&macro);
  const int loops = std::exchange(loops_, 0);
  end_block();
  macro.blocks.push_back(body({end}));
  expect_name(end);
  loops_ = loops;
  macros_.pop_back();
}

const Node* Parser::macro(int line) {
  Node& node = make(NodeKind::macro, line);
  node.name = take_name();
  node.id = id_of(node.name);
  parameters(node);
  macro_body(node, "endmacro");
  return done(node);
}

const Node* Parser::call_block(int line) {
  Node& node = make(NodeKind::call_block, line);
  Node& caller = make(NodeKind::macro, line);
  caller.name = "caller";
  if (now().is("(")) parameters(caller);
  const Node* callee = expression();
  if (callee->kind != NodeKind::call) fail("expected call");
  node.a = callee;
  macro_body(caller, "endcall");
  node.b = done(caller);
  return done(node);
}

const Node* Parser::filter_block(int line) {
  Node& node = make(NodeKind::filtered, line);
  node.b = filter_chain(nullptr, true);
  end_block();
  node.blocks.push_back(body({"endfilter"}));
  expect_name("endfilter");
  return done(node);
}

const Node* Parser::with(int line) {
  Node& node = make(NodeKind::scope, line);
  while (now().kind != Token::Kind::block_end) {
    if (!node.items.empty()) expect(",");
    node.items.push_back(target("=", false));
    expect("=");
    node.named.emplace_back("", expression());
  }
  end_block();
  node.blocks.push_back(body({"endwith"}));
  expect_name("endwith");
  return done(node);
}

const Node* Parser::generation(int line) {
  Node& node = make(NodeKind::generation, line);
  const int loops = std::exchange(loops_, 0);
  end_block();
  node.blocks.push_back(body({"endgeneration"}));
  expect_name("endgeneration");
  loops_ = loops;
  return done(node);
}

}  // namespace regard::chat
