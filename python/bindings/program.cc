// Expr and captured arrays for python/regard: operations by name, numbers by kind. What a person
// may write (operators, mixed types, torch's functions) is python/regard/_expr.py's affair.
#include "regard/program.h"

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/check.h"
#include "captured.h"
#include "program.h"

namespace regard::python {
namespace {

namespace nb = nanobind;
using namespace nb::literals;

using Unary = Expr (*)(const Expr&);
using Binary = Expr (*)(const Expr&, const Expr&);

// clang-format off
constexpr std::pair<const char*, Unary> kUnary[] = {
    {"neg", [](const Expr& a) { return -a; }},
    {"invert", [](const Expr& a) { return ~a; }},
    {"tanh", [](const Expr& a) { return tanh(a); }},
    {"exp", [](const Expr& a) { return exp(a); }},
    {"log", [](const Expr& a) { return log(a); }},
    {"sigmoid", [](const Expr& a) { return sigmoid(a); }},
    {"sqrt", [](const Expr& a) { return sqrt(a); }},
    {"sin", [](const Expr& a) { return sin(a); }},
    {"cos", [](const Expr& a) { return cos(a); }},
    {"floor", [](const Expr& a) { return floor(a); }},
    {"abs", [](const Expr& a) { return abs(a); }},
    {"to_real", [](const Expr& a) { return to_real(a); }},
    {"to_integer", [](const Expr& a) { return to_integer(a); }},
};
constexpr std::pair<const char*, Binary> kBinary[] = {
    {"add", [](const Expr& a, const Expr& b) { return a + b; }},
    {"sub", [](const Expr& a, const Expr& b) { return a - b; }},
    {"mul", [](const Expr& a, const Expr& b) { return a * b; }},
    {"truediv", [](const Expr& a, const Expr& b) { return a / b; }},
    {"floordiv", [](const Expr& a, const Expr& b) { return floor_div(a, b); }},
    {"mod", [](const Expr& a, const Expr& b) { return mod(a, b); }},
    {"minimum", [](const Expr& a, const Expr& b) { return min(a, b); }},
    {"maximum", [](const Expr& a, const Expr& b) { return max(a, b); }},
    {"lt", [](const Expr& a, const Expr& b) { return a < b; }},
    {"le", [](const Expr& a, const Expr& b) { return a <= b; }},
    {"gt", [](const Expr& a, const Expr& b) { return a > b; }},
    {"ge", [](const Expr& a, const Expr& b) { return a >= b; }},
    {"eq", [](const Expr& a, const Expr& b) { return a == b; }},
    {"ne", [](const Expr& a, const Expr& b) { return a != b; }},
    {"and_", [](const Expr& a, const Expr& b) { return a & b; }},
    {"or_", [](const Expr& a, const Expr& b) { return a | b; }},
    {"xor", [](const Expr& a, const Expr& b) { return a ^ b; }},
    {"lshift", [](const Expr& a, const Expr& b) { return a << b; }},
    {"rshift", [](const Expr& a, const Expr& b) { return a >> b; }},
};
constexpr std::pair<const char*, Expr (*)()> kLeaves[] = {
    {"score", program::score}, {"batch", program::batch}, {"head", program::head},
    {"query", program::query}, {"key", program::key}, {"row", program::row},
    {"sequence", program::sequence}, {"weight", program::weight},
};
// clang-format on

const char* kind_name(const Expr& expr) {
  switch (expr.kind()) {
    case ValueKind::real:
      return "real";
    case ValueKind::integer:
      return "integer";
    case ValueKind::boolean:
      break;
  }
  return "boolean";
}

using Numbers = nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Integers = nb::ndarray<const int64_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Results = nb::ndarray<double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

// The value at each point: scores [n], indices [n, 6] (batch, head, i, j, row,
// sequence), values [n].
void evaluate_points(const Expr& expr, const Numbers& scores, const Integers& indices,
                     const Results& values) {
  require(indices.shape(0) == scores.shape(0) && indices.shape(1) == 6 &&
              values.shape(0) == scores.shape(0),
          "evaluate: {} scores, {} x {} indices, {} values", scores.shape(0), indices.shape(0),
          indices.shape(1), values.shape(0));
  Evaluator evaluator(expr);
  for (std::size_t n = 0; n < scores.shape(0); ++n) {
    const int64_t* at = indices.data() + 6 * n;
    values.data()[n] = evaluator({scores.data()[n], at[0], at[1], at[2], at[3], at[4], at[5]});
  }
}

// [lo, hi] of an integer expression where batch, head, i, j, row and sequence lie in the given
// spans (inclusive, in this order).
std::tuple<double, double> integer_bounds(const Expr& expr,
                                          const std::vector<std::tuple<int64_t, int64_t>>& spans) {
  require(spans.size() == 6, "bounds: {} spans, must be 6", spans.size());
  const auto span = [&](int i) { return Span{std::get<0>(spans[i]), std::get<1>(spans[i])}; };
  const Interval all = bound(expr, {.batch = span(0),
                                    .head = span(1),
                                    .i = span(2),
                                    .j = span(3),
                                    .row = span(4),
                                    .sequence = span(5)});
  return {all.lo, all.hi};
}

void bind_masks(nb::module_& m) {
  using namespace program;
  m.def("causal_mask", &causal_mask);
  m.def("window", &window, "left"_a, "right"_a);
  m.def("prefix", &prefix, "n"_a);
  m.def(
      "documents", [](const Captured& ids) { return documents(ids.array()); }, "ids"_a);
  m.def(
      "lengths", [](const Captured& keys) { return lengths(keys.array()); }, "keys"_a);
  m.def(
      "left_padding", [](const Captured& pads) { return left_padding(pads.array()); }, "pads"_a);
  m.def(
      "allowed", [](const Captured& mask) { return allowed(mask.array()); }, "mask"_a);
  m.def(
      "block_sparse",
      [](const Captured& blocks, int block_q, int block_k) {
        return block_sparse(blocks.array(), block_q, block_k);
      },
      "blocks"_a, "block_q"_a, "block_k"_a);
  m.def(
      "tree_bits",
      [](const Captured& bits, const Expr& first) { return tree_bits(bits.array(), first); },
      "bits"_a, "first"_a);
  m.def("chunk", &chunk, "n"_a);
  m.def("dilated", &dilated, "step"_a);
  m.def("natten", &natten, "length"_a, "kernel"_a, "dilation"_a);
  m.def("natten_2d", &natten_2d, "height"_a, "width"_a, "kernel_y"_a, "kernel_x"_a, "dilation"_a);
}

void bind_scores(nb::module_& m) {
  using namespace program;
  m.def(
      "alibi", [](const Captured& slopes, const Expr& s) { return alibi(slopes.array(), s); },
      "slopes"_a, "s"_a);
  m.def("alibi_slopes", &alibi_slopes, "heads"_a);
  m.def(
      "t5_bias",
      [](const Captured& table, int buckets, int max_distance, bool bidirectional, const Expr& s) {
        return t5_bias(table.array(), buckets, max_distance, bidirectional, s);
      },
      "table"_a, "buckets"_a, "max_distance"_a, "bidirectional"_a, "s"_a);
  m.def("t5_buckets", &t5_buckets, "buckets"_a, "max_distance"_a, "bidirectional"_a);
  m.def(
      "relative_position",
      [](const Captured& table, const Expr& s) { return relative_position(table.array(), s); },
      "table"_a, "s"_a);
  m.def("uniform", &uniform, "seed"_a);
  m.def("gumbel_noise", &gumbel_noise, "seed"_a);
  m.def("softcap", &softcap, "cap"_a, "s"_a);
  m.def(
      "additive_bias",
      [](const Captured& bias, const Expr& s) { return additive_bias(bias.array(), s); }, "bias"_a,
      "s"_a);
}

}  // namespace

void bind_program(nb::module_& module) {
  auto expr = nb::class_<Expr>(module, "Expr", "An expression as the library holds it.");
  expr.def(nb::init<>(), "No expression.")
      .def("__str__", [](const Expr& e) { return e.empty() ? "" : to_string(e); })
      .def_prop_ro("empty", &Expr::empty)
      .def_prop_ro("kind", &kind_name, "real, integer or boolean")
      .def_static(
          "real", [](double value) { return Expr(value); }, "value"_a)
      .def_static(
          "integer", [](int64_t value) { return Expr(value); }, "value"_a)
      .def_static(
          "boolean", [](bool value) { return Expr(value); }, "value"_a)
      .def_static(
          "where", [](const Expr& c, const Expr& a, const Expr& b) { return where(c, a, b); },
          "condition"_a, "yes"_a, "no"_a);
  for (const auto& [name, function] : kUnary) expr.def_static(name, function, "a"_a);
  for (const auto& [name, function] : kBinary) expr.def_static(name, function, "a"_a, "b"_a);
  for (const auto& [name, leaf] : kLeaves) expr.def_static(name, leaf);

  nb::class_<Captured>(module, "Captured", "A captured array: borrowed, kept alive, never copied.")
      .def(nb::init<nb::handle, std::string, bool>(), "source"_a, "name"_a, "differentiable"_a)
      .def_prop_ro("name", [](const Captured& c) { return c.array().name(); })
      .def_prop_ro("shape", &Captured::shape)
      .def_prop_ro("differentiable", [](const Captured& c) { return c.array().differentiable(); })
      .def(
          "gather",
          [](const Captured& c, const std::vector<Expr>& index) { return c.array().gather(index); },
          "index"_a);

  module.def("evaluate", &evaluate_points, "expr"_a, "scores"_a, "indices"_a, "values"_a,
             "Fills values with those of expr at each point.");
  module.def(
      "derivative", [](const Expr& e) { return derivative(e); }, "expr"_a);
  module.def("bounds", &integer_bounds, "expr"_a, "spans"_a,
             "Smallest and largest value over spans of (batch, head, i, j, row, sequence).");
  bind_masks(module);
  bind_scores(module);
}

}  // namespace regard::python
