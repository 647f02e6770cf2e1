#include "parts/part.h"

#include <utility>

#include "subwords/vocabulary.h"
#include "unicode/utf8.h"

namespace regard::parts {

using nlohmann::json;

std::optional<Part> Part::find(std::string_view key) const {
  if (!value_->is_object()) refuse("is {}, not an object", value_->type_name());
  const auto found = value_->find(key);
  if (found == value_->end() || found->is_null()) return std::nullopt;
  return Part(*found, path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key));
}

Part Part::get(std::string_view key) const {
  auto part = find(key);
  if (!part) refuse("has no {}", key);
  return *std::move(part);
}

const std::string& Part::string() const {
  if (!value_->is_string()) refuse("is {}, not a string", value_->type_name());
  return value_->get_ref<const std::string&>();
}

bool Part::boolean() const {
  if (!value_->is_boolean()) refuse("is {}, not true or false", value_->type_name());
  return value_->get<bool>();
}

int64_t Part::integer(int64_t least, int64_t most) const {
  if (!value_->is_number_integer()) refuse("is {}, not a whole number", value_->type_name());
  if (value_->is_number_unsigned() && value_->get<uint64_t>() > static_cast<uint64_t>(INT64_MAX))
    refuse("is {}, not from {} to {}", value_->get<uint64_t>(), least, most);
  const int64_t number = value_->get<int64_t>();
  if (number < least || number > most) refuse("is {}, not from {} to {}", number, least, most);
  return number;
}

std::vector<Part> Part::list() const {
  if (!value_->is_array()) refuse("is {}, not a list", value_->type_name());
  std::vector<Part> parts;
  parts.reserve(value_->size());
  for (size_t i = 0; i < value_->size(); ++i)
    parts.emplace_back((*value_)[i], fmt::format("{}[{}]", path_, i));
  return parts;
}

bool Part::get_bool(std::string_view key, bool otherwise) const {
  const auto part = find(key);
  return part ? part->boolean() : otherwise;
}

std::string Part::get_character(std::string_view key) const {
  const Part part = get(key);
  const std::string& text = part.string();
  if (text.empty() || static_cast<size_t>(unicode::utf8_step(text).length) != text.size())
    part.refuse("{} is not one character", subwords::quoted(text));
  return text;
}

Pattern read_pattern(const Part& part) {
  if (part.value().is_string()) return {part.string(), false};
  if (const auto text = part.find("String")) return {text->string(), false};
  return {part.get_string("Regex"), true};
}

}  // namespace regard::parts
