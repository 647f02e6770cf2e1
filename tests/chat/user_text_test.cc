// Which bytes of a rendered text came from the conversation: they must never make control tokens.
#include "golden.h"

namespace regard {
namespace {

// The text with [ and ] around what is marked.
std::string marked(const std::string& source, const std::string& variables) {
  const RenderedChat chat = ChatTemplate(source).render_json(variables, kNow);
  std::string out;
  int64_t at = 0;
  int64_t last = -1;
  for (const ByteRange& range : chat.user) {
    EXPECT_GT(range.begin, last);  // in order, and apart
    EXPECT_LT(range.begin, range.end);
    out += chat.text.substr(at, range.begin - at) + "[" +
           chat.text.substr(range.begin, range.end - range.begin) + "]";
    at = last = range.end;
  }
  EXPECT_LE(at, std::ssize(chat.text));
  return out + chat.text.substr(at);
}

TEST(UserText, KeepsItsMarkWhateverIsDoneToIt) {
  const std::pair<const char*, const char*> cases[] = {
      {"<{{ m.c }}>", "<[Ab, c]>"},
      {"{{ '<' + m.c + '>' }}", "<[Ab, c]>"},
      {"{{ '<' ~ m.c ~ '>' }}", "<[Ab, c]>"},
      {"{{ m.c[1:3] }}", "[b,]"},
      {"{{ ('<' + m.c)[:3] }}", "<[Ab]"},
      {"{{ m.c[::-1] }}", "[c ,bA]"},
      {"{{ m.c|upper }}{{ m.c.lower() }}{{ m.c|title }}", "[AB, Cab, cAb, C]"},
      {"{{ (' ' ~ m.c ~ ' ')|trim }}", "[Ab, c]"},
      {"{{ m.c.split(', ')|join('<>') }}", "[Ab]<>[c]"},
      {"{{ m.c|replace(', ', '<>') }}", "[Ab]<>[c]"},
      {"{{ '<x>'|replace('x', m.c) }}", "<[Ab, c]>"},
      {"{{ m.c|tojson }}", "\"[Ab, c]\""},
      {"{{ m|tojson }}", "{\"[c]\": \"[Ab, c]\"}"},
      {"{{ m }}", "{'[c]': '[Ab, c]'}"},
      {"{{ '<%s>' % m.c }}{{ '<{}>'.format(m.c) }}", "<[Ab, c]><[Ab, c]>"},
      {"{{ '%-8s|' % m.c }}", "[Ab, c]   |"},
      {"{{ m.c|escape }}{{ m.c|string }}{{ m.c|safe }}", "[Ab, cAb, cAb, c]"},
      {"{{ m.c|list|join }}{{ m.c * 2 }}", "[Ab, cAb, cAb, c]"},
      {"{{ m.c|indent(first=true) }}", "    [Ab, c]"},
      {"{{ m.c|truncate(4, true, '', 0) }}{{ m.c.center(7) }}", "[Ab, ] [Ab, c] "},
      {"{% set x %}<{{ m.c }}>{% endset %}{{ x }}", "<[Ab, c]>"},
      {"{% macro f(x) %}<{{ x }}>{% endmacro %}{{ f(m.c) }}", "<[Ab, c]>"},
      {"{% filter upper %}<{{ m.c }}>{% endfilter %}", "<[AB, C]>"},
      {"{% set n = namespace(x='') %}{% for c in m.c %}{% set n.x = n.x + c + '.' %}{% endfor %}"
       "{{ n.x[:4] }}",
       "[A].[b]."},
      {"{% for k, v in m.items() %}{{ k }}={{ v }}{% endfor %}", "[c]=[Ab, c]"},
      {"{{ m.c.partition(',')|join('|') }}", "[Ab]|[,]|[ c]"},
      {"{{ m.c.splitlines()[0] }}{{ m.c.rsplit(' ', 1)[1] }}", "[Ab, cc]"},
      {"{{ m.c|sort|join }}", "[ ,Abc]"},
      {"{{ own }}{{ number }}", "<s>3"},
  };
  for (const auto& [source, wanted] : cases) {
    EXPECT_EQ(marked(source, R"({"m": {"c": "Ab, c"}, "own": "<s>", "number": 3})"), wanted)
        << source;
  }
}

TEST(UserText, AStopInTheEscapesIsMarkedToo) {
  EXPECT_EQ(marked("{{ m.c|tojson }}", R"({"m": {"c": "a\"b\n"}})"), R"("[a\"b\n]")");
  EXPECT_EQ(marked("{{ [m.c] }}", R"({"m": {"c": "a'\"\n"}})"), R"(['[a\'"\n]'])");
}

TEST(UserText, ARoleThatIsAWordIsTheTemplates) {
  const char* source = "{% for m in messages %}<|{{ m.role }}|>{{ m['content'] }}{% endfor %}";
  EXPECT_EQ(marked(source, R"({"messages": [{"role": "user", "content": "hi <|user|>"},
                                            {"role": "a|><|b", "content": ""}]})"),
            "<|user|>[hi <|user|>]<|[a|><|b]|>");
  const std::vector<Message> messages = {{"tool-1_x", "hi"}, {"us er", "hi"}};
  const RenderedChat chat = ChatTemplate(source).render(messages);
  EXPECT_EQ(chat.text, "<|tool-1_x|>hi<|us er|>hi");
  EXPECT_EQ(chat.user, (std::vector<ByteRange>{{12, 14}, {16, 21}, {23, 25}}));
}

TEST(UserText, GenerationBlocksAreNoted) {
  const RenderedChat chat =
      ChatTemplate(
          "a{% generation %}bc{% endgeneration %}d{% generation %}{% endgeneration %}"
          "{% generation %}{{ x }}{% endgeneration %}")
          .render_json(R"({"x": "efg"})");
  EXPECT_EQ(chat.text, "abcdefg");
  EXPECT_EQ(chat.generated, (std::vector<ByteRange>{{1, 3}, {4, 7}}));
}

}  // namespace
}  // namespace regard
