// Encoders and encoder-decoders against transformers' eager f32, and the same bits in any company.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "families/load.h"
#include "formats/safetensors.h"
#include "runtime/batch.h"
#include "runtime/memory.h"
#include "runtime/reference.h"
#include "tensor/pool.h"

namespace regard {
namespace {

constexpr double kTolerance = 1e-4;
const RunOptions kExact{.kv = DType::f32};

double largest_difference(std::span<const float> a, std::span<const float> b) {
  if (a.size() != b.size()) return INFINITY;
  double most = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    most = std::fmax(most, std::isnan(a[i]) ? INFINITY : std::fabs(double{a[i]} - double{b[i]}));
  }
  return most;
}

std::string test_name(const testing::TestParamInfo<const char*>& one) {
  std::string name = one.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

// ---- encoders alone ----

class Encoder : public testing::TestWithParam<const char*> {
 protected:
  Reference reference{GetParam()};
  Model model = Model::load(reference.folder.string(), {.threads = 2});
};

TEST_P(Encoder, GivesTheReferencesNumbers) {
  const std::vector<float> hidden = reference.array("hidden");
  const std::vector<Forward> made = model.forward(reference.sequences);
  int64_t all = 0, first = 0;
  for (const auto& ids : reference.sequences) all += std::ssize(ids);
  const int64_t width = made.front().width;
  ASSERT_EQ(std::ssize(hidden), (made.front().layers + 1) * all * width);
  for (const Forward& one : made) {
    EXPECT_TRUE(one.logits.empty());
    for (int64_t state = 0; state <= one.layers; ++state) {
      EXPECT_LT(
          largest_difference(
              std::span(one.hidden_states).subspan(state * one.tokens * width, one.tokens * width),
              std::span(hidden).subspan((state * all + first) * width, one.tokens * width)),
          kTolerance)
          << "hidden state " << state << ", sequence from row " << first;
    }
    first += one.tokens;
  }
}

TEST_P(Encoder, HasTheSameBitsInAnyCompany) {
  // Enough texts for several passes, in an order of their own.
  std::vector<std::vector<TokenId>> texts;
  for (int i = 0; i < 200; ++i) {
    texts.push_back(reference.sequences[static_cast<std::size_t>(i * 7 + i / 3) % 4]);
  }
  const Embeddings together = model.embed(texts);
  const Model single = Model::load(reference.folder.string(), {.threads = 1});
  for (std::size_t i = 0; i < 4; ++i) {
    const Embeddings alone = single.embed(std::span(&reference.sequences[i], 1));
    for (std::size_t at = 0; at < texts.size(); ++at) {
      if (texts[at] != reference.sequences[i]) continue;
      const std::span<const float> beside = together[static_cast<int64_t>(at)];
      ASSERT_TRUE(
          std::equal(beside.begin(), beside.end(), alone.numbers.begin(), alone.numbers.end()))
          << "text " << at;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, Encoder,
                         testing::Values("bert-1", "bert-2", "roberta-1", "roberta-2", "minilm-1",
                                         "minilm-2", "minilm-max"),
                         test_name);

class Embedding : public Encoder {};

TEST_P(Embedding, PoolsAsTheFolderSays) {
  const Embeddings made = model.embed(reference.sequences);
  EXPECT_EQ(made.ids, reference.sequences);
  EXPECT_LT(largest_difference(made.numbers, reference.array("embeddings")), kTolerance);
}

TEST_P(Embedding, PoolsAsItIsAsked) {
  const std::vector<std::vector<TokenId>> one{reference.sequences[0]};
  const Forward states = model.forward(one[0]);
  const int64_t tokens = states.tokens, width = states.width;
  const float* last = states.hidden_states.data() + states.layers * tokens * width;
  const auto number = [&](int64_t token, int64_t i) { return last[token * width + i]; };
  for (const Pooling pooling : {Pooling::mean, Pooling::cls, Pooling::last, Pooling::max}) {
    SCOPED_TRACE(name(pooling));
    const Embeddings made = model.embed(one, {.pooling = pooling, .normalise = false});
    const Embeddings unit = model.embed(one, {.pooling = pooling, .normalise = true});
    double squares = 0;
    for (int64_t i = 0; i < width; ++i) {
      double wanted = number(pooling == Pooling::last ? tokens - 1 : 0, i);
      for (int64_t t = 1; t < tokens && pooling == Pooling::mean; ++t) wanted += number(t, i);
      for (int64_t t = 1; t < tokens && pooling == Pooling::max; ++t) {
        wanted = std::max<double>(wanted, number(t, i));
      }
      if (pooling == Pooling::mean) wanted /= static_cast<double>(tokens);
      EXPECT_NEAR(made[0][i], wanted, 1e-5);
      squares += double{made[0][i]} * double{made[0][i]};
    }
    for (int64_t i = 0; i < width; ++i) {
      EXPECT_NEAR(unit[0][i], made[0][i] / std::sqrt(squares), 1e-6);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, Embedding, testing::Values("minilm-1", "minilm-2", "minilm-max"),
                         test_name);

// ---- encoder-decoders ----

class EncoderDecoder : public testing::TestWithParam<const char*> {
 protected:
  Reference reference{GetParam()};
  Model model = Model::load(reference.folder.string(), {.threads = 2});
};

// What the blocks of a stack give, the embedding first.
class Layers final : public nn::Observer {
 public:
  void see(int64_t, nn::Site site, const Tensor& value) override {
    if (site == nn::Site::embedding || site == nn::Site::residual) seen.push_back(value);
  }
  std::vector<Tensor> seen;
};

std::span<const float> numbers(const Tensor& x) {
  const auto view = x.view<float, 2>();
  return {view.data, static_cast<std::size_t>(view.size())};
}

TEST_P(EncoderDecoder, GivesTheReferencesNumbers) {
  ThreadPool pool(2);
  const UsePool use(pool);
  const models::Decoder decoder =
      families::load(HfConfig::open(reference.folder), Safetensors::open(reference.folder), pool);
  const Memory memory(decoder, kExact, reference.sequences);
  std::vector<int64_t> lengths;
  for (const auto& ids : reference.targets) lengths.push_back(std::ssize(ids));
  Batch batch(decoder, kExact, lengths, &memory);
  std::vector<Sequence> sequences;
  for (const auto& ids : reference.targets) {
    sequences.push_back(batch.start(ids, std::ssize(ids)));
    sequences.back().text = std::ssize(sequences) - 1;
  }
  for (Sequence& sequence : sequences) batch.add(sequence, sequence.waiting());
  Layers layers;
  const Tensor hidden = batch.run(&layers);
  EXPECT_LT(largest_difference(numbers(decoder.logits(hidden)), reference.array("logits")),
            kTolerance);

  // The head's factor is in the final norm.
  const bool tied =
      decoder.encoder->embedding.tokens.table.packed == decoder.head.matrix.matrix.packed;
  const auto width = static_cast<float>(decoder.config.width);
  layers.seen.back() = scale(decoder.head.norm(hidden), tied ? std::sqrt(width) : 1.0f);
  const std::vector<float> wanted = reference.array("decoder_hidden");
  const std::size_t size = numbers(hidden).size();
  ASSERT_EQ(layers.seen.size() * size, wanted.size());
  for (std::size_t state = 0; state < layers.seen.size(); ++state) {
    EXPECT_LT(largest_difference(numbers(layers.seen[state]),
                                 std::span(wanted).subspan(state * size, size)),
              kTolerance)
        << "hidden state " << state;
  }
}

TEST_P(EncoderDecoder, EncodesAsTheReferenceDoes) {
  // The states behind the last norm, seen through mean pooling.
  const std::vector<float> hidden = reference.array("hidden");
  const Embeddings made = model.embed(reference.sequences, {.normalise = false});
  const auto last = std::span(hidden).last(static_cast<std::size_t>(40 * made.width));
  int64_t first = 0;
  for (std::size_t i = 0; i < reference.sequences.size(); ++i) {
    const int64_t tokens = std::ssize(reference.sequences[i]);
    for (int64_t d = 0; d < made.width; ++d) {
      double mean = 0;
      for (int64_t t = first; t < first + tokens; ++t) mean += last[t * made.width + d];
      EXPECT_NEAR(made[static_cast<int64_t>(i)][d], mean / static_cast<double>(tokens), kTolerance);
    }
    first += tokens;
  }
}

TEST_P(EncoderDecoder, AnswersAsTheReferenceDoes) {
  ASSERT_EQ(reference.greedy.size(), 2u);
  for (const Reference::Greedy& greedy : reference.greedy) {
    const Generation made = model.generate(
        greedy.prompt, {.tokens = std::ssize(greedy.ids), .ignore_eos = true, .run = kExact});
    EXPECT_EQ(made.prompt_ids, greedy.prompt);
    ASSERT_EQ(made.ids.size(), greedy.ids.size());
    for (std::size_t i = 0; i < made.ids.size() && greedy.margins[i] >= 0.01; ++i) {
      ASSERT_EQ(made.ids[i], greedy.ids[i]) << "token " << i;
    }
  }
}

// Every logit on the way, in company, with another page size and one thread: no bit differs.
TEST_P(EncoderDecoder, HasTheSameBitsInAnyCompany) {
  using Logits = std::vector<std::vector<float>>;
  const auto run = [&](const Model& with, std::span<const std::vector<TokenId>> prompts,
                       int64_t page, int64_t chunk) {
    std::vector<Logits> seen(prompts.size());
    GenerateOptions options{.tokens = 12, .ignore_eos = true};
    options.run.page = page;
    options.run.chunk = chunk;
    options.run.logits = [&](int64_t sequence, int64_t, std::span<const float> logits) {
      seen[static_cast<std::size_t>(sequence)].emplace_back(logits.begin(), logits.end());
    };
    with.generate(prompts, options);
    return seen;
  };
  const std::vector<Logits> together = run(model, reference.sequences, 64, 512);
  const Model single = Model::load(reference.folder.string(), {.threads = 1});
  const std::vector<Logits> in_turns = run(single, reference.sequences, 32, 1);
  for (std::size_t i = 0; i < together.size(); ++i) {
    const auto alone = run(single, std::span(&reference.sequences[i], 1), 16, 512);
    ASSERT_EQ(together[i].size(), 12u);
    EXPECT_EQ(alone[0], together[i]) << "text " << i;
    EXPECT_EQ(in_turns[i], together[i]) << "text " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(All, EncoderDecoder,
                         testing::Values("t5-1", "t5-2", "flan-t5-1", "flan-t5-2"), test_name);

// ---- what is refused ----

std::string message(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    return error.what();
  }
  ADD_FAILURE() << "nothing was refused";
  return "";
}

TEST(Embed, SaysWhatItDoesNotTake) {
  const Reference bert("bert-1");
  const Model model = Model::load(bert.folder.string());
  const int64_t context = model.facts().context;
  std::vector<TokenId> ids(static_cast<std::size_t>(context) + 3, 5);
  ids.back() = 2;
  const auto embed = [&](std::vector<TokenId> one, const EmbedOptions& options = {}) {
    return model.embed(std::span<const std::vector<TokenId>>(&one, 1), options);
  };
  EXPECT_NE(message([&] { embed(ids); }).find("context of 64; --truncate"), std::string::npos);
  EXPECT_NE(message([&] { embed({}); }).find("no tokens"), std::string::npos);
  EXPECT_NE(message([&] { embed({5, 1000}); }).find("id 1000"), std::string::npos);
  EXPECT_NE(message([&] { embed({-1}); }).find("id -1"), std::string::npos);

  // The beginning and the last token stay.
  const Embeddings cut = embed(ids, {.truncate = true});
  ASSERT_EQ(std::ssize(cut.ids[0]), context);
  EXPECT_EQ(cut.ids[0].back(), 2);
  EXPECT_EQ(cut.numbers, embed(cut.ids[0]).numbers);

  EXPECT_NE(message([&] { model.generate(bert.sequences[0]); }).find("is an encoder"),
            std::string::npos);
  EXPECT_NE(message([&] { model.score(bert.sequences[0]); }).find("has an encoder"),
            std::string::npos);
  const Reference t5("t5-1");
  EXPECT_NE(message([&] {
              Model::load(t5.folder.string()).score(t5.sequences[0]);
            }).find("has an encoder"),
            std::string::npos);
  const Reference llama("llama-1");
  EXPECT_NE(message([&] {
              Model::load(llama.folder.string()).embed(llama.sequences);
            }).find("has no encoder"),
            std::string::npos);
}

}  // namespace
}  // namespace regard
