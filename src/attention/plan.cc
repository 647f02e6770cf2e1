// AttentionPlan: the engine over pages of a cache or over arrays.
#include "attention/attention.h"
#include "attention/key_source.h"
#include "base/check.h"
#include "base/shared_pool.h"
#include "plan/engine.h"
#include "reference/reference.h"

namespace regard {

struct AttentionPlan::Parts {
  Engine engine;
};

AttentionPlan::AttentionPlan(const AttentionShape& shape, std::span<const Segment> segments,
                             const AttentionOptions& options)
    : parts_(new Parts{Engine(shape, segments, options, thread_count(options.threads))}) {}

AttentionPlan::~AttentionPlan() = default;
AttentionPlan::AttentionPlan(AttentionPlan&&) noexcept = default;
AttentionPlan& AttentionPlan::operator=(AttentionPlan&&) noexcept = default;

void AttentionPlan::replan(std::span<const Segment> segments, int64_t shared_keys) {
  parts_->engine.replan(segments, shared_keys);
}

std::span<const Segment> AttentionPlan::segments() const noexcept {
  return parts_->engine.setting().segments;
}

const AttentionOptions& AttentionPlan::options() const noexcept {
  return parts_->engine.setting().recipe.options;
}

int64_t AttentionPlan::workspace_bytes() const noexcept { return parts_->engine.workspace_bytes(); }

std::string AttentionPlan::explain() const { return parts_->engine.explain(); }

void AttentionPlan::check(const KvCache& cache, int64_t layer) const {
  const KvCacheShape& shape = cache.shape();
  const AttentionShape& planned = parts_->engine.setting().shape;
  require(layer >= 0 && layer < shape.layers, "attention: layer {} is not in 0 .. {}", layer,
          shape.layers - 1);
  require(shape.kv_heads == planned.kv_heads && shape.dim == planned.dim_k &&
              shape.dim_v == planned.dim_v,
          "attention: the cache has {} heads of {} and {}, the plan {} of {} and {}",
          shape.kv_heads, shape.dim, shape.dim_v, planned.kv_heads, planned.dim_k, planned.dim_v);
  for (const Segment& segment : parts_->engine.setting().segments) {
    const int64_t pages = (segment.keys + shape.page_keys - 1) / shape.page_keys;
    require(static_cast<int64_t>(segment.block_table.size()) >= pages,
            "attention: a block table of {} pages holds no {} keys", segment.block_table.size(),
            segment.keys);
    for (int64_t i = 0; i < pages; ++i) {
      const int32_t page = segment.block_table[static_cast<std::size_t>(i)];
      require(page >= 0 && page < shape.pages, "attention: a block table names page {} of {}", page,
              shape.pages);
    }
  }
  const int64_t shared = (parts_->engine.shared().keys() + shape.page_keys - 1) / shape.page_keys;
  for (const Segment& segment : parts_->engine.setting().segments) {
    const auto& first = parts_->engine.setting().segments.front().block_table;
    for (std::size_t i = 0; i < static_cast<std::size_t>(shared); ++i) {
      require(segment.block_table[i] == first[i],
              "attention: {} keys are shared, but block tables have pages {} and {} in place {}",
              parts_->engine.shared().wanted(), first[i], segment.block_table[i], i);
    }
  }
}

void AttentionPlan::run(const KeySource& source, InputView<3> q, OutputView<3> out,
                        ThreadPool& pool, View<float, 2> lse) {
  CallArrays arrays{as_batch(q), as_batch(out)};
  if (lse.data != nullptr) {
    arrays.extras.lse = {
        lse.data, {1, lse.shape[0], lse.shape[1]}, {0, lse.strides[0], lse.strides[1]}};
  }
  parts_->engine.run(source, arrays, pool);
}

void AttentionPlan::run(const KvCache& cache, int64_t layer, InputView<3> q, OutputView<3> out,
                        ThreadPool& pool, View<float, 2> lse) {
  check(cache, layer);
  run(PagedKeys(cache, layer), q, out, pool, lse);
}

void AttentionPlan::run(const KvCache& cache, int64_t layer, InputView<3> q, OutputView<3> out,
                        View<float, 2> lse) {
  check(cache, layer);
  const SharedPool pool(parts_->engine.setting().threads);
  run(PagedKeys(cache, layer), q, out, *pool, lse);
}

void AttentionPlan::run(InputView<3> q, InputView<3> k, InputView<3> v, OutputView<3> out,
                        View<float, 2> lse) {
  const SharedPool pool(parts_->engine.setting().threads);
  run(q, k, v, out, *pool, lse);
}

void AttentionPlan::run(InputView<3> q, InputView<3> k, InputView<3> v, OutputView<3> out,
                        ThreadPool& pool, View<float, 2> lse) {
  const Setting& setting = parts_->engine.setting();
  const AttentionShape& shape = setting.shape;
  for (const auto& [name, dtype] : {std::pair{"k", k.dtype}, {"v", v.dtype}}) {
    require(dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16,
            "attention: {} is {}, must be f32, f16 or bf16", name, info(dtype).name);
  }
  require(k.shape[1] == shape.kv_heads && k.shape[2] == shape.dim_k,
          "attention: k has {} heads of {}, the plan {} of {}", k.shape[1], k.shape[2],
          shape.kv_heads, shape.dim_k);
  require(v.shape[0] == k.shape[0] && v.shape[1] == shape.kv_heads && v.shape[2] == shape.dim_v,
          "attention: v is {} x {} x {}, must be {} x {} x {}", v.shape[0], v.shape[1], v.shape[2],
          k.shape[0], shape.kv_heads, shape.dim_v);
  require(parts_->engine.shared().keys() == 0,
          "attention: {} keys are shared by sequences, which takes pages, not arrays",
          parts_->engine.shared().wanted());
  for (const Segment& segment : setting.segments) {
    require(segment.slab == 0 && segment.keys <= k.shape[0] - segment.first_key,
            "attention: a segment has keys {} .. {} of {}", segment.first_key,
            segment.first_key + segment.keys - 1, k.shape[0]);
  }
  run(StridedKeys(as_batch(k), as_batch(v)), q, out, pool, lse);
}

}  // namespace regard
