// From files to a model: the one place that knows both.
#pragma once

#include "base/threads.h"
#include "formats/gguf_tensors.h"
#include "formats/hf_config.h"
#include "models/decoder.h"

namespace regard::families {

// Throw Error(unreadable); for a family that is not known they name those that are.
models::Decoder load(const GgufTensors& file, ThreadPool& pool);
// stored: the folder's safetensors.
models::Decoder load(const HfConfig& config, const TensorSource& stored, ThreadPool& pool);

}  // namespace regard::families
