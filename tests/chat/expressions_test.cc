// Every operator, filter, test, method, tag and kind of white space, as jinja2 renders it, the
// refusals included.
#include "golden.h"

namespace regard {
namespace {

TEST(Expressions, AreThoseOfJinja) {
  const Json all = golden("expressions.json");
  const std::string variables = all["variables"].dump();
  int refused = 0;
  for (const Json& one : all["cases"]) {
    const std::string source = one["template"];
    const auto wanted = wanted_text(one["text"]);
    EXPECT_EQ(rendered_or_refused(source, variables), wanted) << source;
    refused += wanted ? 0 : 1;
  }
  EXPECT_GT(all["cases"].size(), 900u);
  EXPECT_GT(refused, 150);
}

}  // namespace
}  // namespace regard
