// Model: a checkpoint that generates, scores, embeds and shows its numbers. Other threads of Python
// run meanwhile; signals are looked at between steps, so that Ctrl-C ends a long call.
#include "model.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>

#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"
#include "regard/model.h"

namespace regard::python {
namespace {

namespace nb = nanobind;
using namespace nb::literals;

using Ids = std::vector<TokenId>;
using Floats = nb::ndarray<nb::numpy, float>;

// A call in another thread ends at its next step.
struct Interrupt {
  std::atomic<bool> raised{false};
};

DType kv_dtype(std::string_view name) {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16, DType::i8}) {
    if (name == info(dtype).name) return dtype;
  }
  fail(ErrorKind::invalid_argument, "kv is '{}', must be 'f32', 'f16', 'bf16' or 'i8'", name);
}

Pooling pooling_of_name(std::string_view wanted) {
  for (const Pooling one : {Pooling::mean, Pooling::cls, Pooling::last, Pooling::max}) {
    if (wanted == name(one)) return one;
  }
  fail(ErrorKind::invalid_argument, "pooling is '{}', must be 'mean', 'cls', 'last' or 'max'",
       wanted);
}

// Requires: the GIL.
void raise_signals() {
  if (PyErr_CheckSignals() != 0) throw nb::python_error();
}
void check_signals(int64_t, int64_t) {
  const nb::gil_scoped_acquire held;
  raise_signals();
}

RunOptions run_options(std::string_view kv, int64_t chunk, int64_t page) {
  return {.chunk = chunk, .page = page, .kv = kv_dtype(kv), .progress = check_signals};
}

// The numbers stay where they are; the array keeps them alive.
Floats array_of(std::vector<float>&& numbers, std::initializer_list<size_t> shape) {
  auto kept = std::make_unique<std::vector<float>>(std::move(numbers));
  float* const data = kept->data();
  const nb::capsule owner(kept.release(), [](void* vector) noexcept {
    delete static_cast<std::vector<float>*>(vector);
  });
  return Floats(data, shape, owner);
}

std::vector<Generation> generate(const Model& model, const std::vector<Ids>& prompts,
                                 GenerateOptions options, const nb::object& on_text,
                                 const Interrupt* interrupt) {
  const bool told = !on_text.is_none();
  if (interrupt != nullptr) options.run.interrupt = &interrupt->raised;
  const BatchTextSink sink = [&](int64_t sequence, std::string_view piece) {
    const nb::gil_scoped_acquire held;
    raise_signals();
    if (told) on_text(sequence, nb::str(piece.data(), piece.size()));
  };
  const nb::gil_scoped_release released;
  return model.generate(prompts, options, sink);
}

nb::typed<nb::dict, nb::str, nb::any> facts(const Model& model) {
  const ModelFacts& of = model.facts();
  nb::typed<nb::dict, nb::str, nb::any> dict;
  dict["path"] = of.path;
  dict["architecture"] = of.architecture;
  dict["layers"] = of.layers;
  dict["heads"] = of.heads;
  dict["kv_heads"] = of.kv_heads;
  dict["dim"] = of.dim;
  dict["width"] = of.width;
  dict["vocabulary"] = of.vocabulary;
  dict["context"] = of.context;
  dict["weight_bytes"] = of.weight_bytes;
  return dict;
}

std::vector<Score> score(const Model& model, const std::vector<Ids>& texts, int64_t top,
                         std::string_view kv, int64_t chunk, int64_t page) {
  const ScoreOptions options{.top = top, .run = run_options(kv, chunk, page)};
  const nb::gil_scoped_release released;
  return model.score(texts, options);
}

// logits [tokens, vocabulary], hidden states [layers + 1, tokens, width] or None
nb::tuple forward(const Model& model, const Ids& ids, bool hidden_states, std::string_view kv,
                  int64_t chunk, int64_t page) {
  const ForwardOptions options{.hidden_states = hidden_states, .run = run_options(kv, chunk, page)};
  Forward result;
  {
    const nb::gil_scoped_release released;
    result = model.forward(ids, options);
  }
  const auto tokens = static_cast<size_t>(result.tokens);
  Floats logits =
      array_of(std::move(result.logits), {tokens, static_cast<size_t>(result.vocabulary)});
  if (!hidden_states) return nb::make_tuple(std::move(logits), nb::none());
  return nb::make_tuple(std::move(logits), array_of(std::move(result.hidden_states),
                                                    {static_cast<size_t>(result.layers) + 1, tokens,
                                                     static_cast<size_t>(result.width)}));
}

// embeddings [texts, width] and the ids of each text
nb::tuple embed(const Model& model, const std::vector<Ids>& texts,
                const std::optional<std::string>& pooling, std::optional<bool> normalise,
                bool truncate) {
  EmbedOptions options{.normalise = normalise, .truncate = truncate, .progress = check_signals};
  if (pooling) options.pooling = pooling_of_name(*pooling);
  Embeddings result;
  {
    const nb::gil_scoped_release released;
    result = model.embed(texts, options);
  }
  return nb::make_tuple(
      array_of(std::move(result.numbers), {texts.size(), static_cast<size_t>(result.width)}),
      std::move(result.ids));
}

void bind_results(nb::module_& module) {
  nb::class_<Timings>(module, "Timings", "Of one sequence.")
      .def_ro("load_ms", &Timings::load_ms)
      .def_ro("prefill_tokens", &Timings::prefill_tokens)
      .def_ro("prefill_ms", &Timings::prefill_ms)
      .def_ro("decode_tokens", &Timings::decode_tokens)
      .def_ro("decode_ms", &Timings::decode_ms);
  nb::class_<Generation>(module, "Generation", "What a model made of a prompt.")
      .def_ro("prompt_ids", &Generation::prompt_ids)
      .def_ro("ids", &Generation::ids)
      .def_ro("text", &Generation::text)
      .def_prop_ro("finish_reason",
                   [](const Generation& self) { return std::string(name(self.finish_reason)); })
      .def_ro("timings", &Generation::timings);
  nb::class_<Score>(module, "Score", "How likely a text is.")
      .def_ro("token_count", &Score::token_count)
      .def_ro("mean_nll", &Score::mean_nll)
      .def_ro("perplexity", &Score::perplexity)
      .def_ro("bits", &Score::bits)
      .def_ro("top", &Score::top);
}

void bind_options(nb::module_& module) {
  nb::class_<Interrupt>(module, "Interrupt", "Ends a call that runs in another thread.")
      .def(nb::init<>())
      .def("set", [](Interrupt& self) { self.raised = true; });
  nb::class_<GenerateOptions>(module, "GenerateOptions", "All options of one call.")
      .def(
          "__init__",
          [](GenerateOptions* self, int64_t tokens, float temperature, int top_k, float top_p,
             float min_p, uint64_t seed, const std::vector<std::string>& stop, bool ignore_eos,
             std::string_view kv, int64_t chunk, int64_t page) {
            new (self) GenerateOptions{.tokens = tokens,
                                       .sampling = {temperature, top_k, top_p, min_p, seed},
                                       .stop = stop,
                                       .ignore_eos = ignore_eos,
                                       .run = run_options(kv, chunk, page)};
          },
          "tokens"_a, "temperature"_a, "top_k"_a, "top_p"_a, "min_p"_a, "seed"_a, "stop"_a,
          "ignore_eos"_a, "kv"_a, "chunk"_a, "page"_a);
}

}  // namespace

void bind_model(nb::module_& module) {
  bind_results(module);
  bind_options(module);
  nb::class_<Model>(module, "Model", "A model from a file or a folder.")
      .def_static(
          "load",
          [](const std::string& name_or_path, int threads) {
            return Model::load(name_or_path, {.threads = threads});
          },
          "name_or_path"_a, "threads"_a, nb::call_guard<nb::gil_scoped_release>())
      .def_prop_ro("facts", &facts)
      .def_prop_ro("tokenizer", &Model::tokenizer)
      .def(
          "chat_template",
          [](const Model& self, std::string_view which) -> std::optional<ChatTemplate> {
            const ChatTemplate* found = self.chat_template(which);
            return found == nullptr ? std::nullopt : std::optional(*found);
          },
          "name"_a)
      .def(
          "encode", [](const Model& self, std::string_view text) { return self.encode(text); },
          "text"_a)
      .def(
          "encode_chat",
          [](const Model& self, const RenderedChat& chat) { return self.encode(chat); }, "chat"_a)
      .def("generate", &generate, "prompts"_a, "options"_a, "on_text"_a.none(),
           "interrupt"_a.none())
      .def("score", &score, "texts"_a, "top"_a, "kv"_a, "chunk"_a, "page"_a)
      .def("forward", &forward, "ids"_a, "hidden_states"_a, "kv"_a, "chunk"_a, "page"_a)
      .def("embed", &embed, "texts"_a, "pooling"_a.none(), "normalise"_a.none(), "truncate"_a);
}

}  // namespace regard::python
