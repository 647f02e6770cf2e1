// Presets: the sizes of published models, by name, to begin from.
// Radford et al. 2019, table 2; Brown et al. 2020, table 2.1.
#pragma once

#include <cstdint>
#include <string_view>

#include "formats/hf_config.h"
#include "models/settings.h"

namespace regard::models {

// The config.json of "gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl", "gpt3-125m" or "gpt3-175b"
// (whose layers are all dense here).
// Throws Error naming those that are known.
HfConfig preset(std::string_view name);

// How many numbers a decoder of these settings has, without making it; no mixture of experts.
int64_t count_numbers(const Settings& settings);

}  // namespace regard::models
