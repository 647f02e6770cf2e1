// The typed getters: each looks a key up, checks type and range, and names file and key if it must
// refuse.
#include "formats/gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/check.h"
#include "base/printable.h"
#include "formats/gguf_parse.h"

namespace regard {
namespace {

using Wide = __int128;  // holds every u64 and i64

template <class T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <class... Args>
[[noreturn]] void refuse(const GgufFile& file, std::string_view key,
                         fmt::format_string<Args...> format, Args&&... args) {
  fail(ErrorKind::unreadable, "{}: key \"{}\": {}", file.name(), printable(key),
       fmt::format(format, std::forward<Args>(args)...));
}

std::string describe(const GgufValue& value) {
  if (value.type != GgufType::array) return std::string(to_string(value.type));
  return fmt::format("array of {}", to_string(value.element));
}

template <class T>
T required(const GgufFile& file, std::string_view key, std::optional<T> found) {
  if (!found) refuse(file, key, "is missing, and the model cannot be read without it");
  return *std::move(found);
}

bool is_integer(GgufType type) {
  switch (type) {
    case GgufType::u8:
    case GgufType::i8:
    case GgufType::u16:
    case GgufType::i16:
    case GgufType::u32:
    case GgufType::i32:
    case GgufType::u64:
    case GgufType::i64:
      return true;
    default:
      return false;
  }
}

bool is_float(GgufType type) { return type == GgufType::f32 || type == GgufType::f64; }

// Element `index` of a value of an integer type.
Wide integer_at(const GgufValue& value, uint64_t index) {
  const std::byte* at = value.bytes.data() + index * gguf_type_bytes(value.element);
  switch (value.element) {
    case GgufType::u8:
      return load<uint8_t>(at);
    case GgufType::i8:
      return load<int8_t>(at);
    case GgufType::u16:
      return load<uint16_t>(at);
    case GgufType::i16:
      return load<int16_t>(at);
    case GgufType::u32:
      return load<uint32_t>(at);
    case GgufType::i32:
      return load<int32_t>(at);
    case GgufType::u64:
      return load<uint64_t>(at);
    default:
      return load<int64_t>(at);
  }
}

double float_at(const GgufValue& value, uint64_t index) {
  const std::byte* at = value.bytes.data() + index * gguf_type_bytes(value.element);
  return value.element == GgufType::f32 ? double{load<float>(at)} : load<double>(at);
}

Wide checked_integer(const GgufFile& file, const GgufValue& value, uint64_t index, Wide least,
                     Wide most) {
  const Wide number = integer_at(value, index);
  if (number < least || number > most) {
    const std::string place =
        value.type == GgufType::array ? fmt::format("element {} is", index) : "is";
    refuse(file, value.key, "{} {}; it must be {} to {}", place, number, least, most);
  }
  return number;
}

// A float fits if it is finite and not beyond f32's range; infinities and NaN convert as they are.
float checked_f32(const GgufFile& file, const GgufValue& value, double number) {
  if (std::isfinite(number) && std::abs(number) > double{std::numeric_limits<float>::max()}) {
    refuse(file, value.key, "{} is beyond the range of f32", number);
  }
  return static_cast<float>(number);
}

std::optional<Wide> find_integer(const GgufFile& file, std::string_view key, Wide least,
                                 Wide most) {
  const GgufValue* value = file.find_key(key);
  if (value == nullptr) return {};
  if (!is_integer(value->type)) {
    refuse(file, key, "has type {}; it must be an integer", describe(*value));
  }
  return checked_integer(file, *value, 0, least, most);
}

// The value as an array whose element type passes `accepts`; nullptr if the key is absent.
template <class Accepts>
const GgufValue* find_array(const GgufFile& file, std::string_view key, std::string_view wanted,
                            Accepts accepts) {
  const GgufValue* value = file.find_key(key);
  if (value == nullptr) return nullptr;
  if (value->type != GgufType::array || !accepts(value->element)) {
    refuse(file, key, "has type {}; it must be an array of {}", describe(*value), wanted);
  }
  return value;
}

template <class Entry>
const Entry* find_sorted(const std::vector<Entry>& entries, std::string_view Entry::*name,
                         const std::vector<uint32_t>& order, std::string_view wanted) {
  const auto at =
      std::lower_bound(order.begin(), order.end(), wanted,
                       [&](uint32_t i, std::string_view text) { return entries[i].*name < text; });
  return at != order.end() && entries[*at].*name == wanted ? &entries[*at] : nullptr;
}

// What the file says in two places must agree: the arrays that speak of each layer or of each
// token.
void check_lengths(const GgufFile& file) {
  const std::string model(file.find_string("general.architecture").value_or(""));
  if (const auto layers = file.find_int(model + ".block_count", 0, GgufFile::kMaxLayers)) {
    for (const std::string_view name :
         {"feed_forward_length", "attention.head_count", "attention.head_count_kv"}) {
      const std::string key = fmt::format("{}.{}", model, name);
      const GgufValue* value = file.find_key(key);
      if (value == nullptr || value->type != GgufType::array) continue;
      if (value->count == static_cast<uint64_t>(*layers)) continue;
      refuse(file, key, "has {} entries; it must have one for each of the {} layers", value->count,
             *layers);
    }
  }
  const GgufValue* tokens = file.find_key("tokenizer.ggml.tokens");
  if (tokens == nullptr) return;
  for (const std::string_view key : {"tokenizer.ggml.scores", "tokenizer.ggml.token_type"}) {
    const GgufValue* value = file.find_key(key);
    if (value == nullptr || value->count == tokens->count) continue;
    refuse(file, key, "has {} entries; it must have one for each of the {} tokens", value->count,
           tokens->count);
  }
}

}  // namespace

std::string_view to_string(GgufType type) noexcept {
  static constexpr std::array<std::string_view, 13> kNames{"u8",  "i8",  "u16",  "i16",    "u32",
                                                           "i32", "f32", "bool", "string", "array",
                                                           "u64", "i64", "f64"};
  return kNames[static_cast<std::size_t>(type)];
}

GgufFile GgufFile::open(const std::filesystem::path& path) {
  GgufFile file;
  file.name_ = printable(path.native(), 1024);
  file.mapping_ = MappedFile(path);
  file.bytes_ = file.mapping_.bytes();
  file.header_ = parse_gguf(file.bytes_, file.name_);
  check_lengths(file);
  return file;
}

GgufFile GgufFile::parse(std::span<const std::byte> bytes, std::string name) {
  GgufFile file;
  file.name_ = printable(name, 1024);
  file.bytes_ = bytes;
  file.header_ = parse_gguf(bytes, file.name_);
  check_lengths(file);
  return file;
}

const GgufValue* GgufFile::find_key(std::string_view key) const noexcept {
  return find_sorted(header_.values, &GgufValue::key, header_.values_by_key, key);
}

const GgufTensor* GgufFile::find(std::string_view name) const noexcept {
  return find_sorted(header_.tensors, &GgufTensor::name, header_.tensors_by_name, name);
}

const GgufTensor& GgufFile::get(std::string_view name) const {
  const GgufTensor* tensor = find(name);
  if (tensor == nullptr) {
    fail(ErrorKind::unreadable,
         "{}: tensor \"{}\" is missing, and the model cannot be read without it", name_,
         printable(name));
  }
  return *tensor;
}

std::optional<uint64_t> GgufFile::find_u64(std::string_view key) const {
  const auto number = find_integer(*this, key, 0, std::numeric_limits<uint64_t>::max());
  return number ? std::optional(static_cast<uint64_t>(*number)) : std::nullopt;
}

std::optional<int64_t> GgufFile::find_int(std::string_view key, int64_t least, int64_t most) const {
  const auto number = find_integer(*this, key, least, most);
  return number ? std::optional(static_cast<int64_t>(*number)) : std::nullopt;
}

std::optional<double> GgufFile::find_f64(std::string_view key) const {
  const GgufValue* value = find_key(key);
  if (value == nullptr) return {};
  if (!is_float(value->type)) {
    refuse(*this, key, "has type {}; it must be f32 or f64", describe(*value));
  }
  const double number = float_at(*value, 0);
  if (!std::isfinite(number)) refuse(*this, key, "is {}; it must be finite", number);
  return number;
}

std::optional<float> GgufFile::find_f32(std::string_view key) const {
  const auto number = find_f64(key);
  return number ? std::optional(checked_f32(*this, *find_key(key), *number)) : std::nullopt;
}

std::optional<bool> GgufFile::find_bool(std::string_view key) const {
  const GgufValue* value = find_key(key);
  if (value == nullptr) return {};
  if (value->type != GgufType::boolean) {
    refuse(*this, key, "has type {}; it must be bool", describe(*value));
  }
  return value->bytes[0] != std::byte{0};
}

std::optional<std::string_view> GgufFile::find_string(std::string_view key) const {
  const GgufValue* value = find_key(key);
  if (value == nullptr) return {};
  if (value->type != GgufType::string) {
    refuse(*this, key, "has type {}; it must be string", describe(*value));
  }
  return std::string_view(reinterpret_cast<const char*>(value->bytes.data()), value->bytes.size());
}

std::optional<GgufStrings> GgufFile::find_strings(std::string_view key) const {
  const GgufValue* value =
      find_array(*this, key, "string", [](GgufType type) { return type == GgufType::string; });
  return value != nullptr ? std::optional(GgufStrings(value->bytes, value->count)) : std::nullopt;
}

std::optional<std::vector<int32_t>> GgufFile::find_i32s(std::string_view key) const {
  const GgufValue* value = find_array(*this, key, "integers", is_integer);
  if (value == nullptr) return {};
  std::vector<int32_t> numbers(value->count);
  for (uint64_t i = 0; i < value->count; ++i) {
    numbers[i] =
        static_cast<int32_t>(checked_integer(*this, *value, i, std::numeric_limits<int32_t>::min(),
                                             std::numeric_limits<int32_t>::max()));
  }
  return numbers;
}

std::optional<std::vector<float>> GgufFile::find_f32s(std::string_view key) const {
  const GgufValue* value = find_array(*this, key, "f32 or f64", is_float);
  if (value == nullptr) return {};
  std::vector<float> numbers(value->count);
  for (uint64_t i = 0; i < value->count; ++i) {
    numbers[i] = checked_f32(*this, *value, float_at(*value, i));
  }
  return numbers;
}

std::optional<std::vector<int64_t>> GgufFile::find_per_layer(std::string_view key, int64_t layers,
                                                             int64_t least, int64_t most) const {
  require(layers >= 0 && layers <= kMaxLayers, "find_per_layer: layers ({}) must be 0 to {}",
          layers, kMaxLayers);
  const GgufValue* value = find_key(key);
  if (value == nullptr) return {};
  if (!is_integer(value->element)) {
    refuse(*this, key, "has type {}; it must be an integer, or an array of one for each layer",
           describe(*value));
  }
  const bool array = value->type == GgufType::array;
  if (array && value->count != static_cast<uint64_t>(layers)) {
    refuse(*this, key, "has {} entries; it must have one for each of the {} layers", value->count,
           layers);
  }
  std::vector<int64_t> numbers(static_cast<std::size_t>(layers));
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    numbers[i] = static_cast<int64_t>(checked_integer(*this, *value, array ? i : 0, least, most));
  }
  return numbers;
}

uint64_t GgufFile::get_u64(std::string_view key) const {
  return required(*this, key, find_u64(key));
}
int64_t GgufFile::get_int(std::string_view key, int64_t least, int64_t most) const {
  return required(*this, key, find_int(key, least, most));
}
double GgufFile::get_f64(std::string_view key) const { return required(*this, key, find_f64(key)); }
float GgufFile::get_f32(std::string_view key) const { return required(*this, key, find_f32(key)); }
bool GgufFile::get_bool(std::string_view key) const { return required(*this, key, find_bool(key)); }
std::string_view GgufFile::get_string(std::string_view key) const {
  return required(*this, key, find_string(key));
}
GgufStrings GgufFile::get_strings(std::string_view key) const {
  return required(*this, key, find_strings(key));
}
std::vector<int32_t> GgufFile::get_i32s(std::string_view key) const {
  return required(*this, key, find_i32s(key));
}
std::vector<float> GgufFile::get_f32s(std::string_view key) const {
  return required(*this, key, find_f32s(key));
}
std::vector<int64_t> GgufFile::get_per_layer(std::string_view key, int64_t layers, int64_t least,
                                             int64_t most) const {
  return required(*this, key, find_per_layer(key, layers, least, most));
}

}  // namespace regard
