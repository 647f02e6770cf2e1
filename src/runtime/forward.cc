#include "runtime/forward.h"

#include <algorithm>

#include "base/check.h"
#include "runtime/batch.h"
#include "runtime/generate.h"
#include "tensor/pool.h"

namespace regard {
namespace {

struct Row {
  Forward* of;
  int64_t position;
};

// Copies what passes by into the results, row by row.
class Writer final : public nn::Observer {
 public:
  explicit Writer(std::span<const Row> rows) : rows_(rows) {}

  void see(int64_t layer, nn::Site site, const Tensor& value) override {
    if (site == nn::Site::embedding) write(0, value);
    if (site == nn::Site::residual) write(layer + 1, value);
  }

  void write(int64_t state, const Tensor& value) const {
    const auto from = value.view<float, 2>();
    for (int64_t row = 0; row < from.shape[0]; ++row) {
      const auto& [of, position] = rows_[static_cast<std::size_t>(row)];
      float* to = of->hidden_states.data() + (state * of->tokens + position) * of->width;
      std::copy_n(from[row].data, of->width, to);
    }
  }

 private:
  std::span<const Row> rows_;
};

}  // namespace

std::vector<Forward> forward(Checkpoint& checkpoint, std::span<const std::vector<TokenId>> ids,
                             const ForwardOptions& options) {
  const models::Decoder& model = checkpoint.model;
  const models::DecoderConfig& config = model.config;
  std::vector<int64_t> lengths;
  std::vector<Forward> results;
  for (const std::vector<TokenId>& one : ids) {
    check_prompt(config, one);
    lengths.push_back(std::ssize(one));
    results.push_back({std::ssize(one), config.layers, config.width, config.vocabulary, {}, {}});
    Forward& made = results.back();
    made.logits.resize(static_cast<std::size_t>(made.tokens * made.vocabulary));
    if (!options.hidden_states) continue;
    made.hidden_states.resize(
        static_cast<std::size_t>((made.layers + 1) * made.tokens * made.width));
  }
  const UsePool pool(checkpoint.pool);
  Batch batch(model, options.run, lengths);
  std::vector<Sequence> sequences;
  for (const std::vector<TokenId>& one : ids) {
    sequences.push_back(batch.start(one, std::ssize(one)));
  }
  std::vector<Row> rows;
  std::vector<int64_t> indices;
  while (true) {
    if (options.run.interrupt != nullptr && *options.run.interrupt) {
      fail(ErrorKind::failed, "forward: interrupted");
    }
    rows.clear();
    indices.clear();
    Schedule schedule(options.run);
    for (std::size_t i = 0; i < sequences.size(); ++i) {
      const int64_t tokens = schedule.share(sequences[i].waiting());
      for (int64_t t = 0; t < tokens; ++t) {
        indices.push_back(std::ssize(indices));
        rows.push_back({&results[i], sequences[i].cached + t});
      }
      if (tokens > 0) batch.add(sequences[i], tokens);
    }
    if (rows.empty()) return results;
    Writer writer(rows);
    const Tensor hidden = batch.run(options.hidden_states ? &writer : nullptr);
    if (options.hidden_states) writer.write(config.layers, model.head.norm(hidden));
    batch.logits(hidden, indices, [&](int64_t first, const Tensor& logits) {
      const auto from = logits.view<float, 2>();
      for (int64_t row = 0; row < from.shape[0]; ++row) {
        const Row& to = rows[static_cast<std::size_t>(first + row)];
        std::copy_n(from[row].data, to.of->vocabulary,
                    to.of->logits.data() + to.position * to.of->vocabulary);
      }
    });
  }
}

}  // namespace regard
