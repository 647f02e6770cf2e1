// How a backward pass is laid out: geometry, memory, and the order of the phases.
#include "gradient/backward_pass.h"

#include <algorithm>

namespace regard {
namespace {

using Kind = Normaliser::Kind;
using Sample = Normaliser::Sample;

constexpr int64_t kChunkTiles = kChunkKeys / kTileKeys;
constexpr int64_t kPairs = int64_t{kGradientRows} * kPairStep;
// Scores kept by one thread while it looks for thresholds.
constexpr int64_t kKeptScores = int64_t{1} << 20;

WeightRule rule_of(const Normaliser& normaliser) {
  switch (normaliser.kind) {
    case Kind::softmax:
      return WeightRule::softmax;
    case Kind::sigmoid:
      return WeightRule::sigmoid;
    case Kind::relu:
      return WeightRule::relu;
    case Kind::sparsemax:
      return WeightRule::sparsemax;
    case Kind::entmax15:
      return WeightRule::entmax15;
    case Kind::hardmax:
      return WeightRule::hardmax;
    case Kind::gumbel:
      return normaliser.sample == Sample::soft   ? WeightRule::softmax
             : normaliser.sample == Sample::hard ? WeightRule::hardmax
                                                 : WeightRule::straight_through;
  }
  return WeightRule::softmax;
}

bool has_thresholds(WeightRule rule) {
  return rule == WeightRule::sparsemax || rule == WeightRule::entmax15;
}

int64_t chunk_tasks(std::span<const Segment> segments, int64_t kv_heads) {
  int64_t tasks = 0;
  for (const Segment& s : segments) tasks += (s.keys + kChunkKeys - 1) / kChunkKeys * kv_heads;
  return tasks;
}

std::vector<Array> arrays_of(std::span<const ArrayGradient> gradients) {
  std::vector<Array> arrays;
  for (const ArrayGradient& gradient : gradients) arrays.push_back(gradient.array);
  return arrays;
}

std::optional<Array> additive_parameter(const Recipe& recipe) {
  const Similarity& similarity = recipe.options.similarity;
  return similarity.kind == Similarity::Kind::additive ? similarity.parameters : std::nullopt;
}

std::vector<Array> arrays_of_tasks(const PairPrograms& programs, const Recipe& recipe) {
  std::vector<Array> arrays;
  for (const auto* program : {&programs.score(), &programs.weight()}) {
    if (!*program) continue;
    for (const PairProgram::Element& element : (*program)->elements()) {
      arrays.push_back(element.array);
    }
  }
  if (const auto v = additive_parameter(recipe)) arrays.push_back(*v);
  return arrays;
}

}  // namespace

BackwardPass::BackwardPass(const BackwardArrays& arrays, std::span<const Segment> segments,
                           const Recipe& recipe, std::span<const ArrayGradient> gradients,
                           int threads)
    : arrays_(arrays),
      segments_(segments),
      recipe_(recipe),
      heads_(arrays.q.shape[2]),
      kv_heads_(arrays.k.shape[2]),
      group_(kv_heads_ == 0 ? 0 : heads_ / kv_heads_),
      dim_v_(arrays.v.shape[3]),
      rule_(rule_of(recipe.options.normaliser)),
      similarity_(recipe, heads_, arrays.q.shape[3], arrays.k.shape[3]),
      programs_(recipe, segments, heads_, arrays_of(gradients)),
      sums_(gradients, arrays_of_tasks(programs_, recipe), additive_parameter(recipe),
            chunk_tasks(segments, kv_heads_)),
      widen_dq_(arrays.dq.dtype != DType::f32 ||
                !(similarity_.is_dot() || similarity_.is_additive())) {
  delta_by_pass_ = has_thresholds(rule_) || rule_ == WeightRule::straight_through ||
                   (programs_.weight() && !recipe.weight_is_linear &&
                    (rule_ == WeightRule::softmax || rule_ == WeightRule::relu));
  int64_t most_chunks = 0;
  for (const Segment& segment : segments_) {
    first_row_.push_back(rows_);
    first_block_.push_back(blocks_);
    rows_ += segment.rows;
    blocks_ += (segment.rows + kGradientRows - 1) / kGradientRows;
    most_keys_ = std::max(most_keys_, segment.keys);
    most_chunks = std::max(most_chunks, (segment.keys + kChunkKeys - 1) / kChunkKeys);
  }
  // Chunk after chunk: a task waits for the chunk before, which a thread has taken already.
  for (int64_t chunk = 0; chunk < most_chunks; ++chunk) {
    for (std::size_t i = 0; i < segments_.size(); ++i) {
      if (chunk * kChunkKeys >= segments_[i].keys) continue;
      for (int64_t head = 0; head < kv_heads_; ++head) {
        tasks_.push_back(
            {static_cast<int32_t>(i), static_cast<int32_t>(head), static_cast<int32_t>(chunk)});
      }
    }
  }
  progress_ = std::vector<std::atomic<int32_t>>(static_cast<std::size_t>(heads_ * blocks_));
  const int64_t kept_keys = round_up(most_keys_, kTileKeys) + kTileKeys;
  threshold_rows_ = std::clamp<int64_t>(kKeptScores / kept_keys / 12 * 12, 12, kGradientRows);

  int64_t of_thread = 0;
  carve(nullptr, of_thread);
  const int64_t numbers = round_up(heads_ * rows_, 16);
  const auto bytes = static_cast<std::size_t>(threads * of_thread + 5 * numbers) * sizeof(float);
  memory_ = Arena::global().take(bytes);  // kept between calls: fresh pages cost a twentieth
  float* at = reinterpret_cast<float*>(memory_.data());
  for (float** const array : {&base_, &shift_, &delta_, &sink_share_}) {
    *array = at;
    at += numbers;
  }
  pick_ = reinterpret_cast<int32_t*>(at);
  at += numbers;
  for (int slot = 0; slot < threads; ++slot) {
    int64_t taken = 0;
    scratch_.push_back(carve(at + slot * of_thread, taken));
  }
  if (widen_dq_) {
    wide_dq_ =
        Arena::global().take(static_cast<std::size_t>(heads_ * rows_ * columns()) * sizeof(float));
  }
  workspace_bytes_ = static_cast<int64_t>(memory_.size() + wide_dq_.size() + progress_.size() * 4 +
                                          tasks_.size() * sizeof(Task) + 16 * segments_.size()) +
                     sums_.memory_bytes() + similarity_.memory_bytes();
  for (const Scratch& s : scratch_) {
    workspace_bytes_ += static_cast<int64_t>(s.bounds.size() * sizeof(Interval));
    if (programs_.score()) workspace_bytes_ += PairProgram::bytes_of(s.score);
    if (programs_.weight()) workspace_bytes_ += PairProgram::bytes_of(s.weight);
  }
}

BackwardPass::Scratch BackwardPass::carve(float* memory, int64_t& taken) const {
  const auto take = [&](int64_t numbers) {
    float* const here = memory == nullptr ? nullptr : memory + taken;
    taken += round_up(numbers, 16);
    return here;
  };
  const auto take_if = [&](bool wanted, int64_t numbers) { return take(wanted ? numbers : 0); };
  const int64_t dim = similarity_.dim();
  const bool maps = !similarity_.is_dot();
  const bool plain = rule_ == WeightRule::softmax && !programs_.weight();
  Scratch s{};
  s.k_panels = take(kChunkKeys * dim);
  s.v_panels = take(kChunkKeys * dim_v_);
  s.k_rows = take(kChunkTiles * kGradientRows * columns());
  s.dk = take(kChunkKeys * columns());
  s.dv = take(kChunkKeys * columns_v());
  s.q_rows = take(round_up(kGradientRows, kPackedRows) * columns());
  s.dout_rows = take(kGradientRows * columns_v());
  s.dq = take(kGradientRows * std::max(columns(), round_up(similarity_.dim_q(), 16)));
  s.wide = take_if(maps, similarity_.wide_numbers());
  s.mapped = take_if(maps, similarity_.wide_numbers());
  s.bits = reinterpret_cast<uint16_t*>(take(kGradientRows * kTilePanels / 2));
  s.s = take(kPairs);
  s.dp = take(kPairs);
  s.g = take_if(!plain, kPairs);
  s.score_slope = take_if(programs_.score() && programs_.score()->has_slope(), kPairs);
  s.weight_slope = take_if(programs_.weight() && programs_.weight()->has_slope(), kPairs);
  s.dense = take_if(similarity_.is_additive(),
                    kGradientRows * (kTileKeys + std::max<int64_t>(dim, kTileKeys)));
  s.lanes = take(kGradientRows * 16);
  s.totals = take(kGradientRows * 16);
  s.row_scores = take_if(has_thresholds(rule_),
                         threshold_rows_ * (round_up(most_keys_, kTileKeys) + kTileKeys));
  s.bounds.resize(programs_.bounds_scratch());
  s.targets.resize(sums_.sums().size());
  if (programs_.score()) s.score = programs_.score()->make_scratch();
  if (programs_.weight()) s.weight = programs_.weight()->make_scratch();
  return s;
}

BackwardPass::Block BackwardPass::block_at(int64_t segment, int64_t head, int64_t first,
                                           int rows) const {
  const Segment& of = segments_[segment];
  Block block;
  block.segment = &of;
  block.place = {segment, sequence_of(of, static_cast<std::size_t>(segment)),
                 head,    first_position(of) + first,
                 first,   rows};
  block.kv_head = head / group_;
  block.numbers = head * rows_ + first_row_[segment] + first;
  const program::Band& band = programs_.band();
  const int64_t i = block.place.position, last = rows - 1;
  block.first_key = std::max({band.from, i + band.from_query, first + band.from_row, int64_t{0}});
  block.end_key =
      std::min({band.to, i + last + band.to_query, first + last + band.to_row, of.keys});
  return block;
}

RawRows BackwardPass::rows_of(const InputView<4>& x, const Segment& segment, int64_t head,
                              int64_t first, int count) const {
  const int64_t size = x.dtype == DType::f32 ? 4 : 2;
  const int64_t at = segment.slab * x.strides[0] + first * x.strides[1] + head * x.strides[2];
  return {static_cast<const std::byte*>(x.data) + at * size, x.dtype, x.strides[1], x.strides[3],
          count};
}

RowNumbers BackwardPass::numbers_of(const Block& block) const {
  return {base_ + block.numbers, shift_ + block.numbers, pick_ + block.numbers,
          delta_ + block.numbers};
}

void BackwardPass::run(ThreadPool& pool) {
  sums_.clear();
  for (std::atomic<int32_t>& progress : progress_) progress.store(0, std::memory_order_relaxed);
  pool.parallel_for(heads_ * blocks_, [&](int64_t index, int slot) {
    const int64_t head = index / blocks_, number = index % blocks_;
    const auto after = std::upper_bound(first_block_.begin(), first_block_.end(), number);
    const int64_t segment = after - first_block_.begin() - 1;
    const int64_t first = (number - first_block_[segment]) * kGradientRows;
    const int rows =
        static_cast<int>(std::min<int64_t>(kGradientRows, segments_[segment].rows - first));
    const Block block = block_at(segment, head, first, rows);
    find_row_numbers(block, scratch_[slot]);
    if (!block_is_seen(block)) finish_queries(block, scratch_[slot]);
  });
  pool.parallel_for(static_cast<int64_t>(tasks_.size()),
                    [&](int64_t task, int slot) { run_task(task, scratch_[slot]); });
  sum_arrays(pool);
}

}  // namespace regard
