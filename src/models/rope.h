// The forms of stretched RoPE as what RopeTable takes: a base, divisors of the frequencies, an
// amplitude.
#pragma once

#include <memory>

#include "formats/hf_config.h"
#include "models/settings.h"
#include "regard/rope.h"

namespace regard::models {

// What config.json says about layers of a type (see HfConfig::rope); dim: of a head. `context` is
// that of the model. Throws Error(unreadable) for a form that is not known.
//   linear, dynamic, yarn, llama3, longrope (also "su")
// Dynamic NTK (Emozilla 2023) changes nothing up to the context, and regard does not go beyond it.
RopeSettings read_rope(const HfConfig& config, int64_t dim, int64_t context,
                       double default_theta = 10000, std::string_view layer_type = {});

// Null for dim 0. Requires: check(settings) did not throw.
std::shared_ptr<RopeTable> rope_table(const RopeSettings& rope);

}  // namespace regard::models
