// From a file to a model: the one place that knows which architectures there are.
#pragma once

#include "base/threads.h"
#include "formats/gguf.h"
#include "models/decoder.h"

namespace regard::models {

// Throws Error(unreadable); for an unknown architecture it names those that are supported.
Decoder load(const GgufFile& file, ThreadPool& pool);

}  // namespace regard::models
