// Generated tasks: problems with a known answer, seeded and without end, on which a model's ways
// can be seen. Example number n of a split is the same whoever asks, in whatever order.
//
//   copy        the source again                      reverse     the source from its end
//   sort        the source in ascending order         dates       "3 May 1999" -> "1999-05-03"
//   addition    "57+8" -> "65"                        recall      the value that a key was given
//   induction   a random string that repeats: the second time it is known (Olsson et al. 2022)
//   dyck        Dyck-2: brackets of two kinds, closed in order
//   listops     nested MIN, MAX, MED, SM of digits (Nangia and Bowman 2018)
//   shapes      a picture of 12 by 12 points, row by row -> square, disc, cross or triangle
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace regard::tasks {

using Id = int32_t;

// The first ids of every vocabulary.
inline constexpr Id kPad = 0, kStart = 1, kStop = 2;
inline constexpr Id kFirstSymbol = 3;

struct Example {
  std::vector<Id> source;
  std::vector<Id> target;  // without kStart and kStop
  // Of copy, reverse and dates: for each target token the place in the source that it is made of,
  // -1 where there is none.
  std::vector<int32_t> alignment = {};
  int32_t depth = 0;  // of dyck and listops: of nesting
};

// Which examples: every tenth source, told by its hash, is held out and never trained on.
enum class Split : uint8_t { train, held_out };

struct TaskOptions {
  int64_t shortest = 1;  // source tokens; of dates and addition the task's own
  int64_t longest = 10;
  int64_t symbols = 16;  // distinct ones, of copy, reverse, sort, induction and recall; at most 512
  int64_t max_depth = 4;    // of dyck and listops
  int64_t exact_depth = 0;  // of dyck and listops: only such; 0 = any
};

struct Maker;

class Task {
 public:
  // Throws Error(invalid_argument) naming the nearest task, or the option, its rule and value.
  explicit Task(std::string_view name, const TaskOptions& options = {});

  std::string_view name() const noexcept;
  const TaskOptions& options() const noexcept { return options_; }
  // The text of each id.
  const std::vector<std::string>& vocabulary() const noexcept { return vocabulary_; }
  bool has_alignment() const noexcept;

  // Throws Error(failed) if so many draws belong to the other split that the task has none of this.
  Example example(uint64_t seed, uint64_t number, Split split = Split::train) const;

  // Ids as text: what is a letter stands by itself, words are set apart.
  std::string text(std::span<const Id> ids) const;

 private:
  TaskOptions options_;
  std::vector<std::string> vocabulary_;
  const Maker* maker_;
};

// All names, in the order above.
std::span<const std::string_view> names();

// Share of target tokens whose largest weight lies elsewhere than the gold alignment says (tokens
// without one do not count): the alignment error rate of a hard alignment with sure links alone
// (Och and Ney 2003). weights: of each target token, over the source.
double alignment_error(const Example& example, std::span<const std::vector<float>> weights);

}  // namespace regard::tasks
