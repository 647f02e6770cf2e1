// What training reads: windows of documents in the order of their epoch, packed or padded, with
// weights of what counts; tasks as texts; the tokenizers that trained models get.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <numeric>
#include <set>

#include "base/check.h"
#include "data/order.h"
#include "data/task_source.h"
#include "data/text_source.h"

namespace regard::data {
namespace {

namespace fs = std::filesystem;

class File {
 public:
  File(const char* ending, std::string_view text)
      : path_(
            fs::path(testing::TempDir()) /
            (std::string(testing::UnitTest::GetInstance()->current_test_info()->name()) + ending)) {
    std::ofstream(path_) << text;
  }
  ~File() { fs::remove(path_); }
  std::string path() const { return path_.native(); }

 private:
  fs::path path_;
};

std::string message(const auto& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

Document document(std::vector<Id> ids) {
  std::vector<float> weights(ids.size(), 1);
  return {std::move(ids), std::move(weights)};
}

std::vector<Id> counting(Id first, Id count) {
  std::vector<Id> ids(static_cast<std::size_t>(count));
  std::iota(ids.begin(), ids.end(), first);
  return ids;
}

TEST(Order, IsAPermutationOfItsEpoch) {
  const auto one = shuffled(1000, 1, 0), other = shuffled(1000, 1, 1);
  EXPECT_EQ(one, shuffled(1000, 1, 0));
  EXPECT_NE(one, other);
  EXPECT_NE(one, shuffled(1000, 2, 0));
  EXPECT_EQ(std::set<uint32_t>(one.begin(), one.end()).size(), 1000u);
  // Every place is as likely: the mean distance that elements move is a third of the length.
  double moved = 0;
  for (std::size_t i = 0; i < one.size(); ++i) moved += std::abs(double(one[i]) - double(i));
  EXPECT_NEAR(moved / 1000, 1000.0 / 3, 30);
}

TEST(TextSource, BatchesDependOnTheCursorAlone) {
  // Documents of 3, 50 and 8 tokens; windows of 8.
  const std::vector<Document> documents = {document(counting(0, 3)), document(counting(100, 50)),
                                           document(counting(200, 8))};
  const TextOptions options{.filling = {.rows = 2, .length = 8}, .held_out = 0};
  const TextSource source(documents, {}, 300, options), fresh(documents, {}, 300, options);
  std::vector<Cursor> cursors{{}};
  std::vector<Batch> batches;
  while (cursors.back().epoch < 3) {
    Cursor cursor = cursors.back();
    batches.push_back(source.next(cursor));
    cursors.push_back(cursor);
    EXPECT_LE(batches.back().tokens(), 16);
    EXPECT_GT(batches.back().tokens(), 0);
    for (std::size_t i = 0; i < batches.back().ids.size(); ++i) {
      EXPECT_EQ(batches.back().targets[i], batches.back().ids[i] + 1);  // never another document's
    }
  }
  for (std::size_t i = batches.size(); i-- > 0;) {
    Cursor cursor = cursors[i];
    const Batch again = fresh.next(cursor);
    EXPECT_EQ(again.ids, batches[i].ids);
    EXPECT_EQ(again.lengths, batches[i].lengths);
    EXPECT_EQ(cursor, cursors[i + 1]);
  }
}

TEST(TextSource, AnEpochHasEveryTargetExactlyOnce) {
  const TextSource source({document(counting(0, 101))}, {}, 300,
                          {.filling = {.rows = 1, .length = 10}, .held_out = 0});
  std::map<Id, int> seen;
  Cursor cursor;
  int64_t targets = 0;
  // One row: a batch is a piece, so that no batch reaches over the end of the epoch unseen.
  while (targets < 100) {
    const Batch batch = source.next(cursor);
    targets += batch.tokens();
    for (const Id id : batch.targets) ++seen[id];
  }
  EXPECT_EQ(targets, 100);
  EXPECT_EQ(seen.size(), 100u);
}

TEST(TextSource, PaddedHasTheSameTextsInRows) {
  std::vector<Document> documents = {document(counting(0, 4)), document(counting(10, 6)),
                                     document(counting(20, 3))};
  const Filling filling{.rows = 3, .length = 5, .packed = false};
  const TextSource source(documents, {}, 30, {.filling = filling, .held_out = 0});
  Cursor cursor;
  const Batch batch = source.next(cursor);
  ASSERT_EQ(batch.lengths.size(), 3u);
  EXPECT_EQ(batch.row, 5);
  EXPECT_EQ(batch.tokens(), 15);
  EXPECT_EQ(batch.real_tokens(), 3 + 5 + 2);
  for (std::size_t text = 0; text < 3; ++text) {
    for (int64_t i = 0; i < 5; ++i) {
      const float weight = batch.weights[text * 5 + static_cast<std::size_t>(i)];
      EXPECT_EQ(weight, i < batch.lengths[text] ? 1 : 0);
    }
  }
  EXPECT_EQ(batch.weight(), 10);
}

TEST(TextSource, HoldsTheLastShareOut) {
  std::vector<Document> documents = {document(counting(0, 50)), document(counting(100, 50))};
  const TextSource source(documents, {}, 200,
                          {.filling = {.rows = 1, .length = 7}, .held_out = 0.2});
  EXPECT_EQ(source.tokens(), 80);
  std::set<Id> held;
  for (const Batch& batch : source.held_out(100))
    held.insert(batch.targets.begin(), batch.targets.end());
  EXPECT_EQ(held.size(), 19u);  // the first of 20 is foreseen from nothing
  EXPECT_EQ(*held.begin(), 131);
  EXPECT_EQ(source.held_out(1).size(), 1u);
  Cursor cursor;
  for (int i = 0; i < 40; ++i) {
    for (const Id id : source.next(cursor).targets) EXPECT_EQ(held.count(id), 0u);
  }
}

TEST(TextSource, RefusesTooLittleText) {
  const auto make = [](std::vector<Document> documents, int64_t length) {
    TextSource(std::move(documents), {}, 300,
               {.filling = {.length = length}, .held_out = 0, .name = "a.txt"});
  };
  EXPECT_EQ(message([&] { make({document(counting(0, 64))}, 64); }),
            "a.txt: 64 tokens are left to train on, fewer than one sequence needs (64 and one "
            "behind it); give more text or a smaller data.length");
  EXPECT_EQ(message([&] { make({}, 8); }), "a.txt: there is no text to train on");
  Document none = document(counting(0, 20));
  none.weights.assign(20, 0);
  EXPECT_EQ(message([&] { make({none}, 8); }), "a.txt: no token of it counts");
}

TEST(Documents, PlainTextsAreCutAtTheSeparator) {
  const File file(".txt", "one\n---\ntwo\xff\n---\n");
  const auto made = read_documents({file.path()}, byte_tokens(), {.separator = "\n---\n"});
  ASSERT_EQ(made.size(), 2u);
  EXPECT_EQ(made[0].ids, (std::vector<Id>{'o', 'n', 'e', 256}));
  EXPECT_TRUE(made[0].ended);
  EXPECT_EQ(made[1].ids, (std::vector<Id>{'t', 'w', 'o', 255, 256}));
  const auto open = read_documents({file.path()}, byte_tokens(), {.boundary = false});
  ASSERT_EQ(open.size(), 1u);
  EXPECT_EQ(open[0].ids.back(), '\n');
}

TEST(Documents, OnlyAnswersCount) {
  const File file(
      ".jsonl", "{\"prompt\": \"ab\", \"answer\": \"c\"}\n\n{\"text\": \"d\", \"weight\": 0.5}\n");
  const auto made = read_documents({file.path()}, byte_tokens(), {.loss = Loss::answer});
  ASSERT_EQ(made.size(), 2u);
  EXPECT_EQ(made[0].ids, (std::vector<Id>{'a', 'b', 'c', 256}));
  EXPECT_EQ(made[0].weights, (std::vector<float>{0, 0, 1, 1}));
  EXPECT_EQ(made[1].weights, (std::vector<float>{0.5, 0.5}));
  // And in the batch: the last token of the prompt foresees the answer.
  const TextSource source(made, {}, 257, {.filling = {.rows = 1, .length = 4}, .held_out = 0});
  Cursor cursor;
  EXPECT_EQ(source.next(cursor).weight(), 2.5);
}

TEST(Documents, BadLinesAreNamed) {
  const auto read = [](std::string_view text) {
    const File file(".jsonl", text);
    std::string made = message([&] { read_documents({file.path()}, byte_tokens(), {}); });
    return made.substr(made.find(".jsonl") + 1);
  };
  EXPECT_EQ(read("{}\n"), "jsonl: line 1 must have either text, or prompt and answer");
  EXPECT_EQ(read("{\"text\": \"a\"}\n{\"txt\": 1}"),
            "jsonl: line 2: \"txt\" is not a key with such a value; there are text, prompt and "
            "answer, which are texts, and weight, a number");
  EXPECT_EQ(read("{\"text\": \"a\", \"weight\": -1}"),
            "jsonl: line 1: weight (-1) is not in 0 .. 1000000");
  EXPECT_EQ(read("[1]"), "jsonl: line 1 is not an object");
  EXPECT_NE(
      message([] { read_documents({"/nowhere/a.txt"}, byte_tokens(), {}); }).find("/nowhere/a.txt"),
      std::string::npos);
}

TEST(Documents, IgnoredTokensDoNotCount) {
  const TextSource source({document(counting(0, 11))}, {}, 30,
                          {.filling = {.rows = 1, .length = 10}, .held_out = 0, .ignored = {3, 4}});
  Cursor cursor;
  double weight = 0;
  for (int64_t seen = 0; seen < 10;) {
    const Batch batch = source.next(cursor);
    seen += batch.tokens();
    weight += batch.weight();
  }
  EXPECT_EQ(weight, 8);
}

TEST(TaskSource, OnlyTheAnswerCounts) {
  const TaskSource source(tasks::Task("reverse", {.shortest = 4, .longest = 4}),
                          {.rows = 4, .length = 9}, 1, Loss::answer);
  Cursor cursor;
  const Batch batch = source.next(cursor);
  EXPECT_EQ(batch.lengths, (std::vector<int64_t>{9, 9, 9, 9}));
  EXPECT_EQ(batch.weight(), 4 * 5);
  EXPECT_EQ(cursor, (Cursor{0, 4}));
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(batch.ids[i], batch.targets[7 - i]);
  EXPECT_EQ(batch.ids[4], tasks::kStart);
  EXPECT_EQ(batch.targets[8], tasks::kStop);
  EXPECT_EQ(source.held_out(2).size(), 2u);
  const TaskSource tight(tasks::Task("copy", {.shortest = 5, .longest = 5}),
                         {.rows = 4, .length = 9}, 1, Loss::all);
  EXPECT_EQ(message([&] { tight.next(cursor = {}); }),
            "task copy: example 0 has 11 tokens, data.length is 9; make it longer");
}

TEST(Tokens, OfBytesReadBackAsATokenizer) {
  const Tokens tokens = byte_tokens();
  const Tokenizer tokenizer = Tokenizer::from_json(tokens.json, tokens.config);
  const std::string text = "Grüße, \x01 <|endoftext|>";
  EXPECT_EQ(tokenizer.size(), 257);
  EXPECT_EQ(tokenizer.encode(text, SpecialText::plain), tokens.encode(text, "text"));
  EXPECT_EQ(tokenizer.decode(tokens.encode(text, "text")), text);
  EXPECT_EQ(tokenizer.encode("<|endoftext|>"), std::vector<Id>{256});
  EXPECT_TRUE(tokenizer.ends_generation(256));
}

TEST(Tokens, OfEveryTaskReadBack) {
  for (const std::string_view name : tasks::names()) {
    SCOPED_TRACE(name);
    const tasks::Task task(name);
    const Tokens tokens = task_tokens(task);
    ASSERT_EQ(tokens.tokenizer->size(), std::ssize(task.vocabulary()));
    for (uint64_t n = 0; n < 20; ++n) {
      const tasks::Example example = task.example(1, n);
      std::string text;
      for (const Id id : example.source) text += task.vocabulary()[static_cast<std::size_t>(id)];
      EXPECT_EQ(tokens.tokenizer->encode(text), example.source) << text;
      EXPECT_EQ(tokens.tokenizer->decode(example.source), text);
    }
    EXPECT_TRUE(tokens.tokenizer->ends_generation(tasks::kStop));
  }
}

}  // namespace
}  // namespace regard::data
