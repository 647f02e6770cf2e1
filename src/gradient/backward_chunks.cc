// The tasks of a backward pass: a chunk of keys against all rows that may use it.
#include <algorithm>
#include <cstring>
#include <thread>

#include "gradient/backward_pass.h"

namespace regard {
namespace {

void* address(const OutputView<4>& x, const Segment& segment, int64_t head, int64_t row) {
  const int64_t size = x.dtype == DType::f32 ? 4 : 2;
  const int64_t at = segment.slab * x.strides[0] + row * x.strides[1] + head * x.strides[2];
  return static_cast<std::byte*>(x.data) + at * size;
}

}  // namespace

bool BackwardPass::differentiate_tile(const Block& block, const Tile& tile, Pairs& pairs,
                                      ArraySums::Target* to, Scratch& s) const {
  const RowNumbers numbers = numbers_of(block);
  if (!score_pairs(block, tile, numbers.base, pairs, s)) return false;
  const auto& weight = programs_.weight();
  if (rule_ == WeightRule::softmax && !weight) {
    multiply_pairs(pairs, s.dout_rows, dim_v_, tile.v_panels, s.dp);
    soften_pairs(pairs, numbers.base, numbers.delta, s.ahead, s.s, s.dp);
  } else {
    weigh_tile(block, tile, pairs, s);
    const float* slope = nullptr;
    if (weight) {
      weight->run(block.place, tile.first_key, pairs, s.s, s.s, nullptr, s.weight_slope, s.weight);
      multiply_used(pairs, nullptr, 1.0f, s.s);
      scatter(*weight, s.weight, pairs, s.dp, to);
      if (weight->has_slope()) slope = s.weight_slope;
    }
    differentiate_pairs(pairs, s.g, slope, numbers.delta, s.dp);
  }
  if (rule_ == WeightRule::hardmax) return true;  // no gradient reaches the scores
  if (const auto& score = programs_.score(); score && !recipe_.score.empty()) {
    scatter(*score, s.score, pairs, s.dp, to);
    if (score->has_slope()) multiply_used(pairs, s.score_slope, 1.0f, s.dp);
  }
  return true;
}

// Tile `place` of the chunk.
void BackwardPass::add_tile(const Block& block, const Tile& tile, int place, ArraySums::Target* to,
                            Scratch& s) const {
  Pairs pairs;
  if (!differentiate_tile(block, tile, pairs, to, s)) return;
  float* const dk = s.dk + place * kTileKeys * columns();
  float* const dv = s.dv + place * kTileKeys * columns_v();
  gather_over_rows(pairs, s.s, s.dout_rows, s.dout_finite, columns_v(), dv);
  if (rule_ == WeightRule::hardmax) return;
  if (!similarity_.is_additive()) {
    gather_over_rows(pairs, s.dp, s.q_rows, s.q_finite, columns(), dk);
    gather_over_keys(pairs, s.dp, tile.k_rows, tile.finite, columns(), s.dq);
    return;
  }
  for (int r = 0; r < pairs.rows; ++r) {
    std::memcpy(s.dense + r * kTileKeys, s.dp + r * kPairStep, kTileKeys * sizeof(float));
  }
  const int64_t head = block.place.head;
  const int sum = sums_.find(*recipe_.options.similarity.parameters);
  float* dv_of_head = nullptr;
  if (sum >= 0 && to != nullptr) {
    const bool by_head = sums_.sums()[sum].array.rank() > 1;
    dv_of_head = to[sum].numbers + (by_head ? head * to[sum].strides[0] : 0);
  }
  additive_backward(s.q_rows, similarity_.dim(), pairs.rows, similarity_.v_of(head), recipe_.scale,
                    tile.k_panels, pairs.keys, s.dense, s.dense + kGradientRows * kTileKeys,
                    {s.dq, dk, dv_of_head});
}

void BackwardPass::run_task(int64_t number, Scratch& s) {
  const Task& task = tasks_[static_cast<std::size_t>(number)];
  const Segment& segment = segments_[task.segment];
  const int64_t first_key = int64_t{task.chunk} * kChunkKeys;
  const int64_t end = std::min(first_key + kChunkKeys, segment.keys);
  std::vector<ArraySums::Target>& targets = s.targets;
  sums_.begin_task(number, targets.data());
  Tile tiles[kChunkKeys / kTileKeys];
  int tile_count = 0;
  for (int64_t key = first_key; key < end; key += kTileKeys, ++tile_count) {
    tiles[tile_count] = stage_tile(segment, task.kv_head, key, tile_count, s);
  }
  std::fill_n(s.dk, kChunkKeys * columns(), 0.0f);
  std::fill_n(s.dv, kChunkKeys * columns_v(), 0.0f);
  for (int64_t head = task.kv_head * group_; head < (task.kv_head + 1) * group_; ++head) {
    for (int64_t first = 0; first < segment.rows; first += kGradientRows) {
      const int rows = static_cast<int>(std::min<int64_t>(kGradientRows, segment.rows - first));
      const Block block = block_at(task.segment, head, first, rows);
      if (block.first_key >= end || block.end_key <= first_key || !block_is_seen(block)) continue;
      std::fill_n(s.dq, rows * columns(), 0.0f);
      if (programs_.look(block.place, first_key, end, s.bounds) != Sight::none) {
        stage_block(block, s);
        for (int tile = 0; tile < tile_count; ++tile) {
          const int64_t key = tiles[tile].first_key;
          look_ahead(block, tile, tile_count, s.ahead);
          if (block.first_key >= key + tiles[tile].keys || block.end_key <= key) continue;
          add_tile(block, tiles[tile], tile, targets.empty() ? nullptr : targets.data(), s);
        }
      }
      pass_on(block, task.chunk, s);
    }
  }
  sums_.end_task(number);
  finish_keys(task, first_key, end, s);
}

// What the next block of rows will read: a part of each row with each tile.
void BackwardPass::look_ahead(const Block& block, int tile, int tiles, LinesAhead& ahead) const {
  const Segment& segment = *block.segment;
  const int64_t row = block.place.row + kGradientRows;
  ahead.count = 0;
  if (row + kGradientRows > segment.rows) return;
  const InputView<4>* const arrays[] = {&arrays_.q, &arrays_.dout};
  int64_t most = 0;
  for (const InputView<4>* array : arrays) {
    if (array->strides[3] != 1) return;
    const int64_t size = array->dtype == DType::f32 ? 4 : 2;
    most = std::max(most, (array->shape[3] * size + 63) / 64);
    const RawRows rows = rows_of(*array, segment, block.place.head, segment.first_row + row, 1);
    ahead.first[ahead.count] = static_cast<const std::byte*>(rows.first);
    ahead.row_bytes[ahead.count++] = rows.row_step * size;
  }
  ahead.lines = static_cast<int>((most + tiles - 1) / tiles);
  for (int n = 0; n < ahead.count; ++n) ahead.first[n] += 64 * ahead.lines * tile;
}

// Adds the chunk's part of dq, when the chunk before has added its own.
void BackwardPass::pass_on(const Block& block, int64_t chunk, Scratch& s) {
  const Segment& segment = *block.segment;
  const int64_t head = block.place.head, row = segment.first_row + block.place.row;
  const int64_t before = chunk - block.first_key / kChunkKeys;
  const bool last = (chunk + 1) * kChunkKeys >= block.end_key;
  std::atomic<int32_t>& done = progress_[head * blocks_ + first_block_[block.place.segment] +
                                         block.place.row / kGradientRows];
  while (done.load(std::memory_order_acquire) < before) std::this_thread::yield();
  if (widen_dq_) {
    add_rows(s.dq, columns(), block.place.rows, columns(), before == 0, dq_at(block), columns(), 1);
    if (last) finish_queries(block, s);
  } else {
    const OutputView<4>& dq = arrays_.dq;
    add_rows(s.dq, columns(), block.place.rows, similarity_.dim_q(), before == 0,
             static_cast<float*>(address(dq, segment, head, row)), dq.strides[1], dq.strides[3]);
  }
  done.store(static_cast<int32_t>(before + 1), std::memory_order_release);
}

// dq of a block whose sums are complete, or that no key adds to.
void BackwardPass::finish_queries(const Block& block, Scratch& s) {
  const Segment& segment = *block.segment;
  const int64_t head = block.place.head, row = segment.first_row + block.place.row;
  const OutputView<4>& dq = arrays_.dq;
  void* const to = address(dq, segment, head, row);
  const RawRows places{nullptr, dq.dtype, dq.strides[1], dq.strides[3], block.place.rows};
  if (!block_is_seen(block)) {
    std::fill_n(s.dq, block.place.rows * round_up(similarity_.dim_q(), 16), 0.0f);
    store_rows(s.dq, round_up(similarity_.dim_q(), 16), similarity_.dim_q(), places, to);
    return;
  }
  similarity_.store_query_gradients(rows_of(arrays_.q, segment, head, row, block.place.rows), head,
                                    dq_at(block), places, to, s.wide, s.mapped);
}

void BackwardPass::finish_keys(const Task& task, int64_t first, int64_t end, Scratch& s) {
  const Segment& segment = segments_[task.segment];
  for (int64_t key = first; key < end; key += kTileKeys) {
    const int count = static_cast<int>(std::min<int64_t>(kTileKeys, end - key));
    const int64_t row = segment.first_key + key;
    const RawRows k_places{nullptr, arrays_.dk.dtype, arrays_.dk.strides[1], arrays_.dk.strides[3],
                           count};
    const RawRows v_places{nullptr, arrays_.dv.dtype, arrays_.dv.strides[1], arrays_.dv.strides[3],
                           count};
    similarity_.store_key_gradients(
        rows_of(arrays_.k, segment, task.kv_head, row, count), s.dk + (key - first) * columns(),
        k_places, address(arrays_.dk, segment, task.kv_head, row), s.wide, s.mapped);
    store_rows(s.dv + (key - first) * columns_v(), columns_v(), dim_v_, v_places,
               address(arrays_.dv, segment, task.kv_head, row));
  }
}

}  // namespace regard
