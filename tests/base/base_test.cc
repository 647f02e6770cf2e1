// The ground floor: errors, views, half floats, buffers, the arena, the thread pool.
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <cstring>
#include <set>
#include <vector>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/check.h"
#include "base/cpu.h"
#include "base/threads.h"
#include "regard/dtype.h"
#include "regard/half.h"
#include "regard/view.h"

namespace regard {
namespace {

TEST(Require, NamesTheNumbers) {
  try {
    require(false, "attention: heads ({}) is not a multiple of kv_heads ({})", 9, 4);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::invalid_argument);
    EXPECT_STREQ(error.what(), "attention: heads (9) is not a multiple of kv_heads (4)");
  }
}

TEST(View, WalksAnyStride) {
  std::vector<int> numbers{0, 1, 2, 3, 4, 5};
  const View<int, 2> dense(numbers.data(), {2, 3});
  EXPECT_EQ(dense(1, 2), 5);
  EXPECT_EQ(dense[1][0], 3);
  EXPECT_EQ(dense.rows(1, 1)(0, 1), 4);
  const View<const int, 2> backwards(numbers.data() + 5, {3, 2}, {-2, -1});
  EXPECT_EQ(backwards(0, 0), 5);
  EXPECT_EQ(backwards(2, 1), 0);
  const View<const int, 2> repeated(numbers.data(), {4, 3}, {0, 1});
  EXPECT_EQ(repeated(3, 2), 2);
}

TEST(View, ReachesBeyond31Bits) {
  const View<const char, 1> far(nullptr, {int64_t{1} << 33}, {3});
  EXPECT_EQ(far.size(), int64_t{1} << 33);
}

TEST(DType, RowsCountBytes) {
  EXPECT_EQ(row_bytes(DType::f32, 7), 28);
  EXPECT_EQ(row_bytes(DType::q4_1, 64), 40);
  EXPECT_EQ(row_bytes(DType::q6_k, 512), 420);
  EXPECT_EQ(info(DType::q4_k).name, "q4_k");
}

TEST(Half, EveryF16SurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const f16 half{static_cast<uint16_t>(bits)};
    const float wide = to_f32(half);
    if (std::isnan(wide)) {
      EXPECT_TRUE(std::isnan(to_f32(to_f16(wide))));
    } else {
      EXPECT_EQ(to_f16(wide).bits, bits);
    }
  }
}

TEST(Half, RoundsToNearestEven) {
  EXPECT_EQ(to_f16(1.0f + 0x1p-11f).bits, 0x3C00);  // tie, even below
  EXPECT_EQ(to_f16(1.0f + 0x3p-11f).bits, 0x3C02);  // tie, even above
  EXPECT_EQ(to_f16(65519.0f).bits, 0x7BFF);
  EXPECT_EQ(to_f16(65520.0f).bits, 0x7C00);
  EXPECT_EQ(to_f16(0x1p-25f).bits, 0x0000);  // tie with zero
  EXPECT_EQ(to_f16(0x1.8p-25f).bits, 0x0001);
  EXPECT_EQ(to_f16(-0.0f).bits, 0x8000);
  EXPECT_EQ(to_bf16(1.0f + 0x1p-8f).bits, 0x3F80);
  EXPECT_EQ(to_bf16(1.0f + 0x3p-8f).bits, 0x3F82);
  EXPECT_EQ(to_bf16(std::numeric_limits<float>::max()).bits, 0x7F80);
  EXPECT_TRUE(std::isnan(to_f32(to_bf16(std::numeric_limits<float>::quiet_NaN()))));
}

TEST(Buffer, IsAlignedAndZero) {
  for (const std::size_t bytes : {1, 100, 1 << 21}) {
    const Buffer buffer(bytes, "test");
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % kAlignment, 0u);
    for (std::size_t i = 0; i < bytes; ++i) ASSERT_EQ(buffer.data()[i], std::byte{0});
  }
}

TEST(Buffer, RefusesTheImpossible) {
  try {
    const Buffer buffer(SIZE_MAX - 100, "weights");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::out_of_memory);
  }
}

TEST(Arena, ReusesWhatCameBack) {
  Arena arena;
  std::byte* first = nullptr;
  for (int round = 0; round < 3; ++round) {
    const Block block = arena.take(1000);
    const Block owner = block;
    EXPECT_TRUE(block.shared());
    if (round == 0) first = block.data();
    EXPECT_EQ(block.data(), first);
  }
  EXPECT_EQ(arena.counts().system_calls, 1u);
  arena.trim();
  EXPECT_EQ(arena.counts().held_bytes, 0u);
}

TEST(Arena, WastesAtMostAQuarter) {
  for (std::size_t bytes = 257; bytes < 100000; bytes = bytes * 9 / 8 + 1) {
    Arena arena;
    const Block block = arena.take(bytes);
    EXPECT_GE(arena.counts().held_bytes, bytes);
    EXPECT_LE(arena.counts().held_bytes, bytes + bytes / 4 + 1);
  }
}

TEST(ThreadPool, RunsEveryTaskOnceAndSlotsAreExclusive) {
  for (const int threads : {1, 2, 3}) {
    ThreadPool pool(threads);
    std::vector<std::atomic<int>> runs(1000);
    std::vector<std::atomic<int>> busy(threads);
    std::atomic<bool> clash = false;
    for (int round = 0; round < 20; ++round) {
      pool.parallel_for(1000, [&](int64_t index, int slot) {
        if (busy[slot].fetch_add(1) != 0) clash = true;
        runs[index].fetch_add(1);
        busy[slot].fetch_sub(1);
      });
    }
    EXPECT_FALSE(clash);
    for (const auto& count : runs) EXPECT_EQ(count, 20);
  }
}

TEST(ThreadPool, RefusesANegativeCount) { EXPECT_THROW(ThreadPool(-1), Error); }

#if defined(__x86_64__)
TEST(ThreadPool, TasksRunInTheDefaultFloatModeAndTheCallersComesBack) {
  const unsigned flush_to_zero = __builtin_ia32_stmxcsr() | 0x8040;
  __builtin_ia32_ldmxcsr(flush_to_zero);
  ThreadPool pool(2);
  std::atomic<int> wrong = 0;
  pool.parallel_for(16, [&](int64_t, int) {
    if ((__builtin_ia32_stmxcsr() & 0xFFC0u) != 0x1F80u) ++wrong;
  });
  const unsigned after = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr(0x1F80);
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(after & 0x8040u, 0x8040u);
}
#endif

TEST(Cpu, HasAtLeastOneCore) {
  EXPECT_GE(cpu_facts().cores, 1);
  EXPECT_FALSE(cpu_facts().name.empty());
}

}  // namespace
}  // namespace regard
