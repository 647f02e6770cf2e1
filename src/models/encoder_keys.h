// The GGUF keys of encoders and encoder-decoders; gguf_keys.h has those that all families share.
#pragma once

#include <vector>

#include "models/gguf_keys.h"

namespace regard::models {

// Where the family's form has an encoder. Throws Error(unreadable) naming file, key and rule.
void read_encoder_keys(const GgufFile& file, const TensorSource& tensors, Settings& settings);

void write_encoder_keys(const Settings& settings, std::vector<GgufKey>& keys);

}  // namespace regard::models
