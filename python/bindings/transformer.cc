// nn::Transformer and its parameters for Python: the layers that inference runs.
#include "nn/transformer.h"

#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "base/check.h"
#include "tensor.h"

namespace regard::python {
namespace {

namespace nb = nanobind;
using namespace nb::literals;

using Ids = std::vector<int32_t>;
using Lengths = std::vector<int64_t>;

nn::Positions positions_of(std::string_view name) {
  constexpr std::pair<std::string_view, nn::Positions> kNames[] = {
      {"none", nn::Positions::none},
      {"learned", nn::Positions::learned},
      {"sinusoidal", nn::Positions::sinusoidal},
      {"rope", nn::Positions::rope},
      {"alibi", nn::Positions::alibi},
      {"relative", nn::Positions::relative},
      {"buckets", nn::Positions::buckets},
  };
  for (const auto& [known, positions] : kNames) {
    if (name == known) return positions;
  }
  fail(ErrorKind::invalid_argument,
       "Transformer: positions is '{}'; there are none, learned, sinusoidal, rope, alibi, relative "
       "and buckets",
       name);
}

Activation activation_of(std::string_view name) {
  if (name == "silu") return Activation::silu;
  if (name == "gelu_tanh") return Activation::gelu_tanh;
  if (name == "gelu" || name == "gelu_erf") return Activation::gelu_erf;
  require(name == "relu", "Transformer: activation is '{}'; there are silu, gelu, gelu_tanh, relu",
          name);
  return Activation::relu;
}

nn::Norm::Kind norm_of(std::string_view name) {
  if (name == "layer") return nn::Norm::Kind::layer;
  if (name == "rms") return nn::Norm::Kind::rms;
  require(name == "none", "Transformer: norm is '{}'; there are layer, rms and none", name);
  return nn::Norm::Kind::none;
}

// What a pass showed: (layer, site) to its tensor.
class Shown final : public nn::Observer {
 public:
  void see(int64_t layer, nn::Site site, const Tensor& value) override {
    constexpr const char* kNames[] = {"embedding", "query", "key", "value", "attended", "residual"};
    seen[{layer, kNames[static_cast<int>(site)]}] = value;
  }
  std::map<std::pair<int64_t, std::string>, Tensor> seen;
};

struct Network {
  nn::TransformerConfig config;
  nn::Parameters parameters;
  std::optional<nn::Transformer> decoder;  // or an encoder alone
  std::optional<nn::EncoderDecoder> both;
};

std::unique_ptr<Network> make(const nn::TransformerConfig& config, uint64_t seed, double deviation,
                              bool encoder_decoder) {
  auto network = std::make_unique<Network>();
  network->config = config;
  const nn::Maker maker{&network->parameters, {seed}, deviation};
  if (encoder_decoder) {
    network->both = nn::make_encoder_decoder(config, maker);
  } else {
    network->decoder = nn::make_transformer(config, maker);
  }
  return network;
}

const nn::Transformer& only(const Network& network) {
  require(network.decoder.has_value(),
          "Transformer: an encoder-decoder takes a source; call translate()");
  return *network.decoder;
}

// Under the lock of the pool: a plan is made and run.
Tensor hidden(const Network& network, const Ids& ids, const Lengths& lengths,
              std::optional<uint64_t> random, Shown* shown) {
  return on_pool([&] {
    return only(network).hidden(ids, nn::Texts::packed(lengths), {random, shown});
  });
}

Tensor hidden_of(const Network& network, const Tensor& x, const Lengths& lengths,
                 std::optional<uint64_t> random, Shown* shown) {
  return on_pool([&] {
    return only(network).hidden(x, nn::Texts::packed(lengths), {random, shown});
  });
}

Tensor logits(const Network& network, const Tensor& of) {
  return on_pool([&] { return only(network).logits(of); });
}

Tensor translate(const Network& network, const Ids& source, const Lengths& source_lengths,
                 const Ids& target, const Lengths& target_lengths, std::optional<uint64_t> random) {
  require(network.both.has_value(), "translate: this Transformer has no encoder");
  return on_pool([&] {
    return network.both->logits(source, nn::Texts::packed(source_lengths), target,
                                nn::Texts::packed(target_lengths), {random, nullptr});
  });
}

}  // namespace

void bind_transformer(nb::module_& module) {
  using Config = nn::TransformerConfig;
  nb::class_<Config>(module, "TransformerConfig")
      .def(nb::init<>())
      .def_rw("vocabulary", &Config::vocabulary)
      .def_rw("width", &Config::width)
      .def_rw("layers", &Config::layers)
      .def_rw("heads", &Config::heads)
      .def_rw("kv_heads", &Config::kv_heads)
      .def_rw("dim", &Config::dim)
      .def_rw("dim_v", &Config::dim_v)
      .def_rw("inner", &Config::inner)
      .def_rw("context", &Config::context)
      .def_rw("epsilon", &Config::epsilon)
      .def_rw("post_norm", &Config::post_norm)
      .def_rw("gated", &Config::gated)
      .def_rw("bias", &Config::bias)
      .def_rw("causal", &Config::causal)
      .def_rw("window", &Config::window)
      .def_rw("tied", &Config::tied)
      .def_rw("head", &Config::head)
      .def_rw("rope_base", &Config::rope_base)
      .def_rw("buckets", &Config::buckets)
      .def_rw("farthest", &Config::farthest)
      .def_rw("dropout", &Config::dropout)
      .def_rw("attention_dropout", &Config::attention_dropout)
      .def_rw("checkpoint", &Config::checkpoint)
      .def_prop_rw(
          "norm", [](const Config& c) { return static_cast<int>(c.norm); },
          [](Config& c, std::string_view name) { c.norm = norm_of(name); })
      .def_prop_rw(
          "activation", [](const Config& c) { return static_cast<int>(c.activation); },
          [](Config& c, std::string_view name) { c.activation = activation_of(name); })
      .def_prop_rw(
          "positions", [](const Config& c) { return static_cast<int>(c.positions); },
          [](Config& c, std::string_view name) { c.positions = positions_of(name); });
  nb::class_<Shown>(module, "Shown").def(nb::init<>()).def_ro("seen", &Shown::seen);
  nb::class_<Network>(module, "Network", "A Transformer whose leaves training changes.")
      .def(nb::new_(&make), "config"_a, "seed"_a, "deviation"_a, "encoder_decoder"_a)
      .def_prop_ro("parameters",
                   [](const Network& network) {
                     std::vector<std::tuple<std::string, Tensor, bool>> all;
                     for (const nn::Parameter& one : network.parameters) {
                       all.emplace_back(one.name, one.leaf, one.decay);
                     }
                     return all;
                   })
      .def("hidden", &hidden, "ids"_a, "lengths"_a, "random"_a.none(), "shown"_a.none())
      .def("hidden_of", &hidden_of, "x"_a, "lengths"_a, "random"_a.none(), "shown"_a.none())
      .def("logits", &logits, "hidden"_a)
      .def("translate", &translate, "source"_a, "source_lengths"_a, "target"_a, "target_lengths"_a,
           "random"_a.none());
}

}  // namespace regard::python
