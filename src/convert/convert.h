// convert(): a folder of transformers to one GGUF file. Tensors and settings go through the tables
// that loading goes through, so the file is the same model: to the bit, where numbers keep their
// type.
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
  // Of matrices: f32, f16, bf16, q8_0, q4_0, q4_1; nothing: as they are stored. Norms, biases and
  // the few matrices that llama.cpp keeps so are f32.
  std::optional<DType> dtype;
  const std::atomic<bool>* interrupt = nullptr;  // once true, conversion stops with Error(failed)
  std::function<void(uint64_t done, uint64_t all)> progress = {};  // bytes of tensors
};

struct Converted {
  std::string architecture;
  int64_t tensors = 0;
  uint64_t bytes = 0;                 // of the file
  std::vector<std::string> kept_f16;  // rows that are no whole blocks: f16 instead of dtype
};

// in: a folder, or the .safetensors file in it. out appears whole or not at all.
// Throws Error: unreadable for what is wrong with the model, invalid_argument for a dtype that
// cannot be written or numbers that it cannot hold, failed for a file that cannot be written.
Converted convert(const std::filesystem::path& in, const std::filesystem::path& out,
                  const ConvertOptions& options = {});

}  // namespace regard
