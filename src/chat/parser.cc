#include "chat/parser.h"

#include <algorithm>

#include "chat/builtins.h"

namespace regard::chat {

class Parser::Level {
 public:
  explicit Level(Parser& parser) : parser_(parser) {
    if (++parser.level_ > parser.budget_.depth) {
      parser.fail(fmt::format("nested deeper than {} levels", parser.budget_.depth));
    }
  }
  ~Level() { --parser_.level_; }
  Level(const Level&) = delete;
  Level& operator=(const Level&) = delete;

 private:
  Parser& parser_;
};

Parser::Parser(std::string_view name, const ChatBudget& budget, Tree& tree)
    : name_(name),
      budget_(budget),
      tree_(tree),
      tokens_(tokens_of(tree.source, name, budget.depth)) {}

bool Parser::skip(std::string_view sign) noexcept {
  if (!now().is(sign)) return false;
  take();
  return true;
}

bool Parser::skip_name(std::string_view name) noexcept {
  if (!now().names(name)) return false;
  take();
  return true;
}

void Parser::expect(std::string_view sign) {
  if (!skip(sign)) unexpected();
}

void Parser::expect_name(std::string_view name) {
  if (!skip_name(name)) unexpected();
}

std::string_view Parser::take_name() {
  if (now().kind != Token::Kind::name) unexpected();
  return take().text;
}

void Parser::fail(std::string_view message) const { fail_syntax(name_, now().line, message); }

void Parser::unexpected() const {
  switch (now().kind) {
    case Token::Kind::end:
      fail("unexpected end of the template");
    case Token::Kind::block_end:
    case Token::Kind::variable_end:
      fail("unexpected end of the tag");
    default:
      fail(fmt::format("unexpected '{}'", shown(now().text)));
  }
}

Node& Parser::make(NodeKind kind, int line) {
  Node& node = tree_.nodes.emplace_back();
  node.kind = kind;
  node.line = line;
  return node;
}

const Node* Parser::done(Node& node) {
  int below = 0;
  const auto look = [&](const Node* child) {
    if (child != nullptr) below = std::max(below, child->depth);
  };
  look(node.a);
  look(node.b);
  look(node.c);
  for (const Node* child : node.items) look(child);
  for (const auto& [name, child] : node.named) look(child);
  for (const Nodes& block : node.blocks) {
    for (const Node* child : block) look(child);
  }
  node.depth = below + 1;
  if (node.depth > budget_.depth) {
    fail_syntax(name_, node.line, fmt::format("nested deeper than {} levels", budget_.depth));
  }
  return &node;
}

const Node* Parser::text_constant(const std::string& text, int line) {
  Node& node = make(NodeKind::constant, line);
  const std::string& kept = tree_.strings.emplace_back(text);
  const bool ascii = std::none_of(kept.begin(), kept.end(),
                                  [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
  node.string = {kept.data(), std::ssize(kept), {}, nullptr, nullptr, ascii, false};
  node.value = {.kind = Kind::string, .string = &node.string};
  return done(node);
}

int Parser::id_of(std::string_view name) {
  const auto [at, added] = ids_.try_emplace(name, static_cast<int>(tree_.names.size()));
  if (added) tree_.names.push_back(name);
  for (Node* macro : macros_) {
    if (name == "caller") macro->uses_caller = true;
    if (name == "varargs") macro->uses_varargs = true;
    if (name == "kwargs") macro->uses_kwargs = true;
  }
  return at->second;
}

const Node* Parser::expression(bool with_if) {
  const Level level(*this);
  int line = now().line;
  const Node* left = either();
  while (with_if && skip_name("if")) {
    Node& node = make(NodeKind::conditional, line);
    node.a = left;
    node.b = either();
    if (skip_name("else")) node.c = expression();
    left = done(node);
    line = now().line;
  }
  return left;
}

const Node* Parser::either() {
  const Node* left = both();
  while (now().names("or")) {
    Node& node = make(NodeKind::either, take().line);
    node.a = left;
    node.b = both();
    left = done(node);
  }
  return left;
}

const Node* Parser::both() {
  const Node* left = negation();
  while (now().names("and")) {
    Node& node = make(NodeKind::both, take().line);
    node.a = left;
    node.b = negation();
    left = done(node);
  }
  return left;
}

const Node* Parser::negation() {
  if (!now().names("not")) return comparison();
  const Level level(*this);
  Node& node = make(NodeKind::negation, take().line);
  node.a = negation();
  return done(node);
}

const Node* Parser::comparison() {
  static constexpr std::pair<std::string_view, Operator> kSigns[] = {
      {"==", Operator::equal},      {"!=", Operator::not_equal}, {"<", Operator::less},
      {"<=", Operator::less_equal}, {">", Operator::greater},    {">=", Operator::greater_equal}};
  const int line = now().line;
  const Node* left = sum();
  Node* node = nullptr;
  while (true) {
    Operator what = Operator::in;
    const auto* sign = std::find_if(std::begin(kSigns), std::end(kSigns),
                                    [&](const auto& one) { return now().is(one.first); });
    if (sign != std::end(kSigns)) {
      what = sign->second;
      take();
    } else if (now().names("not") && ahead().names("in")) {
      what = Operator::not_in;
      take();
      take();
    } else if (!skip_name("in")) {
      break;
    }
    if (node == nullptr) {
      node = &make(NodeKind::comparison, line);
      node->a = left;
    }
    node->operators.push_back(what);
    node->items.push_back(sum());
  }
  return node == nullptr ? left : done(*node);
}

const Node* Parser::sum() {
  const Node* left = concat();
  while (now().is("+") || now().is("-")) {
    Node& node = make(NodeKind::arithmetic, now().line);
    node.operators = {take().is("+") ? Operator::add : Operator::subtract};
    node.a = left;
    node.b = concat();
    left = done(node);
  }
  return left;
}

const Node* Parser::concat() {
  const int line = now().line;
  const Node* left = product();
  if (!now().is("~")) return left;
  Node& node = make(NodeKind::concat, line);
  node.items.push_back(left);
  while (skip("~")) node.items.push_back(product());
  return done(node);
}

const Node* Parser::product() {
  static constexpr std::pair<std::string_view, Operator> kSigns[] = {{"*", Operator::multiply},
                                                                     {"/", Operator::divide},
                                                                     {"//", Operator::floor_divide},
                                                                     {"%", Operator::modulo}};
  const Node* left = power();
  while (true) {
    const auto* sign = std::find_if(std::begin(kSigns), std::end(kSigns),
                                    [&](const auto& one) { return now().is(one.first); });
    if (sign == std::end(kSigns)) return left;
    Node& node = make(NodeKind::arithmetic, take().line);
    node.operators = {sign->second};
    node.a = left;
    node.b = power();
    left = done(node);
  }
}

const Node* Parser::power() {
  const Node* left = unary();
  while (now().is("**")) {
    Node& node = make(NodeKind::arithmetic, take().line);
    node.operators = {Operator::power};
    node.a = left;
    node.b = unary();
    left = done(node);
  }
  return left;
}

const Node* Parser::unary(bool with_filters) {
  const Node* node = nullptr;
  if (now().is("-") || now().is("+")) {
    const Level level(*this);
    const bool minus = now().is("-");
    Node& sign = make(minus ? NodeKind::minus : NodeKind::plus, take().line);
    sign.a = unary(false);
    node = done(sign);
  } else {
    node = primary();
  }
  node = postfix(node);
  return with_filters ? filters(node) : node;
}

const Node* Parser::primary() {
  const Token& token = now();
  const int line = token.line;
  switch (token.kind) {
    case Token::Kind::name: {
      const std::string_view word = take().text;
      Node& node = make(NodeKind::constant, line);
      if (word == "true" || word == "True" || word == "false" || word == "False") {
        node.value = boolean(word == "true" || word == "True");
      } else if (word == "none" || word == "None") {
        node.value = none();
      } else {
        node.kind = NodeKind::name;
        node.name = word;
        node.id = id_of(word);
      }
      return done(node);
    }
    case Token::Kind::string: {
      std::string text;
      while (now().kind == Token::Kind::string) text += take().value;
      return text_constant(text, line);
    }
    case Token::Kind::integer:
    case Token::Kind::real: {
      Node& node = make(NodeKind::constant, line);
      node.value = token.kind == Token::Kind::real ? real(token.real) : integer(token.integer);
      take();
      return done(node);
    }
    default:
      break;
  }
  if (skip("(")) {
    const Node* node = tuple(true, true);
    expect(")");
    return node;
  }
  if (!now().is("[") && !now().is("{")) unexpected();
  const bool dict = take().is("{");
  const std::string_view close = dict ? "}" : "]";
  Node& node = make(dict ? NodeKind::dict : NodeKind::list, line);
  while (!now().is(close)) {
    if (!node.items.empty()) expect(",");
    if (now().is(close)) break;
    node.items.push_back(expression());
    if (!dict) continue;
    expect(":");
    node.items.push_back(expression());
  }
  expect(close);
  return done(node);
}

const Node* Parser::tuple(bool with_if, bool in_brackets, std::string_view ends) {
  const int line = now().line;
  Nodes items;
  bool commas = false;
  const auto at_end = [&] {
    return now().kind == Token::Kind::variable_end || now().kind == Token::Kind::block_end ||
           now().is(")") || (!ends.empty() && now().names(ends));
  };
  while (true) {
    if (!items.empty()) expect(",");
    if (at_end()) break;
    items.push_back(expression(with_if));
    if (!now().is(",")) break;
    commas = true;
  }
  if (!commas && !items.empty()) return items[0];
  if (!commas && !in_brackets) unexpected();
  Node& node = make(NodeKind::tuple, line);
  node.items = std::move(items);
  return done(node);
}

const Node* Parser::postfix(const Node* node) {
  while (true) {
    if (now().is(".") || now().is("[")) {
      node = subscript(node);
    } else if (now().is("(")) {
      node = call(node);
    } else {
      return node;
    }
  }
}

const Node* Parser::filters(const Node* node) {
  while (true) {
    if (now().is("|")) {
      node = filter_chain(node, false);
    } else if (now().names("is")) {
      node = test(node);
    } else if (now().is("(")) {
      node = call(node);
    } else {
      return node;
    }
  }
}

const Node* Parser::filter_chain(const Node* node, bool first_without_pipe) {
  while (first_without_pipe || skip("|")) {
    first_without_pipe = false;
    Node& filter = make(NodeKind::filter, now().line);
    filter.a = node;
    filter.name = take_name();
    filter.builtin = find_filter(filter.name);
    if (now().is("(")) call_arguments(filter);
    node = done(filter);
  }
  return node;
}

const Node* Parser::test(const Node* node) {
  const int line = take().line;
  const bool negated = skip_name("not");
  Node& test = make(NodeKind::test, line);
  test.a = node;
  test.name = take_name();
  test.builtin = find_test(test.name);
  const auto is_argument = [&] {
    switch (now().kind) {
      case Token::Kind::name:
        return !now().names("else") && !now().names("or") && !now().names("and");
      case Token::Kind::string:
      case Token::Kind::integer:
      case Token::Kind::real:
        return true;
      default:
        return now().is("[") || now().is("{");
    }
  };
  if (now().is("(")) {
    call_arguments(test);
  } else if (is_argument()) {
    if (now().names("is")) fail("You cannot chain multiple tests with is");
    test.items.push_back(postfix(primary()));
  }
  const Node* result = done(test);
  if (!negated) return result;
  Node& negation = make(NodeKind::negation, line);
  negation.a = result;
  return done(negation);
}

const Node* Parser::subscript(const Node* object) {
  const Token& first = take();
  const int line = first.line;
  if (first.is(".")) {
    const bool name = now().kind == Token::Kind::name;
    if (!name && now().kind != Token::Kind::integer) fail("expected name or number");
    Node& node = make(name ? NodeKind::attribute : NodeKind::subscript, line);
    node.a = object;
    if (name) {
      node.b = text_constant(std::string(take().text), line);
    } else {
      Node& number = make(NodeKind::constant, line);
      number.value = integer(take().integer);
      node.b = done(number);
    }
    return done(node);
  }
  Node& node = make(NodeKind::subscript, line);
  node.a = object;
  Nodes keys;
  while (!now().is("]")) {
    if (!keys.empty()) expect(",");
    keys.push_back(subscribed());
  }
  expect("]");
  if (keys.size() == 1) {
    node.b = keys[0];
  } else {
    Node& all = make(NodeKind::tuple, line);
    all.items = std::move(keys);
    node.b = done(all);
  }
  return done(node);
}

const Node* Parser::subscribed() {
  const int line = now().line;
  const Node* from = nullptr;
  if (!now().is(":")) {
    from = expression();
    if (!now().is(":")) return from;
  }
  take();
  Node& node = make(NodeKind::slice, line);
  const auto absent = [&] { return now().is(":") || now().is("]") || now().is(","); };
  node.a = from;
  if (!absent()) node.b = expression();
  if (skip(":") && !absent()) node.c = expression();
  return done(node);
}

const Node* Parser::call(const Node* callee) {
  Node& node = make(NodeKind::call, now().line);
  node.a = callee;
  call_arguments(node);
  return done(node);
}

void Parser::call_arguments(Node& node) {
  expect("(");
  bool comma = false;
  const auto ensure = [&](bool rule) {
    if (!rule) fail("invalid syntax for function call expression");
  };
  while (!now().is(")")) {
    if (comma) {
      expect(",");
      if (now().is(")")) break;
    }
    comma = true;
    if (skip("*")) {
      ensure(node.b == nullptr && node.c == nullptr);
      node.b = expression();
    } else if (skip("**")) {
      ensure(node.c == nullptr);
      node.c = expression();
    } else if (now().kind == Token::Kind::name && ahead().is("=")) {
      ensure(node.c == nullptr);
      const std::string_view key = take().text;
      take();
      node.named.emplace_back(key, expression());
    } else {
      ensure(node.b == nullptr && node.c == nullptr && node.named.empty());
      node.items.push_back(expression());
    }
  }
  expect(")");
}

}  // namespace regard::chat
