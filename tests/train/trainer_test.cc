// The loop on a small model of its own: it learns, stops, resumes to the same bits, keeps what it
// had, and says in one line what went wrong.
#include "train/trainer.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>

#include "base/check.h"
#include "data/task_source.h"
#include "nn/init.h"
#include "ops/ops.h"
#include "tensor/pool.h"
#include "train/own_folder.h"

namespace regard::train {
namespace {

namespace fs = std::filesystem;

// Foresees the next token from the last one alone: logits = E[id] Wᵀ + b.
class Bigrams final : public Learner {
 public:
  explicit Bigrams(int64_t vocabulary, uint64_t seed = 1) {
    const nn::Initial initial{seed};
    embedding_ = all_.add("embedding", initial.normal("embedding", {vocabulary, 8}, 0.5));
    weight_ = all_.add("weight", initial.normal("weight", {vocabulary, 8}, 0.5));
    bias_ = all_.add("bias", nn::constant({vocabulary}, 0));
  }
  nn::Parameters& parameters() override { return all_; }
  Tensor logits(const data::Batch& batch, std::span<const int64_t> rows,
                const nn::PassOptions& options) const override {
    Tensor x = embedding(embedding_, batch.ids);
    if (options.observer != nullptr) options.observer->see(3, nn::Site::residual, x);
    if (options.random) x = dropout(std::move(x), 0.1f, {*options.random, 0});
    return linear(gather(x, rows), {nullptr, &weight_, &bias_});
  }
  void save(const fs::path& folder) const override {
    if (fail_) throw Error(ErrorKind::failed, (folder / "model").string() + ": no room");
    std::ofstream(folder / "model")
        .write(reinterpret_cast<const char*>(weight_.numbers<float>().data()), 64);
  }
  void fail_to_save(bool on) { fail_ = on; }

 private:
  nn::Parameters all_;
  Tensor embedding_, weight_, bias_;
  bool fail_ = false;
};

const data::TaskSource& source() {
  static const data::TaskSource made(tasks::Task("copy", {.shortest = 3, .longest = 6}),
                                     {.rows = 4, .length = 16}, 1, data::Loss::all);
  return made;
}

TrainConfig config() {
  TrainConfig made;
  made.data.task = "copy";
  made.run = {.steps = 20, .accumulate = 2, .seed = 3, .eval_every = 5, .eval_batches = 2};
  made.schedule = {.rate = 0.02, .warmup = 5, .steps = 20};
  return made;
}

std::vector<float> numbers(Learner& learner) {
  std::vector<float> all;
  for (const nn::Parameter& one : learner.parameters()) {
    const auto part = one.leaf.numbers<float>();
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

bool same(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

std::vector<double> losses(const fs::path& folder) {
  std::vector<double> made;
  for (const Update& one : read_log(folder / "log.jsonl")) made.push_back(one.loss);
  return made;
}

std::string message(const auto& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

Outcome run(Learner& learner, const fs::path& folder, const RunOptions& options = {},
            const TrainConfig& how = config()) {
  return train(how, learner, source(), {{"tokenizer", "t"}}, folder, options);
}

TEST(Trainer, LearnsAndKeepsTheBest) {
  const Folder folder;
  Bigrams learner(source().vocabulary());
  TrainConfig how = config();
  how.run.steps = how.schedule.steps = 150;
  how.run.eval_every = 30;
  const Outcome outcome = run(learner, folder.path, {}, how);
  EXPECT_EQ(outcome.ended, Ended::finished);
  const auto all = losses(folder.path);
  ASSERT_EQ(all.size(), 150u);
  EXPECT_LT(outcome.progress.average, all[0] - 0.2);
  EXPECT_TRUE(fs::exists(folder.path / "last/training.json"));
  EXPECT_TRUE(fs::exists(folder.path / "best/state.safetensors"));
  EXPECT_TRUE(fs::exists(folder.path / "loss.svg"));
  int64_t kept = 0;
  for (const auto& one : fs::directory_iterator(folder.path)) {
    kept += one.path().filename().string().starts_with("step-");
  }
  EXPECT_LE(kept, 3);  // two and the best
}

TEST(Trainer, ResumesToTheSameBits) {
  for (const char* precision : {"f32", "bf16"}) {
    SCOPED_TRACE(precision);
    const Folder folder;
    const fs::path whole = folder.path / "whole", parts = folder.path / "parts";
    TrainConfig how = config();
    how.run.precision = precision;
    Bigrams one(source().vocabulary());
    run(one, whole, {}, how);
    {
      Bigrams first(source().vocabulary());
      EXPECT_EQ(run(first, parts, {.stop_after = 12}, how).ended, Ended::stopped);
    }
    Bigrams second(source().vocabulary(), 99);  // its numbers are the checkpoint's
    EXPECT_EQ(run(second, parts, {.resume = true}, how).ended, Ended::finished);
    EXPECT_TRUE(same(numbers(one), numbers(second)));
    EXPECT_EQ(losses(whole), losses(parts));
  }
}

TEST(Trainer, ThreadsChangeNoBit) {
  std::vector<float> first;
  for (const int threads : {1, 2, 3}) {
    const Folder folder;
    ThreadPool pool(threads);
    const UsePool use(pool);
    Bigrams learner(source().vocabulary());
    run(learner, folder.path);
    if (threads == 1) first = numbers(learner);
    EXPECT_TRUE(same(first, numbers(learner))) << threads;
  }
}

// The gradient of two batches is that of one with all their texts, however many tokens each has.
TEST(Trainer, AccumulationIsNormalisedByAllTargets) {
  const data::TaskSource together(tasks::Task("copy", {.shortest = 3, .longest = 6}),
                                  {.rows = 8, .length = 16, .packed = false}, 1, data::Loss::all);
  const data::TaskSource apart(tasks::Task("copy", {.shortest = 3, .longest = 6}),
                               {.rows = 4, .length = 16, .packed = false}, 1, data::Loss::all);
  const auto loss = [&](const data::Source& from, int64_t accumulate) {
    const Folder folder;
    TrainConfig how = config();
    how.run.accumulate = accumulate;
    how.run.steps = 1;
    how.run.eval_batches = 0;
    Bigrams learner(from.vocabulary());
    train(how, learner, from, {}, folder.path, {});
    return read_log(folder.path / "log.jsonl").at(0);
  };
  const Update one = loss(together, 1), two = loss(apart, 2);
  EXPECT_EQ(one.tokens, two.tokens);
  // Dropout draws other numbers in the second batch; without it they would agree to rounding.
  EXPECT_NEAR(one.loss, two.loss, 0.05 * one.loss);
}

TEST(Trainer, OverfitsOneBatch) {
  const Folder folder;
  Bigrams learner(source().vocabulary());
  TrainConfig how = config();
  how.run.steps = how.schedule.steps = 100;
  run(learner, folder.path, {.overfit = true}, how);
  const auto all = losses(folder.path);
  EXPECT_LT(all.back(), all.front() - 0.5);
}

TEST(Trainer, StopsEarly) {
  const Folder folder;
  Bigrams learner(source().vocabulary());
  TrainConfig how = config();
  how.schedule.rate = 0;  // nothing gets better
  how.run.patience = 2;
  const Outcome outcome = run(learner, folder.path, {}, how);
  EXPECT_EQ(outcome.ended, Ended::no_better);
  EXPECT_EQ(outcome.progress.step, 15);
  EXPECT_EQ(outcome.progress.best_step, 5);
}

TEST(Trainer, AnInterruptSaves) {
  const Folder folder;
  Bigrams learner(source().vocabulary());
  std::atomic<bool> stop{false};
  RunOptions options{.interrupt = &stop};
  options.on_update = [&](const Update& update) { stop = update.step == 7; };
  const Outcome outcome = run(learner, folder.path, options);
  EXPECT_EQ(outcome.ended, Ended::interrupted);
  EXPECT_EQ(outcome.progress.step, 7);
  EXPECT_EQ(outcome.checkpoint, folder.path / "step-00000007");
  EXPECT_EQ(fs::read_symlink(folder.path / "last"), "step-00000007");
}

TEST(Trainer, ALossThatIsNoNumberNamesTheLayer) {
  const Folder folder;
  Bigrams learner(source().vocabulary());
  for (nn::Parameter& one : learner.parameters()) {
    if (one.name == "embedding") {
      for (float& x : one.leaf.writable_numbers<float>())
        x = std::numeric_limits<float>::infinity();
    }
  }
  const std::string said = message([&] { run(learner, folder.path); });
  EXPECT_TRUE(said.starts_with("step 1: the loss is ")) << said;
  EXPECT_NE(said.find("are those of the output of blk.3"), std::string::npos) << said;
  EXPECT_NE(said.find("no checkpoint was reached"), std::string::npos) << said;
}

TEST(Trainer, ARateThatDivergesIsOneLine) {
  const Folder folder;
  Bigrams learner(source().vocabulary());
  TrainConfig how = config();
  how.schedule.rate = 1000;
  how.run.steps = how.schedule.steps = 200;
  how.run.save_every = 1;
  const std::string said = message([&] { run(learner, folder.path, {}, how); });
  EXPECT_NE(said.find("a lower schedule.rate (1000)"), std::string::npos) << said;
  EXPECT_NE(said.find("last is kept"), std::string::npos) << said;
  EXPECT_EQ(said.find('\n'), std::string::npos);
  EXPECT_TRUE(fs::exists(folder.path / "last/state.safetensors"));
}

TEST(Checkpoints, OtherConfigurationsAreRefused) {
  const Folder folder;
  Bigrams learner(source().vocabulary());
  run(learner, folder.path, {.stop_after = 2});
  TrainConfig how = config();
  how.optimiser.beta1 = 0.5;
  EXPECT_EQ(message([&] { run(learner, folder.path, {.resume = true}, how); }),
            (folder.path / "step-00000002").string() +
                ": is of another configuration: optimiser.beta1 is 0.5, was 0.9");
  EXPECT_EQ(
      message([&] {
        train(config(), learner, source(), {{"tokenizer", "u"}}, folder.path, {.resume = true});
      }),
      (folder.path / "step-00000002").string() + ": was trained on another tokenizer");
  EXPECT_EQ(message([&] { run(learner, folder.path); }),
            folder.path.string() +
                ": there are checkpoints already; --resume goes on from them, or give another "
                "folder");
}

TEST(Checkpoints, DamageIsFound) {
  for (const char* name : {"state.safetensors", "model", "training.json"}) {
    SCOPED_TRACE(name);
    const Folder folder;
    Bigrams learner(source().vocabulary());
    run(learner, folder.path, {.stop_after = 2});
    const fs::path file = folder.path / "step-00000002" / name;
    {
      std::fstream bytes(file, std::ios::in | std::ios::out);
      bytes.seekp(-20, std::ios::end);
      bytes.put('\x7f');
    }
    const std::string flipped = message([&] { run(learner, folder.path, {.resume = true}); });
    EXPECT_NE(flipped.find(file.string()), std::string::npos) << flipped;
    fs::resize_file(file, fs::file_size(file) / 2);
    const std::string cut = message([&] { run(learner, folder.path, {.resume = true}); });
    EXPECT_NE(cut.find(file.string()), std::string::npos) << cut;
    fs::remove_all(folder.path);
    EXPECT_EQ(message([&] { run(learner, folder.path, {.resume = true}); }),
              folder.path.string() + ": there is no checkpoint to resume from");
  }
}

TEST(Checkpoints, AnotherStepIsDamageToo) {
  const Folder folder;
  Bigrams learner(source().vocabulary());
  run(learner, folder.path, {.stop_after = 2});
  const fs::path file = folder.path / "step-00000002/training.json";
  std::string text;
  {
    std::ifstream in(file);
    text.assign(std::istreambuf_iterator<char>(in), {});
  }
  const std::size_t at = text.find("\"step\": 2");
  ASSERT_NE(at, std::string::npos);
  text[at + 8] = '3';
  std::ofstream(file) << text;
  EXPECT_EQ(
      message([&] { run(learner, folder.path, {.resume = true}); }),
      file.string() + ": its numbers are not those that were written; the checkpoint is damaged");
}

TEST(Checkpoints, ThatCannotBeWrittenLeaveTheOldOne) {
  const Folder folder;
  Bigrams learner(source().vocabulary());
  run(learner, folder.path, {.stop_after = 4});
  learner.fail_to_save(true);
  EXPECT_EQ(message([&] { run(learner, folder.path, {.resume = true}); }),
            (folder.path / "step-00000005").string() + "/model: no room");
  learner.fail_to_save(false);
  // A file that may not grow: what a full disk is to a writer.
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  rlimit tight = before;
  tight.rlim_cur = 2000;  // the log fits, the state does not
  setrlimit(RLIMIT_FSIZE, &tight);
  const std::string said = message([&] { run(learner, folder.path, {.resume = true}); });
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_NE(said.find("step-00000005/state.safetensors: cannot be written"), std::string::npos)
      << said;
  EXPECT_EQ(fs::read_symlink(folder.path / "last"), "step-00000004");
  EXPECT_FALSE(fs::exists(folder.path / "step-00000005"));
  EXPECT_EQ(run(learner, folder.path, {.resume = true}).ended, Ended::finished);
}

TEST(Checkpoints, OneRunAtATime) {
  const Folder folder;
  const Checkpoints first(folder.path, config(), {});
  EXPECT_EQ(message([&] { Checkpoints(folder.path, config(), {}); }),
            folder.path.string() + ": another run writes into this folder");
}

}  // namespace
}  // namespace regard::train
