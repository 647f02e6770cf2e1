// Programs: the recipe's expressions as the kernels run them, and what is known of the mask before
// it is run.
#pragma once

#include <memory>
#include <optional>
#include <span>

#include "interpreter/program.h"
#include "plan/recipe.h"
#include "regard/attention.h"

namespace regard {

// What a mask leaves of a block of rows and keys.
enum class Sight : uint8_t { none, all, some };

class Programs {
 public:
  Programs() = default;
  // shows: scores may be asked for.
  Programs(const Recipe& recipe, bool shows);

  // What the mask's program is for these segments: the recipe's rest, or the whole mask where the
  // rest may read outside of its arrays. That makes a score NaN in or out of the band, so there the
  // band may not speak first. Returns whether the band is to be used.
  bool see(const Recipe& recipe, std::span<const Segment> segments, int64_t heads);

  bool any() const { return has_score_ || masks() || has_weight_; }
  bool masks() const { return bounds_.has_value(); }
  // Summarises the captured arrays, which may have changed since.
  void read_arrays() {
    if (bounds_) bounds_->read_arrays();
  }
  std::size_t bounds_size() const { return bounds_ ? bounds_->scratch_size() : 0; }
  Sight look(const Ranges& ranges, std::span<Interval> scratch) const;

  // To be run on scores; null: nothing. Of a tile that all rows see whole, mask work is left out.
  const TileProgram* scoring(Sight sight) const;
  // The same without what the normaliser adds to scores: for scores that are shown.
  const TileProgram* shown(Sight sight) const;
  // To be run on weights; null: nothing.
  const TileProgram* weighting() const { return has_weight_ ? &weight_ : nullptr; }
  int64_t scratch_bytes() const { return scratch_bytes_; }
  const Expr& mask() const { return mask_; }

 private:
  void set_mask(const Recipe& recipe, const Expr& mask);

  bool has_score_ = false, has_weight_ = false, whole_mask_ = false;
  TileProgram score_, masked_, weight_;  // the score alone; score and mask
  // Where scores that are shown differ.
  bool shows_others_ = false, has_shown_score_ = false;
  TileProgram shown_score_, shown_masked_;
  Expr mask_;
  std::optional<Bounds> bounds_;  // of mask_
  int64_t scratch_bytes_ = 0;
};

}  // namespace regard
