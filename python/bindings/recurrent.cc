// Recurrent layers and sequence to sequence for Python.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "base/check.h"
#include "seq2seq/seq2seq.h"
#include "tensor.h"

namespace regard::python {
namespace {

namespace nb = nanobind;
using namespace nb::literals;
using seq2seq::Seq2Seq;

using Sequences = std::vector<std::vector<int32_t>>;

Cell cell_of(std::string_view name) {
  constexpr std::pair<std::string_view, Cell> kNames[] = {
      {"tanh", Cell::rnn_tanh}, {"relu", Cell::rnn_relu}, {"gru", Cell::gru}, {"lstm", Cell::lstm}};
  for (const auto& [known, cell] : kNames) {
    if (name == known) return cell;
  }
  fail(ErrorKind::invalid_argument, "recurrent: cell is '{}'; there are tanh, relu, gru and lstm",
       name);
}

Tensor or_empty(const std::optional<Tensor>& x) { return x ? *x : Tensor(); }
std::optional<Tensor> or_none(const Tensor& x) { return x ? std::optional(x) : std::nullopt; }

std::tuple<Tensor, Tensor, std::optional<Tensor>> recurrence(
    std::string_view cell, const Tensor& x, const Tensor& weight_ih, const Tensor& weight_hh,
    const std::optional<Tensor>& bias_ih, const std::optional<Tensor>& bias_hh,
    const std::optional<Tensor>& h, const std::optional<Tensor>& c,
    const std::vector<int64_t>& lengths, bool reverse) {
  return on_pool([&] {
    Recurrence made =
        recur(cell_of(cell), x, {weight_ih, weight_hh, or_empty(bias_ih), or_empty(bias_hh)},
              {or_empty(h), or_empty(c)}, {.lengths = lengths, .reverse = reverse});
    return std::tuple(std::move(made.steps), std::move(made.last.h), or_none(made.last.c));
  });
}

struct Translator {
  nn::Parameters parameters;
  std::optional<Seq2Seq> model;
};

seq2seq::Context context_of(std::string_view name) {
  using seq2seq::Context;
  if (name == "init") return Context::init;
  if (name == "every_step") return Context::every_step;
  if (name == "bahdanau") return Context::bahdanau;
  require(name == "luong",
          "Seq2Seq: context is '{}'; there are init, every_step, bahdanau and luong", name);
  return Context::luong;
}

seq2seq::LuongScore score_of(std::string_view name) {
  using seq2seq::LuongScore;
  if (name == "dot") return LuongScore::dot;
  if (name == "general") return LuongScore::general;
  require(name == "concat", "Seq2Seq: score is '{}'; there are dot, general and concat", name);
  return LuongScore::concat;
}

seq2seq::Query query_of(std::string_view name) {
  if (name == "previous_state") return seq2seq::Query::previous_state;
  require(name == "state", "Seq2Seq: query is '{}'; there are previous_state and state", name);
  return seq2seq::Query::state;
}

std::unique_ptr<Translator> make(int64_t source_vocabulary, int64_t target_vocabulary,
                                 int64_t width, int64_t hidden, int64_t units,
                                 std::string_view cell, bool bidirectional,
                                 std::string_view context, std::string_view query,
                                 std::string_view score, int32_t start, int32_t stop,
                                 uint64_t seed) {
  auto made = std::make_unique<Translator>();
  const seq2seq::Config config{.source_vocabulary = source_vocabulary,
                               .target_vocabulary = target_vocabulary,
                               .width = width,
                               .hidden = hidden,
                               .units = units,
                               .cell = cell_of(cell),
                               .bidirectional = bidirectional,
                               .context = context_of(context),
                               .query = query_of(query),
                               .score = score_of(score),
                               .start = start,
                               .stop = stop};
  made->model.emplace(config, nn::Maker{&made->parameters, {seed}});
  return made;
}

}  // namespace

void bind_recurrent(nb::module_& module) {
  module.def("recur", &recurrence, "cell"_a, "x"_a, "weight_ih"_a, "weight_hh"_a,
             "bias_ih"_a.none(), "bias_hh"_a.none(), "h"_a.none(), "c"_a.none(), "lengths"_a,
             "reverse"_a);
  nb::class_<Translator>(module, "Seq2Seq", "Recurrent encoder and decoder.")
      .def(nb::new_(&make), "source_vocabulary"_a, "target_vocabulary"_a, "width"_a, "hidden"_a,
           "units"_a, "cell"_a, "bidirectional"_a, "context"_a, "query"_a, "score"_a, "start"_a,
           "stop"_a, "seed"_a)
      .def_prop_ro("parameters",
                   [](const Translator& self) {
                     std::vector<std::tuple<std::string, Tensor, bool>> all;
                     for (const nn::Parameter& one : self.parameters) {
                       all.emplace_back(one.name, one.leaf, one.decay);
                     }
                     return all;
                   })
      .def(
          "teach",
          [](const Translator& self, const Sequences& source, const Sequences& target) {
            return on_pool([&] {
              seq2seq::Taught made = (*self.model)(seq2seq::pad(source), seq2seq::pad(target));
              return std::tuple(std::move(made.loss), std::move(made.logits),
                                or_none(made.weights));
            });
          },
          "source"_a, "target"_a)
      .def(
          "greedy",
          [](const Translator& self, const Sequences& source, int64_t longest) {
            return on_pool([&] {
              std::vector<std::tuple<std::vector<int32_t>, std::vector<std::vector<float>>, bool>>
                  all;
              for (seq2seq::Written& one : self.model->greedy(seq2seq::pad(source), longest)) {
                all.emplace_back(std::move(one.ids), std::move(one.weights), one.stopped);
              }
              return all;
            });
          },
          "source"_a, "longest"_a);
}

}  // namespace regard::python
