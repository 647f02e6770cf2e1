// What a training step multiplies, as shares of the multiply-add peak measured in the same run: the
// three products of every linear layer of GPT-2 shaped stacks, apart, and then through the tape.
//
//   cmake --build build/release --target train_bench && build/release/bench/train_bench [threads]
//
// Every figure is the best of several runs; the ceiling is taken before and after. On an idle
// machine only.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "base/threads.h"
#include "kernels/ceiling.h"
#include "matmul/product.h"
#include "ops/ops.h"
#include "simd/target.h"
#include "tensor/pool.h"
#include "tensor/tape.h"

namespace regard {
namespace {

struct Shape {
  const char* name;
  int64_t layers, width, tokens, vocab;
};
constexpr Shape kShapes[] = {
    {"GPT-2 124M, 4 x 64 tokens", 12, 768, 256, 50257},
    {"6 layers x 384, 8 x 256 tokens", 6, 384, 2048, 256},
    {"4 layers x 128, 12 x 64 tokens", 4, 128, 768, 256},
};

struct Layer {
  const char* name;
  int64_t inputs, outputs;
};
std::vector<Layer> layers_of(const Shape& shape) {
  const int64_t w = shape.width;
  return {{"q, k, v", w, 3 * w},
          {"attention out", w, w},
          {"mlp up", w, 4 * w},
          {"mlp down", 4 * w, w},
          {"head", w, shape.vocab}};
}

template <class Work>
double best_seconds(const Work& work) {
  using Clock = std::chrono::steady_clock;
  double best = 1e9;
  const auto begun = Clock::now();
  for (int pass = 0; pass < 3 || Clock::now() - begun < std::chrono::milliseconds(100); ++pass) {
    const auto start = Clock::now();
    work();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  return best;
}

Tensor filled(Tensor::Extents shape) {
  Tensor made(shape);
  float x = 0.5f;
  for (float& number : made.writable_numbers<float>()) number = x = 0.9f - x * 1.01f;
  return made;
}

// What one layer of the stack has of its own: none of it is in the caches when its turn comes.
struct Copy {
  Tensor x, w, dw;
};

// Seconds of y, dx, dW (with the bias's gradient) and of the three through the tape, for one layer.
std::array<double, 4> measure(const Layer& layer, int64_t copies, int64_t tokens,
                              ThreadPool& pool) {
  std::vector<Copy> own;
  for (int64_t i = 0; i < copies; ++i) {
    own.push_back({filled({tokens, layer.inputs}), filled({layer.outputs, layer.inputs}),
                   filled({layer.outputs, layer.inputs})});
  }
  const Tensor dy = filled({tokens, layer.outputs});
  Tensor bias = filled({layer.outputs}), db = filled({layer.outputs});
  Tensor y({tokens, layer.outputs}), dx({tokens, layer.inputs});
  const auto as_f32 = [](const Tensor& t) { return t.view<float, 2>(); };
  const View<const float, 2> out = as_f32(dy);
  const auto each = [&](const auto& work) {
    return best_seconds([&] {
             for (Copy& copy : own) work(copy);
           }) /
           static_cast<double>(copies);
  };
  std::array<double, 4> seconds{};
  seconds[0] = each([&](Copy& copy) {
    multiply({.a = as_f32(copy.x),
              .b = transposed(as_f32(copy.w)),
              .c = y.writable<float, 2>(),
              .bias = bias.numbers<float>().data()},
             pool);
  });
  seconds[1] = each([&](Copy& copy) {
    multiply({.a = out, .b = as_f32(copy.w), .c = dx.writable<float, 2>()}, pool);
  });
  seconds[2] = each([&](Copy& copy) {
    multiply({.a = transposed(out),
              .b = as_f32(copy.x),
              .c = copy.dw.writable<float, 2>(),
              .row_sums = db.writable<float, 1>().data},
             pool);
  });
  bias.require_gradient();
  for (Copy& copy : own) {
    copy.dw = {};
    copy.x.require_gradient();
    copy.w.require_gradient();
  }
  seconds[3] = each([&](Copy& copy) {
    for (Tensor* const leaf : {&copy.x, &copy.w, &bias}) leaf->set_gradient({});
    backward(linear(copy.x, {nullptr, &copy.w, &bias}), dy);
    copy.x.set_gradient({});
    copy.w.writable_numbers<float>();  // as an optimiser does
  });
  return seconds;
}

void run(int threads) {
  ThreadPool pool(threads);
  const UsePool use(pool);
  fmt::print("{} threads, {}\n", pool.threads(), name(active_target()));
  for (const Shape& shape : kShapes) {
    const double before = measure_fma_peak(pool);
    std::vector<std::array<double, 4>> all;
    for (const Layer& layer : layers_of(shape)) {
      const int64_t copies = layer.outputs == shape.vocab ? 1 : shape.layers;
      all.push_back(measure(layer, copies, shape.tokens, pool));
    }
    const double peak = std::max(before, measure_fma_peak(pool));
    fmt::print("\n{}: percent of {:.0f} GFLOP/s\n{:<16}{:>8}{:>8}{:>8}{:>12}\n", shape.name, peak,
               "", "y", "dx", "dW", "by the tape");
    std::array<double, 5> total{};  // seconds of a step, and its multiply-adds
    for (std::size_t i = 0; i < all.size(); ++i) {
      const Layer layer = layers_of(shape)[i];
      const double work = 2e-9 * static_cast<double>(shape.tokens * layer.inputs * layer.outputs);
      const double uses = i + 1 < all.size() ? static_cast<double>(shape.layers) : 1;
      fmt::print("{:<16}", layer.name);
      for (std::size_t n = 0; n < 4; ++n) {
        fmt::print("{:>{}.0f}", 100 * work * (n < 3 ? 1 : 3) / all[i][n] / peak, n < 3 ? 8 : 12);
        total[n] += uses * all[i][n];
      }
      total[4] += uses * work;
      fmt::print("\n");
    }
    fmt::print("{:<16}", "a step");
    for (std::size_t n = 0; n < 4; ++n) {
      fmt::print("{:>{}.0f}", 100 * total[4] * (n < 3 ? 1 : 3) / total[n] / peak, n < 3 ? 8 : 12);
    }
    fmt::print("   {:.1f} ms\n", 1e3 * total[3]);
  }
}

}  // namespace
}  // namespace regard

int main(int argc, char** argv) { regard::run(argc > 1 ? std::atoi(argv[1]) : 0); }
