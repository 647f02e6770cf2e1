// What families write alike in config.json, in the form of transformers 5.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "models/family.h"
#include "models/settings.h"

namespace regard::families {

// A number that is read back as this float, with no more digits than that takes.
double decimal(float number);
nlohmann::json whole(double number);  // 8 instead of 8.0

std::string activation_name(Activation activation);

// What read_common() reads.
void write_common(const models::Settings& settings, nlohmann::json& config);

// sliding_window of all layers; or with the list that says which of them have it.
void write_window(const models::Settings& settings, nlohmann::json& config);
void write_windows(const models::Settings& settings, nlohmann::json& config);

// Factors of frequencies that no form tells from its own numbers are written as LongRoPE's, for
// near and far alike.
nlohmann::json rope_parameters(const models::RopeSettings& rope, const models::Settings& settings);

}  // namespace regard::families
