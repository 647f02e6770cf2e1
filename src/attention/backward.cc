// attention_backward: every rule of a call, checked before anything is written.
#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "attention/attention.h"
#include "attention/ranges.h"
#include "base/check.h"
#include "base/shared_pool.h"
#include "gradient/backward_pass.h"
#include "plan/recipe.h"
#include "reference/reference.h"
#include "simd/target.h"

namespace regard {
namespace {

std::string words(const std::array<int64_t, 4>& shape, bool batched) {
  std::string text = batched ? std::to_string(shape[0]) + " x " : "";
  return text + std::to_string(shape[1]) + " x " + std::to_string(shape[2]) + " x " +
         std::to_string(shape[3]);
}

// A call's arrays: always batches, but named as the caller gave them.
struct Call {
  BackwardArrays arrays;
  bool batched = false;

  void require_shape(const char* name, const std::array<int64_t, 4>& is, int64_t tokens,
                     int64_t heads, int64_t dim) const {
    const std::array<int64_t, 4> wanted{arrays.q.shape[0], tokens, heads, dim};
    require(is == wanted, "attention_backward: {} is {}, must be {}", name, words(is, batched),
            words(wanted, batched));
  }
};

void check_shapes(const Call& call) {
  const BackwardArrays& a = call.arrays;
  for (const auto& [name, shape] :
       {std::pair{"q", a.q.shape}, {"k", a.k.shape}, {"v", a.v.shape}}) {
    require(*std::min_element(shape.begin(), shape.end()) >= 0,
            "attention_backward: {} is {}; no size may be negative", name,
            words(shape, call.batched));
  }
  const int64_t tokens = a.q.shape[1], heads = a.q.shape[2], dim = a.q.shape[3];
  const int64_t keys = a.k.shape[1], kv_heads = a.k.shape[2], dim_k = a.k.shape[3];
  const int64_t dim_v = a.v.shape[3];
  require(dim <= 1024 && dim_k <= 1024 && dim_v <= 1024,
          "attention_backward: dim ({}) and dim_v ({}) must be at most 1024", std::max(dim, dim_k),
          dim_v);
  require(kv_heads > 0 ? heads % kv_heads == 0 : heads == 0,
          "attention_backward: heads ({}) is not a multiple of kv_heads ({})", heads, kv_heads);
  call.require_shape("k", a.k.shape, keys, kv_heads, dim_k);
  call.require_shape("v", a.v.shape, keys, kv_heads, dim_v);
  call.require_shape("out", a.out.shape, tokens, heads, dim_v);
  call.require_shape("dout", a.dout.shape, tokens, heads, dim_v);
  call.require_shape("dq", a.dq.shape, tokens, heads, dim);
  call.require_shape("dk", a.dk.shape, keys, kv_heads, dim_k);
  call.require_shape("dv", a.dv.shape, keys, kv_heads, dim_v);
  const auto& lse = a.lse.shape;
  require(a.lse.data == nullptr || (lse[0] == a.q.shape[0] && lse[1] == tokens && lse[2] == heads),
          "attention_backward: lse is {}{} x {}, must be {}{} x {}",
          call.batched ? std::to_string(lse[0]) + " x " : "", lse[1], lse[2],
          call.batched ? std::to_string(a.q.shape[0]) + " x " : "", tokens, heads);
}

// True: all are f64.
bool check_dtypes(const BackwardArrays& a) {
  const std::pair<const char*, DType> dtypes[] = {
      {"q", a.q.dtype},       {"k", a.k.dtype},   {"v", a.v.dtype},   {"out", a.out.dtype},
      {"dout", a.dout.dtype}, {"dq", a.dq.dtype}, {"dk", a.dk.dtype}, {"dv", a.dv.dtype}};
  for (const auto& [name, dtype] : dtypes) {
    require(dtype <= DType::bf16, "attention_backward: {} is {}, must be f64, f32, f16 or bf16",
            name, info(dtype).name);
    require((dtype == DType::f64) == (a.q.dtype == DType::f64),
            "attention_backward: q is {} and {} is {}; f64 is for all arrays or none",
            info(a.q.dtype).name, name, info(dtype).name);
  }
  return a.q.dtype == DType::f64;
}

void check_overlaps(const BackwardArrays& a, std::span<const ArrayGradient> gradients) {
  std::vector<std::pair<std::string, Range>> outputs{
      {"dq", range_of(a.dq)}, {"dk", range_of(a.dk)}, {"dv", range_of(a.dv)}};
  for (const ArrayGradient& gradient : gradients) {
    std::array<int64_t, 4> shape{1, 1, 1, 1}, strides{};
    int64_t size = 1;
    for (int axis = gradient.array.rank() - 1; axis >= 0; --axis) {
      const auto at = static_cast<std::size_t>(axis);
      shape[at] = gradient.array.shape(axis);
      strides[at] = gradient.strides.empty() ? size : gradient.strides[at];
      size *= shape[at];
    }
    outputs.emplace_back(
        "the gradient of " + gradient.array.name(),
        range_of(View<const float, 4>(static_cast<const float*>(gradient.data), shape, strides)));
  }
  const std::pair<const char*, Range> inputs[] = {
      {"q", range_of(a.q)},       {"k", range_of(a.k)},
      {"v", range_of(a.v)},       {"out", range_of(a.out)},
      {"dout", range_of(a.dout)}, {"lse", a.lse.data == nullptr ? Range{0, 0} : range_of(a.lse)}};
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const auto& [name, range] = outputs[i];
    for (const auto& [input, other] : inputs) {
      require(!overlap(range, other),
              "attention_backward: {} overlaps {}; give it memory of its own", name, input);
    }
    for (std::size_t j = 0; j < i; ++j) {
      require(!overlap(range, outputs[j].second), "attention_backward: {} overlaps {}", name,
              outputs[j].first);
    }
  }
}

void check_gradients(std::span<const ArrayGradient> gradients) {
  for (std::size_t n = 0; n < gradients.size(); ++n) {
    const ArrayGradient& gradient = gradients[n];
    const Array& array = gradient.array;
    require(array.differentiable(), "attention_backward: {} is not differentiable", array.name());
    require(gradient.data != nullptr, "attention_backward: the gradient of {} has no memory",
            array.name());
    require(gradient.strides.empty() || static_cast<int>(gradient.strides.size()) == array.rank(),
            "attention_backward: the gradient of {} has {} strides, must have {}", array.name(),
            gradient.strides.size(), array.rank());
    for (std::size_t other = 0; other < n; ++other) {
      require(!(gradients[other].array == array),
              "attention_backward: the gradient of {} is asked for twice", array.name());
    }
  }
}

// Segments may not share rows, whose gradients would be overwritten, nor keys.
void check_segments(const BackwardArrays& a, std::span<const Segment> segments) {
  struct Run {
    int64_t slab, first, end;
  };
  std::vector<Run> rows, keys;
  for (const Segment& s : segments) {
    require(s.rows >= 0 && s.keys >= 0 && s.first_row >= 0 && s.first_key >= 0,
            "attention_backward: a segment has {} rows from row {} and {} keys from key {}; none "
            "may be negative",
            s.rows, s.first_row, s.keys, s.first_key);
    require(s.block_table.empty(),
            "attention_backward: keys lie in arrays here, a segment may have no block table");
    require(s.slab >= 0 && s.slab < std::max<int64_t>(a.q.shape[0], 1),
            "attention_backward: a segment names slab {} of {}", s.slab, a.q.shape[0]);
    require(s.first_row + s.rows <= a.q.shape[1],
            "attention_backward: a segment has rows {} .. {}, q has {}", s.first_row,
            s.first_row + s.rows - 1, a.q.shape[1]);
    require(s.first_key + s.keys <= a.k.shape[1],
            "attention_backward: a segment has keys {} .. {}, k has {}", s.first_key,
            s.first_key + s.keys - 1, a.k.shape[1]);
    require(s.keys <= INT32_MAX && s.rows <= INT32_MAX,
            "attention_backward: a segment of {} rows and {} keys is too long", s.rows, s.keys);
    if (s.rows > 0) rows.push_back({s.slab, s.first_row, s.first_row + s.rows});
    if (s.keys > 0) keys.push_back({s.slab, s.first_key, s.first_key + s.keys});
  }
  const auto check = [](std::vector<Run>& runs, const char* what) {
    std::sort(runs.begin(), runs.end(), [](const Run& x, const Run& y) {
      return std::pair(x.slab, x.first) < std::pair(y.slab, y.first);
    });
    for (std::size_t n = 1; n < runs.size(); ++n) {
      require(runs[n].slab != runs[n - 1].slab || runs[n].first >= runs[n - 1].end,
              "attention_backward: two segments share {} {}", what, runs[n].first);
    }
  };
  check(rows, "row");
  check(keys, "key");
}

// +0 everywhere: for rows and keys that lie in no segment.
void fill_zero(const OutputView<4>& x) {
  const int64_t size = x.dtype == DType::f32 ? 4 : 2;
  for (int64_t b = 0; b < x.shape[0]; ++b)
    for (int64_t t = 0; t < x.shape[1]; ++t)
      for (int64_t h = 0; h < x.shape[2]; ++h)
        for (int64_t d = 0; d < x.shape[3]; ++d) {
          std::byte* const at =
              static_cast<std::byte*>(x.data) +
              (b * x.strides[0] + t * x.strides[1] + h * x.strides[2] + d * x.strides[3]) * size;
          std::fill_n(at, size, std::byte{0});
        }
}

// pool: null for the one that the options ask for.
void run(const Call& call, std::span<const Segment> segments, const AttentionOptions& options,
         std::span<const ArrayGradient> gradients, ThreadPool* pool = nullptr) {
  active_target();  // an unknown REGARD_TARGET is refused here; inside a kernel nothing may throw
  const BackwardArrays& a = call.arrays;
  check_shapes(call);
  const bool f64 = check_dtypes(a);
  const Recipe recipe = make_recipe(options, a.q.shape[2], a.q.shape[3], a.k.shape[3]);
  check_segments(a, segments);
  check_gradients(gradients);
  check_overlaps(a, gradients);
  if (f64) {
    write_reference_gradients(a.q, a.k, a.v, a.dout, a.dq, a.dk, a.dv, segments, options,
                              gradients);
    return;
  }
  int64_t rows = 0, keys = 0;
  for (const Segment& segment : segments) {
    rows += segment.rows;
    keys += segment.keys;
  }
  std::optional<SharedPool> shared;
  if (pool == nullptr) pool = &*shared.emplace(options.threads);
  BackwardPass pass(a, segments, recipe, gradients, pool->threads());
  if (rows < a.q.shape[0] * a.q.shape[1]) fill_zero(a.dq);
  if (keys < a.k.shape[0] * a.k.shape[1]) {
    fill_zero(a.dk);
    fill_zero(a.dv);
  }
  pass.run(*pool);
}

View<const float, 3> lse_of_batch(View<const float, 2> lse) {
  return {lse.data, {1, lse.shape[0], lse.shape[1]}, {0, lse.strides[0], lse.strides[1]}};
}

Call one_sequence(const InputView<3>& q, const InputView<3>& k, const InputView<3>& v,
                  const InputView<3>& out, const View<const float, 2>& lse,
                  const InputView<3>& dout, const OutputView<3>& dq, const OutputView<3>& dk,
                  const OutputView<3>& dv) {
  return {{as_batch(q), as_batch(k), as_batch(v), as_batch(out), as_batch(dout), lse_of_batch(lse),
           as_batch(dq), as_batch(dk), as_batch(dv)},
          false};
}

}  // namespace

void attention_backward(InputView<3> q, InputView<3> k, InputView<3> v, InputView<3> out,
                        View<const float, 2> lse, InputView<3> dout, OutputView<3> dq,
                        OutputView<3> dk, OutputView<3> dv, const AttentionOptions& options,
                        std::span<const ArrayGradient> arrays) {
  const Segment whole{.rows = q.shape[0], .keys = k.shape[0]};
  run(one_sequence(q, k, v, out, lse, dout, dq, dk, dv), {&whole, 1}, options, arrays);
}

void attention_backward(InputView<3> q, InputView<3> k, InputView<3> v, InputView<3> out,
                        View<const float, 2> lse, InputView<3> dout, OutputView<3> dq,
                        OutputView<3> dk, OutputView<3> dv, std::span<const Segment> segments,
                        const AttentionOptions& options, std::span<const ArrayGradient> arrays) {
  run(one_sequence(q, k, v, out, lse, dout, dq, dk, dv), segments, options, arrays);
}

void attention_backward(InputView<3> q, InputView<3> k, InputView<3> v, InputView<3> out,
                        View<const float, 2> lse, InputView<3> dout, OutputView<3> dq,
                        OutputView<3> dk, OutputView<3> dv, std::span<const Segment> segments,
                        const AttentionOptions& options, std::span<const ArrayGradient> arrays,
                        ThreadPool& pool) {
  run(one_sequence(q, k, v, out, lse, dout, dq, dk, dv), segments, options, arrays, &pool);
}

void attention_backward(InputView<4> q, InputView<4> k, InputView<4> v, InputView<4> out,
                        View<const float, 3> lse, InputView<4> dout, OutputView<4> dq,
                        OutputView<4> dk, OutputView<4> dv, const AttentionOptions& options,
                        std::span<const ArrayGradient> arrays) {
  const std::vector<Segment> segments = one_segment_each(q, k);
  run({{q, k, v, out, dout, lse, dq, dk, dv}, true}, segments, options, arrays);
}

}  // namespace regard
