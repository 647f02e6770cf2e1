// Recurrent layers and encoder-decoders: what they promise of shapes, neighbours, sums and ends.
#include "seq2seq/seq2seq.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "ops/gradient_check.h"
#include "ops/ops.h"
#include "tensor/pool.h"
#include "tensor/tape.h"

namespace regard {
namespace {

using namespace seq2seq;

struct Model {
  nn::Parameters parameters;
  Seq2Seq net;
  explicit Model(const Config& config) : net(config, {&parameters, {3}}) {}
};

Config small(Context context, Query query = Query::previous_state,
             LuongScore score = LuongScore::general) {
  return {.source_vocabulary = 8,
          .target_vocabulary = 8,
          .width = 16,
          .hidden = 32,
          .cell = Cell::gru,
          .context = context,
          .query = query,
          .score = score};
}
std::vector<Config> all_kinds() {
  return {small(Context::init),
          small(Context::every_step),
          small(Context::bahdanau),
          small(Context::bahdanau, Query::state),
          small(Context::luong, Query::state, LuongScore::dot),
          small(Context::luong, Query::state, LuongScore::general),
          small(Context::luong, Query::state, LuongScore::concat)};
}
const std::vector<std::vector<Id>> kSources = {{3, 4, 5, 6, 7}, {5, 3}, {7}};
const std::vector<std::vector<Id>> kTargets = {{4}, {3, 5, 7, 6}, {6, 6}};

TEST(RecurrentLayer, S2_4_TheNumberOfParametersDoesNotDependOnTime) {
  for (const Cell cell : {Cell::rnn_tanh, Cell::rnn_relu, Cell::gru, Cell::lstm}) {
    nn::Parameters parameters;
    const RecurrentLayer layer =
        make_recurrent_layer({&parameters}, "layer", cell, 5, 7, /*bidirectional=*/true);
    const int64_t before = parameters.numbers();
    EXPECT_EQ(before, 2 * gates_of(cell) * 7 * (5 + 7 + 2));
    for (const int64_t time : {1, 4, 30}) {
      const Tensor x = zeros({time, 2, 5});
      const RecurrentLayer::Output made = layer(x);
      EXPECT_EQ(made.steps.describe(), fmt::format("f32 [{}, 2, 14]", time));
      EXPECT_EQ(parameters.numbers(), before);
    }
  }
}

TEST(RecurrentLayer, S2_3_EachStepOrTheLastAlone) {
  nn::Parameters parameters;
  RecurrentLayer layer = make_recurrent_layer({&parameters}, "layer", Cell::lstm, 5, 7, true);
  const Tensor x = gradient_check::to_f32(random_f64({6, 3, 5}, 1));
  const std::vector<int64_t> lengths = {6, 2, 4};
  const auto all = layer(x, lengths);
  layer.returns = Returns::last;
  const auto last = layer(x, lengths);
  EXPECT_FALSE(last.steps);
  ASSERT_TRUE(gradient_check::same_numbers(all.last.h, last.last.h));
  for (int64_t b = 0; b < 3; ++b) {
    for (int64_t i = 0; i < 7; ++i) {  // forward: the last step; backward: the first
      const int64_t end = lengths[static_cast<std::size_t>(b)] - 1;
      const auto steps = all.steps.view<float, 3>();
      const auto state = last.last.h.view<float, 2>();
      EXPECT_EQ(state(b, i), steps(end, b, i));
      EXPECT_EQ(state(b, 7 + i), steps(0, b, 7 + i));
    }
  }
  // The projection of the sequence ends in that of the last state.
  const nn::Linear project = nn::Maker{&parameters}.linear("project", 4, 14);
  EXPECT_EQ(project(all.steps.reshape({18, 14})).describe(), "f32 [18, 4]");
}

TEST(Seq2Seq, PaddingAndNeighboursChangeNoBit) {
  for (const Config& config : all_kinds()) {
    const Model model(config);
    const Taught all = model.net(pad(kSources), pad(kTargets));
    for (std::size_t b = 0; b < kSources.size(); ++b) {
      const Taught one = model.net(pad({&kSources[b], 1}), pad({&kTargets[b], 1}));
      const auto logits = one.logits.view<float, 3>(), together = all.logits.view<float, 3>();
      for (int64_t t = 0; t < logits.shape[0]; ++t) {
        for (int64_t i = 0; i < 8; ++i) {
          EXPECT_EQ(logits(t, 0, i), together(t, static_cast<int64_t>(b), i));
        }
      }
    }
  }
}

TEST(Seq2Seq, S1_2_WeightsHaveARowForEachTargetTokenThatSumsToOne) {
  for (const Config& config : all_kinds()) {
    const Model model(config);
    const Taught made = model.net(pad(kSources), pad(kTargets));
    const bool attends = config.context == Context::bahdanau || config.context == Context::luong;
    ASSERT_EQ(static_cast<bool>(made.weights), attends);
    if (!attends) continue;
    EXPECT_EQ(made.weights.describe(), "f32 [3, 5, 5]");
    const auto alpha = made.weights.view<float, 3>();
    for (int64_t b = 0; b < 3; ++b) {
      for (int64_t t = 0; t <= std::ssize(kTargets[static_cast<std::size_t>(b)]); ++t) {
        double sum = 0;
        for (int64_t j = 0; j < 5; ++j) sum += alpha(b, t, j);
        EXPECT_NEAR(sum, 1, 1e-6);
      }
    }
  }
}

TEST(Seq2Seq, S0_1_DecodingAlwaysEnds) {
  for (const Config& config : all_kinds()) {
    const Model model(config);  // untrained: it need not ever say stop
    for (const Written& one : model.net.greedy(pad(kSources), 20)) {
      EXPECT_TRUE(one.stopped ? one.ids.size() < 20 : one.ids.size() == 20);
      for (const Id id : one.ids) EXPECT_NE(id, config.stop);
    }
    EXPECT_TRUE(model.net.greedy(pad(kSources), 0)[0].ids.empty());
  }
}

// Greedy decoding takes, at each step, the likeliest token of a teacher-forced pass over what it
// wrote, and sees the same weights.
TEST(Seq2Seq, GreedyDecodingIsTheTaughtPassAStepAtATime) {
  for (const Config& config : all_kinds()) {
    const Model model(config);
    const std::vector<Written> written = model.net.greedy(pad(kSources), 6);
    for (std::size_t b = 0; b < written.size(); ++b) {
      const Taught again = model.net(pad({&kSources[b], 1}), pad({&written[b].ids, 1}));
      const auto logits = again.logits.view<float, 3>();
      for (std::size_t t = 0; t < written[b].ids.size(); ++t) {
        const float* const row = logits[static_cast<int64_t>(t)].data;
        EXPECT_EQ(std::max_element(row, row + 8) - row, written[b].ids[t]);
        for (std::size_t j = 0; again.weights && j < kSources[b].size(); ++j) {
          EXPECT_EQ(written[b].weights[t][j],
                    (again.weights.view<float, 3>()(0, static_cast<int64_t>(t),
                                                    static_cast<int64_t>(j))));
        }
      }
    }
  }
}

TEST(Seq2Seq, BitsOfLossAndGradientsAreTheSameForAnyThreads) {
  for (const Config& config : all_kinds()) {
    std::vector<Tensor> first;
    for (const int threads : {1, 2, 3}) {
      ThreadPool pool(threads);
      const UsePool use(pool);
      Model model(config);
      const Taught made = model.net(pad(kSources), pad(kTargets));
      backward(made.loss);
      std::vector<Tensor> got = {made.loss.detach()};
      for (const nn::Parameter& one : model.parameters) got.push_back(one.leaf.gradient());
      if (threads == 1) first = got;
      for (std::size_t i = 0; i < got.size(); ++i) {
        EXPECT_TRUE(gradient_check::same_numbers(first[i], got[i]));
      }
    }
  }
}

// Of whole models in f64: the derivative along a random direction of every leaf.
TEST(Seq2Seq, GradientsOfWholeModelsAgreeWithDifferences) {
  for (const Config& config : all_kinds()) {
    nn::Parameters parameters;
    const Seq2Seq net(config, {.parameters = &parameters, .initial = {3}, .dtype = DType::f64});
    const auto loss = [&] { return net(pad(kSources), pad(kTargets)).loss; };
    backward(loss());
    for (nn::Parameter& one : parameters) {
      const Tensor gradient = one.leaf.gradient();
      const Tensor direction = random_f64(one.leaf.shape(), 40);
      double slope = 0;
      for (std::size_t i = 0; i < direction.numbers<double>().size(); ++i) {
        slope += direction.numbers<double>()[i] * gradient.numbers<double>()[i];
      }
      const NoGradient quiet;
      const auto moved = [&](double by) {
        const auto numbers = one.leaf.writable_numbers<double>();
        for (std::size_t i = 0; i < numbers.size(); ++i) {
          numbers[i] += by * direction.numbers<double>()[i];
        }
        return loss().numbers<double>()[0];
      };
      const double above = moved(1e-5), below = moved(-2e-5);
      moved(1e-5);
      EXPECT_NEAR((above - below) / 2e-5, slope, 1e-6 * std::max(1e-3, std::abs(slope)))
          << one.name;
    }
  }
}

TEST(Seq2Seq, WrongSizesAreNamed) {
  Config config = small(Context::luong, Query::state, LuongScore::dot);
  config.bidirectional = true;
  EXPECT_THROW(Model{config}, Error);  // dot: 64 is not 32
  config = small(Context::init);
  config.stop = 8;
  EXPECT_THROW(Model{config}, Error);
  const Model model(small(Context::bahdanau));
  const std::vector<std::vector<Id>> empty = {{3}, {}};
  EXPECT_THROW(model.net.greedy(pad(empty), 3), Error);
  EXPECT_THROW(model.net(pad(kSources), pad(empty)), Error);
  EXPECT_THROW(pad({}), Error);
}

}  // namespace
}  // namespace regard
