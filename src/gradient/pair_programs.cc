#include "gradient/pair_programs.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "expr/node.h"

namespace regard {

PairProgram::PairProgram(const Expr& value, const Expr& mask, std::span<const Array> wanted)
    : gradient_(program::lower_gradient(value, mask, wanted)),
      // An index out of range makes a score NaN though nothing else is done to it.
      changes_(!value.empty() || (!mask.empty() && mask.node()->may_poison)),
      masks_(!mask.empty()) {
  int64_t size = 0;
  for (const TileShape shape : gradient_.program.prepared.outputs) {
    first_.push_back(size);
    size += kFolds * tile_output(shape, kFoldRows).size;
  }
  first_.push_back(size);
}

PairProgram::Scratch PairProgram::make_scratch() const {
  Scratch scratch;
  scratch.values.resize(kFoldRows * kTileKeys);
  scratch.masks.resize(kFoldRows * kTilePanels);
  scratch.bytes.resize(static_cast<std::size_t>(tile_program_scratch(gradient_.program)));
  scratch.head.resize(kGradientRows);
  scratch.query.resize(kGradientRows);
  scratch.row.resize(kGradientRows);
  scratch.outputs.resize(static_cast<std::size_t>(first_.back()));
  scratch.places.resize(first_.size());
  return scratch;
}

int64_t PairProgram::bytes_of(const Scratch& scratch) noexcept {
  return static_cast<int64_t>(
      (scratch.values.size() + scratch.outputs.size() + 3 * scratch.head.size()) * 4 +
      scratch.masks.size() * 2 + scratch.bytes.size());
}

PairProgram::Output PairProgram::output(const Scratch& scratch, int number, int fold,
                                        int fold_rows) const {
  const TileShape shape = gradient_.program.prepared.outputs[static_cast<std::size_t>(number)];
  const int64_t size = tile_output(shape, kFoldRows).size;
  const TileOutput layout = tile_output(shape, fold_rows);
  return {scratch.outputs.data() + first_[static_cast<std::size_t>(number)] + fold * size,
          layout.row_step, layout.key_step};
}

void PairProgram::run(const BlockPlace& place, int64_t first_key, const Pairs& pairs,
                      const float* x, float* to, uint16_t* bits, float* slope,
                      Scratch& scratch) const {
  std::fill(scratch.head.begin(), scratch.head.end(), static_cast<int32_t>(place.head));
  std::iota(scratch.query.begin(), scratch.query.end(), static_cast<int32_t>(place.position));
  std::iota(scratch.row.begin(), scratch.row.end(), static_cast<int32_t>(place.row));
  constexpr std::size_t kBytes = kTileKeys * sizeof(float);
  for (int first = 0, fold = 0; first < pairs.rows; first += kFoldRows, ++fold) {
    const int rows = std::min(kFoldRows, pairs.rows - first);
    for (int r = 0; r < rows; ++r) {
      std::memcpy(scratch.values.data() + r * kTileKeys, x + (first + r) * kPairStep, kBytes);
    }
    for (std::size_t n = 0; n + 1 < first_.size(); ++n) {
      scratch.places[n] =
          const_cast<void*>(output(scratch, static_cast<int>(n), fold, rows).numbers);
    }
    TilePlace at;
    at.batch = static_cast<int32_t>(place.segment);
    at.sequence = static_cast<int32_t>(place.sequence);
    at.first_key = static_cast<int32_t>(first_key);
    at.head = scratch.head.data();
    at.query = scratch.query.data() + first;
    at.row = scratch.row.data() + first;
    at.rows = rows;
    at.keys = pairs.keys;
    run_tile_program(gradient_.program, at, scratch.values.data(), scratch.masks.data(),
                     scratch.bytes.data(), scratch.places.data());
    for (int r = 0; changes_ && to != nullptr && r < rows; ++r) {
      std::memcpy(to + (first + r) * kPairStep, scratch.values.data() + r * kTileKeys, kBytes);
    }
    if (masks_) {
      for (int i = 0; i < rows * kTilePanels; ++i) {
        bits[first * kTilePanels + i] &= scratch.masks[static_cast<std::size_t>(i)];
      }
    }
    if (!has_slope()) continue;
    const Output by_value = output(scratch, gradient_.derivative, fold, rows);
    const float* const numbers = static_cast<const float*>(by_value.numbers);
    for (int r = 0; r < rows; ++r) {
      float* const row = slope + (first + r) * kPairStep;
      for (int j = 0; j < kTileKeys; ++j) {
        row[j] = numbers[r * by_value.row_step + j * by_value.key_step];
      }
    }
  }
}

namespace {

std::optional<PairProgram> make_program(const Expr& value, const Expr& mask,
                                        std::span<const Array> wanted) {
  if (value.empty() && mask.empty()) return {};
  return PairProgram(value, mask, wanted);
}

}  // namespace

PairPrograms::PairPrograms(const Recipe& recipe, std::span<const Segment> segments, int64_t heads,
                           std::span<const Array> wanted)
    : forward_(recipe, false), weight_(make_program(recipe.weight, {}, wanted)) {
  if (forward_.see(recipe, segments, heads)) band_ = recipe.band;
  forward_.read_arrays();
  score_ = make_program(recipe.score, forward_.mask(), wanted);
}

Sight PairPrograms::look(const BlockPlace& place, int64_t first, int64_t end,
                         std::span<Interval> scratch) const {
  if (!masks()) return Sight::all;
  const int64_t last = place.rows - 1;
  Ranges ranges;
  ranges.batch = {place.segment, place.segment};
  ranges.sequence = {place.sequence, place.sequence};
  ranges.head = {place.head, place.head};
  ranges.i = {place.position, place.position + last};
  ranges.row = {place.row, place.row + last};
  ranges.j = {first, end - 1};
  return forward_.look(ranges, scratch);
}

}  // namespace regard
