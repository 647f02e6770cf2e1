// PairPrograms: the recipe's programs, and their derivatives, as the backward pass runs them on the
// pairs of a block of rows and a tile of keys.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "plan/programs.h"
#include "plan/recipe.h"
#include "program/gradient.h"
#include "tiles/backward.h"

namespace regard {

// Where a block of rows of one head stands.
struct BlockPlace {
  int64_t segment = 0;   // its index
  int64_t sequence = 0;  // keys random numbers
  int64_t head = 0;
  int64_t position = 0;  // i of the first row
  int64_t row = 0;       // of the segment
  int rows = 0;
};

// A program with its derivatives.
class PairProgram {
 public:
  // Only derivatives by wanted arrays are computed.
  PairProgram(const Expr& value, const Expr& mask, std::span<const Array> wanted);

  using Element = program::GradientProgram::Element;
  const std::vector<Element>& elements() const noexcept { return gradient_.elements; }
  bool has_slope() const noexcept { return gradient_.derivative >= 0; }

  // One thread's memory for it. outputs hold until the next run.
  struct Scratch {
    std::vector<float> values;     // [kFoldRows][128]
    std::vector<uint16_t> masks;   // [kFoldRows][8]
    std::vector<std::byte> bytes;  // of the interpreter
    std::vector<int32_t> head, query, row;
    std::vector<float> outputs;
    std::vector<void*> places;  // of outputs
  };
  Scratch make_scratch() const;
  static int64_t bytes_of(const Scratch& scratch) noexcept;

  // Of x [rows][kPairStep]: to gets the values, unless it is null; it may be x. bits lose what the
  // mask forbids. slope, if there is one, [rows][kPairStep].
  void run(const BlockPlace& place, int64_t first_key, const Pairs& pairs, const float* x,
           float* to, uint16_t* bits, float* slope, Scratch& scratch) const;

  // An output of the last run: the number of a row and a key is at
  // numbers[row * row_step + key * key_step], rows counted from the fold's first.
  struct Output {
    const void* numbers;
    int row_step, key_step;
  };
  Output output(const Scratch& scratch, int number, int fold, int fold_rows) const;

 private:
  static constexpr int kFolds = (kGradientRows + kFoldRows - 1) / kFoldRows;

  program::GradientProgram gradient_;
  bool changes_ = false, masks_ = false;
  std::vector<int64_t> first_;  // of each output in the scratch, for the first fold
};

class PairPrograms {
 public:
  PairPrograms(const Recipe& recipe, std::span<const Segment> segments, int64_t heads,
               std::span<const Array> wanted);

  const std::optional<PairProgram>& score() const noexcept { return score_; }  // and mask
  const std::optional<PairProgram>& weight() const noexcept { return weight_; }
  // The part of the mask that is not left to the program.
  const program::Band& band() const noexcept { return band_; }
  bool masks() const { return forward_.masks(); }

  // Which of the keys [first, end) the interpreted mask allows the block, as far as can be proved.
  Sight look(const BlockPlace& place, int64_t first, int64_t end,
             std::span<Interval> scratch) const;
  std::size_t bounds_scratch() const { return forward_.bounds_size(); }

 private:
  Programs forward_;
  program::Band band_ = {};
  std::optional<PairProgram> score_, weight_;
};

}  // namespace regard
