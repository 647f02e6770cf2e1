// From settings and tensors to layers: the one place where a decoder is put together.
#pragma once

#include "models/decoder.h"
#include "models/settings.h"
#include "models/weights.h"

namespace regard::models {

// Throws Error(unreadable) that names the file, the tensor, the rule and the numbers.
Decoder build_decoder(const Settings& settings, const Weights& weights);

// Mask, score program and scale of the layers with a window, or of the others.
AttentionOptions attention_options(const Settings& settings, bool local);

}  // namespace regard::models
