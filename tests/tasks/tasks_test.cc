// Generated tasks: each example against the rule that its name states, computed here anew.
#include "tasks/tasks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <string>

#include "regard/error.h"
#include "tasks/shapes.h"

namespace regard::tasks {
namespace {

constexpr uint64_t kExamples = 2000;

template <class Rule>
void for_examples(const Task& task, const Rule& rule) {
  for (const Split split : {Split::train, Split::held_out}) {
    for (uint64_t n = 0; n < kExamples / 4; ++n) {
      const Example example = task.example(7, n, split);
      SCOPED_TRACE(std::string(task.name()) + " " + task.text(example.source));
      for (const Id id : example.source) ASSERT_TRUE(id >= kFirstSymbol);
      ASSERT_FALSE(example.target.empty());
      rule(example);
    }
  }
}

TEST(Tasks, EveryNameMakesTheSameExamplesAgain) {
  EXPECT_EQ(names().size(), 10u);
  for (const std::string_view name : names()) {
    const Task task(name), again(name);
    const Example late = task.example(1, 99);
    for (uint64_t n = 0; n < 50; ++n)
      EXPECT_EQ(task.example(1, n).source, again.example(1, n).source);
    EXPECT_EQ(again.example(1, 99).source, late.source);
    bool differs = false;
    for (uint64_t n = 0; n < 50; ++n) {
      differs |= task.example(1, n).source != task.example(2, n).source;
    }
    EXPECT_TRUE(differs) << name;
  }
}

TEST(Tasks, HeldOutSourcesAreNeverTrainedOn) {
  for (const std::string_view name : names()) {
    const Task task(name, {.shortest = 2, .longest = 6, .symbols = 6, .max_depth = 2});
    std::set<std::vector<Id>> trained, held_out;
    for (uint64_t n = 0; n < kExamples; ++n) {
      trained.insert(task.example(3, n).source);
      held_out.insert(task.example(3, n, Split::held_out).source);
    }
    for (const auto& source : held_out) ASSERT_FALSE(trained.contains(source)) << name;
  }
}

TEST(Tasks, CopyReverseSort) {
  for_examples(Task("copy"), [](const Example& e) { EXPECT_EQ(e.target, e.source); });
  for_examples(Task("reverse"), [](const Example& e) {
    for (std::size_t i = 0; i < e.source.size(); ++i) {
      ASSERT_EQ(e.target[i], e.source[e.source.size() - 1 - i]);
      ASSERT_EQ(e.alignment[i], static_cast<int32_t>(e.source.size() - 1 - i));
    }
  });
  for_examples(Task("sort"), [](const Example& e) {
    EXPECT_TRUE(std::ranges::is_sorted(e.target));
    EXPECT_TRUE(std::ranges::is_permutation(e.target, e.source));
  });
}

// Figures are told apart by how much of the square around them they cover, and triangles by being
// wider below.
TEST(Tasks, ShapesAreOfTheirKind) {
  std::map<int32_t, double> covered, counted, lower;
  for_examples(Task("shapes"), [&](const Example& e) {
    const ShapeImage image = as_image(e);
    ASSERT_EQ(std::ssize(image.points), kShapeSide * kShapeSide);
    ASSERT_TRUE(image.kind >= 0 && image.kind < kShapeKinds);
    // The largest square without noise around it: rows and columns with two dark points at least.
    std::vector<int64_t> rows, columns;
    double dark = 0;
    for (int64_t i = 0; i < kShapeSide; ++i) {
      double in_row = 0, in_column = 0;
      for (int64_t j = 0; j < kShapeSide; ++j) {
        in_row += image.points[static_cast<std::size_t>(i * kShapeSide + j)];
        in_column += image.points[static_cast<std::size_t>(j * kShapeSide + i)];
      }
      dark += in_row;
      if (in_row > 1) rows.push_back(i);
      if (in_column > 1) columns.push_back(i);
    }
    ASSERT_FALSE(rows.empty() || columns.empty());
    covered[image.kind] += dark / static_cast<double>((rows.back() - rows.front() + 1) *
                                                      (columns.back() - columns.front() + 1));
    counted[image.kind] += 1;
    for (int64_t i = 0; i < kShapeSide * kShapeSide; ++i) {  // below its middle, or above
      const int64_t side = 2 * (i / kShapeSide) - rows.front() - rows.back();
      const double point = image.points[static_cast<std::size_t>(i)];
      lower[image.kind] += (side > 0 ? point : side < 0 ? -point : 0) / dark;
    }
  });
  ASSERT_EQ(counted.size(), 4u);
  const auto mean = [&](int32_t kind) { return covered[kind] / counted[kind]; };
  EXPECT_GT(mean(0), 0.9);
  EXPECT_NEAR(mean(1), 0.8, 0.07);  // π / 4
  EXPECT_NEAR(mean(2), 0.5, 0.12);
  EXPECT_NEAR(mean(3), 0.8, 0.07);
  for (int32_t kind = 0; kind < 3; ++kind) EXPECT_NEAR(lower[kind] / counted[kind], 0, 0.03);
  EXPECT_GT(lower[3] / counted[3], 0.2);
}

TEST(Tasks, RecallAsksForTheValueOfAKey) {
  for_examples(Task("recall", {.shortest = 4, .longest = 20, .symbols = 32}), [](const Example& e) {
    ASSERT_EQ(e.source.size() % 2, 1u);
    std::map<Id, Id> table;
    for (std::size_t i = 0; i + 1 < e.source.size(); i += 2) {
      ASSERT_TRUE(table.emplace(e.source[i], e.source[i + 1]).second);
    }
    EXPECT_EQ(e.target, std::vector<Id>{table.at(e.source.back())});
    EXPECT_EQ(e.source[static_cast<std::size_t>(e.alignment[0])], e.target[0]);
  });
}

TEST(Tasks, DatesBecomeIso8601) {
  const Task task("dates");
  const std::string months = "JanFebMarAprMayJunJulAugSepOctNovDec";
  std::set<std::string> forms;
  for_examples(task, [&](const Example& e) {
    const std::string from = task.text(e.source), to = task.text(e.target);
    ASSERT_EQ(to.size(), 10u);
    ASSERT_EQ(e.alignment.size(), 10u);
    EXPECT_NE(from.find(to.substr(0, 4)), std::string::npos);
    const int month = std::stoi(to.substr(5, 2)), day = std::stoi(to.substr(8));
    const std::string name = months.substr(static_cast<std::size_t>(3 * (month - 1)), 3);
    EXPECT_TRUE(from.find(name) != std::string::npos ||
                from.find("/" + std::to_string(month) + "/") != std::string::npos);
    EXPECT_NE(from.find(std::to_string(day)), std::string::npos);
    for (std::size_t i = 0; i < 10; ++i) {
      if (e.alignment[i] < 0) continue;
      const char at = from[static_cast<std::size_t>(e.alignment[i])];
      if (i < 4 || i > 7) {
        EXPECT_EQ(at, to[i]);
      }
      if (i == 5 || i == 6) {
        EXPECT_TRUE(at == to[i] || at == name[0]) << i;
      }
    }
    forms.insert(from.find('/') != std::string::npos ? "/" : from.find(',') < 5 ? "y," : "");
  });
  EXPECT_EQ(forms.size(), 3u);
}

TEST(Tasks, SumsAreRight) {
  const Task task("addition", {.longest = 9});
  for_examples(task, [&](const Example& e) {
    const std::string from = task.text(e.source);
    const std::size_t plus = from.find('+');
    EXPECT_LE(from.size(), 9u);
    EXPECT_EQ(task.text(e.target),
              std::to_string(std::stoll(from.substr(0, plus)) + std::stoll(from.substr(plus + 1))));
  });
}

TEST(Tasks, DyckClosesWhatIsOpen) {
  const Task task("dyck", {.shortest = 4, .longest = 20, .max_depth = 5});
  const auto closes = [&](const Task& of, const Example& e, int deepest) {
    std::string open;
    int depth = 0;
    for (const char c : of.text(e.source) + of.text(e.target)) {
      if (c == '(' || c == '[') {
        open += c;
        depth = std::max(depth, static_cast<int>(open.size()));
      } else {
        ASSERT_FALSE(open.empty());
        ASSERT_EQ(open.back(), c == ')' ? '(' : '[');
        open.pop_back();
      }
    }
    EXPECT_TRUE(open.empty());
    EXPECT_EQ(depth, e.depth);
    EXPECT_LE(depth, deepest);
  };
  for_examples(task, [&](const Example& e) { closes(task, e, 5); });
  const Task exact("dyck", {.shortest = 20, .longest = 24, .exact_depth = 7});
  for_examples(exact, [&](const Example& e) {
    closes(exact, e, 7);
    EXPECT_EQ(e.depth, 7);
  });
}

// Reads a list by recursion, which the generator does not.
int64_t read_list(const std::vector<std::string>& words, std::size_t& at, int& depth) {
  const std::string operation = words[at++];
  std::vector<int64_t> values;
  int deepest = 0;
  while (words[at] != "]") {
    int inner = 0;
    values.push_back(words[at][0] == '[' ? read_list(words, at, inner) : std::stoll(words[at++]));
    deepest = std::max(deepest, inner);
  }
  ++at;
  depth = deepest + 1;
  std::ranges::sort(values);
  if (operation == "[MIN") return values.front();
  if (operation == "[MAX") return values.back();
  if (operation == "[MED") return values[(values.size() - 1) / 2];
  int64_t sum = 0;
  for (const int64_t value : values) sum += value;
  return sum % 10;
}

TEST(Tasks, ListsHaveTheirValue) {
  const Task any("listops", {.shortest = 5, .longest = 40, .max_depth = 6});
  const Task deep("listops", {.shortest = 20, .longest = 40, .exact_depth = 9});
  for (const Task& task : {any, deep}) {
    for_examples(task, [&](const Example& e) {
      std::vector<std::string> words;
      for (const Id id : e.source) words.push_back(task.vocabulary()[static_cast<std::size_t>(id)]);
      std::size_t at = 0;
      int depth = 0;
      EXPECT_EQ(task.text(e.target), std::to_string(read_list(words, at, depth)));
      EXPECT_EQ(at, words.size());
      EXPECT_EQ(depth, e.depth);
      EXPECT_LE(words.size(), 40u);
      if (task.options().exact_depth > 0) {
        EXPECT_EQ(depth, 9);
      }
    });
  }
}

TEST(Tasks, AlignmentErrorCountsWhatHasAGoldPlace) {
  Example e{{3, 4, 5}, {5, 4, 3}, {2, -1, 0}};
  const std::vector<std::vector<float>> right = {{0, 0.1f, 0.9f}, {1, 0, 0}, {0.8f, 0.1f, 0.1f}};
  EXPECT_EQ(alignment_error(e, right), 0);
  std::vector<std::vector<float>> wrong = right;
  wrong[2] = {0.1f, 0.8f, 0.1f};
  EXPECT_EQ(alignment_error(e, wrong), 0.5);
  EXPECT_THROW(alignment_error(e, std::span(wrong).first(2)), Error);
}

std::string message_of(std::string_view name, const TaskOptions& options) {
  try {
    Task task(name, options);
    (void)task.example(0, 0);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Tasks, RefuseInOneLine) {
  EXPECT_EQ(message_of("revers", {}), "task: there is no 'revers'; did you mean 'reverse'?");
  EXPECT_EQ(message_of("sor\nt", {}), "task: there is no 'sor\\x0At'; did you mean 'sort'?");
  EXPECT_NE(message_of("copy", {.shortest = 9, .longest = 3}).find("lengths 9 .. 3"),
            std::string::npos);
  EXPECT_NE(message_of("copy", {.symbols = 1}).find("symbols (1)"), std::string::npos);
  EXPECT_NE(message_of("dyck", {.longest = 6, .exact_depth = 9}).find("depth of 9 needs 18"),
            std::string::npos);
  EXPECT_NE(message_of("listops", {.longest = 2}).find("less than 3"), std::string::npos);
}

}  // namespace
}  // namespace regard::tasks
