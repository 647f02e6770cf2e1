// The generation loop as users see it: text, ends, limits, refusals.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>

#include "regard/error.h"
#include "regard/model.h"
#include "runtime/tiny_checkpoint.h"
#include "unicode/utf8.h"

namespace regard {
namespace {

std::string refusal(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::invalid_argument);
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

const SamplingOptions kWarm{.temperature = 1, .seed = 5};

TEST(Generate, StreamsWholeCharactersThatAddUpToTheText) {
  const Model model = load_tiny();
  std::string streamed;
  const Generation result = model.generate(
      "the", {.tokens = 200, .sampling = kWarm, .ignore_eos = true}, [&](std::string_view piece) {
        EXPECT_EQ(unicode::first_invalid_utf8(piece), -1);
        streamed += piece;
      });
  EXPECT_EQ(result.ids.size(), 200u);
  EXPECT_EQ(streamed, result.text);
  EXPECT_EQ(result.text, model.decode(result.ids));
  EXPECT_EQ(result.finish_reason, FinishReason::length);
  EXPECT_EQ(result.prompt_ids, model.encode("the"));
  EXPECT_EQ(result.timings.prefill_tokens, std::ssize(result.prompt_ids));
  EXPECT_EQ(result.timings.decode_tokens, 199);
}

TEST(Generate, TakesTheLikeliestTokenOfEachPosition) {
  const Model model = load_tiny();
  const Generation result = model.generate("the", {.tokens = 12, .ignore_eos = true});
  std::vector<TokenId> ids = result.prompt_ids;
  for (const TokenId id : result.ids) {
    const Score score = model.score(ids, {.top = 1});
    EXPECT_EQ(score.top.front().first, id);
    ids.push_back(id);
  }
}

// A head of zeros but for the end token, which reads one feature of the last norm.
TEST(Generate, EndsAtAnEndTokenUnlessToldNotTo) {
  TinyLlama ending{.tied = false};
  ending.make();
  const auto end = static_cast<TokenId>(ending.vocabulary() - 1);
  for (float& number : ending.arrays["output.weight"].numbers) number = 0;
  ending.arrays["output.weight"].numbers[end * ending.width] = 1;
  const TinyFile file(ending, "ending");
  const Model ends = Model::load(file.path());
  // The logit's sign decides between the end token and id 0; both happen among many prompts.
  int stopped = 0, ran = 0;
  for (const char* prompt : {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"}) {
    const Generation result = ends.generate(prompt, {.tokens = 1});
    const Generation on = ends.generate(prompt, {.tokens = 1, .ignore_eos = true});
    if (result.finish_reason == FinishReason::stop) {
      ++stopped;
      EXPECT_TRUE(result.ids.empty());
      EXPECT_EQ(on.ids, (std::vector<TokenId>{end}));
      EXPECT_EQ(on.finish_reason, FinishReason::length);
    } else {
      ++ran;
      EXPECT_EQ(result.ids, (std::vector<TokenId>{0}));
    }
  }
  EXPECT_GT(stopped, 0);
  EXPECT_GT(ran, 0);
}

TEST(Generate, EndsBeforeAStopString) {
  const Model model = load_tiny();
  const GenerateOptions options{.tokens = 100, .sampling = kWarm, .ignore_eos = true};
  const std::string whole = model.generate("the", options).text;
  // A stretch from the middle: it goes over the bounds of tokens, most of which are one byte.
  std::size_t begin = whole.size() / 2;
  while ((static_cast<unsigned char>(whole[begin]) & 0xC0) == 0x80) ++begin;
  std::size_t end = begin + 4;
  while (end < whole.size() && (static_cast<unsigned char>(whole[end]) & 0xC0) == 0x80) ++end;
  const std::string stop = whole.substr(begin, end - begin);
  GenerateOptions stopping = options;
  stopping.stop = {"this never comes", stop};
  std::string streamed;
  const Generation result =
      model.generate("the", stopping, [&](std::string_view piece) { streamed += piece; });
  EXPECT_EQ(result.text, whole.substr(0, whole.find(stop)));
  EXPECT_EQ(streamed, result.text);
  EXPECT_EQ(result.finish_reason, FinishReason::stop);
  EXPECT_LT(result.ids.size(), 100u);
}

TEST(Generate, EndsWithTheContext) {
  const Model model = load_tiny({.context = 20});
  const std::vector<TokenId> ids = random_ids(15, 2);
  const Generation result = model.generate(ids, {.ignore_eos = true});
  EXPECT_EQ(result.ids.size(), 5u);
  EXPECT_EQ(result.finish_reason, FinishReason::length);
  EXPECT_EQ(model.generate(random_ids(20, 2)).ids.size(), 0u);
}

TEST(Generate, RefusesAPromptLongerThanTheContextNamingBoth) {
  const Model model = load_tiny({.context = 20});
  const std::string message = refusal([&] { model.generate(random_ids(21, 2)); });
  EXPECT_NE(message.find("21"), std::string::npos);
  EXPECT_NE(message.find("20"), std::string::npos);
  refusal([&] { model.score(random_ids(21, 2)); });
}

TEST(Generate, NamesTheOptionThatIsWrong) {
  const Model model = load_tiny();
  const std::vector<TokenId> ids{1, 2, 3};
  const auto starts = [&](const char* word, const GenerateOptions& options) {
    const std::string message = refusal([&] { model.generate(ids, options); });
    EXPECT_TRUE(message.starts_with(word)) << message;
  };
  starts("tokens:", {.tokens = -1});
  starts("temp:", {.sampling = {.temperature = -1}});
  starts("stop:", {.stop = {""}});
  starts("chunk:", {.run = {.chunk = -1}});
  starts("page:", {.run = {.page = 48}});
  starts("kv:", {.run = {.kv = DType::q8_0}});
  refusal([&] { model.generate(std::vector<TokenId>{}); });
  refusal([&] { model.generate(std::vector<TokenId>{1, 258}); });
  refusal([&] { model.generate(std::vector<TokenId>{-1}); });
  refusal([&] { model.generate("\xFF\xFE"); });
}

TEST(Generate, StopsWhenInterruptedAndKeepsWhatThereIs) {
  const Model model = load_tiny();
  std::atomic<bool> interrupt{false};
  int pieces = 0;
  GenerateOptions options{.tokens = 500, .sampling = kWarm, .ignore_eos = true};
  options.run.interrupt = &interrupt;
  const Generation result = model.generate("the", options, [&](std::string_view) {
    if (++pieces == 10) interrupt = true;
  });
  EXPECT_EQ(result.finish_reason, FinishReason::interrupted);
  EXPECT_GE(result.ids.size(), 10u);
  EXPECT_LT(result.ids.size(), 500u);
  EXPECT_EQ(result.text, model.decode(result.ids));
}

TEST(Generate, ReportsTheProgressOfPrompts) {
  const Model model = load_tiny();
  std::vector<int64_t> done;
  GenerateOptions options{.tokens = 3};
  options.run.chunk = 40;
  options.run.progress = [&](int64_t tokens, int64_t total) {
    done.push_back(tokens);
    EXPECT_EQ(total, 100);
  };
  model.generate(random_ids(100, 1), options);
  EXPECT_EQ(done, (std::vector<int64_t>{40, 80, 100}));
}

TEST(Generate, ShowsTheLogitsOfEveryPosition) {
  const Model model = load_tiny();
  std::vector<int64_t> positions;
  GenerateOptions options{.tokens = 4, .ignore_eos = true};
  options.run.chunk = 7;
  options.run.logits = [&](int64_t sequence, int64_t position, std::span<const float> logits) {
    EXPECT_EQ(sequence, 0);
    EXPECT_EQ(logits.size(), 258u);
    positions.push_back(position);
  };
  model.generate(random_ids(20, 1), options);
  ASSERT_EQ(positions.size(), 23u);  // the fourth token is never fed
  for (int64_t i = 0; i < 23; ++i) EXPECT_EQ(positions[i], i);
}

TEST(Score, GivesTheMeanOfTheSurprises) {
  const Model model = load_tiny();
  const std::vector<TokenId> ids = random_ids(30, 8);
  double nll = 0;
  ScoreOptions options{.top = 3};
  std::vector<float> last;
  options.run.logits = [&](int64_t, int64_t position, std::span<const float> logits) {
    last.assign(logits.begin(), logits.end());
    if (position + 1 == 30) return;
    double sum = 0;
    for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
    nll += std::log(sum) - logits[ids[position + 1]];
  };
  const Score score = model.score(ids, options);
  EXPECT_EQ(score.token_count, 30);
  EXPECT_NEAR(score.mean_nll, nll / 29, 1e-5);
  EXPECT_NEAR(score.perplexity / std::exp(nll / 29), 1, 1e-5);
  ASSERT_EQ(score.top.size(), 3u);
  EXPECT_EQ(score.top[0].second, *std::max_element(last.begin(), last.end()));
  EXPECT_EQ(score.bits.size(), 16u);
}

// A NaN among the weights is found when it reaches the logits.
TEST(Score, RefusesLogitsThatAreNotFinite) {
  TinyLlama tiny;
  tiny.make().arrays["blk.0.attn_v.weight"].numbers[7] = std::nanf("");
  const TinyFile file(tiny, "damaged");
  const Model model = Model::load(file.path());
  const std::vector<TokenId> ids{1, 2, 3};
  for (const std::function<void()>& call : std::vector<std::function<void()>>{
           [&] { model.score(ids); }, [&] { model.generate(ids); }}) {
    try {
      call();
      ADD_FAILURE() << "nothing was thrown";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::unreadable);
    }
  }
}

TEST(Score, OfOneTokenHasNoMean) {
  const Model model = load_tiny();
  const Score score = model.score(std::vector<TokenId>{5});
  EXPECT_EQ(score.token_count, 1);
  EXPECT_TRUE(std::isnan(score.mean_nll));
}

TEST(FindModel, TellsNamesFromPaths) {
  EXPECT_EQ(find_model("./x"), "./x");
  EXPECT_EQ(find_model("x.gguf"), "x.gguf");
  ::setenv("REGARD_CACHE", "/nowhere/cache", 1);
  try {
    find_model("smollm2");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::unreadable);
    const std::string message = error.what();
    EXPECT_NE(message.find("/nowhere/cache/smollm2.gguf"), std::string::npos);
    EXPECT_NE(message.find("regard pull smollm2"), std::string::npos);
  }
  ::unsetenv("REGARD_CACHE");
  ::setenv("XDG_CACHE_HOME", "/xdg", 1);
  EXPECT_EQ(cache_folder(), "/xdg/regard");
  ::unsetenv("XDG_CACHE_HOME");
  ::setenv("HOME", "/home/someone", 1);
  EXPECT_EQ(cache_folder(), "/home/someone/.cache/regard");
}

// Rows that no token is for fill a round number.
TEST(Checkpoint, ReadsAGgufWhoseVocabularyIsPadded) {
  TinyLlama tiny;
  tiny.make();
  TinyArray& table = tiny.arrays.at("token_embd.weight");
  const std::vector<float> numbers = table.numbers;
  table.dims[1] = 272;
  table.numbers.resize(static_cast<std::size_t>(272 * tiny.width), 0.5f);
  const TinyFile file(tiny, "padded");
  const Model model = Model::load(file.path(), {.threads = 1});
  EXPECT_EQ(model.facts().vocabulary, 272);
  EXPECT_EQ(model.tokenizer().size(), 258);
  EXPECT_EQ(model.token_text(257), "<|end|>");
  EXPECT_EQ(model.token_text(271), "#271");
  EXPECT_THROW(model.token_text(272), Error);
  EXPECT_EQ(
      model.generate(std::vector<TokenId>{271, 97}, {.tokens = 4, .ignore_eos = true}).ids.size(),
      4u);

  table.dims[1] = 250;
  table.numbers.assign(numbers.begin(), numbers.begin() + 250 * tiny.width);
  const TinyFile less(tiny, "cut");
  try {
    Model::load(less.path(), {.threads = 1});
    ADD_FAILURE() << "tokens without a row";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::unreadable);
    EXPECT_NE(std::string(error.what()).find("258 tokens, the embedding 250 rows"),
              std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace regard
