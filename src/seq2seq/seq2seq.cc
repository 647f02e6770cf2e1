#include "seq2seq/seq2seq.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "base/check.h"
#include "learning/losses.h"
#include "ops/ops.h"
#include "tensor/tape.h"

namespace regard::seq2seq {
namespace {

Tensor turned(const Tensor& x) { return permute(x, {1, 0, 2}); }  // batch and time change places
Tensor rows_of(const Tensor& x) { return x.reshape({x.shape(0) * x.shape(1), x.shape(2)}); }
Tensor multiplied(const Tensor& x, const Tensor& w) { return linear(x, Weight{nullptr, &w}); }

}  // namespace

Padded pad(std::span<const std::vector<Id>> sequences, Id filler) {
  require(!sequences.empty(), "pad: no sequences");
  Padded made;
  for (const std::vector<Id>& one : sequences) {
    made.lengths.push_back(std::ssize(one));
    made.time = std::max<int64_t>(made.time, std::ssize(one));
  }
  made.ids.assign(static_cast<std::size_t>(made.time * made.batch()), filler);
  for (std::size_t b = 0; b < sequences.size(); ++b) {
    for (std::size_t t = 0; t < sequences[b].size(); ++t) {
      made.ids[t * sequences.size() + b] = sequences[b][t];
    }
  }
  return made;
}

Seq2Seq::Seq2Seq(const Config& config, const nn::Maker& make) : config_(config) {
  require(config.source_vocabulary > 0 && config.target_vocabulary > 0 && config.width > 0 &&
              config.hidden > 0 && config.units >= 0,
          "seq2seq: vocabularies {} and {}, width {}, hidden {} and units {} must be positive",
          config.source_vocabulary, config.target_vocabulary, config.width, config.hidden,
          config.units);
  require(config.start >= 0 && config.start < config.target_vocabulary && config.stop >= 0 &&
              config.stop < config.target_vocabulary,
          "seq2seq: start {} and stop {} must be in the target's vocabulary of {}", config.start,
          config.stop, config.target_vocabulary);
  if (config_.units == 0) config_.units = config_.hidden;
  const int64_t hidden = config_.hidden, units = config_.units;
  source_ = make.embedding("source", config_.source_vocabulary, config_.width);
  target_ = make.embedding("target", config_.target_vocabulary, config_.width);
  encoder_ = make_recurrent_layer(make, "encoder", config_.cell, config_.width, hidden,
                                  config_.bidirectional);
  const int64_t memory = encoder_.width();
  const bool attends = config_.context == Context::bahdanau || config_.context == Context::luong;
  const bool fed = config_.context == Context::every_step || looks_back();
  decoder_ =
      make_recurrent(make, "decoder", config_.cell, config_.width + (fed ? memory : 0), hidden);
  if (config_.bidirectional) {
    bridge_h_ = make.linear("bridge_h", hidden, memory);
    if (config_.cell == Cell::lstm) bridge_c_ = make.linear("bridge_c", hidden, memory);
  }
  const LuongScore score = config_.context == Context::luong ? config_.score : LuongScore::concat;
  if (attends && score == LuongScore::concat) {
    query_ = make.matrix("attention.query", units, hidden);
    key_ = make.matrix("attention.key", units, memory);
    const double bound = 1 / std::sqrt(static_cast<double>(units));
    score_ = make.leaf("attention.score", make.initial.uniform("attention.score", {units}, bound));
  } else if (attends && score == LuongScore::general) {
    key_ = make.matrix("attention.key", hidden, memory);
  } else if (attends) {
    require(memory == hidden,
            "seq2seq: the dot score needs encoder states as wide as decoder states, not {} and {}; "
            "use general",
            memory, hidden);
  }
  if (attends && !looks_back()) join_ = make.linear("join", hidden, memory + hidden, false);
  output_ =
      make.linear("output", config_.target_vocabulary, looks_back() ? hidden + memory : hidden);
}

bool Seq2Seq::looks_back() const noexcept {
  return config_.context == Context::bahdanau && config_.query == Query::previous_state;
}

AdditiveAttention Seq2Seq::attention(const Source& source) const {
  return {source.keys, source.values, query_, score_, source.lengths};
}

Tensor Seq2Seq::keys_of(const Tensor& values) const {
  if (!key_) return values;
  return multiplied(rows_of(values), key_)
      .reshape({values.shape(0), values.shape(1), key_.shape(0)});
}

Seq2Seq::Source Seq2Seq::encode(const Padded& source) const {
  for (const int64_t length : source.lengths) {
    require(length > 0, "seq2seq: a source is empty");
  }
  const Tensor x = source_(source.ids).reshape({source.time, source.batch(), config_.width});
  const RecurrentLayer::Output read = encoder_(x, source.lengths);
  Source made{read.last, read.last.h, {}, {}, source.lengths};
  if (bridge_h_) made.first.h = activate(Activation::tanh, bridge_h_(read.last.h));
  if (bridge_c_) made.first.c = bridge_c_(read.last.c);
  if (config_.context == Context::bahdanau || config_.context == Context::luong) {
    made.values = turned(read.steps);
    made.keys = keys_of(made.values);
  }
  return made;
}

Seq2Seq::Steps Seq2Seq::steps(const Source& source, std::span<const Id> inputs, int64_t time,
                              const RecurrentState& first, std::span<const int64_t> lengths,
                              const RecurrentPanels* panels) const {
  const int64_t batch = std::ssize(inputs) / time, hidden = config_.hidden;
  Tensor x = target_(inputs);
  if (config_.context == Context::every_step) {
    std::vector<int64_t> rows(inputs.size());
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<int64_t>(i) % batch;
    x = concat_columns(std::array{x, gather(source.vector, rows)});
  }
  const AdditiveAttention inside = looks_back() ? attention(source) : AdditiveAttention();
  const Recurrence run =
      recur(config_.cell, x.reshape({time, batch, x.shape(1)}), decoder_, first,
            {.lengths = lengths, .attention = looks_back() ? &inside : nullptr, .panels = panels});
  Steps made{{}, run.weights, run.last};
  if (looks_back())
    made.last.h = columns(run.steps.rows(time - 1, 1), 0, hidden).reshape({batch, hidden});
  Tensor states = rows_of(run.steps);
  if (join_) {
    Tensor queries = turned(run.steps);
    Tensor scores;
    if (score_) {
      queries = multiplied(rows_of(queries), query_).reshape({batch, time, config_.units});
      scores = additive_scores(queries, source.keys, score_, source.lengths);
    } else {
      scores = dot_scores(queries, source.keys, source.lengths);
    }
    const Aligned aligned = align(scores, source.values);
    made.weights = aligned.weights;
    const Tensor contexts = rows_of(turned(aligned.context));
    states = activate(Activation::tanh, join_(concat_columns(std::array{contexts, states})));
  }
  made.logits = output_(states);
  return made;
}

Taught Seq2Seq::operator()(const Padded& source, const Padded& target) const {
  require(source.batch() == target.batch(), "seq2seq: {} sources for {} targets", source.batch(),
          target.batch());
  const int64_t batch = target.batch(), time = target.time + 1;
  std::vector<Id> inputs(static_cast<std::size_t>(time * batch), config_.stop);
  std::vector<Id> wanted = inputs;
  std::vector<float> counts(inputs.size(), 0.0f);
  std::vector<int64_t> lengths;
  for (int64_t b = 0; b < batch; ++b) {
    const int64_t length = target.lengths[static_cast<std::size_t>(b)];
    lengths.push_back(length + 1);
    for (int64_t t = 0; t <= length; ++t) {
      const auto at = static_cast<std::size_t>(t * batch + b);
      inputs[at] = t == 0 ? config_.start : target.ids[at - static_cast<std::size_t>(batch)];
      if (t < length) wanted[at] = target.ids[at];
      counts[at] = 1;
    }
  }
  const Source known = encode(source);
  const Steps made = steps(known, inputs, time, known.first, lengths, nullptr);
  return {made.logits.reshape({time, batch, config_.target_vocabulary}),
          cross_entropy(made.logits, wanted, {.weights = counts}).loss, made.weights};
}

std::vector<Written> Seq2Seq::greedy(const Padded& source, int64_t longest) const {
  const NoGradient quiet;
  const int64_t batch = source.batch();
  const Source known = encode(source);
  const AdditiveAttention inside = looks_back() ? attention(known) : AdditiveAttention();
  const auto panels = recurrent_panels(decoder_, looks_back() ? &inside : nullptr);
  std::vector<Written> written(static_cast<std::size_t>(batch));
  std::vector<Id> inputs(static_cast<std::size_t>(batch), config_.start);
  RecurrentState state = known.first;
  int64_t left = batch;
  for (int64_t t = 0; t < longest && left > 0; ++t) {
    Steps made = steps(known, inputs, 1, state, {}, panels.get());
    state = std::move(made.last);
    const auto logits = made.logits.view<float, 2>();
    for (int64_t b = 0; b < batch; ++b) {
      Written& one = written[static_cast<std::size_t>(b)];
      if (one.stopped) continue;
      const float* const row = logits[b].data;
      const auto id = static_cast<Id>(std::max_element(row, row + logits.shape[1]) - row);
      inputs[static_cast<std::size_t>(b)] = id;
      if (id == config_.stop) {
        one.stopped = true;
        --left;
        continue;
      }
      one.ids.push_back(id);
      if (made.weights) {
        const float* const alpha = made.weights.view<float, 3>()[b].data;
        one.weights.emplace_back(alpha, alpha + known.lengths[static_cast<std::size_t>(b)]);
      }
    }
  }
  return written;
}

}  // namespace regard::seq2seq
