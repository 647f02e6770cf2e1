// What the configurations of many families share.
#pragma once

#include <string_view>
#include <vector>

#include "formats/hf_config.h"
#include "models/family.h"
#include "models/settings.h"

namespace regard::families {

using models::Family;
using models::Settings;
using models::TensorRule;
using models::Transform;

// Sizes, norm, activation and RoPE by the names that most configurations use.
// default_theta: the base where the file names none; layer_type: of which layers, where it differs.
void read_common(const HfConfig& config, Settings& settings, double default_theta = 10000,
                 std::string_view layer_type = {});

// "silu", "gelu_new", ...; refuses what is not known.
Activation read_activation(const HfConfig& config, std::string_view key, std::string_view usual);

// layer_types and sliding_window; usual(layer) says which layers have the window without the list.
void read_windows(const HfConfig& config, Settings& settings,
                  const std::vector<bool>& usual_pattern);

// Refuses a value of `key` other than `wanted`, or any at all.
void only(const HfConfig& config, std::string_view key, bool wanted);
void never(const HfConfig& config, std::string_view key);

// Llama's names with Transform `query` and `key` for Q and K; head_norms: those of Qwen3 and
// Gemma 3.
std::vector<TensorRule> llama_rules(Transform query = Transform::as_is,
                                    Transform key = Transform::as_is);
std::vector<TensorRule> operator+(std::vector<TensorRule> rules,
                                  const std::vector<TensorRule>& more);

}  // namespace regard::families
