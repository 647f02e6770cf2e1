// What sentence-transformers keeps beside a model: how a text's states become its embedding.
#pragma once

#include <filesystem>

#include "models/settings.h"

namespace regard::families {

// folder/modules.json and the Pooling module's own config.json; without them settings stay as they
// are. Throws Error(unreadable) for modules and poolings that are not supported.
void read_pooling(const std::filesystem::path& folder, models::EncoderSettings& settings);

}  // namespace regard::families
