// fold_tile, compiled once per target: scores, weights by the normaliser, and the values. See
// fold.h for the algebra.
#include "tiles/fold.h"

#include <cstring>

#include "interpreter/program.h"
#include "simd/highway.h"
#include "tiles/additive.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tiles/fold.cc"
#include <hwy/foreach_target.h>

#include "simd/math-inl.h"
#include "simd/simd-inl.h"
#include "simd/tile-inl.h"
#include "tiles/groups-inl.h"
#include "tiles/values-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {
namespace {

// The keys that a program masks get -inf, whatever their score was.
HWY_ATTR void mask_scores(const uint16_t* allowed, int rows, const KeySpan* seen, float* scores) {
  for (int r = 0; r < rows; ++r) {
    const uint16_t* const row = allowed + r * kTilePanels;
    for (int p = seen[r].first / kPanelKeys; p < panels_of(seen[r].end); ++p) {
      if (row[p] == 0xFFFF) continue;
      float* const at = scores + r * kTileKeys + p * kPanelKeys;
      store(select(mask_of_bits(row[p]), load(at), broadcast(kNone)), at);
    }
  }
}

// ---- weights p of scores, in place: a row at a time, panel by panel ----

// A panel's scores, -inf where the row does not see the key.
HWY_INLINE HWY_ATTR F32x16 seen_scores(const float* scores, const KeySpan& seen, int panel) {
  return select(mask_of_bits(seen_bits(seen, panel)), load(scores + panel * kPanelKeys),
                broadcast(kNone));
}

// Calls each(scores) for the panels that a row sees, -inf where it does not see
// the key, and stores what it returns; panels first .. end - 1 that it does not see become 0.
template <class Each>
HWY_INLINE HWY_ATTR void each_panel(float* scores, const KeySpan& seen, int first, int end,
                                    const Each& each) {
  if (seen.first == 0 && seen.end == kTileKeys) {
#pragma GCC unroll 8
    for (int i = 0; i < kTilePanels; ++i) store(each(load(scores + 16 * i)), scores + 16 * i);
    return;
  }
  const int from = seen.first / kPanelKeys, to = panels_of(seen.end);
  const int end_whole = seen.end / kPanelKeys;
  int i = first;
  for (; i < from; ++i) store(zero(), scores + 16 * i);
  if (i < to && seen.first % kPanelKeys != 0) {
    store(each(seen_scores(scores, seen, i)), scores + 16 * i);
    ++i;
  }
  for (; i < end_whole; ++i) store(each(load(scores + 16 * i)), scores + 16 * i);
  if (i < to) {
    store(each(seen_scores(scores, seen, i)), scores + 16 * i);
    ++i;
  }
  for (; i < end; ++i) store(zero(), scores + 16 * i);
}

// The largest score that a row sees, in 16 lanes; NaN loses to any number.
HWY_INLINE HWY_ATTR F32x16 row_maximum(const float* scores, const KeySpan& seen) {
  if (seen.first == 0 && seen.end == kTileKeys) {
    F32x16 a = load(scores), b = load(scores + 16);
#pragma GCC unroll 3
    for (int i = 2; i < kTilePanels; i += 2) {
      a = max(load(scores + 16 * i), a);
      b = max(load(scores + 16 * i + 16), b);
    }
    return max(max(a, broadcast(kNone)), max(b, broadcast(kNone)));
  }
  F32x16 most = broadcast(kNone);
  const int to = panels_of(seen.end), end_whole = seen.end / kPanelKeys;
  int i = seen.first / kPanelKeys;
  if (i < to && seen.first % kPanelKeys != 0) most = max(seen_scores(scores, seen, i++), most);
  for (; i < end_whole; ++i) most = max(load(scores + 16 * i), most);
  if (i < to) most = max(seen_scores(scores, seen, i), most);
  return most;
}

// The largest scores of up to 16 rows.
HWY_ATTR void row_maxima(const float* scores, int rows, const KeySpan* seen, float* largest) {
  if (kParts == 1 && rows > 4) {
    alignas(64) float lanes[16 * 16], columns[16 * 16];
    for (int r = 0; r < 16; ++r) {
      store(r < rows ? row_maximum(scores + r * kTileKeys, seen[r]) : broadcast(kNone),
            lanes + 16 * r);
    }
    transpose16(lanes, 16, columns, 16);
    F32x16 most[4] = {load(columns), load(columns + 16), load(columns + 32), load(columns + 48)};
#pragma GCC unroll 12
    for (int i = 4; i < 16; ++i) most[i % 4] = max(load(columns + 16 * i), most[i % 4]);
    store(max(max(most[0], most[1]), max(most[2], most[3])), largest);
  } else {
    for (int r = 0; r < 16; ++r) {
      largest[r] = r < rows ? max_lanes(row_maximum(scores + r * kTileKeys, seen[r])) : kNone;
    }
  }
}

// What each_panel calls.
struct Exponential {
  F32x16 most;
  HWY_INLINE HWY_ATTR F32x16 operator()(const F32x16& s) const {
    return exp_nonpositive(sub(s, most));
  }
};
struct Sigmoid {
  HWY_INLINE HWY_ATTR F32x16 operator()(const F32x16& s) const { return sigmoid(s); }
};
struct Positive {  // NaN stays
  HWY_INLINE HWY_ATTR F32x16 operator()(const F32x16& s) const { return max(zero(), s); }
};
template <class Function>
struct Summed {
  const Function& function;
  F32x16& sum;
  HWY_INLINE HWY_ATTR F32x16 operator()(const F32x16& s) const {
    const F32x16 p = function(s);
    sum = add(sum, p);
    return p;
  }
};
struct ZeroButNan {
  F32x16& doubt;
  HWY_INLINE HWY_ATTR F32x16 operator()(const F32x16& s) const {
    doubt = select(equal(s, s), doubt, s);
    return zero();
  }
};

// One fold under way.
struct Fold {
  const FoldRows& rows;
  const Group* groups;
  int count;  // of groups
  const Ahead& ahead;
  bool fresh;
  const FoldState& state;
  float* shrink;  // [rows]: what o and l are multiplied by first
};

// Asks for what comes next while a row is weighed.
HWY_INLINE void ask_for_row(const Ahead& ahead, int row) {
  if (ahead.rows == nullptr) return;
  const std::byte* const from = static_cast<const std::byte*>(ahead.rows[row]);
  for (int64_t at = 0; at < ahead.row_bytes; at += 64) __builtin_prefetch(from + at, 0, 2);
}

// p = function(s), and l grows by them behind its rescaling.
template <class Function>
HWY_INLINE HWY_ATTR void weigh_row_by(const Function& function, const Group& group,
                                      const KeySpan& seen, const F32x16& before, float* scores,
                                      float* l) {
  F32x16 sum = before;
  each_panel(scores, seen, group.first_panel(), group.end_panel(), Summed<Function>{function, sum});
  store(sum, l);
}

// softmax: m rises to the tile's maximum, 16 rows at a time; p = exp(s - m); shrink = exp(m before
// - m now).
HWY_ATTR void soften(const Fold& fold) {
  const FoldState& state = fold.state;
  const KeySpan* const seen = fold.rows.seen;
  alignas(64) float used[kFoldRows];
  for (int row = 0; row < fold.rows.rows; row += 16) {
    const int height = fold.rows.rows - row < 16 ? fold.rows.rows - row : 16;
    alignas(64) float largest[16];
    row_maxima(fold.rows.scores + row * kTileKeys, height, seen + row, largest);
    const F32x16 before = fold.fresh ? broadcast(kNone) : load(state.m + row);
    const F32x16 now = max(before, load(largest));
    // With no key so far every difference would be NaN; 0 keeps exp(-inf - 0) = 0.
    const F32x16 base = select(equal(now, broadcast(kNone)), zero(), now);
    store(now, state.m + row);
    store(base, used + row);
    store(exp_nonpositive(sub(before, base)), fold.shrink + row);
  }
  for (int g = 0; g < fold.count; ++g) {
    const Group& group = fold.groups[g];
    for (int r = group.row; r < group.row + group.height; ++r) {
      float* const l = state.l + 16 * r;
      const F32x16 kept = fold.fresh ? zero() : mul(load(l), broadcast(fold.shrink[r]));
      weigh_row_by(Exponential{broadcast(used[r])}, group, seen[r], kept,
                   fold.rows.scores + r * kTileKeys, l);
      ask_for_row(fold.ahead, r);
    }
  }
}

// sigmoid, relu: a weight is a function of its own score.
template <class Function>
HWY_ATTR void weigh_each(const Fold& fold, const Function& function) {
  const FoldState& state = fold.state;
  for (int row = 0; row < fold.rows.rows; row += 16) {
    store(zero(), state.m + row);
    store(broadcast(1.0f), fold.shrink + row);
  }
  for (int g = 0; g < fold.count; ++g) {
    const Group& group = fold.groups[g];
    for (int r = group.row; r < group.row + group.height; ++r) {
      float* const l = state.l + 16 * r;
      weigh_row_by(function, group, fold.rows.seen[r], fold.fresh ? zero() : load(l),
                   fold.rows.scores + r * kTileKeys, l);
      ask_for_row(fold.ahead, r);
    }
  }
}

// One row: state.m holds the largest score by now, and shrink is 0 where it rose.
HWY_ATTR void choose_in_row(const Fold& fold, const Group& group, int r) {
  const FoldState& state = fold.state;
  const FoldRows& rows = fold.rows;
  float* const scores = rows.scores + r * kTileKeys;
  F32x16 doubt = zero();  // NaN in the lanes of NaN scores
  const bool rises = fold.shrink[r] == 0.0f;
  int chosen = -1;
  const KeySpan& seen = rows.seen[r];
  for (int key = seen.first; rises && chosen < 0; ++key) {
    if (scores[key] == state.m[r]) chosen = key;
  }
  each_panel(scores, seen, group.first_panel(), group.end_panel(), ZeroButNan{doubt});
  alignas(64) float l[16] = {};
  if (!rises && !fold.fresh) l[0] = state.l[16 * r];
  if (rises) {
    scores[chosen] = 1.0f;
    const int32_t number = rows.first_key + chosen + 1;
    std::memcpy(l, &number, sizeof number);
  }
  const float doubts = sum_lanes(doubt);
  if (doubts != doubts || (!fold.fresh && state.l[16 * r] != state.l[16 * r])) {
    l[0] = kNotANumber;
  }
  std::memcpy(state.l + 16 * r, l, sizeof l);
}

// hardmax: the first of the tile's largest scores takes all, if it is larger than those before.
HWY_ATTR void choose(const Fold& fold) {
  const FoldState& state = fold.state;
  const FoldRows& rows = fold.rows;
  for (int row = 0; row < rows.rows; row += 16) {
    const int height = rows.rows - row < 16 ? rows.rows - row : 16;
    alignas(64) float largest[16];
    row_maxima(rows.scores + row * kTileKeys, height, rows.seen + row, largest);
    for (int r = row; r < row + height; ++r) {
      const bool rises = largest[r - row] > (fold.fresh ? kNone : state.m[r]);
      state.m[r] = rises ? largest[r - row] : fold.fresh ? kNone : state.m[r];
      fold.shrink[r] = rises ? 0.0f : 1.0f;
    }
  }
  for (int g = 0; g < fold.count; ++g) {
    for (int r = fold.groups[g].row; r < fold.groups[g].row + fold.groups[g].height; ++r) {
      choose_in_row(fold, fold.groups[g], r);
      ask_for_row(fold.ahead, r);
    }
  }
}

// The program of p; keys that a row may not use keep p = 0.
HWY_ATTR void weigh_by_program(const FoldRows& rows, const Group* groups, int count,
                               const uint16_t* allowed) {
  const Scoring& program = *rows.weights;
  ::regard::run_tile_program(*program.program, program.place, rows.scores, program.allowed,
                             program.scratch);
  for (int g = 0; g < count; ++g) {
    const Group& group = groups[g];
    for (int r = group.row; r < group.row + group.height; ++r) {
      for (int p = group.first_panel(); p < group.end_panel(); ++p) {
        uint32_t bits = seen_bits(rows.seen[r], p);
        if (allowed != nullptr) bits &= allowed[r * kTilePanels + p];
        float* const at = rows.scores + r * kTileKeys + p * kPanelKeys;
        store(zero_where(mask_of_bits(~bits & 0xFFFF), load(at)), at);
      }
    }
  }
}

// The scores of scaled keys, finished; the next tile's scales are asked for meanwhile.
HWY_ATTR void scale_scores(const KeyTile& tile, const Ahead& ahead, const Group* groups, int count,
                           float* scores) {
  for (int g = 0; g < count; ++g) {
    for (int p = groups[g].first_panel(); p < groups[g].end_panel(); ++p) {
      const F32x16 scale = load(tile.key_scales_of_panel[p]);
      for (int r = groups[g].row; r < groups[g].row + groups[g].height; ++r) {
        float* const s = scores + r * kTileKeys + p * kPanelKeys;
        store(mul(load(s), scale), s);
      }
    }
  }
  if (ahead.tile == nullptr) return;
  for (int p = 0; p < panels_of(ahead.tile->keys); ++p) {
    if (ahead.tile->scaled_keys) __builtin_prefetch(ahead.tile->key_scales_of_panel[p], 0, 2);
    if (ahead.tile->scaled_values) __builtin_prefetch(ahead.tile->value_scales_of_panel[p], 0, 2);
  }
}

constexpr int kMostGroups = (kFoldRows + kMaxTileRows - 1) / kMaxTileRows;

// Scores of all groups, those that a program masks at -inf. Returns what is allowed: null, or bits
// of keys, [rows][8].
HWY_ATTR const uint16_t* score(const FoldRows& rows, const Group* groups, int count,
                               const KeyTile& tile, const Ahead& ahead) {
  if (rows.additive != nullptr) {
    int first = kTilePanels, end = 0;
    for (int g = 0; g < count; ++g) {
      first = groups[g].first_panel() < first ? groups[g].first_panel() : first;
      end = groups[g].end_panel() > end ? groups[g].end_panel() : end;
    }
    ::regard::score_additive(rows.q, rows.dim, rows.rows, rows.additive, rows.additive_scale, tile,
                             first, end, rows.scores);
  } else {
    with_dtype(tile.k_dtype, [&](auto t) HWY_ATTR {
      score_rows<decltype(t)>(rows.q, rows.dim, rows.rows, groups, count, tile, ahead, rows.scores);
    });
  }
  if (tile.scaled_keys && rows.additive == nullptr) {
    scale_scores(tile, ahead, groups, count, rows.scores);
  }
  if (rows.scoring == nullptr) return nullptr;
  const Scoring& scoring = *rows.scoring;
  ::regard::run_tile_program(*scoring.program, scoring.place, rows.scores, scoring.allowed,
                             scoring.scratch);
  if (scoring.program->mask < 0) return nullptr;
  mask_scores(scoring.allowed, rows.rows, rows.seen, rows.scores);
  return scoring.allowed;
}

HWY_ATTR void add_values_of(const FoldRows& rows, const Group* groups, int count,
                            const KeyTile& tile, const Ahead& ahead, const uint16_t* allowed,
                            bool fresh, const float* shrink, const FoldState& state) {
  if (tile.scaled_values) scale_weights(tile, rows.rows, rows.seen, allowed, rows.scores);
  with_dtype(tile.v_dtype, [&](auto t) HWY_ATTR {
    add_values<decltype(t)>(rows.scores, rows.rows, rows.seen, groups, count, tile, ahead, allowed,
                            fresh, shrink, state);
  });
}

}  // namespace

HWY_ATTR void fold_tile(const FoldRows& rows, const KeyTile& tile, const Ahead& ahead, bool fresh,
                        const FoldState& state) {
  alignas(64) float shrink[kFoldRows];
  Group groups[kMostGroups];
  const int count = group_rows(rows.rows, rows.seen, groups);
  const uint16_t* const allowed = score(rows, groups, count, tile, ahead);
  const Fold fold{rows, groups, count, ahead, fresh, state, shrink};
  switch (rows.weighing) {
    case Weighing::softmax:
      soften(fold);
      break;
    case Weighing::sigmoid:
      weigh_each(fold, Sigmoid());
      break;
    case Weighing::relu:
      weigh_each(fold, Positive());
      break;
    default:
      choose(fold);
      break;
  }
  if (rows.weights != nullptr) weigh_by_program(rows, groups, count, allowed);
  add_values_of(rows, groups, count, tile, ahead, allowed, fresh, shrink, state);
}

HWY_ATTR void score_tile(const FoldRows& rows, const KeyTile& tile, const Ahead& ahead) {
  Group groups[kMostGroups];
  const int count = group_rows(rows.rows, rows.seen, groups);
  score(rows, groups, count, tile, ahead);
  for (int r = 0; r < rows.rows; ++r) {
    for (int p = 0; p < kTilePanels; ++p) {
      const uint32_t bits = seen_bits(rows.seen[r], p);
      if (bits == 0xFFFF) continue;
      float* const at = rows.scores + r * kTileKeys + p * kPanelKeys;
      store(select(mask_of_bits(bits), load(at), broadcast(kNone)), at);
    }
  }
}

HWY_ATTR void add_tile(const FoldRows& rows, const KeyTile& tile, const Ahead& ahead, bool fresh,
                       const FoldState& state) {
  alignas(64) float shrink[kFoldRows];
  for (int row = 0; row < kFoldRows; row += 16) store(broadcast(1.0f), shrink + row);
  Group groups[kMostGroups];
  const int count = group_rows(rows.rows, rows.seen, groups);
  const bool masks = rows.scoring != nullptr && rows.scoring->program->mask >= 0;
  const uint16_t* const allowed = masks ? rows.scoring->allowed : nullptr;
  if (rows.weights != nullptr) weigh_by_program(rows, groups, count, allowed);
  add_values_of(rows, groups, count, tile, ahead, allowed, fresh, shrink, state);
}

HWY_ATTR void score_row(const float* q, int64_t dim, const KeyTile& tile, float* out) {
  const Group whole{0, 1, 0, tile.keys, 0, tile.keys};
  with_dtype(tile.k_dtype, [&](auto t) HWY_ATTR {
    score_rows<decltype(t)>(q, dim, 1, &whole, 1, tile, {}, out);
  });
  if (tile.scaled_keys) scale_scores(tile, {}, &whole, 1, out);
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace regard {

void fold_tile(const FoldRows& rows, const KeyTile& tile, const Ahead& ahead, bool fresh,
               const FoldState& state) noexcept {
  REGARD_DISPATCH(fold_tile)(rows, tile, ahead, fresh, state);
}

void score_tile(const FoldRows& rows, const KeyTile& tile, const Ahead& ahead) noexcept {
  REGARD_DISPATCH(score_tile)(rows, tile, ahead);
}

void add_tile(const FoldRows& rows, const KeyTile& tile, const Ahead& ahead, bool fresh,
              const FoldState& state) noexcept {
  REGARD_DISPATCH(add_tile)(rows, tile, ahead, fresh, state);
}

void score_row(const float* q, int64_t dim, const KeyTile& tile, float* out) noexcept {
  REGARD_DISPATCH(score_row)(q, dim, tile, out);
}

}  // namespace regard
#endif
