// Score and mask programs on whole tiles: for_16 is the time for 16 scores, of_dim64 its share of
// what the multiply-adds of attention at dim 64 take for them at the core's peak, measured in the
// same run. A program of five operations may cost 15 % of attention.
//
//   cmake --build build/release --target program_bench
//   build/release/bench/program_bench
//
// On an idle machine only. REGARD_TARGET=avx2 measures another target.
// Measured (AVX-512, 288 GFLOP/s a core, 48 rows, ns for 16 scores): five operations 2.0, with a
// causal mask besides 2.3, ALiBi 0.57 (1.6 operation by operation), softcap 4.7 (as one loop 5.0),
// bias array 2.0, boolean array 1.5, documents 0.5, window 1.0, dropout 3.4, Gumbel noise 11.9.
// Gathers that look at how their sixteen places lie (ascending, descending, one) took bias from 3.3
// to 2.0, boolean arrays from 3.0 to 1.5, block sparse from 7.7 to 1.4, tree bits from 7.2 to 3.0.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/threads.h"
#include "kernels/ceiling.h"
#include "program/lower.h"
#include "simd/target.h"

namespace regard {
namespace {

using namespace regard::program;

double peak = 0;  // GFLOP/s of one core

constexpr int kFirstRow = 100, kFirstKey = 64, kPositions = 256, kHeads = 8;

// where(i < j, min(s * a + b, c), -1)
Expr five_operations() { return where(query() < key(), min(score() * 1.5 + 0.25, 20.0), -1.0); }

struct Case {
  const char* name;
  Expr score, mask;
};

std::vector<Case> cases() {
  const auto reals = [](const char* name, std::vector<int64_t> shape) {
    int64_t size = 1;
    for (const int64_t extent : shape) size *= extent;
    return Array::of(name, std::vector<float>(static_cast<size_t>(size), 0.125f), shape, true);
  };
  static std::vector<uint8_t> bytes(kHeads * kPositions * kPositions, 1);
  const Array slopes = reals("slopes", {kHeads}),
              bias = reals("bias", {kHeads, kPositions, kPositions});
  const Array table = reals("table", {kHeads, 129}), t5 = reals("t5", {32, kHeads});
  std::vector<int32_t> ids;
  for (int k = 0; k < kPositions; ++k) ids.push_back(k / 70);
  const Array documents_ids = Array::of("ids", ids);
  const Array bits =
      Array::of("bits", std::vector<int32_t>(kPositions * 8, 0x55555555), {kPositions, 8});
  const Array flags("flags",
                    View<const uint8_t, 3>(bytes.data(), {kHeads, kPositions, kPositions}));
  const Array blocks("blocks", View<const uint8_t, 2>(bytes.data(), {16, 16}));
  return {{"five_operations", five_operations(), {}},
          {"five_operations_causal", five_operations(), causal_mask()},
          {"alibi", alibi(slopes), {}},
          {"softcap", softcap(30), {}},
          {"softcap_of_alibi", softcap(30, alibi(slopes)), {}},
          {"alibi_of_softcap", alibi(slopes, softcap(30)), {}},
          {"additive_bias", additive_bias(bias), {}},
          {"t5_bias", t5_bias(t5, 32, 128, true), {}},
          {"relative_position", relative_position(table), {}},
          {"gumbel_noise", score() + gumbel_noise(1), {}},
          {"dropout", dropout(0.1f, 1), {}},
          {"window", {}, window(128, 0)},
          {"documents", {}, documents(documents_ids)},
          {"causal_documents", {}, causal_mask() & documents(documents_ids)},
          {"allowed", {}, allowed(flags)},
          {"block_sparse", {}, block_sparse(blocks, 16, 16)},
          {"chunk", {}, chunk(64)},
          {"natten", {}, natten(256, 33)},
          {"natten_2d", {}, natten_2d(16, 16, 5, 5)},
          {"tree_bits", {}, tree_bits(bits, 64)},
          {"prefix_or_causal", {}, causal_mask() | prefix(80)}};
}

void run(benchmark::State& state, const Expr& score, const Expr& mask, int rows) {
  TileProgram program = lower(score, mask);
  prepare_tile_program(program);
  std::vector<int32_t> head(kFoldRows, 1), query(kFoldRows), row(kFoldRows);
  for (int r = 0; r < kFoldRows; ++r)
    query[static_cast<size_t>(r)] = row[static_cast<size_t>(r)] = kFirstRow + r;
  std::vector<float> scores(kFoldRows * kTileKeys, 0.5f);
  std::vector<uint16_t> masks(kFoldRows * kTilePanels);
  std::vector<std::byte> scratch(static_cast<size_t>(tile_program_scratch(program)));
  const TilePlace place{0, kFirstKey, head.data(), query.data(), row.data(), rows, kTileKeys};
  for (auto _ : state) {
    run_tile_program(program, place, scores.data(), masks.data(), scratch.data());
    benchmark::ClobberMemory();
  }
  const double vectors = static_cast<double>(state.iterations()) * rows * kTilePanels;
  state.counters["for_16"] =
      benchmark::Counter(vectors, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  constexpr double kFlops = 2 * 2 * 64 * 16;  // QKᵀ and PV
  state.counters["of_dim64"] = benchmark::Counter(
      vectors * kFlops / (peak * 1e9), benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

}  // namespace
}  // namespace regard

int main(int argc, char** argv) {
  using namespace regard;
  ThreadPool one(1);
  peak = measure_fma_peak(one);
  benchmark::AddCustomContext("target", std::string(name(active_target())));
  benchmark::AddCustomContext("fma_peak_gflops_of_a_core", fmt::format("{:.0f}", peak));
  for (const Case& c : cases()) {
    for (const int rows : {48, 1}) {
      benchmark::RegisterBenchmark(
          fmt::format("{}/rows:{}", c.name, rows).c_str(),
          [c, rows](benchmark::State& state) { run(state, c.score, c.mask, rows); });
    }
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
}
