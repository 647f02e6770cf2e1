// Models of the families in training: 100 steps are 60 and 40, whatever the threads; what is saved
// is what generate and score load; gradients in f64.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/check.h"
#include "regard/model.h"
#include "tensor/pool.h"
#include "tensor/tape.h"
#include "train/gradcheck.h"
#include "train/own_folder.h"
#include "train/prepare.h"
#include "train/trainer.h"

namespace regard::train {
namespace {

namespace fs = std::filesystem;

TrainConfig config(const std::string& more = "") {
  return parse_config(R"([model]
layers = 2
width = 16
heads = 2
dropout = 0.1
attention_dropout = 0.1
[data]
task = "reverse"
shortest = 2
longest = 4
length = 12
loss = "answer"
[run]
steps = 100
rows = 2
eval_every = 50
eval_batches = 1
keep = 1
[schedule]
rate = 0.01
warmup = 10
)" + more,
                      "config");
}

struct Result {
  std::vector<float> weights;
  std::vector<double> losses;
};

Result run(const TrainConfig& how, const fs::path& folder, const RunOptions& options,
           int threads = 2) {
  ThreadPool pool(threads);
  const UsePool use(pool);
  const Prepared prepared = prepare(how, pool);
  train(how, *prepared.learner, *prepared.source, prepared.inputs, folder, options);
  Result made;
  for (const nn::Parameter& one : prepared.learner->parameters()) {
    const auto part = one.leaf.numbers<float>();
    made.weights.insert(made.weights.end(), part.begin(), part.end());
  }
  for (const Update& one : read_log(folder / "log.jsonl")) made.losses.push_back(one.loss);
  return made;
}

bool same(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

TEST(Family, AHundredStepsAreSixtyAndForty) {
  const Folder folder;
  const TrainConfig how = config();
  const Result whole = run(how, folder.path / "whole", {});
  run(how, folder.path / "parts", {.stop_after = 60}, 3);
  const Result parts = run(how, folder.path / "parts", {.resume = true}, 1);
  ASSERT_EQ(whole.losses.size(), 100u);
  EXPECT_EQ(whole.losses, parts.losses);
  EXPECT_TRUE(same(whole.weights, parts.weights));
  EXPECT_LT(whole.losses.back(), whole.losses.front());
}

TEST(Family, WhatIsSavedIsWhatGenerateLoads) {
  const Folder folder;
  const TrainConfig how = config();
  ThreadPool pool(2);
  const UsePool use(pool);
  const Prepared prepared = prepare(how, pool);
  const Outcome outcome = train(how, *prepared.learner, *prepared.source, prepared.inputs,
                                folder.path, {.stop_after = 20});
  const Model model = Model::load(outcome.checkpoint.string(), {.threads = 2});
  // "ab" backwards, as it was trained.
  const std::vector<TokenId> ids = model.encode("ab<start>ba<stop>");
  ASSERT_EQ(ids, (std::vector<TokenId>{3, 4, 1, 4, 3, 2}));
  const Forward forward = model
                              .forward(std::vector<std::vector<TokenId>>{ids},
                                       {.hidden_states = false, .run = {.kv = DType::f32}})
                              .at(0);
  data::Batch batch;
  batch.ids = ids;
  batch.lengths = {6};
  const NoGradient quiet;
  const Tensor logits = prepared.learner->logits(batch, std::vector<int64_t>{0, 1, 2, 3, 4, 5}, {});
  EXPECT_EQ(std::memcmp(logits.numbers<float>().data(), forward.logits.data(),
                        forward.logits.size() * sizeof(float)),
            0);
}

// The same texts packed and padded: loss and gradients are the same but for the order of sums.
TEST(Family, PackedIsPadded) {
  std::vector<double> losses;
  for (const char* packed : {"true", "false"}) {
    const Folder folder;
    TrainConfig how = config();
    how.data.shortest = how.data.longest = 4;  // 9 tokens: as many texts fit both
    how.data.length = 9;
    how.data.packed = packed == std::string("true");
    how.model.dropout = how.model.attention_dropout = 0;
    how.run.eval_batches = 0;
    const Result made = run(how, folder.path, {.stop_after = 5});
    losses.push_back(made.losses.back());
  }
  EXPECT_NEAR(losses[0], losses[1], 1e-5 * losses[0]);
}

TEST(Family, GradientsAreThoseOfTheFunction) {
  for (const char* family : {"llama", "gpt2", "qwen2", "qwen3", "bloom"}) {
    TrainConfig how = config();
    how.model.family = family;
    how.model.kv_heads = family == std::string("llama") ? 1 : 0;
    for (const LeafError& one : gradcheck(how, 3)) {
      EXPECT_LT(one.error, kMostError) << family << " " << one.name;
    }
  }
}

TEST(Family, TextsAreTrainedOnAndGoOnFromACheckpoint) {
  const Folder folder;
  fs::create_directories(folder.path);
  const fs::path text = folder.path / "text.txt";
  {
    std::ofstream file(text);
    for (int i = 0; i < 200; ++i) file << "the cat sat on the mat; ";
  }
  const std::string how =
      "[model]\nfamily = \"gpt2\"\nlayers = 1\nwidth = 16\nheads = 2\n"
      "[data]\ntext = \"" +
      text.string() +
      "\"\nlength = 32\n"
      "[run]\nsteps = 40\nrows = 2\neval_every = 20\n"
      "[schedule]\nrate = 0.01\n";
  const Result made = run(parse_config(how, "config"), folder.path / "one", {});
  EXPECT_LT(made.losses.back(), made.losses.front() - 1);
  const std::string next = "[model]\nstart = \"" + (folder.path / "one/best").string() + "\"\n" +
                           how.substr(how.find("[data]"));
  const Result more = run(parse_config(next, "config"), folder.path / "two", {});
  EXPECT_LT(more.losses.front(), made.losses.front() - 1);
  const std::vector<Generation> said =
      Model::load((folder.path / "two/best").string(), {.threads = 1})
          .generate(std::vector<std::vector<TokenId>>{{'t', 'h'}}, {.tokens = 4}, {});
  EXPECT_EQ(said.at(0).ids.size(), 4u);
}

TEST(Family, FilesThatAreMissingOrShortAreNamed) {
  const auto refusal = [](const std::string& text) {
    ThreadPool pool(1);
    const TrainConfig how =
        parse_config("[data]\ntext = \"" + text + "\"\nlength = 64\n", "config");
    try {
      prepare(how, pool);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("nothing was thrown");
  };
  EXPECT_NE(refusal("/nowhere/text.txt").find("/nowhere/text.txt"), std::string::npos);
  const Folder folder;
  fs::create_directories(folder.path);
  const fs::path text = folder.path / "short.txt";
  std::ofstream(text) << "too short";
  EXPECT_NE(refusal(text.string()).find("fewer than one sequence needs (64 and one behind it)"),
            std::string::npos);
}

}  // namespace
}  // namespace regard::train
