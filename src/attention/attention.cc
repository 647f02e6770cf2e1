// The public operator over plain arrays.
#include "attention/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "attention/key_source.h"
#include "attention/ranges.h"
#include "base/check.h"
#include "base/shared_pool.h"
#include "expr/graph.h"
#include "plan/engine.h"
#include "plan/rules.h"
#include "reference/reference.h"

namespace regard {
namespace {

using Input = InputView<4>;

bool is_real(DType dtype) {
  return dtype == DType::f64 || dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16;
}

// Every rule that needs no output.
void check_inputs(const Input& q, const Input& k, const Input& v, const AttentionOptions& options) {
  for (const auto& [name, a] : {std::pair<const char*, const Input&>{"q", q}, {"k", k}, {"v", v}}) {
    const auto& shape = a.shape;
    require(shape[0] >= 0 && shape[1] >= 0 && shape[2] >= 0 && shape[3] >= 0,
            "attention: {} is {} x {} x {} x {}; no size may be negative", name, shape[0], shape[1],
            shape[2], shape[3]);
    require(is_real(a.dtype), "attention: {} is {}, must be f64, f32, f16 or bf16", name,
            info(a.dtype).name);
    require((a.dtype == DType::f64) == (q.dtype == DType::f64),
            "attention: {} is {} and q {}; either all arrays are f64 or none", name,
            info(a.dtype).name, info(q.dtype).name);
  }
  const int64_t heads = q.shape[2], kv_heads = k.shape[2], dim = q.shape[3], dim_v = v.shape[3];
  require(v.shape[0] == k.shape[0] && v.shape[1] == k.shape[1] && v.shape[2] == kv_heads,
          "attention: v has {} keys of {} heads, k has {} of {}", v.shape[1], v.shape[2],
          k.shape[1], kv_heads);
  require(kv_heads > 0 ? heads % kv_heads == 0 : heads == 0,
          "attention: heads ({}) is not a multiple of kv_heads ({})", heads, kv_heads);
  require(dim <= 1024 && k.shape[3] <= 1024 && dim_v <= 1024,
          "attention: dim ({}) and dim_v ({}) must be at most 1024", std::max(dim, k.shape[3]),
          dim_v);
  make_recipe(options, heads, dim, k.shape[3]);  // throws what is wrong with the options
}

void check_segments(const Input& q, const Input& k, std::span<const Segment> segments) {
  for (const Segment& s : segments) {
    require(s.rows >= 0 && s.keys >= 0 && s.first_row >= 0 && s.first_key >= 0 && s.slab >= 0,
            "attention: a segment has {} rows from row {} and {} keys from key {} of slab {}; none "
            "may be negative",
            s.rows, s.first_row, s.keys, s.first_key, s.slab);
    require(s.block_table.empty(), "attention: a segment has a block table, but k is an array");
    require(s.slab < q.shape[0] && s.slab < k.shape[0],
            "attention: a segment lies in slab {}, q has {} and k {}", s.slab, q.shape[0],
            k.shape[0]);
    require(s.rows <= q.shape[1] && s.first_row <= q.shape[1] - s.rows,
            "attention: a segment has {} rows from row {}, q has {}", s.rows, s.first_row,
            q.shape[1]);
    require(s.keys <= k.shape[1] && s.first_key <= k.shape[1] - s.keys,
            "attention: a segment has {} keys from key {}, k has {}", s.keys, s.first_key,
            k.shape[1]);
  }
}

// An output, and what else it may not touch.
struct Named {
  const char* name;
  Range range;
};

Range range_of_array(const Array& array) {
  int64_t shape[Array::kMaxRank], strides[Array::kMaxRank];
  for (int axis = 0; axis < array.rank(); ++axis) {
    shape[axis] = array.shape(axis);
    strides[axis] = array.stride(axis);
  }
  return range_of(array.data(), array.type() == ElementType::boolean ? 1 : 4, shape, strides,
                  array.rank());
}

// The arrays that the options capture.
std::vector<Array> captured(const AttentionOptions& options) {
  const Expr expressions[] = {options.mask, options.score, options.weight};
  std::vector<Array> arrays = program::flatten(expressions).arrays;
  if (options.normaliser.sinks) arrays.push_back(*options.normaliser.sinks);
  if (options.similarity.parameters) arrays.push_back(*options.similarity.parameters);
  return arrays;
}

void check_overlaps(const Input& q, const Input& k, const Input& v, const AttentionOptions& options,
                    std::span<const Named> outputs) {
  std::vector<std::pair<std::string, Range>> inputs{
      {"q", range_of(q)}, {"k", range_of(k)}, {"v", range_of(v)}};
  for (const Array& array : captured(options)) {
    inputs.emplace_back(array.name(), range_of_array(array));
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    for (const auto& [input, range] : inputs) {
      require(!overlap(outputs[i].range, range),
              "attention: {} overlaps {}; give it memory of its own", outputs[i].name, input);
    }
    for (std::size_t j = 0; j < i; ++j) {
      require(!overlap(outputs[i].range, outputs[j].range), "attention: {} and {} overlap",
              outputs[j].name, outputs[i].name);
    }
  }
}

int64_t longest(std::span<const Segment> segments) {
  int64_t keys = 0;
  for (const Segment& segment : segments) keys = std::max(keys, segment.keys);
  return keys;
}

// The shapes of what is asked for besides out; adds their ranges to the outputs.
void check_extras(const Input& q, std::span<const Segment> segments,
                  const AttentionOptions& options, const AttentionExtras& extras,
                  std::vector<Named>& outputs) {
  const int64_t batch = q.shape[0], tokens = q.shape[1], heads = q.shape[2];
  const int64_t keys = longest(segments), count = static_cast<int64_t>(segments.size());
  const auto check = [&](const char* name, const auto& view, auto wanted) {
    if (view.data == nullptr) return;
    require(view.shape[0] == wanted[0], "attention: {} is a batch of {}, must be one of {}", name,
            view.shape[0], wanted[0]);
    require(view.shape == wanted, "attention: {} is {}, must be {}", name,
            fmt::join(view.shape.begin() + 1, view.shape.end(), " x "),
            fmt::join(wanted.begin() + 1, wanted.end(), " x "));
    outputs.push_back({name, range_of(view)});
  };
  using Rows = std::array<int64_t, 3>;
  using Matrix = std::array<int64_t, 4>;
  require(extras.lse.data == nullptr || options.normaliser.kind == Normaliser::Kind::softmax,
          "attention: lse is asked for, but only softmax has one");
  check("lse", extras.lse, Rows{batch, tokens, heads});
  check("entropy", extras.entropy, Rows{batch, tokens, heads});
  check("key_sums", extras.key_sums, Rows{count, heads, keys});
  const Matrix matrix{batch, tokens, heads, keys};
  check("similarities", extras.similarities, matrix);
  check("scores", extras.scores, matrix);
  check("masked", extras.masked, matrix);
  check("weights", extras.weights, matrix);
  const int64_t top =
      extras.top_weights.data != nullptr ? extras.top_weights.shape[3] : extras.top_keys.shape[3];
  check("top_weights", extras.top_weights, Matrix{batch, tokens, heads, top});
  check("top_keys", extras.top_keys, Matrix{batch, tokens, heads, top});
}

AttentionShape shape_of(const Input& q, const Input& k, const Input& v) {
  const auto at_least_one = [](int64_t dim) { return std::max<int64_t>(dim, 1); };
  return {q.shape[2], k.shape[2], at_least_one(q.shape[3]), at_least_one(v.shape[3]),
          at_least_one(k.shape[3])};
}

// With dim 0 every score is 0, as the empty sum is, whatever the scale: one zero in place of the
// missing number. In place of missing values a number that nobody asked for.
Input padded(const Input& a) {
  static const float kZero = 0.0f;
  if (a.shape[3] > 0) return a;
  return {&kZero, DType::f32, {a.shape[0], a.shape[1], a.shape[2], 1}, {0, 0, 0, 0}};
}

std::string what_plan_says(const Input& q, const Input& k, const Input& v,
                           const AttentionOptions& options) {
  check_inputs(q, k, v, options);
  if (q.dtype == DType::f64) {
    return "f64 arrays: the formula itself in double precision, row by row, on one thread";
  }
  if (q.shape[0] * q.shape[1] * q.shape[2] == 0) {
    return "nothing to compute: out has no element";
  }
  const std::vector<Segment> segments = one_segment_each(q, k);
  return Engine(shape_of(q, k, v), segments, options, thread_count(options.threads)).explain();
}

void attend(const Input& q, const Input& k, const Input& v, const OutputView<4>& out,
            std::span<const Segment> segments, const AttentionOptions& options,
            const AttentionExtras& extras) {
  check_inputs(q, k, v, options);
  require(out.shape[0] == q.shape[0], "attention: out is a batch of {}, q of {}", out.shape[0],
          q.shape[0]);
  require(out.shape[1] == q.shape[1] && out.shape[2] == q.shape[2] && out.shape[3] == v.shape[3],
          "attention: out is {} x {} x {}, must be {} x {} x {}", out.shape[1], out.shape[2],
          out.shape[3], q.shape[1], q.shape[2], v.shape[3]);
  require(is_real(out.dtype) && (out.dtype == DType::f64) == (q.dtype == DType::f64),
          "attention: out is {} and q {}; either all arrays are f64 or none", info(out.dtype).name,
          info(q.dtype).name);
  check_segments(q, k, segments);
  std::vector<Named> outputs{{"out", range_of(Input(out))}};
  check_extras(q, segments, options, extras, outputs);
  check_overlaps(q, k, v, options, outputs);
  if (q.dtype == DType::f64) {
    return write_reference(q, k, v, out, segments, options, extras);
  }
  const AttentionExtras& e = extras;
  const bool by_products = e.entropy.data != nullptr || e.key_sums.data != nullptr ||
                           e.top_weights.data != nullptr || e.top_keys.data != nullptr ||
                           e.similarities.data != nullptr || e.scores.data != nullptr ||
                           e.masked.data != nullptr || e.weights.data != nullptr;
  const int64_t top = e.top_weights.data != nullptr ? e.top_weights.shape[3]
                      : e.top_keys.data != nullptr  ? e.top_keys.shape[3]
                                                    : 0;
  if (q.shape[2] == 0 || segments.empty()) return;
  if (v.shape[3] == 0 && !by_products && e.lse.data == nullptr) return;
  Engine engine(shape_of(q, k, v), segments, options, thread_count(options.threads),
                {.by_products = by_products, .top = top});
  // Where out has no columns, a plan for one column writes it here.
  std::vector<float> column;
  CallArrays arrays{padded(q), out, extras};
  if (v.shape[3] == 0) {
    column.resize(static_cast<std::size_t>(q.shape[0] * q.shape[1] * q.shape[2]));
    arrays.out = View<float, 4>(column.data(), {q.shape[0], q.shape[1], q.shape[2], 1});
  }
  const SharedPool pool(options.threads);
  engine.run(StridedKeys(padded(k), padded(v)), arrays, *pool);
}

}  // namespace

std::string explain(InputView<3> q, InputView<3> k, InputView<3> v,
                    const AttentionOptions& options) {
  return what_plan_says(as_batch(q), as_batch(k), as_batch(v), options);
}

void attention(InputView<3> q, InputView<3> k, InputView<3> v, OutputView<3> out,
               const AttentionOptions& options, View<float, 2> lse) {
  AttentionExtras extras;
  if (lse.data != nullptr) {
    extras.lse = {lse.data, {1, lse.shape[0], lse.shape[1]}, {0, lse.strides[0], lse.strides[1]}};
  }
  const Segment whole{.rows = q.shape[0], .keys = k.shape[0]};
  attend(as_batch(q), as_batch(k), as_batch(v), as_batch(out), {&whole, 1}, options, extras);
}

void attention(InputView<4> q, InputView<4> k, InputView<4> v, OutputView<4> out,
               const AttentionOptions& options, const AttentionExtras& extras) {
  require(k.shape[0] == q.shape[0] && v.shape[0] == q.shape[0],
          "attention: q is a batch of {}, k of {}, v of {}", q.shape[0], k.shape[0], v.shape[0]);
  attend(q, k, v, out, one_segment_each(q, k), options, extras);
}

void attention(InputView<3> q, InputView<3> k, InputView<3> v, OutputView<3> out,
               std::span<const Segment> segments, const AttentionOptions& options,
               const AttentionExtras& extras) {
  attend(as_batch(q), as_batch(k), as_batch(v), as_batch(out), segments, options, extras);
}

}  // namespace regard
