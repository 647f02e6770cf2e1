// write_safetensors(): tensors to one safetensors file, which appears whole or not at all.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>

#include "writers/tensor_to_write.h"

namespace regard {

// f64, f32, f16 and bf16. The file has the tensors in the order of their sizes of numbers, largest
// first, then as given: so each is aligned to its numbers. The header fills whole 8 bytes.
// Throws Error(invalid_argument) for other types and repeated names, Error(failed) naming the path
// and the system's reason; what lay there stays then.
void write_safetensors(const std::filesystem::path& path, std::span<const TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata = {},
                       const std::function<void(uint64_t done, uint64_t all)>& progress = {});

}  // namespace regard
