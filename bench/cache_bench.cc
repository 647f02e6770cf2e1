// What a paged cache costs: keys appended, decode over each dtype, and a shared prefix attended
// once.
//
//   cmake --build build/release --target cache_bench
//   build/release/bench/cache_bench
//
// On an idle machine only; figures of a machine that is not idle differ by a factor.
// Measured (EPYC with AVX-512, two threads): decode from memory, 16 sequences of 2,048 keys, 32/8
// heads of 128: f32 43.8, f16 78.7, bf16 82.0, i8 119.3 million keys a second. A prefix of 4,096
// keys that the last cache holds, 16 sequences: 3.6 ms once, 4.0 ms by each.
// Tried in few-row folds without effect: the next tile asked for in the order of its addresses in
// place of four streams, and into the first cache or past it in place of the second.
// keys: keys of one kv head a second (decode), tokens: tokens of all kv heads a second (append).
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <vector>

#include "attention/attention.h"
#include "regard/rope.h"

namespace regard {
namespace {

constexpr int64_t kPage = 64;

std::vector<float> numbers(int64_t count) {
  std::vector<float> x(static_cast<std::size_t>(count));
  uint32_t state = 1;
  for (float& value : x) {
    state = state * 1664525u + 1013904223u;
    value = static_cast<float>(state >> 8) * 0x1p-23f - 1.0f;
  }
  return x;
}

// Sequences with `keys` keys each, the first `shared` of them the same pages.
struct Sequences {
  KvCache cache;
  std::vector<std::vector<int32_t>> tables;
  std::vector<Segment> segments;

  Sequences(int64_t count, int64_t keys, int64_t shared, const KvCacheShape& shape) : cache(shape) {
    const std::vector<float> k = numbers(keys * shape.kv_heads * shape.dim);
    const View<const float, 3> all(k.data(), {keys, shape.kv_heads, shape.dim});
    int32_t next = 0;
    std::vector<int32_t> first;
    while (static_cast<int64_t>(first.size()) * kPage < shared) first.push_back(next++);
    for (int64_t s = 0; s < count; ++s) {
      tables.push_back(first);
      while (static_cast<int64_t>(tables.back().size()) * kPage < keys)
        tables.back().push_back(next++);
      const int64_t from = s == 0 ? 0 : shared;
      cache.append(0, tables.back(), from, all.rows(from, keys - from),
                   all.rows(from, keys - from));
    }
    for (int64_t s = 0; s < count; ++s)
      segments.push_back({s, 1, keys, tables[static_cast<std::size_t>(s)]});
  }
};

// One token of each sequence. is_shared: the plan is told of the prefix.
void decode(benchmark::State& state, DType dtype, int64_t heads, int64_t kv_heads, int64_t dim,
            int64_t count, int64_t keys, int64_t shared, bool is_shared, int threads) {
  const int64_t pages = (shared + count * (keys - shared)) / kPage + count + 1;
  const Sequences all(count, keys, shared,
                      {.pages = pages,
                       .page_keys = kPage,
                       .kv_heads = kv_heads,
                       .dim = dim,
                       .dim_v = dim,
                       .k_dtype = dtype,
                       .v_dtype = dtype});
  const std::vector<float> q = numbers(count * heads * dim);
  std::vector<float> out(q.size());
  ThreadPool pool(threads);
  AttentionPlan plan({heads, kv_heads, dim, dim}, all.segments,
                     {.mask = causal(), .threads = threads});
  plan.replan(all.segments, is_shared ? shared : 0);
  for (auto _ : state) {
    plan.run(all.cache, 0, {q.data(), {count, heads, dim}}, {out.data(), {count, heads, dim}},
             pool);
  }
  state.counters["keys"] =
      benchmark::Counter(static_cast<double>(state.iterations() * count * keys * kv_heads),
                         benchmark::Counter::kIsRate);
}

// A prompt of 512 tokens, rotated on its way in or stored as it is.
void append(benchmark::State& state, DType dtype, bool rotated, int threads) {
  constexpr int64_t kTokens = 512, kHeads = 8, kDim = 128;
  KvCache cache({.pages = 8,
                 .page_keys = kPage,
                 .kv_heads = kHeads,
                 .dim = kDim,
                 .dim_v = kDim,
                 .k_dtype = dtype,
                 .v_dtype = dtype});
  const std::vector<int32_t> table{0, 1, 2, 3, 4, 5, 6, 7};
  const std::vector<float> k = numbers(kTokens * kHeads * kDim);
  const View<const float, 3> view(k.data(), {kTokens, kHeads, kDim});
  RopeTable angles(kDim, 10000);
  angles.reserve(kTokens);
  const Segment segment{0, kTokens, kTokens, table};
  ThreadPool pool(threads);
  for (auto _ : state) {
    cache.append(0, {&segment, 1}, view, view, {.table = rotated ? &angles : nullptr}, pool);
  }
  state.counters["tokens"] = benchmark::Counter(static_cast<double>(state.iterations() * kTokens),
                                                benchmark::Counter::kIsRate);
}

}  // namespace
}  // namespace regard

int main(int argc, char** argv) {
  using namespace regard;
  for (const int threads : {1, 2}) {
    for (const DType dtype : {DType::f32, DType::f16, DType::bf16, DType::i8}) {
      const std::string name = fmt::format("{}/threads:{}", info(dtype).name, threads);
      benchmark::RegisterBenchmark(("decode_in_cache/" + name).c_str(), [=](benchmark::State& s) {
        decode(s, dtype, 9, 3, 64, 1, 2048, 0, false, threads);
      });
      benchmark::RegisterBenchmark(
          ("decode_from_memory/" + name).c_str(),
          [=](benchmark::State& s) { decode(s, dtype, 32, 8, 128, 16, 2048, 0, false, threads); });
      for (const bool rotated : {false, true}) {
        benchmark::RegisterBenchmark(
            fmt::format("append{}/{}", rotated ? "_rotated" : "", name).c_str(),
            [=](benchmark::State& s) { append(s, dtype, rotated, threads); });
      }
    }
    for (const bool is_shared : {false, true}) {
      benchmark::RegisterBenchmark(
          fmt::format("prefix_of_4096_{}/f16/threads:{}", is_shared ? "once" : "by_each", threads)
              .c_str(),
          [=](benchmark::State& s) {
            decode(s, DType::f16, 32, 8, 128, 16, 4352, 4096, is_shared, threads);
          });
    }
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
}
