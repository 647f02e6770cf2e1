// Fork and join: what a parallel_for costs around tasks that take next to nothing.
#include <benchmark/benchmark.h>

#include "base/threads.h"

namespace {

void fork_join(benchmark::State& state) {
  regard::ThreadPool pool(static_cast<int>(state.range(0)));
  for (auto _ : state) {
    pool.parallel_for(state.range(0), [](int64_t index, int) { benchmark::DoNotOptimize(index); });
  }
}
BENCHMARK(fork_join)->Arg(1)->Arg(2)->Arg(3)->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
