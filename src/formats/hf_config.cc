#include "formats/hf_config.h"

#include <cmath>
#include <limits>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/printable.h"
#include "formats/mapped_file.h"
#include "json/json.h"

namespace regard {
namespace {

// Larger than any settings with their label lists, far smaller than a model.
constexpr JsonLimits kLimits{
    .bytes = std::size_t{1} << 24, .values = std::size_t{1} << 20, .depth = 32};
constexpr int64_t kMostEntries = int64_t{1} << 16;
constexpr int64_t kMostStops = 256;

std::string_view kind(const nlohmann::json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return "a list";
  if (value.is_string()) return "a text";
  if (value.is_boolean()) return "a bool";
  return value.is_null() ? "null" : "a number";
}

}  // namespace

HfConfig HfConfig::parse(std::string_view config, std::string_view name,
                         std::string_view generation, std::string_view generation_name) {
  HfConfig settings;
  settings.name_ = printable(name, 1024);
  settings.all_ = std::make_shared<const Json>(parse_json(config, name, kLimits));
  settings.object_ = settings.all_.get();
  if (!settings.object_->is_object()) {
    fail(ErrorKind::unreadable, "{}: is {}; a model's settings are an object", settings.name_,
         kind(*settings.object_));
  }
  if (!generation_name.empty()) {
    settings.generation_ = std::make_shared<const HfConfig>(parse(generation, generation_name));
  }
  return settings;
}

HfConfig HfConfig::open(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "config.json";
  const std::filesystem::path second = folder / "generation_config.json";
  const MappedFile file(path);
  std::error_code error;
  if (!std::filesystem::exists(second, error)) return parse(file.text(), path.native());
  const MappedFile generation(second);
  return parse(file.text(), path.native(), generation.text(), second.native());
}

void HfConfig::refuse(std::string_view key, std::string_view rule) const {
  fail(ErrorKind::unreadable, "{}: {}{}: {}", name_, place_, printable(key), rule);
}

const nlohmann::json* HfConfig::find(std::string_view key) const {
  if (object_ == nullptr) return nullptr;
  const auto at = object_->find(key);
  return at == object_->end() || at->is_null() ? nullptr : &*at;
}

bool HfConfig::has(std::string_view key) const { return find(key) != nullptr; }

std::optional<HfConfig> HfConfig::find_object(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr) return {};
  if (!value->is_object()) refuse(key, fmt::format("is {}; it must be an object", kind(*value)));
  HfConfig inner = *this;
  inner.place_ = fmt::format("{}{}.", place_, printable(key));
  inner.object_ = value;
  return inner;
}

HfConfig HfConfig::text() const { return find_object("text_config").value_or(*this); }

HfConfig HfConfig::over(const nlohmann::json& usual) const {
  auto both = std::make_shared<Json>(usual);
  if (object_ != nullptr) both->update(*object_);
  HfConfig filled = *this;
  filled.object_ = both.get();
  filled.all_ = std::move(both);
  return filled;
}

HfConfig HfConfig::generation() const {
  if (generation_ != nullptr) return *generation_;
  HfConfig empty;
  empty.name_ = name_;
  return empty;
}

int64_t HfConfig::whole(std::string_view key, const Json& value, int64_t least,
                        int64_t most) const {
  // 4.0 is 4: some writers have only one kind of number.
  constexpr double kExact = 9007199254740992.0;
  const double number = value.is_number() ? value.get<double>() : 0;
  int64_t result = 0;
  if (value.is_number_unsigned()) {
    const auto unsigned_value = value.get<uint64_t>();
    if (unsigned_value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      refuse(key, fmt::format("is {}; it must be {} to {}", unsigned_value, least, most));
    }
    result = static_cast<int64_t>(unsigned_value);
  } else if (value.is_number_integer()) {
    result = value.get<int64_t>();
  } else if (value.is_number_float() && number == std::floor(number) &&
             std::abs(number) <= kExact) {
    result = static_cast<int64_t>(number);
  } else if (value.is_number()) {
    refuse(key, fmt::format("is {}; it must be a whole number", number));
  } else {
    refuse(key, fmt::format("is {}; it must be a whole number", kind(value)));
  }
  if (result < least || result > most) {
    refuse(key, fmt::format("is {}; it must be {} to {}", result, least, most));
  }
  return result;
}

double HfConfig::number(std::string_view key, const Json& value, double least, double most) const {
  if (!value.is_number()) refuse(key, fmt::format("is {}; it must be a number", kind(value)));
  const auto result = value.get<double>();
  if (!(result >= least && result <= most)) {
    refuse(key, fmt::format("is {}; it must be {} to {}", result, least, most));
  }
  return result;
}

namespace {

template <class T>
T required(const HfConfig& settings, std::string_view key, std::optional<T> found) {
  if (!found) settings.refuse(key, "is missing, and the model cannot be read without it");
  return *std::move(found);
}

}  // namespace

int64_t HfConfig::get_int(std::string_view key, int64_t least, int64_t most) const {
  return required(*this, key, find_int(key, least, most));
}
double HfConfig::get_f64(std::string_view key, double least, double most) const {
  return required(*this, key, find_f64(key, least, most));
}
bool HfConfig::get_bool(std::string_view key) const { return required(*this, key, find_bool(key)); }
std::string HfConfig::get_string(std::string_view key) const {
  return required(*this, key, find_string(key));
}

std::optional<int64_t> HfConfig::find_int(std::string_view key, int64_t least, int64_t most) const {
  const Json* value = find(key);
  return value == nullptr ? std::nullopt : std::optional(whole(key, *value, least, most));
}

std::optional<double> HfConfig::find_f64(std::string_view key, double least, double most) const {
  const Json* value = find(key);
  return value == nullptr ? std::nullopt : std::optional(number(key, *value, least, most));
}

std::optional<bool> HfConfig::find_bool(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr) return {};
  if (!value->is_boolean()) {
    refuse(key, fmt::format("is {}; it must be true or false", kind(*value)));
  }
  return value->get<bool>();
}

std::optional<std::string> HfConfig::find_string(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr) return {};
  if (!value->is_string()) refuse(key, fmt::format("is {}; it must be a text", kind(*value)));
  return value->get<std::string>();
}

namespace {

// The entries of a list, bounded.
const nlohmann::json& list(const HfConfig& settings, std::string_view key,
                           const nlohmann::json& value, int64_t most_entries) {
  if (!value.is_array()) {
    settings.refuse(key, fmt::format("is {}; it must be a list", kind(value)));
  }
  if (value.size() > static_cast<std::size_t>(most_entries)) {
    settings.refuse(
        key, fmt::format("has {} entries; at most {} are allowed", value.size(), most_entries));
  }
  return value;
}

}  // namespace

std::optional<std::vector<std::string>> HfConfig::find_strings(std::string_view key,
                                                               int64_t most_entries) const {
  const Json* value = find(key);
  if (value == nullptr) return {};
  std::vector<std::string> texts;
  for (const Json& entry : list(*this, key, *value, most_entries)) {
    if (!entry.is_string()) {
      refuse(key, fmt::format("entry {} is {}; it must be a text", texts.size(), kind(entry)));
    }
    texts.push_back(entry.get<std::string>());
  }
  return texts;
}

std::optional<std::vector<double>> HfConfig::find_f64s(std::string_view key, double least,
                                                       double most, int64_t most_entries) const {
  const Json* value = find(key);
  if (value == nullptr) return {};
  std::vector<double> numbers;
  for (const Json& entry : list(*this, key, *value, most_entries)) {
    numbers.push_back(number(fmt::format("{}[{}]", key, numbers.size()), entry, least, most));
  }
  return numbers;
}

std::optional<std::vector<int64_t>> HfConfig::find_ints(std::string_view key, int64_t least,
                                                        int64_t most, int64_t most_entries) const {
  const Json* value = find(key);
  if (value == nullptr) return {};
  if (!value->is_array()) return std::vector{whole(key, *value, least, most)};
  std::vector<int64_t> numbers;
  for (const Json& entry : list(*this, key, *value, most_entries)) {
    numbers.push_back(whole(fmt::format("{}[{}]", key, numbers.size()), entry, least, most));
  }
  return numbers;
}

std::optional<std::vector<std::string>> HfConfig::find_layer_strings(std::string_view key,
                                                                     int64_t layers) const {
  auto texts = find_strings(key, kMostEntries);
  if (texts && std::ssize(*texts) != layers) {
    refuse(key, fmt::format("has {} entries; it must have one for each of the {} layers",
                            texts->size(), layers));
  }
  return texts;
}

std::optional<std::vector<int64_t>> HfConfig::find_layer_ints(std::string_view key, int64_t layers,
                                                              int64_t least, int64_t most) const {
  const Json* value = find(key);
  if (value == nullptr) return {};
  if (!value->is_array()) {
    return std::vector<int64_t>(static_cast<std::size_t>(layers), whole(key, *value, least, most));
  }
  auto numbers = find_ints(key, least, most, kMostEntries);
  if (std::ssize(*numbers) != layers) {
    refuse(key, fmt::format("has {} entries; it must have one for each of the {} layers",
                            numbers->size(), layers));
  }
  return numbers;
}

std::optional<std::string> HfConfig::dtype() const {
  auto found = find_string("dtype");
  return found ? found : find_string("torch_dtype");
}

void HfConfig::fill_rope(HfRope& rope) const {
  constexpr double kMost = 1e9;
  constexpr double kLeast = 1e-9;
  if (auto type = find_string("rope_type")) {
    rope.type = *std::move(type);
  } else if (auto old = find_string("type")) {
    rope.type = *std::move(old);
  }
  if (rope.type == "su") rope.type = "longrope";  // its name in the first files
  rope.theta = find_f64("rope_theta", kLeast, 1e15).value_or(rope.theta);
  if (const auto partial = find_f64("partial_rotary_factor", 0, 1)) rope.partial = partial;
  rope.factor = find_f64("factor", kLeast, kMost);
  if (const auto original = find_int("original_max_position_embeddings", 1, INT32_MAX)) {
    rope.original_context = original;
  }
  rope.attention_factor = find_f64("attention_factor", kLeast, kMost);
  rope.beta_fast = find_f64("beta_fast", kLeast, kMost);
  rope.beta_slow = find_f64("beta_slow", kLeast, kMost);
  rope.mscale = find_f64("mscale", 0, kMost);
  rope.mscale_all_dim = find_f64("mscale_all_dim", 0, kMost);
  rope.truncate = find_bool("truncate");
  rope.low_freq = find_f64("low_freq_factor", kLeast, kMost);
  rope.high_freq = find_f64("high_freq_factor", kLeast, kMost);
  const auto factors = [&](std::string_view key) {
    return find_f64s(key, kLeast, kMost, kMostEntries).value_or(std::vector<double>());
  };
  rope.short_factor = factors("short_factor");
  rope.long_factor = factors("long_factor");
}

HfRope HfConfig::rope(double default_theta, std::string_view layer_type) const {
  HfRope rope;
  const bool local = layer_type == "sliding_attention";
  rope.theta =
      find_f64(local ? "rope_local_base_freq" : "rope_theta", 1e-9, 1e15).value_or(default_theta);
  rope.partial = find_f64("partial_rotary_factor", 0, 1);
  rope.original_context = find_int("original_max_position_embeddings", 1, INT32_MAX);
  if (const auto all = find_object("rope_parameters")) {
    const Json* own = layer_type.empty() ? nullptr : all->find(layer_type);
    if (own != nullptr) {
      all->find_object(layer_type)->fill_rope(rope);
    } else if (all->has("full_attention") || all->has("sliding_attention")) {
      all->refuse(layer_type.empty() ? "full_attention" : layer_type,
                  layer_type.empty() ? "the settings differ by layer type, and this family has one"
                                     : "is missing, and layers of this type need it");
    } else {
      all->fill_rope(rope);
    }
  } else if (const auto scaling = find_object("rope_scaling"); scaling && !local) {
    scaling->fill_rope(rope);
  }
  return rope;
}

std::vector<int64_t> HfConfig::eos_ids(int64_t vocabulary) const {
  if (generation_ != nullptr) {
    if (auto ids = generation_->find_ints("eos_token_id", 0, vocabulary - 1, kMostStops)) {
      return *std::move(ids);
    }
  }
  for (const HfConfig& config : {*this, text()}) {
    if (auto ids = config.find_ints("eos_token_id", 0, vocabulary - 1, kMostStops)) {
      return *std::move(ids);
    }
  }
  return {};
}

}  // namespace regard
