#include "learning/dropout.h"

#include <utility>

#include "base/random.h"
#include "learning/mask.h"
#include "ops/rows.h"

namespace regard {
namespace {

constexpr int64_t kElements = 4096;  // of one task; divides 2^32, for which there is a key

Mask mask_of(float rate, const Draw& draw, int64_t element) {
  const auto block = static_cast<uint32_t>(static_cast<uint64_t>(element) >> 32);
  const auto keys =
      philox({block, 0, static_cast<uint32_t>(draw.key), static_cast<uint32_t>(draw.key >> 32)},
             draw.seed);
  return {.first = keys[0],
          .second = keys[1],
          .threshold = static_cast<uint32_t>(double{rate} * 0x1p32),
          .kept = static_cast<float>(1 / (1 - double{rate}))};
}

void mask_some(const float* x, int64_t first, int64_t count, const Mask& mask, float* out) {
  mask_numbers(x + first, static_cast<uint32_t>(first), count, mask, out + first);
}
void mask_some(const double* x, int64_t first, int64_t count, const Mask& mask, double* out) {
  for (int64_t i = first; i < first + count; ++i) {
    out[i] = mask.word(static_cast<uint32_t>(i)) < mask.threshold ? 0 : x[i] * double{mask.kept};
  }
}

template <class T>
void mask_all(std::span<const T> in, float rate, const Draw& draw, std::span<T> out) {
  const int64_t count = std::ssize(in);
  over_rows((count + kElements - 1) / kElements, kElements, [&](int64_t task, int64_t tasks) {
    for (int64_t first = task * kElements; tasks > 0; --tasks, first += kElements) {
      const Mask mask = mask_of(rate, draw, first);
      mask_some(in.data(), first, std::min(kElements, count - first), mask, out.data());
    }
  });
}

Tensor masked(const Tensor& x, float rate, const Draw& draw, Tensor made) {
  if (in_f64("dropout", {&x})) {
    mask_all<double>(x.numbers<double>(), rate, draw, made.writable_numbers<double>());
  } else {
    mask_all<float>(x.numbers<float>(), rate, draw, made.writable_numbers<float>());
  }
  return made;
}

}  // namespace

Tensor dropout(Tensor x, float rate, const Draw& draw) {
  require(rate >= 0 && rate < 1, "dropout: a rate of {} is not in [0, 1)", rate);
  if (rate == 0) return x;
  const bool recorded = recording({&x});
  Tensor made = masked(x, rate, draw, recorded ? Tensor::like(x) : place_of(x));
  if (!recorded) return made;
  return record(std::move(made), {&x}, [rate, draw](const Tensor& g, InputGradients& to) {
    to.add(0, masked(g, rate, draw, Tensor::like(g)));
  });
}

}  // namespace regard
