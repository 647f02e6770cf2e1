// Templates and conversations made to do harm: each ends in one line, soon.
#include <fmt/format.h>

#include "golden.h"

namespace regard {
namespace {

std::string repeat(std::string_view text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

std::string unreadable(const std::string& source) {
  return error_of(ErrorKind::unreadable, [&] { ChatTemplate chat(source); });
}

std::string refused(const std::string& source) {
  const ChatTemplate chat(source);
  return error_of(ErrorKind::invalid_argument, [&] { (void)chat.render_json("{}", kNow); });
}

// What costs too much is the fault of the file, not of what is said.
std::string over_budget(const std::string& source, const std::string& variables = "{}",
                        const ChatBudget& budget = {}) {
  const ChatTemplate chat(source, "chat template", budget);
  return error_of(ErrorKind::unreadable, [&] { (void)chat.render_json(variables, kNow); });
}

TEST(Hostile, NestingInTheSource) {
  for (const char* open : {"(", "[", "{'a':", "-", "not ", "x[", "x(", "x|f(", "1 if ", "(1,",
                           "x if y else ", "'a' ~ (", "x.y(*", "x is y("}) {
    EXPECT_NE(unreadable("{{ " + repeat(open, 60'000) + " }}").find("nested deeper than"),
              std::string::npos)
        << open;
  }
  for (const char* chain :
       {".a", "[0]", "()", "|f", " is y()", " + x", " or x", " ** x", " if x"}) {
    EXPECT_NE(unreadable("{{ x" + repeat(chain, 60'000) + " }}").find("nested deeper than"),
              std::string::npos)
        << chain;
  }
  for (const char* tag : {"{% if x %}", "{% for x in y %}", "{% macro f() %}", "{% filter f %}",
                          "{% set x %}", "{% with %}", "{% call f() %}", "{% generation %}"}) {
    EXPECT_NE(unreadable(repeat(tag, 30'000)).find("nested deeper than"), std::string::npos) << tag;
  }
  EXPECT_NE(unreadable("{% set " + repeat("(", 60'000) + "%}").find("nested deeper than"),
            std::string::npos);
}

TEST(Hostile, LongFlatSourcesAreFine) {
  EXPECT_EQ(rendered("{{ 'a'" + repeat(" ~ 'a'", 20'000) + " }}").size(), 20'001u);
  EXPECT_EQ(rendered("{{ [" + repeat("1,", 50'000) + "]|length }}"), "50000");
  EXPECT_EQ(rendered(repeat("{{ 1 }}", 20'000)).size(), 20'000u);
  EXPECT_EQ(rendered("{% if 0 %}" + repeat("{% elif 0 %}", 20'000) + "{% endif %}x"), "x");
  EXPECT_EQ(rendered(repeat("{% raw %}{{{% endraw %}", 20'000)).size(), 40'000u);
  EXPECT_EQ(rendered(repeat(" {# x #}", 20'000)).size(), 20'000u - 1);
}

TEST(Hostile, SourcesThatEndTooSoon) {
  for (const char* source : {"{{", "{%", "{#", "{{ '", "{{ (", "{% if", "{% if 1 %}", "{% raw %}",
                             "{{ x.", "{{ x[1:", "{{ '\\", "{{ \"\\x4", "{% set x", "{% for x in",
                             "{{ 1e", "{{ 0x", "{{ x|", "{% macro f(", "{% call"}) {
    EXPECT_TRUE(unreadable(source).starts_with("chat template, line 1: ")) << source;
  }
  EXPECT_NE(unreadable(repeat("{{ '", 200'000)).find("line 1"), std::string::npos);
  EXPECT_NE(unreadable("a\nb\n{{ ? }}").find("line 3: unexpected char '?'"), std::string::npos);
  EXPECT_NE(unreadable("a\n\xFF").find("line 2: not UTF-8 at byte 2"), std::string::npos);
  EXPECT_NE(unreadable(std::string((1 << 20) + 1, 'x')).find("over the budget"), std::string::npos);
  EXPECT_NE(unreadable("{{ 99999999999999999999 }}").find("64 bits"), std::string::npos);
}

TEST(Hostile, OtherTemplatesAreOutOfReach) {
  for (const char* tag :
       {"include 'a'", "import 'a' as b", "from 'a' import b", "extends 'a'", "block a"}) {
    const std::string message = unreadable("\n{% " + std::string(tag) + " %}");
    EXPECT_NE(message.find("line 2: '"), std::string::npos) << message;
    EXPECT_NE(message.find("is refused: a chat template is one file"), std::string::npos);
  }
}

TEST(Hostile, TemplatesThatDoNotEnd) {
  EXPECT_NE(over_budget("{% for i in range(10 ** 9) %}x{% endfor %}").find("Range too big"),
            std::string::npos);
  const std::string loops = over_budget(
      "\n{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}");
  EXPECT_NE(loops.find("chat template, line 2: the template is over its budget of"),
            std::string::npos)
      << loops;
  for (const char* source : {
           "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
           "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
           "{% macro f() %}{{ caller() }}{% endmacro %}{% macro g() %}{% call f() %}{{ g() }}"
           "{% endcall %}{% endmacro %}{{ g() }}",
       }) {
    EXPECT_NE(refused(source).find("nested deeper than"), std::string::npos) << source;
  }
  EXPECT_NE(over_budget("{% macro f(n) %}{{ f(n) if n < 1 }}{{ f(n + 1) if n < 30 }}"
                        "{{ f(n + 1) if n < 30 }}{% endmacro %}{{ f(1) }}")
                .find("over its budget"),
            std::string::npos);
}

// What ends by its budget ends sooner, and the test with it.
constexpr ChatBudget kLess{.steps = 300'000};

TEST(Hostile, ValuesThatGrow) {
  const char* doubling =
      "{% set n = namespace(x='ab') %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor "
      "%}";
  EXPECT_NE(over_budget(doubling, "{}", kLess).find("budget"), std::string::npos);
  for (const char* source : {
           "{{ 'x' * 10 ** 15 }}",
           "{{ [1] * 10 ** 15 }}",
           "{{ ('x' * 10 ** 8)|length }}{{ ('x' * 10 ** 9)|length }}",
           "{{ 'x'.center(10 ** 15) }}",
           "{{ 'x'.zfill(10 ** 12) }}",
           "{{ '%999999999999d' % 1 }}",
           "{{ '{:999999999999}'.format(1) }}",
           "{{ 'x'|center(10 ** 12) }}",
           "{{ '\t'.expandtabs(10 ** 12) }}",
           "{{ ('a' * 10 ** 6).replace('', 'b' * 1000) }}",
           "{{ ('a,' * 10 ** 6).split(',') }}{{ ('a,' * 10 ** 7).split(',') }}",
           "{{ [0]|batch(10 ** 15, 1)|list }}",
           "{{ [0]|slice(10 ** 15)|list }}",
           "{% set n = namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = n.x + n.x %}"
           "{% endfor %}",
           "{% set n = namespace(x=[]) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}"
           "{% endfor %}{{ n.x }}",
           "{% set n = namespace(x={}) %}{% for i in range(60) %}{% set n.x = {1: n.x, 2: n.x} %}"
           "{% endfor %}{{ n.x|tojson }}",
           "{% set n = namespace(x=[], y=[]) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}"
           "{% set n.y = [n.y, n.y] %}{% endfor %}{{ n.x == n.y }}",
           "{% for i in range(90000) %}{{ 'x' * 900 }}{% endfor %}",
       }) {
    EXPECT_NE(over_budget(source, "{}", kLess).find("budget"), std::string::npos) << source;
  }
  for (
      const char* source : {
          "{% set n = namespace(x=[]) %}{% for i in range(9999) %}{% set n.x = [n.x] %}{% endfor %}"
          "{{ n.x }}",
          "{% set n = namespace(x=[]) %}{% for i in range(9999) %}{% set n.x = [n.x] %}{% endfor %}"
          "{{ n.x|tojson }}",
          "{% set n = namespace(x=(), y=()) %}{% for i in range(9999) %}{% set n.x = (n.x,) %}"
          "{% set n.y = (n.y,) %}{% endfor %}{{ n.x == n.y }}",
          "{% set n = namespace(x=(), y=()) %}{% for i in range(9999) %}{% set n.x = (n.x,) %}"
          "{% set n.y = (n.y,) %}{% endfor %}{{ n.x < n.y }}",
          "{% set n = namespace(x=()) %}{% for i in range(9999) %}{% set n.x = (n.x,) %}{% endfor "
          "%}"
          "{{ {n.x: 1} }}",
          "{% set n = namespace() %}{% set n.x = n %}{{ n }}",
      }) {
    EXPECT_NE(refused(source).find("nested deeper"), std::string::npos) << source;
  }
}

TEST(Hostile, FormatsInFormats) {
  EXPECT_NE(refused("{{ '{:{:{:{}}}}'.format(1, 2, 3, 4) }}").find("recursion"), std::string::npos);
}

TEST(Hostile, QuadraticTricksPayForThemselves) {
  for (const char* source : {
           "{% for i in range(9999) %}{{ (a in b)|string|length }}{% endfor %}",
           "{% for i in range(9999) %}{% if b.rfind(a) > 0 %}{% endif %}{% endfor %}",
           "{% for i in range(9999) %}{% set x = b|upper %}{% endfor %}",
           "{% for i in range(9999) %}{% set x = b == (b ~ 'y') %}{% endfor %}",
           "{% for i in range(9999) %}{% set x = b.strip('xyz') %}{% endfor %}",
           "{% for i in range(9999) %}{% set x = b|tojson %}{% endfor %}",
       }) {
    const std::string variables =
        fmt::format(R"({{"a": "{}z", "b": "{}"}})", repeat("x", 1000), repeat("x", 200'000));
    EXPECT_NE(over_budget(source, variables, kLess).find("budget"), std::string::npos) << source;
  }
}

TEST(Hostile, TheSandboxStaysShut) {
  for (const char* source : {"{{ ''.__class__.__mro__ }}", "{{ x.__init__() }}",
                             "{{ [].append(1) }}", "{{ {}.update({}) }}", "{{ [].__class__() }}",
                             "{{ namespace(__a=1) }}", "{{ range.__self__.x }}",
                             "{{ ''.format.__globals__.x }}", "{{ '{0.__class__.x}'.format(1) }}",
                             "{{ ''['__class__']['x'] }}", "{{ (''|attr('__class__')).x }}"}) {
    EXPECT_NE(refused(source).find("line 1: "), std::string::npos) << source;
  }
}

TEST(Hostile, Variables) {
  const ChatTemplate chat("{{ x }}");
  const auto message = [&](const std::string& variables) {
    return error_of(ErrorKind::invalid_argument, [&] { (void)chat.render_json(variables, kNow); });
  };
  for (const char* json :
       {"", "[]", "1", "\"x\"", "null", "{", "{\"x\":}", "{\"x\": 1} 2", "{\"x\": \"\xFF\"}",
        "{\"x\": 18446744073709551615}", "{\"x\": \"\\ud800\"}", "{x: 1}", "{\"x\": NaN}"}) {
    EXPECT_NE(message(json).find("chat variables: "), std::string::npos) << json;
  }
  EXPECT_NE(message("{\"x\":" + repeat("[", 100'000)).find("nested deeper"), std::string::npos);
  EXPECT_NE(message("{\"x\":" + repeat("{\"a\":", 100'000)).find("nested deeper"),
            std::string::npos);
  EXPECT_EQ(chat.render_json(R"({"x": 1, "x": {"a": 1, "a": 2}})").text, "{'a': 2}");
  const std::vector<Message> bad = {{"user", "ok"}, {"user", "\xC3"}};
  EXPECT_NE(error_of(ErrorKind::invalid_argument, [&] { (void)chat.render(bad); })
                .find("messages[1] is not UTF-8 at byte 0"),
            std::string::npos);
  EXPECT_NE(error_of(ErrorKind::invalid_argument,
                     [&] {
                       (void)chat.render_json("{}", DateTime{2026, 13, 1});
                     })
                .find("is no time"),
            std::string::npos);
}

TEST(Hostile, BudgetsAreWhatTheySay) {
  const auto over = [](const ChatBudget& budget, const std::string& source) {
    const ChatTemplate chat(source, "t", budget);
    return error_of(ErrorKind::unreadable, [&] { (void)chat.render_json("{}", kNow); });
  };
  EXPECT_EQ(over({.steps = 100}, "\n{% for i in range(99) %}{{ i }}{% endfor %}"),
            "t, line 2: the template is over its budget of 100 steps; does it end?");
  EXPECT_EQ(over({.output_bytes = 10}, "12345\n{{ 'abcdefgh' }}"),
            "t, line 2: the text is over its budget of 10 bytes");
  EXPECT_EQ(over({.output_bytes = 10}, "1234567890\nx{{ 1 }}"),
            "t, line 1: the text is over its budget of 10 bytes");
  EXPECT_EQ(over({.memory_bytes = 5000}, "{{ 1 }}\n\n{{ 'ab' * 9000 }}"),
            "t, line 3: the values of the template are over their budget of 5000 bytes");
  const ChatTemplate deep("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "t", {.depth = 20});
  EXPECT_EQ(error_of(ErrorKind::invalid_argument, [&] { (void)deep.render_json("{}", kNow); }),
            "t, line 1: nested deeper than 20 levels");
  error_of(ErrorKind::invalid_argument, [] { ChatTemplate("", "t", {.depth = 5000}); });
}

TEST(Hostile, TheTemplatesOwnRefusalNamesItsLine) {
  EXPECT_EQ(refused("\n\n{{ raise_exception('roles must\nalternate') }}"),
            "chat template, line 3: roles must alternate");
}

}  // namespace
}  // namespace regard
