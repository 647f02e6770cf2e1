// Parser: tokens to a tree, by the grammar of Jinja. Expressions are in parser.cc, statements in
// statements.cc.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <unordered_map>

#include "chat/ast.h"
#include "chat/lexer.h"
#include "values/text.h"

namespace regard::chat {

class Parser {
 public:
  Parser(std::string_view name, const ChatBudget& budget, Tree& tree);
  void run();

 private:
  using Nodes = std::vector<const Node*>;

  // Tokens.
  const Token& now() const noexcept { return tokens_[at_]; }
  const Token& ahead() const noexcept { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  const Token& take() noexcept { return at_ + 1 < tokens_.size() ? tokens_[at_++] : tokens_[at_]; }
  bool skip(std::string_view sign) noexcept;
  bool skip_name(std::string_view name) noexcept;
  void expect(std::string_view sign);
  void expect_name(std::string_view name);
  std::string_view take_name();
  [[noreturn]] void fail(std::string_view message) const;
  [[noreturn]] void unexpected() const;

  // Nodes.
  Node& make(NodeKind kind, int line);
  const Node* done(Node& node);  // sets its depth, or throws
  const Node* text_constant(const std::string& text, int line);
  int id_of(std::string_view name);
  class Level;  // of recursion

  // Expressions, the loosest first. with_if: may `a if b` stand here?
  const Node* expression(bool with_if = true);
  const Node* either();
  const Node* both();
  const Node* negation();
  const Node* comparison();
  const Node* sum();
  const Node* concat();
  const Node* product();
  const Node* power();
  const Node* unary(bool with_filters = true);
  const Node* primary();
  const Node* postfix(const Node* node);
  const Node* filters(const Node* node);
  const Node* filter_chain(const Node* node, bool first_without_pipe);
  const Node* test(const Node* node);
  const Node* subscript(const Node* node);
  const Node* subscribed();
  const Node* call(const Node* node);
  void call_arguments(Node& node);
  // Expressions with commas between: a tuple, or the one expression.
  const Node* tuple(bool with_if = true, bool in_brackets = false, std::string_view ends = {});

  // Statements.
  Nodes body(std::initializer_list<std::string_view> ends);
  const Node* statement();
  const Node* loop(int line);
  const Node* branch(int line);
  const Node* assignment(int line);
  const Node* macro(int line);
  const Node* call_block(int line);
  const Node* filter_block(int line);
  const Node* with(int line);
  const Node* generation(int line);
  const Node* target(std::string_view ends, bool with_members);
  const Node* one_target(bool with_members);
  void parameters(Node& macro);
  void macro_body(Node& macro, std::string_view end);
  void end_block();

  std::string_view name_;
  const ChatBudget& budget_;
  Tree& tree_;
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  int64_t level_ = 0;
  int loops_ = 0;  // around this place, in this macro
  std::vector<Node*> macros_;
  std::unordered_map<std::string_view, int> ids_;
};

}  // namespace regard::chat
