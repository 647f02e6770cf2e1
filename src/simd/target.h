// Target: the instruction set that kernels run on. Chosen once, from REGARD_TARGET or the best
// the machine has; results do not depend on it.
#pragma once

#include <string_view>
#include <vector>

namespace regard {

enum class Target { scalar, avx2, avx512, neon };

std::string_view name(Target target) noexcept;

// What this build contains and this machine can run, the plainest first.
const std::vector<Target>& available_targets();

// The target of every kernel call. The first call reads REGARD_TARGET.
// Throws Error(invalid_argument) when that names no target of this machine.
Target active_target();

// Forces a target while it lives; for tests and benchmarks. Not for concurrent use.
// Throws Error(invalid_argument) when the machine lacks it.
class ScopedTarget {
 public:
  explicit ScopedTarget(Target target);
  ~ScopedTarget();
  ScopedTarget(const ScopedTarget&) = delete;
  ScopedTarget& operator=(const ScopedTarget&) = delete;

 private:
  Target before_;
};

// What the kernels of the active target were really compiled for, told by the kernels themselves.
Target compiled_target();

}  // namespace regard
