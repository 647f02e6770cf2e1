// linear_attention() and linear_attention_backward() on arrays from Python, without the
// interpreter's lock.
#include "linear_attention.h"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "arrays.h"
#include "base/check.h"
#include "regard/linear_attention.h"

namespace regard::python {
namespace {

using namespace nb::literals;

OutputView<4> all_axes(const Borrowed* array) {
  if (array == nullptr) return {};
  require(!array->holds_int32(), "{}: {} holds int32, must hold float32, float16 or bfloat16",
          array->call(), array->name());
  return array->view();
}
// An array without an axis d: [batch, tokens, heads] for beta, [sequences, kv_heads, dim] for sums.
OutputView<3> three_axes(const Borrowed* array) {
  if (array == nullptr) return {};
  const OutputView<4> x = all_axes(array);
  return {x.data,
          x.dtype,
          {x.shape[0], x.shape[1], x.shape[2]},
          {x.strides[0], x.strides[1], x.strides[2]}};
}

LinearAttentionOptions options_of(const std::string& rule, const std::string& features,
                                  bool normalise, bool causal, std::optional<float> scale,
                                  int threads, const std::string& call) {
  const auto find = [&](const char* what, const std::string& word, auto words) {
    std::string all;
    for (const auto& [name, value] : words) {
      if (word == name) return value;
      all += (all.empty() ? "'" : ", '") + std::string(name) + "'";
    }
    fail(ErrorKind::invalid_argument, "{}: {} is '{}', must be one of {}", call, what, word, all);
  };
  LinearAttentionOptions options;
  options.rule = find("rule", rule,
                      std::to_array<std::pair<const char*, UpdateRule>>(
                          {{"linear", UpdateRule::linear},
                           {"gated", UpdateRule::gated},
                           {"delta", UpdateRule::delta},
                           {"gated_delta", UpdateRule::gated_delta}}));
  options.features =
      find("features", features,
           std::to_array<std::pair<const char*, FeatureMap>>({{"identity", FeatureMap::identity},
                                                              {"elu", FeatureMap::elu},
                                                              {"relu", FeatureMap::relu},
                                                              {"exp", FeatureMap::exp}}));
  options.normalise = normalise;
  options.causal = causal;
  options.scale = scale;
  options.threads = threads;
  return options;
}

using Offsets = std::optional<std::vector<int64_t>>;

LinearAttentionInputs inputs_of(const Borrowed& q, const Borrowed& k, const Borrowed& v,
                                const Borrowed* decay, const Borrowed* beta, const Borrowed* state,
                                const Borrowed* key_sum, const Offsets& offsets,
                                const Offsets& key_offsets) {
  LinearAttentionInputs in;
  in.q = all_axes(&q);
  in.k = all_axes(&k);
  in.v = all_axes(&v);
  in.decay = all_axes(decay);
  in.beta = three_axes(beta);
  in.state = all_axes(state);
  in.key_sum = three_axes(key_sum);
  if (offsets) in.offsets = *offsets;
  if (key_offsets) in.key_offsets = *key_offsets;
  return in;
}

void forward(const Borrowed& q, const Borrowed& k, const Borrowed& v, const Borrowed* decay,
             const Borrowed* beta, const Borrowed* state, const Borrowed* key_sum,
             const Offsets& offsets, const Offsets& key_offsets, const std::string& rule,
             const std::string& features, bool normalise, bool causal, std::optional<float> scale,
             int threads, const Borrowed& out, const Borrowed* state_out,
             const Borrowed* key_sum_out) {
  const LinearAttentionOptions options =
      options_of(rule, features, normalise, causal, scale, threads, q.call());
  linear_attention(inputs_of(q, k, v, decay, beta, state, key_sum, offsets, key_offsets),
                   {all_axes(&out), all_axes(state_out), three_axes(key_sum_out)}, options);
}

void backward(const Borrowed& q, const Borrowed& k, const Borrowed& v, const Borrowed* decay,
              const Borrowed* beta, const Borrowed* state, const Borrowed* key_sum,
              const Offsets& offsets, const Offsets& key_offsets, const std::string& rule,
              const std::string& features, bool normalise, bool causal, std::optional<float> scale,
              int threads, const Borrowed& dout, const Borrowed* out, const Borrowed* dstate,
              const Borrowed* dkey_sum, const Borrowed& dq, const Borrowed& dk, const Borrowed& dv,
              const Borrowed* ddecay, const Borrowed* dbeta, const Borrowed* dstate_in,
              const Borrowed* dkey_sum_in) {
  const LinearAttentionOptions options =
      options_of(rule, features, normalise, causal, scale, threads, q.call());
  linear_attention_backward(
      inputs_of(q, k, v, decay, beta, state, key_sum, offsets, key_offsets),
      {all_axes(&dout), all_axes(out), all_axes(dstate), three_axes(dkey_sum)},
      {all_axes(&dq), all_axes(&dk), all_axes(&dv), all_axes(ddecay), three_axes(dbeta),
       all_axes(dstate_in), three_axes(dkey_sum_in)},
      options);
}

}  // namespace

void bind_linear_attention(nb::module_& module) {
  module.def("linear_attention", &forward, "q"_a, "k"_a, "v"_a, "decay"_a.none(), "beta"_a.none(),
             "state"_a.none(), "key_sum"_a.none(), "offsets"_a.none(), "key_offsets"_a.none(),
             "rule"_a, "features"_a, "normalise"_a, "causal"_a, "scale"_a.none(), "threads"_a,
             "out"_a, "state_out"_a.none(), "key_sum_out"_a.none(),
             nb::call_guard<nb::gil_scoped_release>(), "Fills the outputs that there are.");
  module.def("linear_attention_backward", &backward, "q"_a, "k"_a, "v"_a, "decay"_a.none(),
             "beta"_a.none(), "state"_a.none(), "key_sum"_a.none(), "offsets"_a.none(),
             "key_offsets"_a.none(), "rule"_a, "features"_a, "normalise"_a, "causal"_a,
             "scale"_a.none(), "threads"_a, "dout"_a, "out"_a.none(), "dstate"_a.none(),
             "dkey_sum"_a.none(), "dq"_a, "dk"_a, "dv"_a, "ddecay"_a.none(), "dbeta"_a.none(),
             "dstate_in"_a.none(), "dkey_sum_in"_a.none(), nb::call_guard<nb::gil_scoped_release>(),
             "Fills the gradients that there are.");
}

}  // namespace regard::python
