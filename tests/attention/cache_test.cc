// The cache: keys rotated on their way in, many sequences at once, pages shared, reused and filled
// in any order, and what lies behind a sequence's last key.
#include <gtest/gtest.h>

#include <bit>
#include <limits>

#include "base/check.h"
#include "base/threads.h"
#include "plan/expect_error.h"
#include "problem.h"
#include "regard/rope.h"
#include "tiles/fold.h"

namespace regard {
namespace {

using namespace regard::testing;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr DType kDtypes[] = {DType::f32, DType::f16, DType::bf16, DType::i8};

// One row that reads everything that `keys` keys of a sequence hold.
std::vector<float> read_back(const KvCache& cache, std::span<const int32_t> table, int64_t keys,
                             int64_t layer = 0, int threads = 1) {
  const KvCacheShape& s = cache.shape();
  const std::vector<float> q = normals(99, 2 * s.kv_heads * s.dim);
  std::vector<float> out(static_cast<std::size_t>(2 * s.kv_heads * s.dim_v));
  const Segment segment{0, 1, keys, table};
  AttentionPlan plan({2 * s.kv_heads, s.kv_heads, s.dim, s.dim_v}, {&segment, 1},
                     {.threads = threads});
  ThreadPool pool(threads);
  plan.run(cache, layer, View<const float, 3>(q.data(), {1, 2 * s.kv_heads, s.dim}),
           View<float, 3>(out.data(), {1, 2 * s.kv_heads, s.dim_v}), pool);
  return out;
}

TEST(Cache, RotatesKeysWithTheBitsOfRopeInFrontOfAppend) {
  const int64_t keys = 53, heads = 2, dim = 24, dim_v = 16;
  const std::vector<float> k = normals(1, keys * heads * dim), v = normals(2, keys * heads * dim_v);
  std::vector<int32_t> shifted(keys), plain(keys), table{2, 0, 3, 1};
  for (int64_t j = 0; j < keys; ++j) {
    plain[j] = static_cast<int32_t>(j);
    shifted[j] = static_cast<int32_t>((7 * j + 3) % 60);
  }
  for (const int64_t rotated : {2, 12, 24}) {
    RopeTable angles(rotated, 10000);
    angles.reserve(60);
    for (const RopeLayout layout : {RopeLayout::halves, RopeLayout::pairs}) {
      for (const bool own : {false, true}) {
        std::vector<float> turned = k;
        rope(View<float, 3>(turned.data(), {keys, heads, dim}), angles, own ? plain : shifted,
             layout);
        for (const DType dtype : kDtypes) {
          for (const Target target : available_targets()) {
            const ScopedTarget scope(target);
            const KvCacheShape shape{.pages = 4,
                                     .page_keys = 16,
                                     .kv_heads = heads,
                                     .dim = dim,
                                     .dim_v = dim_v,
                                     .k_dtype = dtype,
                                     .v_dtype = dtype};
            const View<const float, 3> k_view(k.data(), {keys, heads, dim}),
                v_view(v.data(), {keys, heads, dim_v});
            KvCache after(shape), fused(shape), one_by_one(shape);
            after.append(0, table, 0, View<const float, 3>(turned.data(), {keys, heads, dim}),
                         v_view);
            const std::span<const int32_t> positions =
                own ? std::span<const int32_t>() : std::span<const int32_t>(shifted);
            fused.append(0, table, 0, k_view, v_view, {&angles, layout, positions});
            for (int64_t j = 0; j < keys; ++j) {
              one_by_one.append(
                  0, table, j, k_view.rows(j, 1), v_view.rows(j, 1),
                  {&angles, layout,
                   own ? positions : positions.subspan(static_cast<std::size_t>(j), 1)});
            }
            const std::vector<float> expected = read_back(after, table, keys);
            EXPECT_TRUE(same_bits(read_back(fused, table, keys), expected));
            EXPECT_TRUE(same_bits(read_back(one_by_one, table, keys), expected));
          }
        }
      }
    }
  }
}

TEST(Cache, TakesKeysOfAnyStrides) {
  const int64_t keys = 40, heads = 2, dim = 20;
  const std::vector<float> k = normals(1, keys * heads * dim), v = normals(2, keys * heads * dim);
  std::vector<float> kt(k.size()), vt(v.size());  // [dim][head][key]
  for (int64_t j = 0; j < keys; ++j)
    for (int64_t h = 0; h < heads; ++h)
      for (int64_t d = 0; d < dim; ++d) {
        kt[(d * heads + h) * keys + j] = k[(j * heads + h) * dim + d];
        vt[(d * heads + h) * keys + j] = v[(j * heads + h) * dim + d];
      }
  RopeTable angles(8, 100);
  angles.reserve(keys);
  const std::vector<int32_t> table{0, 1, 2};
  for (const DType dtype : kDtypes) {
    const KvCacheShape shape{.pages = 3,
                             .page_keys = 16,
                             .kv_heads = heads,
                             .dim = dim,
                             .dim_v = dim,
                             .k_dtype = dtype,
                             .v_dtype = dtype};
    for (const KeyRotation& rotation : {KeyRotation{}, KeyRotation{.table = &angles}}) {
      KvCache dense(shape), strided(shape);
      dense.append(0, table, 0, {k.data(), {keys, heads, dim}}, {v.data(), {keys, heads, dim}},
                   rotation);
      strided.append(0, table, 0, {kt.data(), {keys, heads, dim}, {1, keys, heads * keys}},
                     {vt.data(), {keys, heads, dim}, {1, keys, heads * keys}}, rotation);
      EXPECT_TRUE(same_bits(read_back(strided, table, keys), read_back(dense, table, keys)));
    }
  }
}

// Many sequences at once, on any number of threads, leave what they would leave one by one.
TEST(Cache, AppendsASegmentOfEachSequence) {
  const int64_t heads = 3, dim = 64, page = 32;
  struct Sequence {
    int64_t before, rows;
  };
  const std::vector<Sequence> sequences{{0, 200}, {31, 1}, {17, 40}, {64, 0}, {0, 1}};
  int64_t rows = 0;
  for (const Sequence& s : sequences) rows += s.rows;
  const std::vector<float> k = normals(1, rows * heads * dim), v = normals(2, rows * heads * dim);
  const std::vector<float> old = normals(3, 64 * heads * dim);
  const View<const float, 3> k_view(k.data(), {rows, heads, dim}), v_view(v.data(), k_view.shape),
      old_view(old.data(), {64, heads, dim});
  RopeTable angles(dim, 10000);
  angles.reserve(300);
  for (const DType dtype : {DType::f16, DType::i8}) {
    const KvCacheShape shape{.layers = 2,
                             .pages = 20,
                             .page_keys = page,
                             .kv_heads = heads,
                             .dim = dim,
                             .dim_v = dim,
                             .k_dtype = dtype,
                             .v_dtype = dtype};
    std::vector<std::vector<int32_t>> tables;
    std::vector<Segment> segments;
    int32_t next = 0;
    int64_t row = 0;
    for (const Sequence& s : sequences) {
      tables.emplace_back((s.before + s.rows + page - 1) / page);
      for (int32_t& id : tables.back()) id = (7 * next++ + 3) % 20;
    }
    for (std::size_t i = 0; i < sequences.size(); ++i) {
      segments.push_back(
          {row, sequences[i].rows, sequences[i].before + sequences[i].rows, tables[i]});
      row += sequences[i].rows;
    }
    const auto begin = [&](KvCache& cache) {
      for (std::size_t i = 0; i < sequences.size(); ++i) {
        const int64_t before = sequences[i].before;
        cache.append(1, tables[i], 0, old_view.rows(0, before), old_view.rows(0, before));
      }
    };
    KvCache alone(shape);
    begin(alone);
    for (const Segment& s : segments) {
      alone.append(1, s.block_table, s.keys - s.rows, k_view.rows(s.first_row, s.rows),
                   v_view.rows(s.first_row, s.rows), {.table = &angles});
    }
    for (const int threads : {1, 2, 3, 0}) {
      KvCache together(shape);
      begin(together);
      together.append(1, segments, k_view, v_view, {.table = &angles}, threads);
      for (const Segment& s : segments) {
        EXPECT_TRUE(same_bits(read_back(together, s.block_table, s.keys, 1),
                              read_back(alone, s.block_table, s.keys, 1)))
            << threads;
      }
    }
  }
}

// A page given to a new sequence shows nothing of the one before, and nothing behind the last key.
TEST(Cache, FormerOwnersAndTailsAreNeverSeen) {
  const std::vector<float> numbers = normals(5, 64 * 8 * 2);
  const std::vector<float> poison(64 * 8 * 2, kNan);
  const std::vector<int32_t> table{1, 0, 2, 3};
  const View<const float, 3> all(numbers.data(), {64, 2, 8});
  for (const DType dtype : kDtypes) {
    for (const int64_t page : {16, 32, 64}) {
      const KvCacheShape shape{.pages = 4,
                               .page_keys = page,
                               .kv_heads = 2,
                               .dim = 8,
                               .dim_v = 8,
                               .k_dtype = dtype,
                               .v_dtype = dtype};
      for (const int64_t keys : {1, 15, 16, 17, 31, 33, 63}) {
        KvCache clean(shape), used(shape);
        used.append(0, table, 0, {poison.data(), {64, 2, 8}}, {poison.data(), {64, 2, 8}});
        for (KvCache* cache : {&clean, &used}) {
          cache->append(0, table, 0, all.rows(0, keys), all.rows(0, keys));
        }
        EXPECT_TRUE(same_bits(read_back(used, table, keys), read_back(clean, table, keys)))
            << info(dtype).name << " " << page << " " << keys;
        // Drafts that were refused: keys behind the last one, written over by the next.
        used.append(0, table, keys, {poison.data(), {1, 2, 8}}, {poison.data(), {1, 2, 8}});
        EXPECT_TRUE(same_bits(read_back(used, table, keys), read_back(clean, table, keys)));
        for (KvCache* cache : {&clean, &used}) {
          cache->append(0, table, keys, all.rows(keys, 1), all.rows(keys, 1));
        }
        EXPECT_TRUE(same_bits(read_back(used, table, keys + 1), read_back(clean, table, keys + 1)));
      }
    }
  }
}

TEST(Cache, SequencesMayNameTheSamePage) {
  const int64_t prefix = 64, page = 32;
  const std::vector<float> numbers = normals(7, 100 * 16);
  const View<const float, 3> all(numbers.data(), {100, 1, 16});
  KvCache shared({.pages = 6, .page_keys = page, .kv_heads = 1, .dim = 16, .dim_v = 16});
  KvCache apart({.pages = 8, .page_keys = page, .kv_heads = 1, .dim = 16, .dim_v = 16});
  const std::vector<int32_t> a{4, 2, 0}, b{4, 2, 1}, own_a{0, 1, 2}, own_b{3, 4, 5};
  shared.append(0, a, 0, all.rows(0, prefix), all.rows(0, prefix));
  shared.append(0, a, prefix, all.rows(prefix, 10), all.rows(prefix, 10));
  shared.append(0, b, prefix, all.rows(80, 20), all.rows(80, 20));
  for (const auto& own : {own_a, own_b})
    apart.append(0, own, 0, all.rows(0, prefix), all.rows(0, prefix));
  apart.append(0, own_a, prefix, all.rows(prefix, 10), all.rows(prefix, 10));
  apart.append(0, own_b, prefix, all.rows(80, 20), all.rows(80, 20));
  EXPECT_TRUE(same_bits(read_back(shared, a, 74), read_back(apart, own_a, 74)));
  EXPECT_TRUE(same_bits(read_back(shared, b, 84), read_back(apart, own_b, 84)));
  // Even within one sequence: the same 32 keys twice.
  const std::vector<int32_t> twice{4, 4};
  const std::vector<int32_t> copies{6, 7};
  apart.append(0, copies, 0, all.rows(0, 32), all.rows(0, 32));
  apart.append(0, copies, 32, all.rows(0, 32), all.rows(0, 32));
  EXPECT_TRUE(same_bits(read_back(shared, twice, 64), read_back(apart, copies, 64)));
}

// Whole panels may arrive in any order.
TEST(Cache, PanelsMayArriveInAnyOrder) {
  const std::vector<float> numbers = normals(7, 64 * 16);
  const View<const float, 3> all(numbers.data(), {64, 1, 16});
  const std::vector<int32_t> table{1, 0};
  for (const DType dtype : kDtypes) {
    const KvCacheShape shape{.pages = 2,
                             .page_keys = 32,
                             .kv_heads = 1,
                             .dim = 16,
                             .dim_v = 16,
                             .k_dtype = dtype,
                             .v_dtype = dtype};
    KvCache in_order(shape), shuffled(shape);
    in_order.append(0, table, 0, all, all);
    for (const int64_t first : {48, 0, 32, 16}) {
      shuffled.append(0, table, first, all.rows(first, 16), all.rows(first, 16));
    }
    EXPECT_TRUE(same_bits(read_back(shuffled, table, 64), read_back(in_order, table, 64)));
  }
}

TEST(Cache, HoldsLongSequencesAndNone) {
  KvCache cache({.pages = 1100,
                 .page_keys = 64,
                 .kv_heads = 1,
                 .dim = 4,
                 .dim_v = 4,
                 .k_dtype = DType::i8,
                 .v_dtype = DType::i8});
  std::vector<int32_t> table(1100);
  for (int32_t i = 0; i < 1100; ++i) table[static_cast<std::size_t>(i)] = 1099 - i;
  const int64_t keys = 65536 + 777;
  // Every key the same one: the mean of the values is that value.
  const float one[4] = {0.5f, -1, 127, 3};
  cache.append(0, table, 0, {one, {keys, 1, 4}, {0, 0, 1}}, {one, {keys, 1, 4}, {0, 0, 1}});
  const std::vector<float> out = read_back(cache, table, keys, 0, 2);
  const float stored[4] = {0, -1, 127, 3};  // 0.5 lies between 0 and 1: to even
  for (int i = 0; i < 8; ++i) EXPECT_NEAR(out[i], stored[i % 4], 1e-4);

  cache.append(0, {}, 0, {one, {0, 1, 4}}, {one, {0, 1, 4}});
  cache.append(0, std::span<const Segment>(), {one, {0, 1, 4}}, {one, {0, 1, 4}});
  EXPECT_EQ(read_back(cache, {}, 0), std::vector<float>(8, 0.0f));
  KvCache none({.pages = 0, .dim = 4, .dim_v = 4});
  EXPECT_EQ(none.bytes(), 0);
  EXPECT_EQ(read_back(none, {}, 0), std::vector<float>(8, 0.0f));
}

TEST(Cache, ReadsBackWhatItStores) {
  const int64_t keys = 40, heads = 2, dim = 5, dim_v = 18;
  const std::vector<float> k = normals(1, keys * heads * dim), v = normals(2, keys * heads * dim_v);
  const std::vector<int32_t> table{2, 0, 1};
  for (const DType dtype : kDtypes) {
    KvCache cache({.pages = 3,
                   .page_keys = 16,
                   .kv_heads = heads,
                   .dim = dim,
                   .dim_v = dim_v,
                   .k_dtype = dtype,
                   .v_dtype = dtype});
    cache.append(0, table, 0, {k.data(), {keys, heads, dim}}, {v.data(), {keys, heads, dim_v}});
    std::vector<float> k_back(5 * heads * dim), v_back(5 * heads * dim_v);
    cache.read(0, table, 14, {k_back.data(), {5, heads, dim}}, {v_back.data(), {5, heads, dim_v}});
    // i8 is within half a step, 1/254 of the largest number; the others round as the type does.
    const auto near = [&](float x) {
      if (dtype == DType::f16) return std::pair{to_f32(to_f16(x)), 0.0f};
      if (dtype == DType::bf16) return std::pair{to_f32(to_bf16(x)), 0.0f};
      return std::pair{x, dtype == DType::i8 ? 4.0f / 254 : 0.0f};
    };
    for (std::size_t i = 0; i < k_back.size(); ++i) {
      const auto [x, off] = near(k[14 * heads * dim + i]);
      EXPECT_NEAR(k_back[i], x, off);
    }
    for (std::size_t i = 0; i < v_back.size(); ++i) {
      const auto [x, off] = near(v[14 * heads * dim_v + i]);
      EXPECT_NEAR(v_back[i], x, off);
    }
    expect_error(
        [&] {
          cache.read(0, table, 47, {k_back.data(), {2, heads, dim}}, {});
        },
        "does not reach keys 47 .. 48");
    expect_error(
        [&] {
          cache.read(0, table, 0, {}, {v_back.data(), {1, heads, dim}});
        },
        "v is 1 x 2 x 5");
  }
}

// Every upper half of an f32, with lower halves around ties: NaNs, infinities and denormals too.
TEST(Cache, RoundsHalvesAsThePortableFormsDo) {
  std::vector<float> x;
  for (uint32_t upper = 0; upper < 0x10000; ++upper) {
    for (const uint32_t lower :
         {0x0000u, 0x0001u, 0x1000u, 0x7FFFu, 0x8000u, 0x8001u, 0xF000u, 0xFFFFu}) {
      x.push_back(std::bit_cast<float>(upper << 16 | lower));
    }
  }
  const auto count = static_cast<int64_t>(x.size());
  std::vector<uint16_t> out(x.size());
  for (const Target target : available_targets()) {
    const ScopedTarget scope(target);
    for (const DType dtype : {DType::f16, DType::bf16}) {
      pack_values(x.data(), 1, count, count, dtype, out.data());
      int64_t wrong = 0;
      for (std::size_t i = 0; i < x.size(); ++i) {
        const uint16_t expected = dtype == DType::f16 ? to_f16(x[i]).bits : to_bf16(x[i]).bits;
        wrong += out[i] != expected;
      }
      EXPECT_EQ(wrong, 0) << info(dtype).name << " on " << name(target);
    }
  }
}

TEST(Cache, SaysWhatItHolds) {
  const KvCache f16(
      {.layers = 32, .pages = 5, .page_keys = 64, .kv_heads = 8, .dim = 128, .dim_v = 128});
  EXPECT_EQ(f16.page_bytes(),
            int64_t{64} * 131072);  // 2 · 32 layers · 8 heads · 128 · 2 bytes a key
  EXPECT_EQ(f16.bytes(), 5 * f16.page_bytes());
  const KvCache i8({.pages = 3,
                    .page_keys = 16,
                    .kv_heads = 2,
                    .dim = 24,
                    .dim_v = 40,
                    .k_dtype = DType::i8,
                    .v_dtype = DType::f32});
  EXPECT_EQ(i8.page_bytes(), 16 * 2 * (24 + 4 + 40 * 4));
}

TEST(Cache, RefusesBeforeItWrites) {
  const std::vector<float> numbers = normals(7, 40 * 16);
  const View<const float, 3> all(numbers.data(), {40, 1, 16});
  KvCache cache({.pages = 3, .page_keys = 16, .kv_heads = 1, .dim = 16, .dim_v = 16});
  const std::vector<int32_t> table{0, 1, 2}, bad{0, 3};
  cache.append(0, table, 0, all, all);
  const std::vector<float> before = read_back(cache, table, 40);
  RopeTable angles(16, 100), wide(18, 100);
  angles.reserve(20);
  wide.reserve(50);
  const std::vector<int32_t> positions(40, 19), far(40, 20);
  const View<const float, 3> other(numbers.data() + 1, {32, 1, 16});
  expect_error([&] { cache.append(0, bad, 0, other, other); }, "names page 3 of 3");
  expect_error([&] { cache.append(0, table, 17, other, other); }, "do not fit 3 pages");
  expect_error([&] { cache.append(0, table, -1, other, other); }, "keys -1 .. 30");
  expect_error([&] { cache.append(0, table, 0, other, other, {.table = &wide}); },
               "18 rotated numbers in keys of 16");
  expect_error([&] { cache.append(0, table, 0, other, other, {.table = &angles}); },
               "position 20 is not in the rotation's table of 20");
  expect_error(
      [&] { cache.append(0, table, 0, other, other, {.table = &angles, .positions = positions}); },
      "40 positions for 32 keys");
  expect_error([&] { cache.append(0, table, 0, all, all, {.table = &angles, .positions = far}); },
               "position 20");
  const Segment segments[] = {{0, 16, 16, table}, {16, 8, 8, table}};
  expect_error([&] { cache.append(0, segments, all, all); }, "page 0 would be written for two");
  const Segment outside[] = {{0, 16, 16, table}, {39, 2, 34, table}};
  expect_error([&] { cache.append(0, outside, all, all); }, "rows 39 .. 40, there are 40");
  const Segment more_rows_than_keys{0, 16, 8, table};
  expect_error([&] { cache.append(0, {&more_rows_than_keys, 1}, all, all); }, "keys -8 .. 7");
  EXPECT_TRUE(same_bits(read_back(cache, table, 40), before));
}

}  // namespace
}  // namespace regard
