// Gradients of captured arrays: what a tile adds to the elements that its scores and weights were
// made with, and what is added when all tiles are done.
//
// Within a tile an element receives its terms by row, then by key; where its place does not depend
// on the key, a row's terms are summed first, in 16 lanes (key mod 16) and the fixed tree.
#include <algorithm>
#include <optional>

#include "expr/node.h"
#include "gradient/backward_pass.h"

namespace regard {
namespace {

bool used(const Pairs& pairs, int row, int key) {
  return (pairs.bits[row * kTilePanels + key / kPanelKeys] >> key % kPanelKeys & 1) != 0;
}

template <class T>
T number_at(const PairProgram::Output& output, int row, int key) {
  return static_cast<const T*>(output.numbers)[row * output.row_step + key * output.key_step];
}

// Axes of an element's place, those that vary by key last.
struct Axis {
  PairProgram::Output index;
  int64_t shape, stride;
};

float sum_of_row(const Pairs& pairs, int row, const float* t, const PairProgram::Output& derivative,
                 int fold_row) {
  float lanes[kPanelKeys] = {};
  for (int key = 0; key < pairs.keys; ++key) {
    if (!used(pairs, row, key)) continue;
    lanes[key % kPanelKeys] += t[key] * number_at<float>(derivative, fold_row, key);
  }
  for (int half = kPanelKeys / 2; half >= 1; half /= 2) {
    for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}

// The axis whose index is a coordinate in every term of an array, so that tasks which differ in
// that coordinate never share an element.
enum class Owner : uint8_t { nobody, row, query, key, head, batch };

std::optional<Owner> owner_of(const Expr& index) {
  switch (index.node()->op) {
    case program::Op::row:
      return Owner::row;
    case program::Op::query:
      return Owner::query;
    case program::Op::key:
      return Owner::key;
    case program::Op::head:
      return Owner::head;
    case program::Op::batch:
      return Owner::batch;
    default:
      return {};
  }
}

// Rows and queries share out most finely. Terms: of the score and of the weight program.
Owner owner_of(const Array& array, const Recipe& recipe) {
  std::vector<ArrayDerivative> terms;
  for (const Expr* program : {&recipe.score, &recipe.weight}) {
    if (program->empty()) continue;
    for (ArrayDerivative& term : array_derivatives(*program)) {
      if (term.array == array) terms.push_back(std::move(term));
    }
  }
  for (const Owner wanted : {Owner::row, Owner::query, Owner::key, Owner::head, Owner::batch}) {
    for (std::size_t axis = 0; axis < static_cast<std::size_t>(array.rank()); ++axis) {
      const bool all = std::all_of(terms.begin(), terms.end(), [&](const ArrayDerivative& term) {
        return owner_of(term.index[axis]) == wanted;
      });
      if (all) return wanted;
    }
  }
  return Owner::nobody;
}

struct Range {
  int64_t first = 0, end = INT64_MAX;
};
Range step_of(int64_t task, int64_t size) { return {task * size, (task + 1) * size}; }

}  // namespace

void BackwardPass::scatter(const PairProgram& program, const PairProgram::Scratch& outputs,
                           const Pairs& pairs, const float* t, ArraySums::Target* to) const {
  if (to == nullptr) return;
  for (const PairProgram::Element& element : program.elements()) {
    const int sum = sums_.find(element.array);
    if (sum < 0 || to[sum].numbers == nullptr) continue;
    const int rank = element.array.rank();
    for (int row = 0; row < pairs.rows; ++row) {
      const int fold = row / kFoldRows, fold_row = row % kFoldRows;
      const int fold_rows = std::min(kFoldRows, pairs.rows - fold * kFoldRows);
      const auto output = [&](int number) {
        return program.output(outputs, number, fold, fold_rows);
      };
      const PairProgram::Output derivative = output(element.derivative);
      Axis moving[Array::kMaxRank];
      int moves = 0;
      float* base = to[sum].numbers;
      bool inside = true;
      for (int axis = 0; axis < rank; ++axis) {
        const PairProgram::Output index = output(element.index[axis]);
        const int64_t shape = element.array.shape(axis), stride = to[sum].strides[axis];
        if (index.key_step != 0) {
          moving[moves++] = {index, shape, stride};
          continue;
        }
        const int64_t at = number_at<int32_t>(index, fold_row, 0);
        inside = inside && at >= 0 && at < shape;
        if (inside) base += at * stride;
      }
      if (!inside) continue;
      const float* const terms = t + row * kPairStep;
      if (moves == 0) {
        *base += sum_of_row(pairs, row, terms, derivative, fold_row);
        continue;
      }
      for (int key = 0; key < pairs.keys; ++key) {
        if (!used(pairs, row, key)) continue;
        float* place = base;
        bool within = true;
        for (int axis = 0; axis < moves; ++axis) {
          const int64_t at = number_at<int32_t>(moving[axis].index, fold_row, key);
          within = within && at >= 0 && at < moving[axis].shape;
          place += within ? at * moving[axis].stride : 0;
        }
        if (within) *place += terms[key] * number_at<float>(derivative, fold_row, key);
      }
    }
  }
}

// The pass of its own of an array too large for copies: its tasks recompute the tiles.
void BackwardPass::sum_large(ThreadPool& pool, int number) {
  const ArraySums::Sum& sum = sums_.sums()[number];
  const Owner owner = owner_of(sum.array, recipe_);
  int64_t low = 0, high = 0, most_rows = 0;  // positions of queries
  for (const Segment& segment : segments_) {
    low = std::min(low, first_position(segment));
    high = std::max(high, first_position(segment) + segment.rows);
    most_rows = std::max(most_rows, segment.rows);
  }
  const auto steps = [](int64_t extent, int64_t size) { return (extent + size - 1) / size; };
  const int64_t tasks = owner == Owner::row     ? steps(most_rows, kGradientRows)
                        : owner == Owner::query ? steps(high - low, kGradientRows)
                        : owner == Owner::key   ? steps(most_keys_, kChunkKeys)
                        : owner == Owner::head  ? heads_
                        : owner == Owner::batch ? static_cast<int64_t>(segments_.size())
                                                : 1;
  pool.parallel_for(tasks, [&](int64_t task, int slot) {
    Scratch& s = scratch_[slot];
    std::fill(s.targets.begin(), s.targets.end(), ArraySums::Target{});
    s.targets[number] = sums_.direct(sum);
    const Range rows = owner == Owner::row ? step_of(task, kGradientRows) : Range{};
    const Range queries = owner == Owner::query ? step_of(task, kGradientRows) : Range{};
    const Range keys = owner == Owner::key ? step_of(task, kChunkKeys) : Range{};
    for (int64_t n = 0; n < static_cast<int64_t>(segments_.size()); ++n) {
      if (owner == Owner::batch && n != task) continue;
      const Segment& segment = segments_[n];
      Range mine{rows.first, std::min(rows.end, segment.rows)};
      if (owner == Owner::query) {
        const int64_t position = first_position(segment) - low;
        mine = {std::max<int64_t>(queries.first - position, 0),
                std::min(queries.end - position, segment.rows)};
      }
      for (int64_t head = 0; head < heads_; ++head) {
        if (owner == Owner::head && head != task) continue;
        for (int64_t first = mine.first; first < mine.end; first += kGradientRows) {
          const int count = static_cast<int>(std::min<int64_t>(kGradientRows, mine.end - first));
          const Block block = block_at(n, head, first, count);
          if (!block_is_seen(block)) continue;
          stage_block(block, s);
          int64_t key = std::max(block.first_key / kTileKeys * kTileKeys, keys.first);
          for (; key < std::min(block.end_key, keys.end); key += kTileKeys) {
            const Tile tile = stage_tile(segment, block.kv_head, key, 0, s);
            Pairs pairs;
            differentiate_tile(block, tile, pairs, s.targets.data(), s);
          }
        }
      }
    }
  });
}

// -Σ p_sink delta, one chain over each block of 128 rows, the blocks in order.
void BackwardPass::sum_sinks(const ArraySums::Sum& sum) {
  for (int64_t head = 0; head < heads_; ++head) {
    float total = 0;
    for (std::size_t n = 0; n < segments_.size(); ++n) {
      const int64_t begin = head * rows_ + first_row_[n];
      for (int64_t first = 0; first < segments_[n].rows; first += kGradientRows) {
        const int64_t end = std::min(first + kGradientRows, segments_[n].rows);
        float part = 0;
        for (int64_t r = begin + first; r < begin + end; ++r) {
          if (sink_share_[r] > 0 || sink_share_[r] != sink_share_[r]) {
            part -= sink_share_[r] * delta_[r];
          }
        }
        total += part;
      }
    }
    sum.to[sum.array.shape(0) == 1 ? 0 : head * sum.strides[0]] += total;
  }
}

// dW = Σ q (dloss/dq') over all rows, 16 rows of W a task.
void BackwardPass::sum_bilinear(ThreadPool& pool, const ArraySums::Sum& sum) {
  constexpr int64_t kRowsOfW = 16;
  const bool by_head = sum.array.rank() == 3;
  const int64_t inputs = similarity_.dim_q(), size = inputs * columns();
  const int64_t copies = by_head ? heads_ : 1;
  const Buffer memory(static_cast<std::size_t>(copies * size) * sizeof(float),
                      "attention_backward's gradient of W");
  pool.parallel_for((inputs + kRowsOfW - 1) / kRowsOfW, [&](int64_t task, int slot) {
    const int64_t begin = task * kRowsOfW, end = std::min(begin + kRowsOfW, inputs);
    for (int64_t n = 0; n < static_cast<int64_t>(segments_.size()); ++n) {
      const Segment& segment = segments_[n];
      for (int64_t head = 0; head < heads_; ++head) {
        float* const dw = memory.as<float>() + (by_head ? head * size : 0);
        for (int64_t first = 0; first < segment.rows; first += kGradientRows) {
          const int rows = static_cast<int>(std::min<int64_t>(kGradientRows, segment.rows - first));
          const Block block = block_at(n, head, first, rows);
          if (!block_is_seen(block)) continue;
          similarity_.add_weight_gradients(
              rows_of(arrays_.q, segment, head, segment.first_row + first, rows), dq_at(block),
              begin, end, dw, scratch_[slot].wide);
        }
      }
    }
  });
  const int axis = by_head ? 1 : 0;
  for (int64_t h = 0; h < copies; ++h) {
    for (int64_t e = 0; e < inputs; ++e) {
      for (int64_t d = 0; d < similarity_.dim_k(); ++d) {
        sum.to[(by_head ? h * sum.strides[0] : 0) + e * sum.strides[axis] +
               d * sum.strides[axis + 1]] += memory.as<float>()[h * size + e * columns() + d];
      }
    }
  }
}

void BackwardPass::sum_arrays(ThreadPool& pool) {
  const AttentionOptions& options = recipe_.options;
  const auto is = [](const std::optional<Array>& array, const ArraySums::Sum& sum) {
    return array && *array == sum.array;
  };
  const auto reads = [](const std::optional<PairProgram>& program, const Array& array) {
    return program && std::any_of(program->elements().begin(), program->elements().end(),
                                  [&](const auto& element) { return element.array == array; });
  };
  sums_.add_slots();
  for (int n = 0; n < static_cast<int>(sums_.sums().size()); ++n) {
    const ArraySums::Sum& sum = sums_.sums()[n];
    if (sum.first < 0 &&
        (reads(programs_.score(), sum.array) || reads(programs_.weight(), sum.array))) {
      sum_large(pool, n);
    }
    if (is(options.normaliser.sinks, sum)) sum_sinks(sum);
    if (is(options.similarity.parameters, sum) && !similarity_.is_additive()) {
      sum_bilinear(pool, sum);
    }
  }
}

}  // namespace regard
