// Plans from bytes: any shapes, strides, dtypes, programs, normalisers, similarities and segments
// are computed or refused in one clean line; two threads give the bits of one, and nothing is
// written but the outputs.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "bytes.h"
#include "regard/attention.h"
#include "regard/program.h"

namespace regard {
namespace {

// ---- programs ----

class Programs {
 public:
  explicit Programs(Bytes& bytes) : bytes_(bytes) {}

  Expr real(int depth) {
    if (depth == 0 || bytes_.done()) {
      switch (bytes_.below(5)) {
        case 0:
          return Expr(static_cast<float>(bytes_.next() - 128) / 16.0f);
        case 1:
          return reals_(integer(0));
        case 2:
          return to_real(integer(0));
        default:
          return program::score();
      }
    }
    const Expr a = real(depth - 1);
    switch (bytes_.below(17)) {
      case 0:
        return a + real(depth - 1);
      case 1:
        return a - real(depth - 1);
      case 2:
        return a * real(depth - 1);
      case 3:
        return a / real(depth - 1);
      case 4:
        return min(a, real(depth - 1));
      case 5:
        return max(a, real(depth - 1));
      case 6:
        return tanh(a);
      case 7:
        return exp(a);
      case 8:
        return log(a);
      case 9:
        return sigmoid(a);
      case 10:
        return sqrt(a);
      case 11:
        return sin(a);
      case 12:
        return floor(a);
      case 13:
        return abs(a);
      case 14:
        return mod(a, real(depth - 1));
      case 15:
        return floor_div(a, real(depth - 1));
      default:
        return where(boolean(depth - 1), a, real(depth - 1));
    }
  }

  Expr integer(int depth) {
    if (depth == 0 || bytes_.done()) {
      switch (bytes_.below(8)) {
        case 0:
          return program::query();
        case 1:
          return program::key();
        case 2:
          return program::row();
        case 3:
          return program::head();
        case 4:
          return program::batch();
        case 5:
          return integers_(program::key() % 7);
        case 6:
          return program::sequence();
        default:
          return Expr(bytes_.next() - 20);
      }
    }
    const Expr a = integer(depth - 1), b = integer(depth - 1);
    switch (bytes_.below(11)) {
      case 0:
        return a + b;
      case 1:
        return a - b;
      case 2:
        return a * b;
      case 3:
        return floor_div(a, b);
      case 4:
        return a % b;
      case 5:
        return a & b;
      case 6:
        return a ^ b;
      case 7:
        return a << b;
      case 8:
        return a >> b;
      case 9:
        return integers_(a);  // may leave the array
      default:
        return max(a, b);
    }
  }

  Expr boolean(int depth) {
    if (depth == 0 || bytes_.done()) {
      switch (bytes_.below(4)) {
        case 0:
          return program::causal_mask();
        case 1:
          return program::window(bytes_.next(), bytes_.next());
        case 2:
          return flags_(program::key() % 5);
        default:
          return integer(1) < integer(1);
      }
    }
    const Expr a = boolean(depth - 1);
    switch (bytes_.below(4)) {
      case 0:
        return a & boolean(depth - 1);
      case 1:
        return a | boolean(depth - 1);
      case 2:
        return ~a;
      default:
        return real(depth - 1) <= real(depth - 1);
    }
  }

  const Array& reals() const { return reals_; }

 private:
  Bytes& bytes_;
  std::vector<uint8_t> flag_numbers_ = {1, 0, 1, 1, 0};
  Array reals_ = Array::of("reals", std::vector<float>{1, -2, 0.5f, 3, 0, -1, 2}, {}, true);
  Array integers_ = Array::of("integers", std::vector<int32_t>{0, 3, 1, -4, 2, 9, 5});
  Array flags_ = Array("flags", View<const uint8_t, 1>(flag_numbers_.data(), {5}));
};

// ---- arrays with guards ----

// Numbers of some dtype and layout inside memory whose other bytes must stay as they are.
struct Guarded {
  static constexpr std::size_t kGuard = 64;
  static constexpr std::byte kFill{0xA5};

  std::vector<std::byte> memory;
  DType dtype = DType::f32;
  std::array<int64_t, 3> shape{}, strides{};
  int64_t first = 0;  // element

  Guarded(Bytes& bytes, std::array<int64_t, 3> extents, DType type, bool output) {
    dtype = type;
    shape = extents;
    int order[3] = {0, 1, 2};
    if (bytes.chance(3)) std::swap(order[0], order[1]);
    if (bytes.chance(5)) std::swap(order[1], order[2]);
    int64_t step = 1, reach = 0;
    for (int axis = 2; axis >= 0; --axis) {
      const int at = order[axis];
      strides[at] = step;
      step *= std::max<int64_t>(shape[at], 1) + (bytes.chance(4) ? 1 : 0);
    }
    if (!output && bytes.chance(8)) strides[bytes.below(3)] = 0;
    for (int axis = 0; axis < 3; ++axis) {
      reach += (std::max<int64_t>(shape[axis], 1) - 1) * strides[axis];
    }
    if (bytes.chance(6)) {  // backwards along an axis
      const int axis = bytes.below(3);
      first = (std::max<int64_t>(shape[axis], 1) - 1) * strides[axis];
      strides[axis] = -strides[axis];
    }
    memory.assign(2 * kGuard + static_cast<std::size_t>((reach + 1) * width()), kFill);
    if (output) return;
    uint32_t state = 1 + static_cast<uint32_t>(bytes.next());
    const bool wild = bytes.chance(8);
    for (int64_t i = 0; i <= reach; ++i) {
      state = state * 1664525u + 1013904223u;
      float x = static_cast<float>(static_cast<int32_t>(state) >> 16) / 16384.0f;
      if (wild && state % 61 == 0) x = state % 2 == 0 ? __builtin_inff() : __builtin_nanf("");
      put(i, x);
    }
  }

  int64_t width() const { return dtype == DType::f64 ? 8 : dtype == DType::f32 ? 4 : 2; }
  void put(int64_t element, float x) {
    std::byte* const to = memory.data() + kGuard + element * width();
    const auto write = [&](auto value) { std::memcpy(to, &value, sizeof value); };
    if (dtype == DType::f64) write(static_cast<double>(x));
    if (dtype == DType::f32) write(x);
    if (dtype == DType::f16) write(to_f16(x));
    if (dtype == DType::bf16) write(to_bf16(x));
  }
  void* data() { return memory.data() + kGuard + first * width(); }
  InputView<3> in() { return {data(), dtype, shape, strides}; }
  OutputView<3> out() { return {data(), dtype, shape, strides}; }

  // What is there, all NaNs alike.
  std::vector<std::byte> settled() const {
    std::vector<std::byte> bytes = memory;
    const auto settle = [&](auto number, auto is_nan) {
      const std::size_t last = bytes.size() - kGuard;
      for (std::size_t at = kGuard; at + sizeof number <= last; at += sizeof number) {
        std::memcpy(&number, bytes.data() + at, sizeof number);
        if (is_nan(number))
          std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), sizeof number,
                      std::byte{0xFF});
      }
    };
    const auto is_nan = [](auto x) { return x != x; };
    if (dtype == DType::f64) settle(0.0, is_nan);
    if (dtype == DType::f32) settle(0.0f, is_nan);
    if (dtype == DType::f16) settle(uint16_t{0}, [](uint16_t x) { return (x & 0x7FFF) > 0x7C00; });
    if (dtype == DType::bf16) settle(uint16_t{0}, [](uint16_t x) { return (x & 0x7FFF) > 0x7F80; });
    return bytes;
  }

  // Only the elements of the view may have changed.
  void check_guards() {
    std::vector<std::byte> rest = memory;
    for (int64_t i = 0; i < shape[0]; ++i) {
      for (int64_t h = 0; h < shape[1]; ++h) {
        for (int64_t d = 0; d < shape[2]; ++d) {
          const int64_t at = first + i * strides[0] + h * strides[1] + d * strides[2];
          std::fill_n(rest.begin() + static_cast<std::ptrdiff_t>(kGuard) + at * width(), width(),
                      kFill);
        }
      }
    }
    for (const std::byte b : rest) {
      if (b != kFill) complain("something was written beside an output");
    }
  }
};

Normaliser normaliser(Bytes& bytes, const Array& sinks) {
  switch (bytes.below(9)) {
    case 1:
      return softmax_with_sink(sinks);
    case 2:
      return sigmoid(static_cast<float>(bytes.next() - 128) / 32.0f);
    case 3:
      return relu();
    case 4:
      return sparsemax();
    case 5:
      return entmax15();
    case 6:
      return hardmax();
    case 7:
      return gumbel_softmax(static_cast<float>(bytes.next()) / 64.0f, 7,
                            static_cast<Normaliser::Sample>(bytes.below(3)));
    default:
      return softmax();
  }
}

void run(Bytes bytes) {
  const auto size = [&](int most) { return static_cast<int64_t>(bytes.below(most + 1)); };
  const int64_t kv_heads = 1 + size(2), group = size(3), heads = kv_heads * group;
  const int64_t dim = size(40), dim_v = size(40), tokens = size(60), keys = size(300);
  constexpr DType kTypes[] = {DType::f32, DType::f32, DType::f16, DType::bf16, DType::f64};
  const bool all_f64 = bytes.chance(12);
  const auto dtype = [&] { return all_f64 ? DType::f64 : kTypes[bytes.below(4)]; };
  const auto off = [&](int64_t extent) {  // now and then a shape that does not fit
    return bytes.chance(40) ? extent + 1 : extent;
  };
  Guarded q(bytes, {tokens, heads, dim}, dtype(), false);
  Guarded k(bytes, {keys, kv_heads, off(dim)}, dtype(), false);
  Guarded v(bytes, {off(keys), kv_heads, dim_v}, dtype(), false);
  Guarded out(bytes, {tokens, heads, off(dim_v)}, dtype(), true);
  std::vector<float> lse_numbers(static_cast<std::size_t>(tokens * heads), -7.0f);
  const View<float, 2> lse(lse_numbers.data(), {tokens, heads});

  Programs programs(bytes);
  const std::vector<float> zeros(static_cast<std::size_t>(std::max<int64_t>(heads, 1)), 0.25f);
  const Array sinks = Array::of("sinks", zeros, {}, true);
  AttentionOptions options;
  std::vector<Segment> segments;
  const bool built = computes([&] {
    options.normaliser = normaliser(bytes, sinks);
    switch (bytes.below(5)) {
      case 1:
        options.similarity = cosine();
        break;
      case 2:
        options.similarity = negative_distance();
        break;
      case 3:
        options.similarity = additive(Array::of(
            "v",
            std::vector<float>(static_cast<std::size_t>(std::max<int64_t>(off(dim), 1)), 0.5f)));
        break;
      default:
        break;
    }
    if (bytes.chance(3)) options.scale = static_cast<float>(bytes.next() - 128) / 256.0f;
    if (bytes.chance(2)) options.mask = programs.boolean(bytes.below(4));
    if (bytes.chance(2)) options.score = programs.real(bytes.below(5));
    if (bytes.chance(4)) options.weight = programs.real(bytes.below(3));
  });
  if (!built) return;
  options.threads = 1;
  if (bytes.chance(3)) {
    for (int i = 0, count = bytes.below(5); i < count; ++i) {
      Segment segment;
      segment.first_row = size(60);
      segment.rows = size(30);
      segment.first_key = size(200);
      segment.keys = size(100);
      if (bytes.chance(4)) segment.position = bytes.next() - 40;
      if (bytes.chance(4)) segment.sequence = bytes.next();
      segments.push_back(segment);
    }
  }

  const bool ragged = !segments.empty();
  const bool with_lse = !ragged && options.normaliser.kind == Normaliser::Kind::softmax;
  const auto forward = [&] {
    if (ragged) {
      attention(q.in(), k.in(), v.in(), out.out(), segments, options);
    } else {
      attention(q.in(), k.in(), v.in(), out.out(), options, with_lse ? lse : View<float, 2>());
    }
  };
  const bool computed = computes(forward);
  out.check_guards();
  if (!computed) return;
  const std::vector<std::byte> of_one = out.settled();
  options.threads = 2;
  if (!computes(forward)) complain("two threads refuse what one computes");
  if (out.settled() != of_one) complain("two threads give other bits than one");
  if (!ragged) computes([&] { (void)explain(q.in(), k.in(), v.in(), options); });

  Guarded dout(bytes, out.shape, dtype(), false);
  Guarded dq(bytes, q.shape, dtype(), true), dk(bytes, k.shape, dtype(), true),
      dv(bytes, v.shape, dtype(), true);
  std::vector<float> gradient(7, 0.0f);
  const ArrayGradient arrays[] = {{programs.reals(), gradient.data(), {}}};
  const bool wants_array = bytes.chance(4);
  const auto backward = [&] {
    const std::span<const ArrayGradient> wanted(arrays, wants_array ? 1 : 0);
    const View<const float, 2> saved =
        with_lse ? View<const float, 2>(lse) : View<const float, 2>();
    if (ragged) {
      attention_backward(q.in(), k.in(), v.in(), out.in(), saved, dout.in(), dq.out(), dk.out(),
                         dv.out(), segments, options, wanted);
    } else {
      attention_backward(q.in(), k.in(), v.in(), out.in(), saved, dout.in(), dq.out(), dk.out(),
                         dv.out(), options, wanted);
    }
  };
  const bool differentiated = computes(backward);
  for (Guarded* one : {&dq, &dk, &dv}) one->check_guards();
  if (!differentiated) return;
  const std::vector<std::byte> first[] = {dq.settled(), dk.settled(), dv.settled()};
  options.threads = 1;
  if (!computes(backward)) complain("one thread refuses what two differentiate");
  if (dq.settled() != first[0] || dk.settled() != first[1] || dv.settled() != first[2]) {
    complain("two threads give other gradients than one");
  }
}

}  // namespace
}  // namespace regard

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  if (size <= 4096) regard::run(regard::Bytes(data, size));
  return 0;
}
