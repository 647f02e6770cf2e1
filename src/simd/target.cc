#include "simd/target.h"

#include <array>
#include <atomic>
#include <cstdlib>
#include <string>

#include "base/check.h"
#include "simd/highway.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "simd/target.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {

Target told() {
#if HWY_TARGET == HWY_AVX3
  return Target::avx512;
#elif HWY_TARGET == HWY_AVX2
  return Target::avx2;
#elif HWY_TARGET == HWY_NEON
  return Target::neon;
#else
  return Target::scalar;
#endif
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace regard {
namespace {

std::vector<Target> find_targets() {
  std::vector<Target> found{Target::scalar};
  const int64_t runnable = hwy::SupportedTargets() & HWY_TARGETS;
  if (runnable & HWY_NEON) found.push_back(Target::neon);
  if (runnable & HWY_AVX2) found.push_back(Target::avx2);
  if (runnable & HWY_AVX3) found.push_back(Target::avx512);
  return found;
}

bool is_available(Target target) {
  for (const Target have : available_targets()) {
    if (have == target) return true;
  }
  return false;
}

Target first_choice() {
  const char* wanted = std::getenv("REGARD_TARGET");
  if (wanted == nullptr || *wanted == '\0') return available_targets().back();
  std::string names;
  for (const Target have : available_targets()) {
    if (name(have) == wanted) return have;
    names += (names.empty() ? "" : ", ") + std::string(name(have));
  }
  fail(ErrorKind::invalid_argument,
       "REGARD_TARGET: '{}' is not a target of this machine; it has {}", wanted, names);
}

std::atomic<Target>& active() {
  static std::atomic<Target> target = first_choice();
  return target;
}

}  // namespace

std::string_view name(Target target) noexcept {
  constexpr std::array<std::string_view, 4> kNames{"scalar", "avx2", "avx512", "neon"};
  return kNames[static_cast<std::size_t>(target)];
}

const std::vector<Target>& available_targets() {
  static const std::vector<Target> targets = find_targets();
  return targets;
}

Target active_target() { return active().load(std::memory_order_relaxed); }

ScopedTarget::ScopedTarget(Target target) : before_(active_target()) {
  require(is_available(target), "target: this machine does not have {}", name(target));
  active().store(target);
}
ScopedTarget::~ScopedTarget() { active().store(before_); }

Target compiled_target() { return REGARD_DISPATCH(told)(); }

}  // namespace regard
#endif
