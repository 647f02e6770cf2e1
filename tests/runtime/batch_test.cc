// The batch of sequences: what it reads, what it keeps, and that where pages lie does not matter.
#include "runtime/batch.h"

#include <gtest/gtest.h>

#include "runtime/checkpoint.h"
#include "runtime/tiny_checkpoint.h"
#include "tensor/pool.h"

namespace regard {
namespace {

std::vector<float> numbers(const Tensor& x) {
  const auto view = x.view<float, 2>();
  return {view.data, view.data + view.size()};
}

// The logits behind the last of `ids`, computed alone in one pass.
std::vector<float> alone(const models::Decoder& model, std::span<const TokenId> ids) {
  const std::vector<int64_t> lengths{std::ssize(ids)};
  Batch batch(model, {}, lengths);
  Sequence sequence = batch.start(ids, std::ssize(ids));
  batch.add(sequence, std::ssize(ids));
  return numbers(model.logits(batch.run().rows(std::ssize(ids) - 1, 1)));
}

// S2.37: three requests with caches of 120, 900 and 35 tokens take one step together.
TEST(Batch, S2_37_RaggedDecodeReadsOnlyItsOwnKeys) {
  Model loaded = load_tiny();
  const models::Decoder& model = loaded.checkpoint().model;
  const std::vector<int64_t> cached{120, 900, 35};
  std::vector<int64_t> lengths;
  for (const int64_t keys : cached) lengths.push_back(keys + 1);
  Batch batch(model, {}, lengths);
  std::vector<Sequence> sequences;
  for (std::size_t i = 0; i < cached.size(); ++i) {
    sequences.push_back(batch.start(random_ids(lengths[i], 10 + i), lengths[i]));
  }
  for (std::size_t i = 0; i < cached.size(); ++i) batch.add(sequences[i], cached[i]);
  batch.run();

  for (Sequence& sequence : sequences) batch.add(sequence, 1);
  const Tensor hidden = batch.run();
  const StepCounts& counts = batch.last_step();
  EXPECT_EQ(counts.rows, 3);
  EXPECT_EQ(counts.cached_keys, 1055);
  EXPECT_EQ(counts.new_keys, 3);
  EXPECT_EQ(counts.panel_keys, 1088);
  EXPECT_EQ(counts.padded_keys, 3 * 901);
  RecordProperty("keys_read", static_cast<int>(counts.cached_keys + counts.new_keys));
  RecordProperty("keys_read_in_panels", static_cast<int>(counts.panel_keys));
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    EXPECT_EQ(numbers(model.logits(hidden.rows(static_cast<int64_t>(i), 1))),
              alone(model, sequences[i].ids));
  }
}

// S2.36: prompts of different lengths stand one behind the other, nothing is padded.
TEST(Batch, S2_36_PromptsOfDifferentLengthsWasteNoRow) {
  Model loaded = load_tiny();
  const models::Decoder& model = loaded.checkpoint().model;
  const std::vector<int64_t> lengths{5, 70, 1, 33};
  Batch batch(model, {}, lengths);
  std::vector<Sequence> sequences;
  for (const int64_t length : lengths) {
    sequences.push_back(batch.start(random_ids(length, static_cast<uint32_t>(length)), length));
  }
  for (Sequence& sequence : sequences) batch.add(sequence, sequence.waiting());
  const Tensor hidden = batch.run();
  EXPECT_EQ(batch.last_step().rows, 5 + 70 + 1 + 33);
  EXPECT_EQ(batch.last_step().padded_rows, 4 * 70);
  int64_t end = 0;
  for (const Sequence& sequence : sequences) {
    end += std::ssize(sequence.ids);
    EXPECT_EQ(numbers(model.logits(hidden.rows(end - 1, 1))), alone(model, sequence.ids));
  }
}

// S2.38: pages of any size, scattered by sequences that joined and left.
TEST(Batch, S2_38_PagesMayLieAnywhere) {
  Model loaded = load_tiny();
  const models::Decoder& model = loaded.checkpoint().model;
  const std::vector<TokenId> ids = random_ids(300, 4);
  const std::vector<float> wanted = alone(model, ids);
  for (const int64_t page : {16, 32, 64}) {
    SCOPED_TRACE(page);
    const std::vector<int64_t> lengths{300, 300, 300};
    Batch batch(model, {.page = page}, lengths);
    // Three grow by turns, so that their pages interleave; two leave, one comes back anew.
    std::vector<Sequence> sequences;
    for (int i = 0; i < 3; ++i) sequences.push_back(batch.start(random_ids(300, 20 + i), 300));
    for (int round = 0; round < 3; ++round) {
      for (Sequence& sequence : sequences) batch.add(sequence, 60 + round);
      batch.run();
    }
    batch.finish(sequences[0]);
    batch.finish(sequences[2]);
    Sequence late = batch.start(ids, 300);
    while (late.waiting() > 0) {
      batch.add(late, std::min<int64_t>(late.waiting(), 41));
      if (sequences[1].waiting() > 0) batch.add(sequences[1], 1);
      const Tensor hidden = batch.run();
      if (late.waiting() > 0) continue;
      const int64_t last = late.cached - (late.cached - 1) / 41 * 41 - 1;
      EXPECT_EQ(numbers(model.logits(hidden.rows(last, 1))), wanted);
    }
    int64_t breaks = 0;
    for (std::size_t i = 1; i < late.block_table.size(); ++i) {
      breaks += late.block_table[i] != late.block_table[i - 1] + 1;
    }
    EXPECT_GT(breaks, 1) << "the pages lie in order: nothing was tested";
  }
}

TEST(Batch, GivesPagesBack) {
  Model loaded = load_tiny();
  const models::Decoder& model = loaded.checkpoint().model;
  const std::vector<int64_t> lengths{100};
  Batch batch(model, {.page = 16}, lengths);
  EXPECT_EQ(batch.pages().free_pages(), 7);
  Sequence sequence = batch.start(random_ids(100, 1), 100);
  batch.add(sequence, 17);
  EXPECT_EQ(batch.pages().free_pages(), 5);
  batch.run();
  batch.finish(sequence);
  EXPECT_EQ(batch.pages().free_pages(), 7);
}

// S3.6: bytes of keys and values a token, 2 · layers · kv_heads · dim · bytes of a number.
TEST(Batch, S3_6_CacheBytesOfAToken) {
  const auto bytes_of_a_token = [](int64_t layers, int64_t kv_heads, int64_t dim, DType dtype) {
    const KvCache cache({.layers = layers,
                         .pages = 2,
                         .page_keys = 16,
                         .kv_heads = kv_heads,
                         .dim = dim,
                         .dim_v = dim,
                         .k_dtype = dtype,
                         .v_dtype = dtype});
    EXPECT_EQ(cache.bytes() % 32, 0);
    return cache.bytes() / 32;
  };
  EXPECT_EQ(bytes_of_a_token(12, 12, 64, DType::f32), 73728);    // GPT-2 124M
  EXPECT_EQ(bytes_of_a_token(32, 32, 128, DType::f16), 524288);  // MHA
  EXPECT_EQ(bytes_of_a_token(32, 8, 128, DType::f16), 131072);   // GQA-8
  EXPECT_EQ(bytes_of_a_token(32, 1, 128, DType::bf16), 16384);   // MQA
}

// An observer sees the rotated query with which any row of a map can be recomputed.
TEST(Batch, ShowsAnObserverWhatARowOfAMapNeeds) {
  Model loaded = load_tiny();
  const models::Decoder& model = loaded.checkpoint().model;
  struct Keep : nn::Observer {
    Tensor query, attended;
    int64_t seen = 0;
    void see(int64_t layer, nn::Site site, const Tensor& value) override {
      ++seen;
      if (layer == 1 && site == nn::Site::query) query = value;
      if (layer == 1 && site == nn::Site::attended) attended = value;
    }
  } keep;
  const std::vector<TokenId> ids = random_ids(40, 3);
  const std::vector<int64_t> lengths{40};
  Batch batch(model, {.kv = DType::f32}, lengths);
  Sequence sequence = batch.start(ids, 40);
  batch.add(sequence, 40);
  const Tensor hidden = batch.run(&keep);
  EXPECT_EQ(numbers(model.logits(hidden.rows(39, 1))).size(), 258u);
  EXPECT_EQ(keep.seen, 1 + 2 * 5);

  // Row 25 of head 3 from the cache: its weighted values are what the layer mixed.
  const auto q = keep.query.view<float, 3>();
  const RowOfMap row =
      attention_row(batch.cache(), 1, sequence.block_table, 26, 1, q[25][3], 1 / std::sqrt(16.0f));
  const auto mixed = keep.attended.view<float, 3>();
  for (int64_t d = 0; d < 16; ++d) {
    double sum = 0;
    for (int64_t key = 0; key < 26; ++key) {
      float values[2 * 16];  // [1, kv_heads, dim_v]
      batch.cache().read(1, sequence.block_table, key, {}, {values, {1, 2, 16}});
      sum += static_cast<double>(row.weights[key]) * values[16 + d];
    }
    EXPECT_NEAR(mixed(25, 3, d), sum, 1e-5);
  }
}

}  // namespace
}  // namespace regard
