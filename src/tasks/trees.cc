// Tasks with nesting: Dyck-2 and ListOps.
#include <algorithm>

#include "tasks/draw.h"

namespace regard::tasks {
namespace {

// ---- Dyck-2: source a well-formed beginning, target the brackets that close what is open ----

enum : Id { kRoundOpen = kFirstSymbol, kRoundClose, kSquareOpen, kSquareClose };

std::vector<std::string> brackets(const TaskOptions&) { return {"(", ")", "[", "]"}; }

Example dyck(const Task& task, uint64_t stream) {
  const TaskOptions& options = task.options();
  Draw draw(stream);
  const int64_t length = draw.between(options.shortest, options.longest);
  const int64_t deepest = options.exact_depth > 0 ? options.exact_depth : options.max_depth;
  Example made;
  std::vector<Id> open;
  while (std::ssize(made.source) < length) {
    const bool must_open = open.empty(), must_close = std::ssize(open) == deepest;
    // As deep as is asked while there is room, else evenly up and down.
    const bool climb = options.exact_depth > 0 && made.depth < deepest;
    if (!must_close && (must_open || climb || draw.coin())) {
      const Id kind = draw.coin() ? kRoundOpen : kSquareOpen;
      made.source.push_back(kind);
      open.push_back(kind + 1);
    } else {
      made.source.push_back(open.back());
      open.pop_back();
    }
    made.depth = std::max(made.depth, static_cast<int32_t>(open.size()));
  }
  if (open.empty()) {  // something must be asked: the last bracket stays open
    open.push_back(made.source.back());
    made.source.pop_back();
  }
  made.target.assign(open.rbegin(), open.rend());
  return made;
}

// ---- ListOps: [MAX 2 9 [MIN 4 7 ] 0 ] -> 9 ----

enum : Id { kDigit = kFirstSymbol, kMin = kDigit + 10, kMax, kMed, kSumMod, kClose };

std::vector<std::string> list_words(const TaskOptions&) {
  std::vector<std::string> words;
  for (char digit = '0'; digit <= '9'; ++digit) words.emplace_back(1, digit);
  for (const char* word : {"[MIN", "[MAX", "[MED", "[SM", "]"}) words.emplace_back(word);
  return words;
}

int64_t value_of(Id operation, std::vector<int64_t> of) {
  std::ranges::sort(of);
  if (operation == kMin) return of.front();
  if (operation == kMax) return of.back();
  if (operation == kMed) return of[(of.size() - 1) / 2];
  int64_t sum = 0;
  for (const int64_t one : of) sum += one;
  return sum % 10;
}

// Writes a list whose nesting is `depth`, of at most `room` tokens; its value.
int64_t write_list(Draw& draw, std::vector<Id>& out, int64_t depth, int64_t room) {
  const Id operation = static_cast<Id>(kMin + draw.between(0, 3));
  out.push_back(operation);
  std::vector<int64_t> values;
  // A list inside needs 3 tokens a level and so does what stands beside it.
  int64_t left = room - 2;
  if (depth > 1) {
    const int64_t before = static_cast<int64_t>(out.size());
    const int64_t need = 3 * (depth - 1);
    const int64_t given = draw.between(need, std::max(need, left - 1));
    values.push_back(write_list(draw, out, depth - 1, given));
    left -= static_cast<int64_t>(out.size()) - before;
  }
  const int64_t most = std::clamp<int64_t>(left, values.empty() ? 1 : 0, 4);
  for (int64_t n = draw.between(std::min<int64_t>(most, 1), most); n > 0; --n) {
    const int64_t digit = draw.between(0, 9);
    values.push_back(digit);
    out.push_back(static_cast<Id>(kDigit + digit));
  }
  out.push_back(kClose);
  return value_of(operation, std::move(values));
}

Example listops(const Task& task, uint64_t stream) {
  const TaskOptions& options = task.options();
  Draw draw(stream);
  const int64_t fits = std::max<int64_t>(1, options.longest / 3);
  const int64_t depth = options.exact_depth > 0
                            ? options.exact_depth
                            : draw.between(1, std::min(options.max_depth, fits));
  Example made;
  const int64_t room = std::max(3 * depth, draw.between(options.shortest, options.longest));
  const int64_t value = write_list(draw, made.source, depth, room);
  made.target = {static_cast<Id>(kDigit + value)};
  made.depth = static_cast<int32_t>(depth);
  return made;
}

}  // namespace

const Maker kDyck{"dyck", brackets, dyck, false, true, 2};
const Maker kListops{"listops", list_words, listops, false, true, 3};

}  // namespace regard::tasks
