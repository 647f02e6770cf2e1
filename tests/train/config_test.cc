// Configurations of training: every key read, printed and refused; the learning rate by step; the
// log and its figure.
#include "train/config.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/check.h"
#include "train/log.h"

namespace regard::train {
namespace {

std::string refusal(std::string_view text) {
  try {
    parse_config(text, "a.toml");
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::unreadable);
    return error.what();
  }
  return "nothing was thrown";
}

TEST(Config, ReadsWhatItPrints) {
  const TrainConfig read = parse_config(R"([model]
family = "gpt2"
width = 96
heads = 6
tied = false
[data]
text = ["a.txt", "b \"c\".txt"]
separator = "\n--\n"
[run]
steps = 7
[schedule]
rate = 2e-4
fall = "linear"
)",
                                        "a.toml");
  EXPECT_EQ(read.model.width, 96);
  EXPECT_FALSE(read.model.tied);
  EXPECT_EQ(read.data.text[1], "b \"c\".txt");
  EXPECT_EQ(read.data.separator, "\n--\n");
  EXPECT_EQ(read.schedule.rate, 2e-4);
  EXPECT_EQ(read.schedule.fall, Fall::linear);
  EXPECT_EQ(read.schedule.steps, 7);  // run.steps
  const TrainConfig again = parse_config(read.to_toml(), "again");
  EXPECT_EQ(again.to_toml(), read.to_toml());
  EXPECT_EQ(first_difference(again, read), "");
}

TEST(Config, AnUnknownKeyNamesTheNearest) {
  EXPECT_EQ(refusal("[model]\nlayer = 3\n[data]\ntask = \"copy\"\n"),
            "a.toml: unknown key model.layer; the nearest is model.layers");
  EXPECT_EQ(refusal("[modle]\nlayers = 3\n"), "a.toml: unknown key modle; the nearest is model");
}

TEST(Config, ABadValueNamesKeyRuleAndNumber) {
  EXPECT_EQ(refusal("[model]\nlayers = 0\n"), "a.toml: model.layers is 0, must be in 1 .. 1024");
  EXPECT_EQ(refusal("[model]\nlayers = 2.5\n"), "a.toml: model.layers is no whole number");
  EXPECT_EQ(refusal("[schedule]\nrate = nan\n"),
            "a.toml: schedule.rate is nan, must be in 0 .. 1e+06");
  EXPECT_EQ(
      refusal("[schedule]\nfall = \"cosin\"\n"),
      "a.toml: schedule.fall is \"cosin\", must be one of none, cosine, linear, inverse_sqrt");
  EXPECT_EQ(refusal("[data]\ntask = 3\n"), "a.toml: data.task is no text");
  EXPECT_EQ(refusal("[data]\ntext = [1]\n"), "a.toml: data.text is no text");
  EXPECT_EQ(refusal("model = 3\n"), "a.toml: [model] is no table");
  EXPECT_EQ(refusal("[data]\ntask = \"copy\"\ntext = \"a\"\n"),
            "a.toml: give either data.text or data.task, not both");
  EXPECT_EQ(refusal("[model]\nwidth = 10\nheads = 4\n[data]\ntask = \"copy\"\n"),
            "a.toml: model.width (10) is not a multiple of model.heads (4)");
  EXPECT_EQ(refusal("[data]\ntask = \"copy\"\nlength = 65536\n[run]\nrows = 65536\n"),
            "a.toml: run.rows (65536) times data.length (65536) is more than 67108864 tokens");
  EXPECT_TRUE(refusal("[model\n").starts_with("a.toml: not TOML: ")) << refusal("[model\n");
  EXPECT_EQ(refusal("a = " + std::string(100, '[')), "a.toml: nested deeper than 16 levels");
}

TEST(Config, SaysWhichKeyDiffers) {
  const TrainConfig one = parse_config("[data]\ntask = \"copy\"\n", "a");
  TrainConfig other = one;
  other.run.keep = 7;  // changes no number
  EXPECT_EQ(first_difference(one, other), "");
  other.schedule.rate = 0.5;
  EXPECT_EQ(first_difference(other, one), "schedule.rate is 0.5, was 0.001");
}

TEST(Config, EveryKeyIsExplained) {
  const std::string all = explain_keys();
  for (const char* key : {"layers", "text", "task", "rows", "clip", "warmup", "accumulate"}) {
    EXPECT_NE(all.find(std::string("  ") + key + " "), std::string::npos) << key;
  }
}

TEST(Schedule, RisesThenFalls) {
  const Schedule cosine{.rate = 1, .fall = Fall::cosine, .warmup = 10, .floor = 0.1, .steps = 110};
  EXPECT_DOUBLE_EQ(cosine(0), 0.1);
  EXPECT_DOUBLE_EQ(cosine(9), 1);
  EXPECT_DOUBLE_EQ(cosine(10), 1);
  EXPECT_NEAR(cosine(60), 0.55, 1e-12);
  EXPECT_NEAR(cosine(110), 0.1, 1e-12);
  EXPECT_NEAR(cosine(1000), 0.1, 1e-12);
  Schedule other = cosine;
  other.fall = Fall::linear;
  EXPECT_NEAR(other(60), 0.55, 1e-12);
  EXPECT_NEAR(other(35), 0.775, 1e-12);
  other.fall = Fall::inverse_sqrt;
  EXPECT_NEAR(other(40), 0.5, 1e-12);  // 30 behind 10: √(10 / 40)
  other.fall = Fall::none;
  EXPECT_EQ(other(109), 1);
}

TEST(Log, GoesOnBehindAStepAndDropsTheRest) {
  const std::filesystem::path path =
      std::filesystem::path(testing::TempDir()) / "regard_train_log.jsonl";
  {
    Log log(path, 0);
    for (int64_t step = 1; step <= 5; ++step) {
      Update update{.step = step, .loss = 1.0 / static_cast<double>(step)};
      if (step == 4) update.evaluation = {2.5, 0.5, 0.25};
      log.write(update);
    }
  }
  std::ofstream(path, std::ios::app) << "{\"step\": 6, \"lo";  // killed while it wrote
  EXPECT_EQ(read_log(path).size(), 5u);
  {
    Log log(path, 4);
    log.write({.step = 5, .loss = 7});
  }
  const std::vector<Update> all = read_log(path);
  ASSERT_EQ(all.size(), 5u);
  EXPECT_EQ(all[2].loss, 1.0 / 3);
  EXPECT_EQ(all[3].evaluation->accuracy, 0.5);
  EXPECT_EQ(all[4].loss, 7);
  const std::string figure = draw_losses(all);
  EXPECT_NE(figure.find("held out"), std::string::npos);
  EXPECT_TRUE(figure.ends_with("</svg>\n"));
  EXPECT_EQ(figure.find("nan"), std::string::npos);
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace regard::train
