#include "inspect/capture.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "cache/kv_pages.h"
#include "nn/step.h"
#include "tensor/pool.h"

namespace regard::inspect {
namespace {

// How many tokens the batch is made for, once the prompt has been checked against the model.
int64_t checked_length(const models::Decoder& model, std::span<const TokenId> ids, int64_t layer) {
  const models::DecoderConfig& config = model.config;
  require(!model.encoder, "inspect: a {} model has an encoder; models that only decode are shown",
          config.architecture);
  const auto count = static_cast<int64_t>(ids.size());
  require(count >= 1, "inspect: the prompt has no tokens");
  require(count <= config.context, "inspect: the prompt's {} tokens exceed the context of {}",
          count, config.context);
  for (const TokenId id : ids) {
    require(id >= 0 && id < config.vocabulary, "inspect: token id {} is not in 0 .. {}", id,
            config.vocabulary - 1);
  }
  require(layer >= -1 && layer < config.layers, "inspect: layer {} is not in 0 .. {}", layer,
          config.layers - 1);
  return count;
}

// A batch plans for the threads that its passes will have.
Batch batch_on(ThreadPool& pool, const models::Decoder& model, const RunOptions& run,
               int64_t length) {
  const UsePool use(pool);
  return Batch(model, run, std::vector<int64_t>{length});
}

}  // namespace

// Keeps the queries as they pass by: the tensor is shared, not copied.
class Capture::Keeper final : public nn::Observer {
 public:
  explicit Keeper(Capture& capture) : capture_(capture) {}

  void see(int64_t layer, nn::Site site, const Tensor& value) override {
    if (site != nn::Site::query || !capture_.has(layer)) return;
    capture_.passes_[static_cast<std::size_t>(layer)].push_back({first_query, value});
  }

  int64_t first_query = 0;

 private:
  Capture& capture_;
};

Capture::Capture(const models::Decoder& model, std::span<const TokenId> ids, ThreadPool& pool,
                 const CaptureOptions& options)
    : model_(model),
      layer_(options.layer),
      batch_(batch_on(pool, model, options.run, checked_length(model, ids, options.layer))),
      sequence_(batch_.start(ids, static_cast<int64_t>(ids.size()))),
      passes_(static_cast<std::size_t>(model.config.layers)) {
  const UsePool use(pool);
  Keeper keeper(*this);
  while (sequence_.waiting() > 0) {
    keeper.first_query = sequence_.cached;
    batch_.add(sequence_, Schedule(options.run).share(sequence_.waiting()));
    batch_.run(&keeper);
    if (options.run.progress) options.run.progress(sequence_.cached, tokens());
  }
}

RowOfMap Capture::row(int64_t layer, int64_t head, int64_t query) const {
  const models::DecoderConfig& config = model_.config;
  require(layer >= 0 && layer < config.layers, "inspect: layer {} is not in 0 .. {}", layer,
          config.layers - 1);
  require(head >= 0 && head < config.heads, "inspect: head {} is not in 0 .. {}", head,
          config.heads - 1);
  require(query >= 0 && query < tokens(), "inspect: query {} is not in 0 .. {}", query,
          tokens() - 1);
  require(has(layer), "inspect: layer {} was not captured, only layer {}", layer, layer_);
  const std::vector<Pass>& passes = passes_[static_cast<std::size_t>(layer)];
  const auto after =
      std::upper_bound(passes.begin(), passes.end(), query,
                       [](int64_t wanted, const Pass& pass) { return wanted < pass.first_query; });
  const Pass& pass = *std::prev(after);
  const View<const float, 2> q = pass.queries.view<float, 3>()[query - pass.first_query];
  const auto kind =
      static_cast<std::size_t>(model_.blocks[static_cast<std::size_t>(layer)].attention.kind);
  const AttentionOptions& options = config.kinds[kind];
  if (config.plain[kind]) {
    const float usual = 1.0f / std::sqrt(static_cast<float>(config.dim));
    return attention_row(batch_.cache(), layer, sequence_.block_table, query + 1, kv_head(head),
                         q[head], options.scale.value_or(usual));
  }
  const Segment segment{0, 1, query + 1, sequence_.block_table};
  const RowsOfMap rows = attention_rows(batch_.cache(), layer, segment, q, options);
  const auto of_head = [&](const std::vector<float>& all) {
    const auto first = all.begin() + head * (query + 1);
    return std::vector<float>(first, first + query + 1);
  };
  return {of_head(rows.scores), of_head(rows.weights), rows.lse[static_cast<std::size_t>(head)]};
}

std::vector<float> Capture::values(int64_t layer, int64_t kv_head) const {
  const KvCache& cache = batch_.cache();
  const int64_t dim_v = model_.config.dim_v;
  const int64_t page_keys = cache.shape().page_keys;
  std::vector<float> out(static_cast<std::size_t>(tokens() * dim_v));
  for (int64_t key = 0; key < tokens(); ++key) {
    const PageId page = sequence_.block_table[static_cast<std::size_t>(key / page_keys)];
    for (int64_t d = 0; d < dim_v; ++d) {
      out[static_cast<std::size_t>(key * dim_v + d)] =
          cache.pages().value_number(layer, page, kv_head, key % page_keys, d);
    }
  }
  return out;
}

}  // namespace regard::inspect
