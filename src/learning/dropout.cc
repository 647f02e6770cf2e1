#include "learning/dropout.h"

#include <utility>

#include "base/random.h"
#include "ops/rows.h"

namespace regard {
namespace {

constexpr int64_t kElements = 4096;  // of one task; a multiple of the four words of one draw

// out = in where the draw keeps it, over 1 - rate; 0 elsewhere.
template <class T>
void mask(std::span<const T> in, float rate, const Draw& draw, std::span<T> out) {
  const auto threshold = static_cast<uint32_t>(double{rate} * 0x1p32);
  const T kept = static_cast<T>(1 / (1 - double{rate}));
  const int64_t count = std::ssize(in);
  const auto key_low = static_cast<uint32_t>(draw.key);
  const auto key_high = static_cast<uint32_t>(draw.key >> 32);
  over_rows((count + kElements - 1) / kElements, kElements, [&](int64_t task, int64_t tasks) {
    const int64_t last = std::min(count, (task + tasks) * kElements);
    for (int64_t first = task * kElements; first < last; first += 4) {
      const auto at = static_cast<uint64_t>(first / 4);
      const auto words =
          philox({static_cast<uint32_t>(at), static_cast<uint32_t>(at >> 32), key_low, key_high},
                 draw.seed);
      for (int64_t i = first; i < std::min(last, first + 4); ++i) {
        const auto n = static_cast<std::size_t>(i);
        out[n] = words[n % 4] < threshold ? T{0} : in[n] * kept;
      }
    }
  });
}

Tensor masked(const Tensor& x, float rate, const Draw& draw, Tensor made) {
  if (in_f64("dropout", {&x})) {
    mask<double>(x.numbers<double>(), rate, draw, made.writable_numbers<double>());
  } else {
    mask<float>(x.numbers<float>(), rate, draw, made.writable_numbers<float>());
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
