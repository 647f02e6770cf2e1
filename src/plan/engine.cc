#include "plan/engine.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "plan/by_products.h"
#include "plan/explain.h"
#include "plan/fold_task.h"
#include "plan/two_pass.h"
#include "simd/target.h"

namespace regard {
namespace {

Weighing weighing_of(const Normaliser& normaliser) {
  using Kind = Normaliser::Kind;
  switch (normaliser.kind) {
    case Kind::sigmoid:
      return Weighing::sigmoid;
    case Kind::relu:
      return Weighing::relu;
    case Kind::hardmax:
      return Weighing::hardmax;
    case Kind::sparsemax:
      return Weighing::sparsemax;
    case Kind::entmax15:
      return Weighing::entmax15;
    case Kind::gumbel:
      return normaliser.sample == Normaliser::Sample::soft ? Weighing::softmax : Weighing::hardmax;
    default:
      return Weighing::softmax;
  }
}

}  // namespace

Engine::Engine(const AttentionShape& shape, std::span<const Segment> segments,
               const AttentionOptions& options, int threads, const Wanted& wanted) {
  active_target();  // an unknown REGARD_TARGET is refused here; inside a kernel nothing may throw
  require(shape.kv_heads > 0 && shape.heads > 0 && shape.heads % shape.kv_heads == 0,
          "attention: heads ({}) is not a positive multiple of kv_heads ({})", shape.heads,
          shape.kv_heads);
  require(shape.dim > 0 && shape.dim <= 1024 && shape.dim_v > 0 && shape.dim_v <= 1024,
          "attention: dim ({}) and dim_v ({}) must be in 1 .. 1024", shape.dim, shape.dim_v);
  Setting& setting = setting_;
  setting.shape = shape;
  if (setting.shape.dim_k < 0) setting.shape.dim_k = shape.dim;
  const int64_t dim_k = setting.shape.dim_k;
  setting.recipe = make_recipe(options, shape.heads, shape.dim, dim_k);
  setting.threads = threads;
  setting.group = shape.heads / shape.kv_heads;
  setting.columns = round_up(shape.dim_v, 16);
  setting.additive = options.similarity.kind == Similarity::Kind::additive;
  setting.map = {setting.additive ? Similarity::Kind::dot : options.similarity.kind, shape.dim,
                 dim_k, setting.recipe.scale};
  using Kind = Normaliser::Kind;
  const Kind kind = options.normaliser.kind;
  setting.weighing = weighing_of(options.normaliser);
  setting.two_passes =
      kind == Kind::sparsemax || kind == Kind::entmax15 || !setting.recipe.weight_is_linear;
  setting.by_products = wanted.by_products;
  setting.top = wanted.top;
  if (options.normaliser.sinks) setting.sinks.resize(static_cast<std::size_t>(shape.heads));
  setting.programs = Programs(setting.recipe, wanted.by_products);
  shared_ = SharedPrefix(setting);
  replan(segments);
}

void Engine::replan(std::span<const Segment> segments, int64_t shared_keys) {
  Setting& setting = setting_;
  constexpr int64_t kMost = program::kMaxPosition;
  int64_t rows = 0, slabs = 1;
  for (const Segment& segment : segments) {
    require(segment.rows >= 0 && segment.keys >= 0 && segment.first_row >= 0 &&
                segment.first_key >= 0 && segment.slab >= 0,
            "attention: a segment has {} rows from row {} and {} keys from key {} of slab {}; none "
            "may be negative",
            segment.rows, segment.first_row, segment.keys, segment.first_key, segment.slab);
    const int64_t position = first_position(segment);
    require(segment.keys <= kMost && segment.rows <= kMost / setting.group && position > -kMost &&
                position <= kMost - segment.rows,
            "attention: a segment of {} rows from position {} and {} keys reaches beyond {}",
            segment.rows, position, segment.keys, kMost);
    rows = std::max(rows, segment.first_row + segment.rows);
    slabs = std::max(slabs, segment.slab + 1);
  }
  setting.segments.assign(segments.begin(), segments.end());
  rows_ = rows;
  slabs_ = slabs;
  const bool banded = setting.programs.see(setting.recipe, segments, setting.shape.heads);
  setting.band = banded ? setting.recipe.band : program::Band{};
  shared_.see(setting, shared_keys);
  setting.shared_keys = shared_.keys();
  cut_.make(setting);
  if (pending_.size() < cut_.joins.size()) {
    pending_ = std::vector<std::atomic<int32_t>>(2 * cut_.joins.size());
  }
  const auto bytes = static_cast<std::size_t>(buffer_bytes());
  if (workspace_.size() < bytes) workspace_ = Buffer(bytes, "attention workspace");
}

int64_t Engine::thread_bytes() const noexcept {
  const int64_t bytes = scratch_bytes(setting_, cut_);
  return shared_.keys() == 0 ? bytes
                             : std::max(bytes, scratch_bytes(shared_.setting(), shared_.cut()));
}

int64_t Engine::workspace_bytes() const noexcept {
  return buffer_bytes() + cut_.bytes() + shared_.cut().bytes() +
         static_cast<int64_t>(cut_.joins.size() * 2 * sizeof(std::atomic<int32_t>));
}

int64_t Engine::buffer_bytes() const noexcept {
  return setting_.threads * thread_bytes() + round_up(cut_.partial_numbers * 4, 1 << 18) +
         (setting_.by_products ? round_up(cut_.statistics * 8, 64) : 0) + shared_.state_bytes();
}

std::string Engine::explain() {
  setting_.programs.read_arrays();
  return regard::explain(setting_, cut_, shared_, workspace_bytes());
}

// Sinks and parameters may have changed since the last run.
void Engine::read_arrays() {
  setting_.programs.read_arrays();
  if (setting_.recipe.options.normaliser.sinks) {
    const Array& sinks = *setting_.recipe.options.normaliser.sinks;
    const auto* const from = static_cast<const float*>(sinks.data());
    for (std::size_t head = 0; head < setting_.sinks.size(); ++head) {
      setting_.sinks[head] =
          from[sinks.shape(0) == 1 ? 0 : static_cast<int64_t>(head) * sinks.stride(0)];
    }
  }
  if (setting_.recipe.options.similarity.parameters) read_parameters();
}

void Engine::read_parameters() {
  const Array& array = *setting_.recipe.options.similarity.parameters;
  const int64_t dim = setting_.shape.dim, dim_k = setting_.shape.dim_k;
  const int own = setting_.additive ? 1 : 2;
  const int64_t heads = array.rank() > own ? array.shape(0) : 1;
  const int64_t step = setting_.additive ? round_up(dim, 16) : packed_weight_size(dim, dim_k);
  parameters_.resize(static_cast<std::size_t>(heads * step));
  parameter_step_ = array.rank() > own ? step : 0;
  const auto* const data = static_cast<const float*>(array.data());
  for (int64_t head = 0; head < heads; ++head) {
    const float* const from = array.rank() > own ? data + head * array.stride(0) : data;
    float* const to = parameters_.data() + head * step;
    const int last = array.rank() - 1;
    if (setting_.additive) {
      for (int64_t d = 0; d < dim; ++d) to[d] = from[d * array.stride(last)];
    } else {
      pack_weight(from, array.stride(last - 1), array.stride(last), dim, dim_k, to);
    }
  }
}

void Engine::run(const KeySource& source, const CallArrays& arrays, ThreadPool& pool) {
  const AttentionShape& shape = setting_.shape;
  const auto check = [&](const char* name, const auto& view, auto... rest) {
    require(view.shape[0] >= slabs_, "attention: {} has {} slabs, the plan needs {}", name,
            view.shape[0], slabs_);
    const std::array<int64_t, 1 + sizeof...(rest)> wanted{rows_, rest...};
    require(view.shape[1] >= rows_ &&
                std::equal(wanted.begin() + 1, wanted.end(), view.shape.begin() + 2),
            "attention: {} is {}, the plan needs {}", name,
            fmt::join(view.shape.begin() + 1, view.shape.end(), " x "), fmt::join(wanted, " x "));
  };
  const auto check_numbers = [&](const char* name, DType dtype) {
    require(dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16,
            "attention: {} is {}, must be f32, f16 or bf16", name, info(dtype).name);
  };
  check("q", arrays.q, shape.heads, shape.dim);
  check_numbers("q", arrays.q.dtype);
  check("out", arrays.out, shape.heads, shape.dim_v);
  check_numbers("out", arrays.out.dtype);
  const View<float, 3>& lse = arrays.extras.lse;
  if (lse.data != nullptr) check("lse", lse, shape.heads);
  require(
      lse.data == nullptr || setting_.recipe.options.normaliser.kind == Normaliser::Kind::softmax,
      "attention: lse is asked for, but only softmax has one");
  require(pool.threads() <= setting_.threads, "attention: the pool has {} threads, the plan {}",
          pool.threads(), setting_.threads);
  read_arrays();
  for (std::size_t i = 0; i < cut_.joins.size(); ++i) {
    pending_[i].store(cut_.joins[i].tasks, std::memory_order_relaxed);
  }
  const int64_t bytes = thread_bytes();
  float* const statistics_l = statistics() == nullptr ? nullptr : statistics() + cut_.statistics;
  const SharedStates shared =
      shared_.keys() > 0 ? shared_.states(behind_partials()) : SharedStates{};
  const auto job_of = [&](const Scratch& scratch) {
    return Job{setting_,        cut_,
               arrays,          source,
               scratch,         parameters_.data(),
               parameter_step_, statistics(),
               statistics_l,    shared_.keys() > 0 ? &shared : nullptr};
  };
  if (shared_.keys() > 0) {
    const Cut& cut = shared_.cut();
    pool.parallel_for(static_cast<int64_t>(cut.tasks.size()), [&](int64_t index, int slot) {
      const Scratch scratch = scratch_at(shared_.setting(), cut, workspace_.data() + slot * bytes);
      run_shared_task(Job{shared_.setting(), cut, arrays, source, scratch, parameters_.data(),
                          parameter_step_, nullptr, nullptr, &shared},
                      cut.tasks[static_cast<std::size_t>(index)]);
    });
  }
  pool.parallel_for(static_cast<int64_t>(cut_.tasks.size()), [&](int64_t index, int slot) {
    const Scratch scratch = scratch_at(setting_, cut_, workspace_.data() + slot * bytes);
    const Task& task = cut_.tasks[static_cast<std::size_t>(index)];
    if (setting_.two_passes) {
      run_two_pass_task(job_of(scratch), task);
    } else {
      run_fold_task(job_of(scratch), task, partials(), pending_.data());
    }
  });
  if (!setting_.by_products) return;
  const int64_t most = std::min<int64_t>(kFoldRows, cut_.task_rows);
  for (std::size_t n = 0; n < setting_.segments.size(); ++n) {
    const int segment = static_cast<int>(n);
    const int64_t rows = setting_.rows_of(setting_.segments[n]);
    const int64_t blocks = wants_rows(arrays.extras) ? (rows + most - 1) / most : 0;
    pool.parallel_for(blocks * shape.kv_heads, [&](int64_t index, int slot) {
      const Scratch scratch = scratch_at(setting_, cut_, workspace_.data() + slot * bytes);
      const int64_t first = index % blocks * most;
      show_rows(job_of(scratch), segment, index / blocks, first,
                static_cast<int>(std::min(most, rows - first)));
    });
    const int64_t tiles =
        arrays.extras.key_sums.data != nullptr ? (cut_.most_keys + kTileKeys - 1) / kTileKeys : 0;
    pool.parallel_for(tiles * shape.kv_heads, [&](int64_t index, int slot) {
      const Scratch scratch = scratch_at(setting_, cut_, workspace_.data() + slot * bytes);
      sum_keys(job_of(scratch), segment, index / tiles, index % tiles * kTileKeys);
    });
  }
}

float* Engine::partials() const {
  return reinterpret_cast<float*>(workspace_.data() + setting_.threads * thread_bytes());
}

float* Engine::behind_partials() const {
  return partials() + round_up(cut_.partial_numbers * 4, 1 << 18) / 4;
}

// [2][statistics]: m, then l.
float* Engine::statistics() const { return setting_.by_products ? behind_partials() : nullptr; }

}  // namespace regard
