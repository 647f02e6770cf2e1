// Tasks over plain symbols: copy, reverse, sort, induction, recall.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "tasks/draw.h"

namespace regard::tasks {
namespace {

// a .. z, then numbered.
std::vector<std::string> symbols(const TaskOptions& options) {
  std::vector<std::string> made;
  for (int64_t i = 0; i < options.symbols; ++i) {
    made.push_back(i < 26 ? std::string(1, static_cast<char>('a' + i)) : fmt::format("s{}", i));
  }
  return made;
}

std::vector<Id> random_symbols(Draw& draw, int64_t count, int64_t kinds) {
  std::vector<Id> ids(static_cast<std::size_t>(count));
  for (Id& id : ids) id = static_cast<Id>(kFirstSymbol + draw.between(0, kinds - 1));
  return ids;
}

std::vector<Id> random_source(const Task& task, Draw& draw) {
  const int64_t length = draw.between(task.options().shortest, task.options().longest);
  return random_symbols(draw, length, task.options().symbols);
}

Example copy(const Task& task, uint64_t stream) {
  Draw draw(stream);
  Example made{random_source(task, draw), {}};
  made.target = made.source;
  made.alignment.resize(made.source.size());
  std::iota(made.alignment.begin(), made.alignment.end(), 0);
  return made;
}

Example reverse(const Task& task, uint64_t stream) {
  Example made = copy(task, stream);
  std::ranges::reverse(made.target);
  std::ranges::reverse(made.alignment);
  return made;
}

Example sort(const Task& task, uint64_t stream) {
  Example made = copy(task, stream);
  std::ranges::sort(made.target);
  made.alignment.clear();  // equal symbols have no place of their own
  return made;
}

// source: a random string; target: the same again. A language model reads both in one.
Example induction(const Task& task, uint64_t stream) { return copy(task, stream); }

// source: key value key value ... key?; target: that key's value. Keys are distinct, the first half
// of the symbols; values the other half.
Example recall(const Task& task, uint64_t stream) {
  Draw draw(stream);
  const int64_t keys = task.options().symbols / 2;
  const int64_t pairs =
      std::min(keys, draw.between(task.options().shortest, task.options().longest) / 2);
  std::vector<Id> order(static_cast<std::size_t>(keys));
  std::iota(order.begin(), order.end(), kFirstSymbol);
  for (int64_t i = 0; i < pairs; ++i) {
    std::swap(order[static_cast<std::size_t>(i)],
              order[static_cast<std::size_t>(draw.between(i, keys - 1))]);
  }
  Example made;
  const int64_t asked = draw.between(0, std::max<int64_t>(pairs, 1) - 1);
  for (int64_t i = 0; i < std::max<int64_t>(pairs, 1); ++i) {
    made.source.push_back(order[static_cast<std::size_t>(i)]);
    made.source.push_back(
        static_cast<Id>(kFirstSymbol + keys + draw.between(0, task.options().symbols - keys - 1)));
  }
  made.source.push_back(made.source[static_cast<std::size_t>(2 * asked)]);
  made.target = {made.source[static_cast<std::size_t>(2 * asked + 1)]};
  made.alignment = {static_cast<int32_t>(2 * asked + 1)};
  return made;
}

}  // namespace

const Maker kCopy{"copy", symbols, copy, true};
const Maker kReverse{"reverse", symbols, reverse, true};
const Maker kSort{"sort", symbols, sort};
const Maker kInduction{"induction", symbols, induction, true};
const Maker kRecall{"recall", symbols, recall, true, false, 2};

}  // namespace regard::tasks
