// The Llama family from GGUF: Llama 1 to 3, Mistral, SmolLM and SmolLM2, TinyLlama.
// LLaMA: Open and Efficient Foundation Language Models (Touvron et al. 2023), §2.2.
#pragma once

#include "formats/gguf.h"
#include "models/decoder.h"

namespace regard::models {

// Throws Error(unreadable) that names the file, the key or tensor, the rule and the numbers.
Decoder load_llama(const GgufFile& file, ThreadPool& pool);

}  // namespace regard::models
