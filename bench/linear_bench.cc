// Linear attention: of_peak is the share of the machine's multiply-adds that the recurrence's own
// take (2 for each state number and token, 3 with a delta rule, half of one more for a decay), and
// bytes_per_second what decoding moves of the states.
//
//   cmake --build build/release --target linear_bench
//   build/release/bench/linear_bench
//
// On an idle machine only. REGARD_TARGET=avx2 measures another target.
// Measured on one thread of a Zen 5 class core (275 GFLOP/s; 512 tokens, 4 heads, dim 128), in
// percent of the peak: forward linear 82, gated 68, delta 61, gated_delta 62; backward, counted as
// three forwards, 27, 21, 25 and 26. Decoding moves 39 GB/s on two threads.
// Not worth it: two value columns at a time for delta rules in place of four (within 3 %).
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <string>
#include <vector>

#include "base/threads.h"
#include "kernels/ceiling.h"
#include "regard/linear_attention.h"
#include "simd/target.h"

namespace regard {
namespace {

double peak = 0;  // GFLOP/s of all cores

struct Arrays {
  Arrays(int64_t batch, int64_t tokens, int64_t heads, int64_t dim, UpdateRule rule)
      : shape{batch, tokens, heads, dim}, state_shape{batch, heads, dim, dim} {
    const auto size = static_cast<std::size_t>(batch * tokens * heads * dim);
    for (std::vector<float>* x : {&q, &k, &v, &out, &dq, &dk, &dv}) x->assign(size, 0.01f);
    for (std::size_t i = 0; i < size; ++i) k[i] = 0.01f * static_cast<float>(i % 7);
    decay.assign(size / static_cast<std::size_t>(dim), -0.01f);
    beta.assign(size / static_cast<std::size_t>(dim), 0.5f);
    state.assign(static_cast<std::size_t>(batch * heads * dim * dim), 0.01f);
    in.q = View<const float, 4>(q.data(), shape);
    in.k = View<const float, 4>(k.data(), shape);
    in.v = View<const float, 4>(v.data(), shape);
    if (rule == UpdateRule::gated || rule == UpdateRule::gated_delta) {
      in.decay = View<const float, 4>(decay.data(), {batch, tokens, heads, 1});
    }
    if (rule == UpdateRule::delta || rule == UpdateRule::gated_delta) {
      in.beta = View<const float, 3>(beta.data(), {batch, tokens, heads});
    }
    in.state = View<const float, 4>(state.data(), state_shape);
    to.out = View<float, 4>(out.data(), shape);
    to.state = View<float, 4>(state.data(), state_shape);
  }
  View<float, 4>::Extents shape, state_shape;
  std::vector<float> q, k, v, out, dq, dk, dv, decay, beta, state;
  LinearAttentionInputs in;
  LinearAttentionOutputs to;
};

double flops_of(UpdateRule rule) {
  switch (rule) {
    case UpdateRule::linear:
      return 4;
    case UpdateRule::gated:
      return 5;
    case UpdateRule::delta:
      return 6;
    case UpdateRule::gated_delta:
      break;
  }
  return 7;
}

void forward(benchmark::State& state, UpdateRule rule, int64_t batch, int64_t tokens, int64_t heads,
             int64_t dim) {
  const Arrays a(batch, tokens, heads, dim, rule);
  for (auto _ : state) linear_attention(a.in, a.to, {.rule = rule});
  const double numbers = static_cast<double>(state.iterations() * batch * heads * dim * dim);
  state.counters["of_peak"] =
      benchmark::Counter(numbers * static_cast<double>(tokens) * flops_of(rule) / (peak * 1e9),
                         benchmark::Counter::kIsRate);
  state.counters["bytes_per_second"] = benchmark::Counter(numbers * 8, benchmark::Counter::kIsRate);
}

void backward(benchmark::State& state, UpdateRule rule, int64_t tokens, int64_t heads,
              int64_t dim) {
  Arrays a(1, tokens, heads, dim, rule);
  LinearAttentionGradients to;
  to.dq = View<float, 4>(a.dq.data(), a.shape);
  to.dk = View<float, 4>(a.dk.data(), a.shape);
  to.dv = View<float, 4>(a.dv.data(), a.shape);
  const LinearAttentionUpstream from{.dout = View<const float, 4>(a.out.data(), a.shape)};
  for (auto _ : state) linear_attention_backward(a.in, from, to, {.rule = rule});
  state.counters["of_peak"] =
      benchmark::Counter(static_cast<double>(state.iterations() * tokens * heads * dim * dim) * 3 *
                             flops_of(rule) / (peak * 1e9),
                         benchmark::Counter::kIsRate);
}

}  // namespace
}  // namespace regard

int main(int argc, char** argv) {
  using namespace regard;
  ThreadPool all;
  peak = measure_fma_peak(all);
  benchmark::AddCustomContext("target", std::string(name(active_target())));
  benchmark::AddCustomContext("fma_peak_gflops", fmt::format("{:.0f}", peak));
  const std::pair<const char*, UpdateRule> rules[] = {{"linear", UpdateRule::linear},
                                                      {"gated", UpdateRule::gated},
                                                      {"delta", UpdateRule::delta},
                                                      {"gated_delta", UpdateRule::gated_delta}};
  for (const auto& [name, rule] : rules) {
    for (const int64_t dim : {64, 128}) {
      benchmark::RegisterBenchmark(
          fmt::format("forward/{}/tokens:1024/heads:8/dim:{}", name, dim).c_str(),
          [rule = rule, dim](benchmark::State& state) { forward(state, rule, 1, 1024, 8, dim); })
          ->UseRealTime();
      benchmark::RegisterBenchmark(
          fmt::format("backward/{}/tokens:1024/heads:8/dim:{}", name, dim).c_str(),
          [rule = rule, dim](benchmark::State& state) { backward(state, rule, 1024, 8, dim); })
          ->UseRealTime();
    }
    benchmark::RegisterBenchmark(
        fmt::format("decode/{}/batch:64/heads:32/dim:128", name).c_str(),
        [rule = rule](benchmark::State& state) { forward(state, rule, 64, 1, 32, 128); })
        ->UseRealTime();
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
}
