// The ceilings are measurements: here only that they come out as numbers, on every target.
#include "kernels/ceiling.h"

#include <gtest/gtest.h>

#include <cmath>

#include "regard/error.h"
#include "simd/target.h"

namespace regard {
namespace {

TEST(Ceiling, IsAPositiveNumberOnEveryTarget) {
  for (const int threads : {1, 2}) {
    ThreadPool pool(threads);
    for (const Target target : available_targets()) {
      const ScopedTarget forced(target);
      const double gflops = measure_fma_peak(pool);
      EXPECT_TRUE(std::isfinite(gflops) && gflops > 0) << name(target) << " " << gflops;
      const double bandwidth = measure_read_bandwidth(pool, 1 << 16);
      EXPECT_TRUE(std::isfinite(bandwidth) && bandwidth > 0) << name(target) << " " << bandwidth;
    }
  }
}

TEST(Ceiling, OneByteIsRoundedUpAndNoneIsRefused) {
  ThreadPool pool(2);
  EXPECT_GT(measure_read_bandwidth(pool, 1), 0);
  EXPECT_THROW(measure_read_bandwidth(pool, 0), Error);
  EXPECT_THROW(measure_read_bandwidth(pool, -1), Error);
}

}  // namespace
}  // namespace regard
