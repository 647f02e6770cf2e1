#include "plan/block.h"

namespace regard {
namespace {

const std::byte* element(const InputView<4>& a, int64_t slab, int64_t token, int64_t head) {
  const int64_t at = slab * a.strides[0] + token * a.strides[1] + head * a.strides[2];
  return static_cast<const std::byte*>(a.data) + at * row_bytes(a.dtype, 1);
}

}  // namespace

Block::Block(const Job& job, int segment, int64_t kv_head, int64_t first_row, int rows)
    : job_(job),
      segment_(job.setting.segments[static_cast<std::size_t>(segment)]),
      sight_(job.setting, static_cast<std::size_t>(segment), kv_head),
      segment_index_(segment),
      kv_head_(kv_head),
      first_row_(first_row),
      rows_(rows) {
  for (int row = 0; row < rows; row += kFoldRows) {
    reach_[row / kFoldRows] = sight_.reach(first_row + row, std::min(kFoldRows, rows - row));
  }
  const Setting& setting = job.setting;
  const Scratch& s = job.scratch;
  const bool programs = setting.programs.any();
  const bool has_parameters = setting.additive || setting.map.kind == Similarity::Kind::bilinear;
  const float* const parameters = job.parameters;
  for (int r = 0; r < rows; ++r) {
    const auto [slab, token, head] = place(r);
    s.q_rows[r] = element(job.arrays.q, slab, token, head);
    s.out_rows[r] = const_cast<std::byte*>(element(job.arrays.out, slab, token, head));
    if (job.arrays.extras.lse.data != nullptr) {
      s.lse_rows[r] = &job.arrays.extras.lse(slab, token, head);
    }
    if (!setting.sinks.empty()) s.sinks[r] = setting.sinks[static_cast<std::size_t>(head)];
    if (has_parameters) s.parameters[r] = parameters + head * job.parameter_step;
    if (!programs) continue;
    const int64_t row = token - segment_.first_row;
    s.heads[r] = static_cast<int32_t>(head);
    s.queries[r] = static_cast<int32_t>(sight_.position() + row);
    s.tokens[r] = static_cast<int32_t>(row);
  }
}

Block::Place Block::place(int row) const {
  const int64_t group = job_.setting.group, at = first_row_ + row;
  return {segment_.slab, segment_.first_row + at / group, kv_head_ * group + at % group};
}

TileWalk Block::walk(int64_t first_key, int64_t end_key) const {
  return {sight_,    first_row_, rows_,
          first_key, end_key,    {job_.scratch.bounds, job_.setting.programs.bounds_size()}};
}

void Block::pack(int row, int count) const {
  const Setting& setting = job_.setting;
  const Scratch& s = job_.scratch;
  const InputView<4>& q = job_.arrays.q;
  const int64_t dim = setting.shape.dim;
  float* const to = s.q + row * setting.product_dim();
  if (setting.additive || setting.map.kind == Similarity::Kind::dot) {
    pack_rows(s.q_rows + row, q.dtype, q.strides[3], count, dim,
              setting.additive ? 1.0f : setting.recipe.scale, to);
    return;
  }
  const int64_t step = round_up(dim, 16);
  for (int r = 0; r < count; ++r) {
    s.fold_rows[r] = s.fold_q + r * step;
    widen_values(s.q_rows[row + r], q.dtype, 0, q.strides[3], dim, step, 1, s.fold_q + r * step);
  }
  const bool bilinear = setting.map.kind == Similarity::Kind::bilinear;
  map_queries(setting.map, s.fold_rows, 1, count, bilinear ? s.parameters + row : nullptr,
              s.mapped_q, s.mapped_rows);
  pack_queries(s.mapped_rows, 1, count, setting.map.mapped_dim(), 1.0f, to);
}

KeyTile Block::load(const TileVisit& visit) const {
  return job_.source.tile(segment_, kv_head_, visit.key, visit.keys, job_.scratch.tile);
}

KeyTile Block::ready(const KeyTile& tile) const {
  const Setting& setting = job_.setting;
  const Scratch& s = job_.scratch;
  const KeyTile made = setting.additive ? tile : map_tile(setting.map, tile, s.mapped_panels);
  if (few()) return made;
  return stage_tile(made, setting.product_dim(), setting.columns, s.staged.panels, s.staged.values);
}

Scoring Block::programs(const TileProgram* program, int row, int count, const TileVisit& visit,
                        uint16_t* allowed) const {
  const Scratch& s = job_.scratch;
  TilePlace place;
  place.batch = segment_index_;
  place.sequence = sequence_of(segment_, static_cast<std::size_t>(segment_index_));
  place.first_key = static_cast<int32_t>(visit.key);
  place.head = s.heads + row;
  place.query = s.queries + row;
  place.row = s.tokens + row;
  place.rows = count;
  place.keys = visit.keys;
  return {program, place, allowed, s.program};
}

void Block::see_all(const TileVisit& visit, Fold& fold) const {
  const Scratch& s = job_.scratch;
  std::fill_n(s.seen, rows_, KeySpan{0, visit.keys});
  fold.sees = true;
  fold.rows = plain_rows(0, rows_, visit);
}

void Block::give_program(const TileProgram* program, const TileVisit& visit, Fold& fold) const {
  fold.rows.scoring = nullptr;
  if (program == nullptr) return;
  fold.scoring = programs(program, 0, rows_, visit, job_.scratch.allowed);
  fold.rows.scoring = &fold.scoring;
}

int64_t Block::statistic(int row) const {
  return job_.cut.first_statistic[static_cast<std::size_t>(segment_index_)] +
         kv_head_ * job_.setting.rows_of(segment_) + first_row_ + row;
}

FoldRows Block::plain_rows(int row, int count, const TileVisit& visit) const {
  const Setting& setting = job_.setting;
  const Scratch& s = job_.scratch;
  FoldRows rows{.q = s.q + row * setting.product_dim(),
                .dim = setting.product_dim(),
                .rows = count,
                .seen = s.seen,
                .weighing = setting.weighing,
                .first_key = static_cast<int32_t>(visit.key),
                .scores = s.fold_scores};
  if (setting.additive) {
    rows.additive = s.parameters + row;
    rows.additive_scale = setting.recipe.scale;
  }
  return rows;
}

void Block::begin_fold(int row, int count, const TileVisit& visit, Fold& fold) const {
  const Setting& setting = job_.setting;
  const Scratch& s = job_.scratch;
  const int64_t end = visit.key + visit.keys;
  const program::KeyRun& run = reach(row).any;
  fold.sees = run.first < end && run.end > visit.key;
  if (!fold.sees) return;
  Sight sight = visit.sight;
  program::KeyRun keys{std::max(run.first, visit.key), std::min(run.end, end)};
  if (sight == Sight::some) {
    sight =
        sight_.narrow(first_row_ + row, count, keys, {s.bounds, setting.programs.bounds_size()});
    fold.sees = sight != Sight::none;
    if (!fold.sees) return;
  }
  sight_.spans(first_row_ + row, count, reach(row), visit.key, keys, s.seen);
  fold.rows = plain_rows(row, count, visit);
  if (const TileProgram* const program = setting.programs.scoring(sight); program != nullptr) {
    fold.scoring = programs(program, row, count, visit, s.allowed);
    fold.rows.scoring = &fold.scoring;
  }
  if (const TileProgram* const program = setting.programs.weighting(); program != nullptr) {
    fold.weighting = programs(program, row, count, visit, s.ignored);
    fold.rows.weights = &fold.weighting;
  }
}

}  // namespace regard
