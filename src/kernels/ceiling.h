// The machine's ceilings, measured: what benchmarks and `regard doctor` quote figures against.
#pragma once

#include <cstdint>

#include "base/threads.h"

namespace regard {

// GFLOP/s of independent fused multiply-adds in registers on the active target, all threads of the
// pool together; the best of several short runs (a multiply-add counts two).
double measure_fma_peak(ThreadPool& pool);

// GB/s of a plain read loop over `bytes` of distinct memory shared out among the pool's threads;
// the best of several passes. With bytes below the cache's size this is the cache's figure.
double measure_read_bandwidth(ThreadPool& pool, int64_t bytes);

}  // namespace regard
