#include "runtime/batch.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>

#include "base/check.h"
#include "tensor/pool.h"
#include "tiles/fold.h"

namespace regard {
namespace {

// Logits of many positions are made and used in slices of this size.
constexpr int64_t kSliceBytes = int64_t{16} << 20;

int64_t pages_for(int64_t keys, int64_t page) { return (keys + page - 1) / page; }

KvCacheShape cache_shape(const models::DecoderConfig& config, const RunOptions& options,
                         std::span<const int64_t> lengths) {
  check(options);
  int64_t pages = 0;
  for (const int64_t length : lengths) pages += pages_for(length, options.page);
  return {.layers = config.layers,
          .pages = pages,
          .page_keys = options.page,
          .kv_heads = config.kv_heads,
          .dim = config.dim,
          .dim_v = config.dim_v,
          .k_dtype = options.kv,
          .v_dtype = options.kv};
}

AttentionPlan empty_plan(const models::DecoderConfig& config, AttentionOptions options) {
  options.threads = current_pool().threads();
  return {config.attention_shape(), {}, options};
}

std::vector<AttentionPlan> empty_plans(const models::DecoderConfig& config) {
  std::vector<AttentionPlan> plans;
  for (const AttentionOptions& options : config.kinds) {
    plans.push_back(empty_plan(config, options));
  }
  return plans;
}

int64_t longest(std::span<const int64_t> lengths) {
  return lengths.empty() ? 0 : *std::max_element(lengths.begin(), lengths.end());
}

}  // namespace

void check(const RunOptions& options) {
  require(options.chunk >= 0, "chunk: {} is negative; 0 takes whole prompts at once",
          options.chunk);
  require(options.page == 16 || options.page == 32 || options.page == 64,
          "page: {} is not 16, 32 or 64", options.page);
  require(options.kv == DType::f32 || options.kv == DType::f16 || options.kv == DType::bf16 ||
              options.kv == DType::i8,
          "kv: {} is not f32, f16, bf16 or i8", info(options.kv).name);
}

Batch::Batch(const models::Decoder& model, const RunOptions& options,
             std::span<const int64_t> lengths, const Memory* memory)
    : model_(model),
      cache_(cache_shape(model.config, options, lengths)),
      pages_(cache_.shape().pages),
      slice_rows_(std::clamp<int64_t>(
          kSliceBytes / (model.config.vocabulary * int64_t{sizeof(float)}), 1, 256)),
      plans_(empty_plans(model.config)),
      memory_(memory) {
  if (memory_ != nullptr) cross_plan_ = empty_plan(model.config, *model.config.cross);
  model_.reserve(longest(lengths));
  int64_t rows = 0;
  for (const int64_t length : lengths) rows += length;
  if (options.chunk > 0) rows = std::min(rows, options.chunk + std::ssize(lengths));
  tokens_.reserve(rows);
  positions_.reserve(rows);
  segments_.reserve(lengths.size());
  members_.reserve(lengths.size());
  kinds_.reserve(plans_.size() + 1);
  cross_segments_.reserve(lengths.size());
  reserve_plans(lengths);
}

// Plans the widest steps of single tokens once, so that those to come find the room they need:
// the longest sequences together, for every number of them with which their keys are still shared
// out between threads, and all.
void Batch::reserve_plans(std::span<const int64_t> lengths) {
  std::vector<int64_t> longest_first(lengths.begin(), lengths.end());
  std::sort(longest_first.begin(), longest_first.end(), std::greater<>());
  for (const int64_t length : longest_first) {
    segments_.push_back({std::ssize(segments_), 1, length, {}});
    if (std::ssize(segments_) <= 8 * current_pool().threads()) replan();
  }
  replan();
  segments_.clear();
}

void Batch::replan() {
  for (AttentionPlan& plan : plans_) plan.replan(segments_);
}

Sequence Batch::start(std::span<const TokenId> prompt, int64_t length) const {
  Sequence sequence;
  sequence.ids.reserve(static_cast<std::size_t>(std::max<int64_t>(length, std::ssize(prompt))));
  sequence.ids.assign(prompt.begin(), prompt.end());
  sequence.block_table.reserve(pages_for(length, cache_.shape().page_keys));
  return sequence;
}

void Batch::add(Sequence& sequence, int64_t tokens) {
  require(tokens > 0 && tokens <= sequence.waiting(), "batch: {} tokens of {} that wait", tokens,
          sequence.waiting());
  const int64_t keys = sequence.cached + tokens;
  while (std::ssize(sequence.block_table) < pages_for(keys, cache_.shape().page_keys)) {
    const std::optional<PageId> page = pages_.take();
    if (!page) {
      fail(ErrorKind::out_of_memory, "cache: all {} pages of {} keys are in use",
           cache_.shape().pages, cache_.shape().page_keys);
    }
    sequence.block_table.push_back(*page);
  }
  segments_.push_back({std::ssize(tokens_), tokens, keys, sequence.block_table});
  if (memory_ != nullptr) {
    cross_segments_.push_back(memory_->segment(sequence.text, std::ssize(tokens_), tokens));
  }
  members_.push_back(&sequence);
  for (int64_t position = sequence.cached; position < keys; ++position) {
    tokens_.push_back(sequence.ids[position]);
    positions_.push_back(static_cast<int32_t>(position));
  }
  const int64_t near = model_.near();
  if (near == 0) return;
  const int64_t rows_before = std::ssize(sequence.ids) > near ? near : 0;
  for (int64_t position = sequence.cached; position < keys; ++position) {
    turns_.push_back(static_cast<int32_t>(rows_before + position));
  }
}

void Batch::grown(Sequence& sequence) const noexcept {
  const int64_t near = model_.near();
  if (near > 0 && std::ssize(sequence.ids) == near + 1) sequence.cached = 0;
}

Tensor Batch::run(nn::Observer* observer) {
  counts_ = {};
  int64_t most_rows = 0;
  int64_t most_keys = 0;
  for (const Segment& segment : segments_) {
    counts_.rows += segment.rows;
    counts_.cached_keys += segment.keys - segment.rows;
    counts_.new_keys += segment.rows;
    counts_.panel_keys += (segment.keys + kPanelKeys - 1) / kPanelKeys * kPanelKeys;
    most_rows = std::max(most_rows, segment.rows);
    most_keys = std::max(most_keys, segment.keys);
  }
  counts_.padded_rows = most_rows * std::ssize(segments_);
  counts_.padded_keys = most_keys * std::ssize(segments_);

  replan();
  kinds_.clear();
  for (AttentionPlan& plan : plans_)
    kinds_.push_back({.segments = segments_, .plan = &plan, .cache = &cache_});
  if (cross_plan_) {
    cross_plan_->replan(cross_segments_);
    kinds_.push_back(
        {.segments = cross_segments_, .plan = &*cross_plan_, .memory = &memory_->cache()});
  }
  const nn::Step step{
      .positions = positions_, .kinds = kinds_, .turns = turns_, .observer = observer};
  Tensor hidden = model_.hidden(tokens_, step);
  for (std::size_t i = 0; i < members_.size(); ++i) members_[i]->cached = segments_[i].keys;
  tokens_.clear();
  positions_.clear();
  turns_.clear();
  segments_.clear();
  cross_segments_.clear();
  members_.clear();
  return hidden;
}

void Batch::finish(Sequence& sequence) noexcept {
  for (const PageId page : sequence.block_table) pages_.give_back(page);
  sequence.block_table.clear();
}

}  // namespace regard
