// A GGUF as a folder of transformers, by the families' tables read the other way.
#pragma once

#include <filesystem>

#include "convert/convert.h"

namespace regard {

// See convert(); dtype: f32, f16 or bf16. Nothing: quantised matrices become f32, which holds what
// their blocks say exactly.
Converted convert_to_folder(const std::filesystem::path& in, const std::filesystem::path& out,
                            const ConvertOptions& options);

}  // namespace regard
