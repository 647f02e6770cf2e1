// regard bench attention: times the operator as an engine calls it (keys and
// values already in pages, the plan made) and says how near the machine's
// ceilings it came and how far from the formula it is.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <vector>

#include "attention/attention.h"
#include "base/check.h"
#include "command_line.h"
#include "json.h"
#include "kernels/ceiling.h"
#include "reference/reference.h"
#include "simd/target.h"
#include "terminal.h"
#include "verbs.h"

namespace regard::app {

namespace {

constexpr int64_t kPageKeys = 64;
// One decode step over so many bytes of keys and values is about memory: more
// than one copy is then read in turn, so that no cache helps.
constexpr int64_t kMemoryBytes = 100'000'000;
constexpr int64_t kRotatedBytes = 1'000'000'000;
constexpr int kSampledRows = 16;

struct Shape {
  int64_t batch, heads, kv_heads, rows, keys, dim;
  bool causal;
};

constexpr Shape kPeerShapes[] = {
    {1, 12, 12, 512, 512, 64, true},    {1, 12, 12, 2048, 2048, 64, true},
    {1, 12, 12, 2048, 2048, 64, false}, {1, 32, 8, 2048, 2048, 128, true},
    {1, 32, 8, 2048, 2048, 128, false}, {1, 9, 3, 8192, 8192, 64, true},
    {1, 32, 8, 1, 4096, 128, false},    {16, 32, 8, 1, 2048, 128, false},
    {1, 9, 3, 1, 2048, 64, false},
};

struct Measured {
  double ms, gflops, gbs, error, fma_peak, read_peak;
};

Shape as_shape(const CommandLine::Numbers& n) {
  const std::string text = fmt::format("{}", fmt::join(n, ","));
  require(n.size() == 7, "--shape: '{}' has {} numbers, not the 7 of B,Hq,Hk,Sq,Sk,D,causal", text,
          n.size());
  const Shape shape{n[0], n[1], n[2], n[3], n[4], n[5], n[6] != 0};
  require(*std::min_element(n.begin(), n.begin() + 6) > 0, "--shape: '{}' holds a size of 0", text);
  require(n[6] <= 1, "--shape: '{}': causal is 0 or 1", text);
  require(shape.heads % shape.kv_heads == 0, "--shape: '{}': Hk ({}) must divide Hq ({})", text,
          shape.kv_heads, shape.heads);
  require(shape.dim <= 1024, "--shape: '{}': D is at most 1024", text);
  require(!shape.causal || shape.rows <= shape.keys,
          "--shape: '{}': causal needs Sq ({}) at most Sk ({})", text, shape.rows, shape.keys);
  const double numbers =
      static_cast<double>(shape.batch) * static_cast<double>(shape.dim) *
      (static_cast<double>(shape.heads) * static_cast<double>(shape.rows) +
       2 * static_cast<double>(shape.kv_heads) * static_cast<double>(shape.keys));
  require(numbers < 1e12, "--shape: '{}' needs {:.0f} numbers, more than 10^12", text, numbers);
  return shape;
}

// Nearly normal numbers of variance 1: four 16-bit uniform ones, summed.
class Noise {
 public:
  explicit Noise(uint64_t seed) : state_(seed) {}
  float operator()() noexcept {
    uint64_t x = state_ += 0x9E3779B97F4A7C15u;  // splitmix64
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    x ^= x >> 31;
    const auto sum =
        static_cast<int64_t>((x & 0xFFFF) + (x >> 16 & 0xFFFF) + (x >> 32 & 0xFFFF) + (x >> 48));
    return static_cast<float>(sum - 2 * 0xFFFF) * (1.7320508f / 65536.0f);
  }

 private:
  uint64_t state_;
};

std::vector<float> noise(int64_t count, uint64_t seed) {
  std::vector<float> numbers(static_cast<size_t>(count));
  Noise next(seed);
  for (float& number : numbers) number = next();
  return numbers;
}

class Case {
 public:
  Case(const Shape& shape, DType dtype, ThreadPool& pool)
      : shape_(shape),
        dtype_(dtype),
        pool_(pool),
        q_(noise(shape.batch * shape.rows * shape.heads * shape.dim, 1)),
        k_(noise(shape.batch * shape.keys * shape.kv_heads * shape.dim, 2)),
        v_(noise(shape.batch * shape.keys * shape.kv_heads * shape.dim, 3)),
        out_(q_.size()),
        cache_(cache_shape()) {
    const int64_t pages = pages_per_sequence();
    for (int64_t page = 0; page < shape.batch * pages; ++page) {
      table_.push_back(static_cast<int32_t>(page));
    }
    for (int64_t b = 0; b < shape.batch; ++b) {
      const std::span<const int32_t> pages_of(table_.data() + b * pages,
                                              static_cast<size_t>(pages));
      for (int64_t copy = 0; copy < copies(); ++copy) {
        cache_.append(copy, pages_of, 0, keys(k_, b), keys(v_, b));
      }
      // The formula is that of the numbers that are stored.
      cache_.read(0, pages_of, 0, stored(k_, b), stored(v_, b));
      segments_.push_back({b * shape.rows, shape.rows, shape.keys, pages_of});
    }
  }

  Measured measure(double seconds) {
    Measured result{};
    result.fma_peak = measure_fma_peak(pool_);
    result.read_peak = measure_read_bandwidth(pool_, copies() * bytes());
    result.ms = best_ms(seconds);
    const double flops = 4.0 * static_cast<double>(shape_.batch * shape_.heads) *
                         static_cast<double>(shape_.rows) * static_cast<double>(shape_.keys) *
                         static_cast<double>(shape_.dim) * (shape_.causal ? 0.5 : 1.0);
    result.gflops = flops / result.ms / 1e6;
    result.gbs = static_cast<double>(bytes()) / result.ms / 1e6;
    result.error = error();
    return result;
  }

 private:
  int64_t pages_per_sequence() const { return (shape_.keys + kPageKeys - 1) / kPageKeys; }
  // Of K and V, each read once.
  int64_t bytes() const {
    const int64_t scale = dtype_ == DType::i8 ? sizeof(float) : 0;
    return 2 * shape_.batch * shape_.kv_heads * shape_.keys *
           (row_bytes(dtype_, shape_.dim) + scale);
  }
  int64_t copies() const {
    if (shape_.rows > 1 || bytes() < kMemoryBytes) return 1;
    return (kRotatedBytes + bytes() - 1) / bytes();
  }
  // The copies are the layers of one cache.
  KvCacheShape cache_shape() const {
    return {.layers = copies(),
            .pages = shape_.batch * pages_per_sequence(),
            .page_keys = kPageKeys,
            .kv_heads = shape_.kv_heads,
            .dim = shape_.dim,
            .dim_v = shape_.dim,
            .k_dtype = dtype_,
            .v_dtype = dtype_};
  }
  View<const float, 3> queries() const {
    return {q_.data(), {shape_.batch * shape_.rows, shape_.heads, shape_.dim}};
  }
  View<const float, 3> keys(const std::vector<float>& all, int64_t sequence) const {
    return {all.data() + sequence * shape_.keys * shape_.kv_heads * shape_.dim,
            {shape_.keys, shape_.kv_heads, shape_.dim}};
  }
  View<float, 3> stored(std::vector<float>& all, int64_t sequence) const {
    const View<const float, 3> of = keys(all, sequence);
    return {const_cast<float*>(of.data), of.shape};
  }
  float scale() const { return 1.0f / std::sqrt(static_cast<float>(shape_.dim)); }

  // As the peers are timed: two calls to warm up, then the best of at least
  // three.
  double best_ms(double seconds) {
    AttentionPlan plan(
        {shape_.heads, shape_.kv_heads, shape_.dim, shape_.dim}, segments_,
        {.mask = shape_.causal ? causal() : full(), .scale = scale(), .threads = pool_.threads()});
    const View<float, 3> out(out_.data(), queries().shape);
    int64_t call = 0;
    const auto run = [&] { plan.run(cache_, call++ % copies(), queries(), out, pool_); };
    run();
    run();
    using Clock = std::chrono::steady_clock;
    const Clock::time_point start = Clock::now();
    double best = 0;
    for (int timed = 0; timed < std::max<int64_t>(3, copies()) ||
                        std::chrono::duration<double>(Clock::now() - start).count() < seconds;
         ++timed) {
      const Clock::time_point before = Clock::now();
      run();
      const double ms = std::chrono::duration<double, std::milli>(Clock::now() - before).count();
      best = timed == 0 ? ms : std::min(best, ms);
    }
    return best;
  }

  // The largest ‖out - formula‖ / ‖formula‖ over sampled rows of the last timed
  // output.
  double error() const {
    double worst = 0;
    for (int i = 0; i < kSampledRows; ++i) {
      // Spread over sequences, rows and heads; the last row is among them.
      const int64_t b = i % shape_.batch;
      const int64_t row = shape_.rows - 1 - i * shape_.rows / kSampledRows;
      const int64_t head = i * 5 % shape_.heads;
      const int64_t kv_head = head / (shape_.heads / shape_.kv_heads);
      const int64_t visible = shape_.causal ? shape_.keys - shape_.rows + row + 1 : shape_.keys;
      const auto one_head = [&](const std::vector<float>& all) {
        const View<const float, 3> of = keys(all, b);
        return View<const float, 3>(&of(0, kv_head, 0), {visible, 1, shape_.dim}, of.strides);
      };
      const int64_t at = ((b * shape_.rows + row) * shape_.heads + head) * shape_.dim;
      const Reference formula = reference_attention({q_.data() + at, {1, 1, shape_.dim}},
                                                    one_head(k_), one_head(v_), {.scale = scale()});
      double difference = 0, norm = 0;
      for (int64_t d = 0; d < shape_.dim; ++d) {
        const double wanted = formula.out[static_cast<size_t>(d)];
        const double got = out_[static_cast<size_t>(at + d)];
        difference += (got - wanted) * (got - wanted);
        norm += wanted * wanted;
      }
      worst = std::max(worst, std::sqrt(difference / norm));
    }
    return worst;
  }

  Shape shape_;
  DType dtype_;
  ThreadPool& pool_;
  std::vector<float> q_;  // [batch · rows, heads, dim]
  std::vector<float> k_,
      v_;                   // [batch, keys, kv_heads, dim], as the cache stores them
  std::vector<float> out_;  // [batch · rows, heads, dim]
  KvCache cache_;
  std::vector<int32_t> table_;
  std::vector<Segment> segments_;
};

void print_row(const Shape& shape, const Measured& measured) {
  const std::string name =
      fmt::format("{} {}/{} {}x{} {}{}", shape.batch, shape.heads, shape.kv_heads, shape.rows,
                  shape.keys, shape.dim, shape.causal ? " causal" : "");
  print(fmt::format("{:<28} {:>9.3f} {:>8.1f} {:>5.0f} % {:>8.2f} {:>5.0f} %   {:.1e}\n", name,
                    measured.ms, measured.gflops, 100 * measured.gflops / measured.fma_peak,
                    measured.gbs, 100 * measured.gbs / measured.read_peak, measured.error));
  flush();
}

Json as_json(const Shape& shape, const std::string& dtype, int threads, const Measured& measured) {
  return {{"B", shape.batch},
          {"Hq", shape.heads},
          {"Hk", shape.kv_heads},
          {"Sq", shape.rows},
          {"Sk", shape.keys},
          {"D", shape.dim},
          {"causal", shape.causal},
          {"dtype", dtype},
          {"threads", threads},
          {"ms", measured.ms},
          {"gflops", measured.gflops},
          {"gbs", measured.gbs},
          {"error", measured.error},
          {"fma_peak_gflops", measured.fma_peak},
          {"read_peak_gbs", measured.read_peak}};
}

}  // namespace

int bench_attention(const Arguments& arguments) {
  CommandLine line("bench attention",
                   "Times attention over cached keys and values. FLOPs: 4 B Hq Sq Sk D, "
                   "half of it\n"
                   "when causal; bytes: K and V read once; error: the largest relative "
                   "error of\n"
                   "sampled output rows against the formula in double precision.",
                   "regard bench attention --shape 1,32,8,2048,2048,128,1 --dtype bf16");
  std::vector<CommandLine::Numbers> texts;
  std::string dtype_name = "f32";
  double seconds = 0.5;
  int threads = 0;
  bool json = false;
  line.number_lists("--shape", texts, 0, int64_t{1} << 31,
                    "may be given again; without: the nine shapes that other "
                    "libraries are timed on",
                    "B,Hq,Hk,Sq,Sk,D,causal");
  line.choice("--dtype", dtype_name, {"f32", "f16", "bf16", "i8"},
              "what keys and values are kept as", "f32|f16|bf16|i8 [f32]");
  line.real("--seconds", seconds, 0, 3600, "to time each shape for, at least", "X [0.5]");
  line.whole("-t,--threads", threads, 0, 1024, "threads; 0 = all cores", "N [0]");
  line.flag("--json", json, "print one JSON list");
  if (!line.read(arguments)) return kOk;

  std::vector<Shape> shapes;
  for (const CommandLine::Numbers& numbers : texts) shapes.push_back(as_shape(numbers));
  if (shapes.empty()) shapes.assign(std::begin(kPeerShapes), std::end(kPeerShapes));
  const DType dtype = dtype_name == "f32"    ? DType::f32
                      : dtype_name == "f16"  ? DType::f16
                      : dtype_name == "bf16" ? DType::bf16
                                             : DType::i8;
  active_target();  // a wrong REGARD_TARGET is told here, before any thread asks for it
  ThreadPool pool(threads);
  Progress progress;
  Json rows = Json::array();
  if (!json) {
    print(fmt::format("{}, {} threads\n{:<28} {:>9} {:>8} {:>7} {:>8} {:>7}   {}\n", dtype_name,
                      pool.threads(), "B Hq/Hk SqxSk D", "ms", "GFLOP/s", "of FMA", "GB/s",
                      "of read", "error"));
    flush();
  }
  for (const Shape& shape : shapes) {
    progress.show(fmt::format("timing shape {} of {}", &shape - shapes.data() + 1, shapes.size()));
    const Measured measured = Case(shape, dtype, pool).measure(seconds);
    progress.clear();
    if (json) {
      rows.push_back(as_json(shape, dtype_name, pool.threads(), measured));
    } else {
      print_row(shape, measured);
    }
  }
  if (json) print_json(rows);
  return kOk;
}

}  // namespace regard::app
