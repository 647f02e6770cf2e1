// Score and mask programs on whole tiles: for_16 is the time for 16 scores, of_dim64 its share of
// what the multiply-adds of attention at dim 64 take for them at the core's peak, measured in the
// same run. A program of five operations may cost 15 % of attention.
//
//   cmake --build build/release --target tiles_bench
//   build/release/bench/tiles_bench
//
// On an idle machine only. REGARD_TARGET=avx2 measures another target.
// Measured (Sapphire-Rapids class, 177 GFLOP/s a core, 48 rows): five operations 2.7 ns, with a
// causal mask besides 3.4 ns, window mask 1.7 ns, ALiBi 2.1 ns, softcap 9.7 ns.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/threads.h"
#include "interpreter/program.h"
#include "kernels/ceiling.h"
#include "simd/target.h"

namespace regard {
namespace {

double peak = 0;  // GFLOP/s of one core

struct Writer {
  TileProgram program;

  uint16_t write(TileInstruction code) {
    code.to = static_cast<uint16_t>(program.slots++);
    program.code.push_back(code);
    return code.to;
  }
  uint16_t op(TileOp op, TileShape shape, int a = 0, int b = 0, int c = 0) {
    return write({.op = op,
                  .shape = shape,
                  .a = static_cast<uint16_t>(a),
                  .b = static_cast<uint16_t>(b),
                  .c = static_cast<uint16_t>(c)});
  }
  uint16_t real(float value) {
    return write({.op = TileOp::constant_f32,
                  .shape = TileShape::one,
                  .bits = std::bit_cast<uint32_t>(value)});
  }
  uint16_t integer(int32_t value) {
    return write({.op = TileOp::constant_i32,
                  .shape = TileShape::one,
                  .bits = std::bit_cast<uint32_t>(value)});
  }
};
constexpr TileShape kFull = TileShape::full, kRow = TileShape::row, kKey = TileShape::key;

// 30 tanh(s / 30)
TileProgram softcap() {
  Writer w;
  const auto s = w.op(TileOp::load_score, kFull);
  const auto t = w.op(TileOp::tanh, kFull, w.op(TileOp::mul, kFull, s, w.real(1 / 30.0f)));
  w.program.score = w.op(TileOp::mul, kFull, t, w.real(30));
  return w.program;
}

// s - slope[head] (i - j)
TileProgram alibi() {
  static const std::vector<float> slopes(64, 0.125f);
  Writer w;
  w.program.arrays.push_back({slopes.data(), 1, {64}, {1}});
  const auto s = w.op(TileOp::load_score, kFull);
  const auto slope = w.op(TileOp::gather_f32, kRow, w.op(TileOp::load_head, kRow));
  const auto far =
      w.op(TileOp::isub, kFull, w.op(TileOp::load_query, kRow), w.op(TileOp::load_key, kKey));
  const auto cost = w.op(TileOp::mul, kFull, w.op(TileOp::to_real, kFull, far), slope);
  w.program.score = w.op(TileOp::sub, kFull, s, cost);
  return w.program;
}

// j <= i and i - j < 256
TileProgram window() {
  Writer w;
  const auto i = w.op(TileOp::load_query, kRow);
  const auto j = w.op(TileOp::load_key, kKey);
  const auto before = w.op(TileOp::ile, kFull, j, i);
  const auto near = w.op(TileOp::ilt, kFull, w.op(TileOp::isub, kFull, i, j), w.integer(256));
  w.program.mask = w.op(TileOp::iand, kFull, before, near);
  return w.program;
}

// where(i < j, min(s * a + b, c), -1)
TileProgram five_operations() {
  Writer w;
  const auto s = w.op(TileOp::load_score, kFull);
  const auto product = w.op(TileOp::mul, kFull, s, w.real(1.5f));
  const auto sum = w.op(TileOp::add, kFull, product, w.real(0.25f));
  const auto low = w.op(TileOp::min, kFull, sum, w.real(20));
  const auto where =
      w.op(TileOp::ilt, kFull, w.op(TileOp::load_query, kRow), w.op(TileOp::load_key, kKey));
  w.program.score = w.op(TileOp::select, kFull, where, low, w.real(-1));
  return w.program;
}

// The same, and a mask j <= i.
TileProgram five_operations_causal() {
  TileProgram program = five_operations();
  Writer w{program};
  w.program.mask =
      w.op(TileOp::ile, kFull, w.op(TileOp::load_key, kKey), w.op(TileOp::load_query, kRow));
  return w.program;
}

// s + bias[head, i, j]
TileProgram bias() {
  static const std::vector<float> table(8 * 256 * 256, 0.5f);
  Writer w;
  w.program.arrays.push_back({table.data(), 3, {8, 256, 256}, {256 * 256, 256, 1}});
  const auto s = w.op(TileOp::load_score, kFull);
  const auto b = w.op(TileOp::gather_f32, kFull, w.op(TileOp::load_head, kRow),
                      w.op(TileOp::load_query, kRow), w.op(TileOp::load_key, kKey));
  w.program.score = w.op(TileOp::add, kFull, s, b);
  return w.program;
}

void run(benchmark::State& state, TileProgram program, int rows) {
  prepare_tile_program(program);
  std::vector<int32_t> head(kFoldRows, 1), query(kFoldRows), row(kFoldRows);
  for (int r = 0; r < kFoldRows; ++r)
    query[static_cast<size_t>(r)] = row[static_cast<size_t>(r)] = 100 + r;
  std::vector<float> scores(kFoldRows * kTileKeys, 0.5f);
  std::vector<uint16_t> masks(kFoldRows * kTilePanels);
  std::vector<std::byte> scratch(static_cast<size_t>(tile_program_scratch(program)));
  const TilePlace place{0, 64, head.data(), query.data(), row.data(), rows, kTileKeys};
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
  const std::pair<const char*, TileProgram> programs[] = {
      {"softcap", softcap()}, {"alibi", alibi()},
      {"window", window()},   {"five_operations", five_operations()},
      {"bias", bias()},       {"five_operations_causal", five_operations_causal()}};
  for (const auto& [name, program] : programs) {
    for (const int rows : {48, 12, 1}) {
      benchmark::RegisterBenchmark(
          fmt::format("{}/rows:{}", name, rows).c_str(),
          [program = program, rows](benchmark::State& state) { run(state, program, rows); });
    }
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
}
