#include "nn/init.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "base/random.h"
#include "simd/f64_math.h"

namespace regard::nn {
namespace {

// FNV-1a (Fowler, Noll, Vo 1991).
uint64_t hash(std::string_view name) noexcept {
  uint64_t sum = 0xcbf29ce484222325u;
  for (const char c : name) sum = (sum ^ static_cast<uint8_t>(c)) * 0x100000001b3u;
  return sum;
}

std::array<uint32_t, 4> counter(uint64_t index, uint64_t name) noexcept {
  return {static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32),
          static_cast<uint32_t>(name), static_cast<uint32_t>(name >> 32)};
}

// Two numbers in [0, 1), multiples of 2^-53.
std::array<double, 2> pair(uint64_t seed, uint64_t name, uint64_t index) noexcept {
  const auto words = philox(counter(index, name), seed);
  const auto real = [&](int low) {
    return static_cast<double>((uint64_t{words[low + 1]} << 32 | words[low]) >> 11) * 0x1p-53;
  };
  return {real(0), real(2)};
}

// of(pair) gives numbers 2 i and 2 i + 1 of the tensor.
template <class Of>
Tensor draw(const Initial& initial, std::string_view name, Tensor::Extents shape, const Of& of) {
  Tensor made(shape);
  const auto numbers = made.writable_numbers<float>();
  const uint64_t key = hash(name);
  for (std::size_t i = 0; i < numbers.size(); i += 2) {
    const std::array<double, 2> both = of(pair(initial.seed, key, i / 2));
    numbers[i] = static_cast<float>(both[0]);
    if (i + 1 < numbers.size()) numbers[i + 1] = static_cast<float>(both[1]);
  }
  return made;
}

}  // namespace

Tensor Initial::normal(std::string_view name, Tensor::Extents shape, double deviation) const {
  return draw(*this, name, shape, [&](std::array<double, 2> u) {
    const double radius = deviation * std::sqrt(-2 * f64::log(1 - u[0]));
    const f64::SinCos at = f64::sin_cos(2 * std::numbers::pi * u[1]);
    return std::array{radius * at.cos, radius * at.sin};
  });
}

Tensor Initial::uniform(std::string_view name, Tensor::Extents shape, double bound) const {
  return draw(*this, name, shape, [&](std::array<double, 2> u) {
    return std::array{(2 * u[0] - 1) * bound, (2 * u[1] - 1) * bound};
  });
}

Tensor Initial::xavier(std::string_view name, Tensor::Extents shape) const {
  require(shape.size() == 2, "xavier: {} has {} axes, must have outputs and inputs", name,
          shape.size());
  const int64_t* const sizes = shape.begin();
  return uniform(name, shape, std::sqrt(6.0 / static_cast<double>(sizes[0] + sizes[1])));
}

Tensor constant(Tensor::Extents shape, float number) {
  Tensor made(shape);
  std::ranges::fill(made.writable_numbers<float>(), number);
  return made;
}

uint64_t derived_seed(uint64_t seed, std::string_view name, uint64_t index) noexcept {
  const auto words = philox(counter(index, hash(name)), seed);
  return uint64_t{words[1]} << 32 | words[0];
}

}  // namespace regard::nn
