#include "runtime/forward.h"

#include <algorithm>

#include "base/check.h"
#include "runtime/batch.h"
#include "runtime/encode.h"
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

Forward room_for(std::span<const TokenId> ids, const models::DecoderConfig& config, int64_t layers,
                 bool states) {
  Forward made{std::ssize(ids), layers, config.width, config.vocabulary, {}, {}};
  if (states) made.hidden_states.resize((layers + 1) * made.tokens * made.width);
  return made;
}

// Of an encoder alone: hidden states, and no logits.
std::vector<Forward> encode(const Checkpoint& checkpoint, std::span<const std::vector<TokenId>> ids,
                            const ForwardOptions& options) {
  const models::Encoder& encoder = *checkpoint.model.encoder;
  const int64_t layers = std::ssize(encoder.blocks);
  std::vector<Forward> results;
  for (const std::vector<TokenId>& one : ids) {
    check_text(encoder.config, one);
    results.push_back(room_for(one, checkpoint.model.config, layers, options.hidden_states));
  }
  if (!options.hidden_states) return results;
  EncoderPass pass(encoder);
  std::vector<Row> rows;
  for (std::size_t done = 0; done < ids.size();) {
    const auto count = static_cast<std::size_t>(EncoderPass::share(ids.subspan(done)));
    rows.clear();
    for (std::size_t i = done; i < done + count; ++i) {
      for (int64_t t = 0; t < results[i].tokens; ++t) rows.push_back({&results[i], t});
    }
    Writer writer(rows);
    writer.write(layers, pass.run(ids.subspan(done, count), &writer));
    done += count;
  }
  return results;
}

}  // namespace

std::vector<Forward> forward(Checkpoint& checkpoint, std::span<const std::vector<TokenId>> ids,
                             const ForwardOptions& options) {
  const models::Decoder& model = checkpoint.model;
  const models::DecoderConfig& config = model.config;
  const UsePool pool(checkpoint.pool);
  if (model.encoder && model.blocks.empty()) return encode(checkpoint, ids, options);
  require(!model.encoder,
          "forward: {} has an encoder and a decoder; models that have one of them are shown",
          checkpoint.facts.path);
  std::vector<int64_t> lengths;
  std::vector<Forward> results;
  for (const std::vector<TokenId>& one : ids) {
    check_prompt(config, one);
    lengths.push_back(std::ssize(one));
    results.push_back(room_for(one, config, config.layers, options.hidden_states));
    results.back().logits.resize(static_cast<std::size_t>(std::ssize(one) * config.vocabulary));
  }
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
