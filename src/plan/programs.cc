#include "plan/programs.h"

#include <algorithm>

#include "expr/node.h"
#include "plan/rules.h"
#include "program/lower.h"

namespace regard {
namespace {

TileProgram prepared(const Expr& score, const Expr& mask) {
  TileProgram program = lower(score, mask);
  prepare_tile_program(program);
  return program;
}

// Every place that the segments have.
Ranges everywhere(std::span<const Segment> segments, int64_t heads) {
  Ranges all;
  all.batch.last = static_cast<int64_t>(segments.size()) - 1;
  all.head.last = heads - 1;
  bool first = true;
  const auto include = [&](Span& span, int64_t low, int64_t high) {
    span.first = first ? low : std::min(span.first, low);
    span.last = first ? high : std::max(span.last, high);
  };
  for (std::size_t n = 0; n < segments.size(); ++n) {
    const Segment& segment = segments[n];
    if (segment.rows == 0 || segment.keys == 0) continue;
    const int64_t position = first_position(segment), sequence = sequence_of(segment, n);
    include(all.i, position, position + segment.rows - 1);
    include(all.j, 0, segment.keys - 1);
    include(all.row, 0, segment.rows - 1);
    include(all.sequence, sequence, sequence);
    first = false;
  }
  return all;
}

}  // namespace

Programs::Programs(const Recipe& recipe, bool shows)
    : has_score_(!recipe.score.empty()),
      has_weight_(!recipe.weight.empty()),
      shows_others_(shows && recipe.score.node() != recipe.options.score.node()),
      has_shown_score_(!recipe.options.score.empty()) {
  if (shows_others_ && has_shown_score_) shown_score_ = prepared(recipe.options.score, {});
  if (has_score_) score_ = prepared(recipe.score, {});
  if (has_weight_) weight_ = prepared(recipe.weight, {});
  set_mask(recipe, recipe.mask);
}

void Programs::set_mask(const Recipe& recipe, const Expr& mask) {
  mask_ = mask;
  bounds_.reset();
  if (!mask.empty()) {
    masked_ = prepared(recipe.score, mask);
    if (shows_others_) shown_masked_ = prepared(recipe.options.score, mask);
    bounds_.emplace(mask);
  }
  scratch_bytes_ = 0;
  for (const TileProgram* program : {scoring(Sight::some), scoring(Sight::all), shown(Sight::some),
                                     shown(Sight::all), weighting()}) {
    if (program != nullptr)
      scratch_bytes_ = std::max(scratch_bytes_, tile_program_scratch(*program));
  }
}

bool Programs::see(const Recipe& recipe, std::span<const Segment> segments, int64_t heads) {
  if (recipe.mask.empty() || !recipe.mask.node()->may_poison) return true;
  const Ranges all = everywhere(segments, heads);
  if (all.batch.last < 0 || heads == 0) return true;
  const bool whole = !recipe.band.everything() && Bounds(recipe.mask)(all).poison;
  if (whole != whole_mask_) {
    whole_mask_ = whole;
    set_mask(recipe, whole ? recipe.options.mask : recipe.mask);
  }
  return !whole;
}

Sight Programs::look(const Ranges& ranges, std::span<Interval> scratch) const {
  if (!bounds_) return Sight::all;
  const Interval allowed = (*bounds_)(ranges, scratch);
  return allowed.always_false() ? Sight::none : allowed.always_true() ? Sight::all : Sight::some;
}

const TileProgram* Programs::scoring(Sight sight) const {
  if (sight == Sight::some && masks()) return &masked_;
  return has_score_ ? &score_ : nullptr;
}

const TileProgram* Programs::shown(Sight sight) const {
  if (!shows_others_) return scoring(sight);
  if (sight == Sight::some && masks()) return &shown_masked_;
  return has_shown_score_ ? &shown_score_ : nullptr;
}

}  // namespace regard
