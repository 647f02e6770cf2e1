// convert(): a folder of transformers to one GGUF file, and a GGUF to such a folder. Tensors and
// settings go through the tables that loading goes through, so what is written is the same model:
// to the bit, where numbers keep their type.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "regard/dtype.h"

namespace regard {

struct ConvertOptions {
  // Of matrices: f32, f16, bf16 and, in GGUF, q8_0, q4_0, q4_1; nothing: as they are stored, or f32
  // in a folder, which has no blocks. Norms, biases and
  // the few matrices that llama.cpp keeps so are f32.
  std::optional<DType> dtype;
  const std::atomic<bool>* interrupt = nullptr;  // once true, conversion stops with Error(failed)
  std::function<void(uint64_t done, uint64_t all)> progress = {};  // bytes of tensors
};

struct Converted {
  std::string architecture;
  int64_t tensors = 0;
  uint64_t bytes = 0;                 // of the file, in a folder of model.safetensors
  std::vector<std::string> kept_f16;  // rows that are no whole blocks: f16 instead of dtype
  bool tokenizer = true;              // false: a folder without, for GGUF had it in another form
};

// in: a folder, or the .safetensors file in it; or a .gguf (any part of a split one), of which out
// becomes a folder. out appears whole or not at all; a folder is never written over.
// Throws Error: unreadable for what is wrong with the model, invalid_argument for a dtype that
// cannot be written or numbers that it cannot hold, failed for what cannot be written.
Converted convert(const std::filesystem::path& in, const std::filesystem::path& out,
                  const ConvertOptions& options = {});

}  // namespace regard
