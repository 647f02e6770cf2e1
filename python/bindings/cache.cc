// KvCache, RopeTable and AttentionPlan, whose callers in python/regard give arrays and defaults.
#include "cache.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "arrays.h"
#include "base/check.h"
#include "regard/attention_plan.h"
#include "regard/kv_cache.h"
#include "regard/rope.h"
#include "segments.h"

namespace regard::python {
namespace {

using namespace nb::literals;

DType dtype_of_name(std::string_view name) {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16, DType::i8}) {
    if (name == info(dtype).name) return dtype;
  }
  fail(ErrorKind::invalid_argument,
       "KvCache: the dtype is '{}', must be 'f32', 'f16', 'bf16' or 'i8'", name);
}

RopeLayout layout_of_name(std::string_view name) {
  if (name == "halves") return RopeLayout::halves;
  require(name == "pairs", "rope: layout is '{}', must be 'halves' or 'pairs'", name);
  return RopeLayout::pairs;
}

// [tokens, heads, dim] of float32.
View<float, 3> floats(const Borrowed& array) {
  if (array.dtype() != "float32") {
    refuse_type("{}: {} is {}, must be float32", array.call(), array.name(), array.dtype());
  }
  return array.as<float>()[0];
}
View<float, 2> sums(const Borrowed* array) {
  if (array == nullptr) return {};
  const View<float, 3> a = floats(*array);
  return {a.data, {a.shape[0], a.shape[1]}, {a.strides[0], a.strides[1]}};
}
InputView<3> input(const Borrowed& array) {
  const InputView<4> a = array.view();
  return {a.data,
          a.dtype,
          {a.shape[1], a.shape[2], a.shape[3]},
          {a.strides[1], a.strides[2], a.strides[3]}};
}
OutputView<3> output(const Borrowed& array) {
  const InputView<3> a = input(array);
  return {const_cast<void*>(a.data), a.dtype, a.shape, a.strides};
}

void append(KvCache& cache, int64_t layer, const std::vector<OwnedSegment>& segments,
            const Borrowed& k, const Borrowed& v, const RopeTable* table, std::string_view layout,
            const std::vector<int32_t>& positions, int threads) {
  cache.append(layer, look_at(segments), floats(k), floats(v),
               {table, layout_of_name(layout), positions}, threads);
}

// A plan and the block tables that it reads when it runs.
class Plan {
 public:
  Plan(const AttentionShape& shape, std::vector<OwnedSegment> segments,
       const AttentionOptions& options)
      : segments_(std::move(segments)), plan_(shape, look_at(segments_), options) {}

  void replan(std::vector<OwnedSegment> segments, int64_t shared_keys) {
    plan_.replan(look_at(segments), shared_keys);
    segments_ = std::move(segments);  // the tables themselves stay where they are
  }
  void run_cache(const KvCache& cache, int64_t layer, const Borrowed& q, const Borrowed& out,
                 const Borrowed* lse) {
    check_apart(out, q);
    plan_.run(cache, layer, input(q), output(out), sums(lse));
  }
  void run(const Borrowed& q, const Borrowed& k, const Borrowed& v, const Borrowed& out,
           const Borrowed* lse) {
    for (const Borrowed* array : {&q, &k, &v}) check_apart(out, *array);
    plan_.run(input(q), input(k), input(v), output(out), sums(lse));
  }
  int64_t workspace_bytes() const { return plan_.workspace_bytes(); }
  std::string explain() const { return plan_.explain(); }

 private:
  std::vector<OwnedSegment> segments_;
  AttentionPlan plan_;
};

using Released = nb::call_guard<nb::gil_scoped_release>;

void bind_rope(nb::module_& module) {
  nb::class_<RopeTable>(module, "RopeTable", "Cosines and sines of rotary positions.")
      .def(
          "__init__",
          [](RopeTable* self, int64_t dim, double base, const std::vector<float>& factors,
             double scale) { new (self) RopeTable(dim, base, factors, scale); },
          "dim"_a, "base"_a, "factors"_a, "scale"_a)
      .def("reserve", &RopeTable::reserve, "positions"_a)
      .def_prop_ro("dim", &RopeTable::dim)
      .def_prop_ro("positions", &RopeTable::positions);
  module.def(
      "rope",
      [](const Borrowed& x, const RopeTable& table, const std::vector<int32_t>& positions,
         std::string_view layout) { rope(floats(x), table, positions, layout_of_name(layout)); },
      "x"_a, "table"_a, "positions"_a, "layout"_a, Released(), "Rotates x in place.");
}

}  // namespace

void bind_cache(nb::module_& module) {
  bind_rope(module);
  nb::class_<KvCache>(module, "KvCache", "Keys and values in pages.")
      .def(
          "__init__",
          [](KvCache* self, int64_t layers, int64_t pages, int64_t page_keys, int64_t kv_heads,
             int64_t dim, int64_t dim_v, std::string_view k_dtype, std::string_view v_dtype) {
            new (self) KvCache({layers, pages, page_keys, kv_heads, dim, dim_v,
                                dtype_of_name(k_dtype), dtype_of_name(v_dtype)});
          },
          "layers"_a, "pages"_a, "page_keys"_a, "kv_heads"_a, "dim"_a, "dim_v"_a, "k_dtype"_a,
          "v_dtype"_a)
      .def_prop_ro("bytes", &KvCache::bytes)
      .def_prop_ro("page_bytes", &KvCache::page_bytes)
      .def("append", &append, "layer"_a, "segments"_a, "k"_a, "v"_a, "table"_a.none(), "layout"_a,
           "positions"_a, "threads"_a, Released())
      .def(
          "read",
          [](const KvCache& cache, int64_t layer, const std::vector<int32_t>& block_table,
             int64_t first_key, const Borrowed& k, const Borrowed& v) {
            cache.read(layer, block_table, first_key, floats(k), floats(v));
          },
          "layer"_a, "block_table"_a, "first_key"_a, "k"_a, "v"_a, Released());

  nb::class_<Plan>(module, "Plan", "One ragged batch, planned.")
      .def(
          "__init__",
          [](Plan* self, int64_t heads, int64_t kv_heads, int64_t dim, int64_t dim_v,
             std::vector<OwnedSegment> segments, const AttentionOptions& options) {
            new (self) Plan({heads, kv_heads, dim, dim_v}, std::move(segments), options);
          },
          "heads"_a, "kv_heads"_a, "dim"_a, "dim_v"_a, "segments"_a, "options"_a)
      .def("replan", &Plan::replan, "segments"_a, "shared_keys"_a)
      .def("run", &Plan::run, "q"_a, "k"_a, "v"_a, "out"_a, "lse"_a.none(), Released())
      .def("run_cache", &Plan::run_cache, "cache"_a, "layer"_a, "q"_a, "out"_a, "lse"_a.none(),
           Released())
      .def_prop_ro("workspace_bytes", &Plan::workspace_bytes)
      .def("explain", &Plan::explain);
}

}  // namespace regard::python
