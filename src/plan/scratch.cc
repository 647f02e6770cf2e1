#include "plan/scratch.h"

#include <algorithm>

#include "plan/sight.h"

namespace regard {
namespace {

// Hands out memory from base on; with base 0 it only counts.
class Carver {
 public:
  explicit Carver(uintptr_t base) : base_(base) {}
  template <class T>
  void take(T*& to, int64_t count) {
    to = reinterpret_cast<T*>(base_ + static_cast<uintptr_t>(used_));
    used_ += round_up(count * static_cast<int64_t>(sizeof(T)), 64);
  }
  int64_t used() const { return used_; }

 private:
  uintptr_t base_;
  int64_t used_ = 0;
};

int64_t carve(const Setting& setting, const Cut& cut, uintptr_t base, Scratch& s) {
  Carver carver(base);
  const AttentionShape& shape = setting.shape;
  const int64_t rows = round_up(cut.task_rows, 16), dim = setting.product_dim();
  const int64_t columns = setting.columns;
  const int64_t fold = std::min<int64_t>(round_up(cut.task_rows, 16), kFoldRows);
  carver.take(s.q, round_up(cut.task_rows, kPackedRows) * dim);
  carver.take(s.fold_scores, kFoldRows * kTileKeys + 512);
  carver.take(s.chunk.m, rows);
  carver.take(s.chunk.l, rows * 16);
  carver.take(s.chunk.o, rows * columns);
  carver.take(s.running.m, rows);
  carver.take(s.running.l, rows);
  carver.take(s.running.o, rows * columns);
  s.chunk.columns = s.running.columns = columns;
  const int64_t dim_k = std::max(shape.dim_k, shape.dim);
  carver.take(s.tile.panels, kTileKeys * dim_k);
  carver.take(s.tile.values, kTileKeys * columns);
  carver.take(s.staged.panels, kTileKeys * std::max(dim, dim_k));
  carver.take(s.staged.values, kTileKeys * columns);
  const bool maps = setting.map.kind != Similarity::Kind::dot;
  carver.take(s.mapped_panels, maps ? kTileKeys * dim : 0);
  carver.take(s.fold_q, maps ? fold * round_up(shape.dim, 16) : 0);
  carver.take(s.mapped_q, maps ? fold * setting.map.mapped_step() : 0);
  carver.take(s.fold_rows, maps ? fold : 0);
  carver.take(s.mapped_rows, maps ? fold : 0);
  carver.take(s.parameters, maps || setting.additive ? rows : 0);
  carver.take(s.q_rows, rows);
  carver.take(s.out_rows, rows);
  carver.take(s.lse_rows, rows);
  carver.take(s.sinks, setting.sinks.empty() ? 0 : rows);
  carver.take(s.seen, kFoldRows);
  const bool programs = setting.programs.any();
  carver.take(s.heads, programs ? rows : 0);
  carver.take(s.queries, programs ? rows : 0);
  carver.take(s.tokens, programs ? rows : 0);
  carver.take(s.bounds, static_cast<int64_t>(setting.programs.bounds_size()));
  std::byte* program = nullptr;
  carver.take(program, setting.programs.scratch_bytes());
  s.program = program;
  carver.take(s.allowed, programs ? kFoldRows * kTilePanels : 0);
  carver.take(s.ignored, programs ? kFoldRows * kTilePanels : 0);
  const int64_t tiles = setting.two_passes ? (cut.most_keys + kTileKeys - 1) / kTileKeys : 0;
  s.kept_keys = tiles * kTileKeys;
  carver.take(s.kept, rows * s.kept_keys);
  const int64_t folds = (cut.task_rows + kFoldRows - 1) / kFoldRows;
  carver.take(s.kept_allowed, programs ? tiles * folds * kFoldRows * kTilePanels : 0);
  carver.take(s.visits, tiles);
  carver.take(s.first_keys, tiles);
  carver.take(s.m, setting.two_passes ? rows : 0);
  carver.take(s.l, setting.two_passes ? rows : 0);
  const int64_t shown = setting.by_products ? kFoldRows : 0;
  carver.take(s.shown, shown * kTileKeys);
  carver.take(s.entropy, shown);
  carver.take(s.top_weights, shown * setting.top);
  carver.take(s.top_keys, shown * setting.top);
  carver.take(s.key_sums, setting.by_products ? 2 * setting.group * kTileKeys : 0);
  return round_up(carver.used(), 64) + 64 * 16;  // so that threads share no line or set
}

}  // namespace

Scratch scratch_at(const Setting& setting, const Cut& cut, void* base) {
  Scratch scratch;
  carve(setting, cut, reinterpret_cast<uintptr_t>(base), scratch);
  return scratch;
}

int64_t scratch_bytes(const Setting& setting, const Cut& cut) {
  Scratch scratch;
  return carve(setting, cut, 0, scratch);
}

}  // namespace regard
