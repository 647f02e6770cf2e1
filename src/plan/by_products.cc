#include "plan/by_products.h"

#include <algorithm>
#include <limits>

#include "tiles/weights.h"

namespace regard {
namespace {

constexpr float kNone = -std::numeric_limits<float>::infinity();
constexpr int64_t kSumTokens = 512;  // between two restarts of a sum over rows

// One block of rows, a tile at a time.
class ShownRows {
 public:
  ShownRows(const Job& job, int segment, int64_t kv_head, int64_t first_row, int count)
      : job_(job),
        s_(job.scratch),
        extras_(job.arrays.extras),
        segment_(job.setting.segments[static_cast<std::size_t>(segment)]),
        block_(job, segment, kv_head, first_row, count),
        count_(count) {
    block_.pack(0, count);
  }

  const Block& block() const { return block_; }

  // Normalised weights of a tile into the fold's scores; allowed bits into s_.shown_allowed.
  // Returns whether there are any.
  bool weigh(const TileVisit& visit, const KeyTile& tile, Block::Fold& work) {
    block_.begin_fold(0, count_, visit, work);
    if (!work.sees) return false;
    score_tile(work.rows, tile, {});
    const int64_t at = block_.statistic(0);
    weigh_scores(job_.setting.weighing, count_, job_.statistics_m + at, job_.statistics_l + at,
                 static_cast<int32_t>(visit.key), s_.fold_scores);
    return true;
  }
  bool allowed(const Block::Fold& work, int row, int key) const {
    const KeySpan& seen = s_.seen[row];
    if (key < seen.first || key >= seen.end) return false;
    const Scoring* const scoring = work.rows.scoring;
    if (scoring == nullptr || scoring->program->mask < 0) return true;
    return (scoring->allowed[row * kTilePanels + key / kPanelKeys] >> key % kPanelKeys & 1) != 0;
  }

  void show();

 private:
  bool matrices() const {
    return extras_.similarities.data != nullptr || extras_.scores.data != nullptr ||
           extras_.masked.data != nullptr || extras_.weights.data != nullptr;
  }
  void begin();
  void show_tile(const TileVisit& visit);
  void show_scores(const TileVisit& visit, const KeyTile& tile);
  void take_largest(const Block::Fold& work, const TileVisit& visit);
  void show_weights(Block::Fold& work, const TileVisit& visit);
  void end();
  // Keys first .. first + keys - 1 of a matrix, from rows [count][128].
  void write(const View<float, 4>& matrix, int64_t first, int keys, const float* numbers) const {
    if (matrix.data == nullptr) return;
    for (int r = 0; r < count_; ++r) {
      const auto [slab, token, head] = block_.place(r);
      for (int j = 0; j < keys; ++j) {
        matrix(slab, token, head, first + j) = numbers[r * kTileKeys + j] + 0.0f;
      }
    }
  }
  void fill(const View<float, 4>& matrix, int64_t first, int64_t end, float number) const {
    if (matrix.data == nullptr) return;
    for (int r = 0; r < count_; ++r) {
      const auto [slab, token, head] = block_.place(r);
      for (int64_t j = first; j < end; ++j) matrix(slab, token, head, j) = number;
    }
  }

  const Job& job_;
  const Scratch& s_;
  const AttentionExtras& extras_;
  const Segment& segment_;
  const Block block_;
  const int count_;
};

void ShownRows::begin() {
  std::fill_n(s_.entropy, count_, 0.0f);
  const int64_t top = job_.setting.top;
  std::fill_n(s_.top_weights, count_ * top, 0.0f);
  std::fill_n(s_.top_keys, count_ * top, -1);
}

void ShownRows::show() {
  begin();
  if (matrices()) {
    for (int64_t key = 0; key < segment_.keys; key += kTileKeys) {
      const int keys = static_cast<int>(std::min<int64_t>(kTileKeys, segment_.keys - key));
      show_tile({key, keys, Sight::some});
    }
  } else {
    TileWalk walk = block_.walk(0, segment_.keys);
    for (TileVisit visit = walk.next(); visit.key >= 0; visit = walk.next()) show_tile(visit);
  }
  end();
}

void ShownRows::show_tile(const TileVisit& visit) {
  const KeyTile tile = block_.ready(block_.load(visit));
  if (matrices()) show_scores(visit, tile);
  Block::Fold work;
  if (!weigh(visit, tile, work)) {
    return fill(extras_.weights, visit.key, visit.key + visit.keys, 0.0f);
  }
  if (extras_.entropy.data != nullptr) add_entropy(s_.fold_scores, count_, s_.entropy);
  if (job_.setting.top > 0) take_largest(work, visit);
  if (extras_.weights.data != nullptr) show_weights(work, visit);
}

void ShownRows::show_scores(const TileVisit& visit, const KeyTile& tile) {
  const Programs& programs = job_.setting.programs;
  Block::Fold all;
  block_.see_all(visit, all);
  if (extras_.similarities.data != nullptr) {
    score_tile(all.rows, tile, {});
    write(extras_.similarities, visit.key, visit.keys, s_.fold_scores);
  }
  if (extras_.scores.data == nullptr && extras_.masked.data == nullptr) return;
  // A mask that reads outside of its arrays shows in the scores, too.
  Block::Fold masked;
  block_.begin_fold(0, count_, visit, masked);
  if (masked.sees) {
    block_.give_program(programs.shown(Sight::some), visit, masked);
    score_tile(masked.rows, tile, {});
    write(extras_.masked, visit.key, visit.keys, s_.fold_scores);
    std::copy_n(s_.fold_scores, count_ * kTileKeys, s_.shown);
  } else {
    fill(extras_.masked, visit.key, visit.key + visit.keys, kNone);
  }
  if (extras_.scores.data == nullptr) return;
  block_.see_all(visit, all);
  block_.give_program(programs.shown(Sight::all), visit, all);
  score_tile(all.rows, tile, {});
  for (int n = 0; masked.sees && n < count_ * kTileKeys; ++n) {
    if (s_.shown[n] != s_.shown[n]) s_.fold_scores[n] = s_.shown[n];
  }
  write(extras_.scores, visit.key, visit.keys, s_.fold_scores);
}

// NaN counts as the largest.
bool larger(float a, float b) { return (a != a && b == b) || a > b; }

void ShownRows::take_largest(const Block::Fold& work, const TileVisit& visit) {
  const int64_t top = job_.setting.top;
  for (int r = 0; r < count_; ++r) {
    float* const weights = s_.top_weights + r * top;
    int32_t* const keys = s_.top_keys + r * top;
    for (int j = 0; j < visit.keys; ++j) {
      const float weight = s_.fold_scores[r * kTileKeys + j];
      if (keys[top - 1] >= 0 && !larger(weight, weights[top - 1])) continue;
      if (!allowed(work, r, j)) continue;
      int64_t at = top - 1;
      for (; at > 0 && (keys[at - 1] < 0 || larger(weight, weights[at - 1])); --at) {
        weights[at] = weights[at - 1];
        keys[at] = keys[at - 1];
      }
      weights[at] = weight;
      keys[at] = static_cast<int32_t>(visit.key + j);
    }
  }
}

void ShownRows::show_weights(Block::Fold& work, const TileVisit& visit) {
  const float* const p = s_.fold_scores;
  std::copy_n(p, count_ * kTileKeys, s_.shown);
  if (const Scoring* const program = work.rows.weights; program != nullptr) {
    run_tile_program(*program->program, program->place, s_.shown, program->allowed,
                     program->scratch);
    const float* const l = job_.statistics_l + block_.statistic(0);
    for (int r = 0; r < count_; ++r) {
      for (int j = 0; j < visit.keys; ++j) {
        float& weight = s_.shown[r * kTileKeys + j];
        const float normalised = p[r * kTileKeys + j];
        if (normalised != normalised) weight = normalised;  // a NaN is not dropped
        if (l[r] == 0.0f || !allowed(work, r, j)) weight = 0.0f;
      }
    }
  }
  write(extras_.weights, visit.key, visit.keys, s_.shown);
}

void ShownRows::end() {
  const int64_t top = job_.setting.top;
  for (int r = 0; r < count_; ++r) {
    const auto [slab, token, head] = block_.place(r);
    if (extras_.entropy.data != nullptr) {
      extras_.entropy(slab, token, head) = s_.entropy[r] + 0.0f;
    }
    for (int64_t n = 0; n < top; ++n) {
      if (extras_.top_weights.data != nullptr) {
        extras_.top_weights(slab, token, head, n) = s_.top_weights[r * top + n];
      }
      if (extras_.top_keys.data != nullptr) {
        extras_.top_keys(slab, token, head, n) = s_.top_keys[r * top + n];
      }
    }
  }
  const int64_t first = segment_.keys, end = job_.cut.most_keys;
  fill(extras_.similarities, first, end, 0.0f);
  fill(extras_.scores, first, end, kNone);
  fill(extras_.masked, first, end, kNone);
  fill(extras_.weights, first, end, 0.0f);
}

}  // namespace

bool wants_rows(const AttentionExtras& e) {
  return e.entropy.data != nullptr || e.top_weights.data != nullptr || e.top_keys.data != nullptr ||
         e.similarities.data != nullptr || e.scores.data != nullptr || e.masked.data != nullptr ||
         e.weights.data != nullptr;
}

void show_rows(const Job& job, int segment, int64_t kv_head, int64_t first_row,
               int count) noexcept {
  ShownRows(job, segment, kv_head, first_row, count).show();
}

void sum_keys(const Job& job, int segment, int64_t kv_head, int64_t first_key) noexcept {
  const Setting& setting = job.setting;
  const Segment& of = setting.segments[static_cast<std::size_t>(segment)];
  const Scratch& s = job.scratch;
  const int64_t group = setting.group, rows = setting.rows_of(of);
  const int keys = static_cast<int>(std::clamp<int64_t>(of.keys - first_key, 0, kTileKeys));
  std::fill_n(s.key_sums, 2 * group * kTileKeys, 0.0f);
  float* const total = s.key_sums;
  float* const part = s.key_sums + group * kTileKeys;
  for (int64_t row = 0; row < rows && keys > 0;) {
    // Blocks end where a sum restarts.
    const int64_t restart = (row / (kSumTokens * group) + 1) * kSumTokens * group;
    const int64_t most = std::min<int64_t>(kFoldRows, job.cut.task_rows);
    const int count = static_cast<int>(std::min({most, rows - row, restart - row}));
    ShownRows shown(job, segment, kv_head, row, count);
    TileWalk walk = shown.block().walk(first_key, first_key + keys);
    const TileVisit visit = walk.next();
    Block::Fold work;
    if (visit.key >= 0 &&
        shown.weigh(visit, shown.block().ready(shown.block().load(visit)), work)) {
      for (int64_t member = 0; member < group; ++member) {
        const auto first = static_cast<int>((member - row % group + group) % group);
        add_key_sums(s.fold_scores, count, first, static_cast<int>(group),
                     part + member * kTileKeys);
      }
    }
    row += count;
    if (row == restart || row == rows) {
      for (int64_t n = 0; n < group * kTileKeys; ++n) total[n] += part[n];
      std::fill_n(part, group * kTileKeys, 0.0f);
    }
  }
  const View<float, 3>& to = job.arrays.extras.key_sums;
  const int64_t end = std::min<int64_t>(first_key + kTileKeys, job.cut.most_keys);
  for (int64_t member = 0; member < group; ++member) {
    for (int64_t key = first_key; key < end; ++key) {
      to(segment, kv_head * group + member, key) = total[member * kTileKeys + key - first_key];
    }
  }
}

}  // namespace regard
