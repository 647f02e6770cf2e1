// A length of 64 bits, a JSON object of that many bytes, then the data of the tensors. The object
// has, for each tensor, its type, its shape and where its data begins and ends. Data lies without
// holes, overlaps or a rest, so that nothing can hide in a file and nothing is read twice.
// https://github.com/huggingface/safetensors
#include "formats/safetensors_parse.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <limits>
#include <tuple>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/printable.h"
#include "formats/file_kind.h"
#include "json/json.h"

namespace regard {
namespace {

using Json = nlohmann::json;

struct StoredType {
  std::string_view written;  // in the file
  std::string_view name;     // ours
  int bits;
  std::optional<DType> dtype;
};

constexpr StoredType kTypes[] = {
    {"F64", "f64", 64, DType::f64},
    {"F32", "f32", 32, DType::f32},
    {"F16", "f16", 16, DType::f16},
    {"BF16", "bf16", 16, DType::bf16},
    {"I64", "i64", 64, {}},
    {"I32", "i32", 32, {}},
    {"I16", "i16", 16, {}},
    {"I8", "i8", 8, {}},
    {"U64", "u64", 64, {}},
    {"U32", "u32", 32, {}},
    {"U16", "u16", 16, {}},
    {"U8", "u8", 8, {}},
    {"BOOL", "bool", 8, {}},
    {"C64", "c64", 64, {}},
    {"F8_E4M3", "f8_e4m3", 8, {}},
    {"F8_E5M2", "f8_e5m2", 8, {}},
    {"F8_E8M0", "f8_e8m0", 8, {}},
    {"F8_E4M3FNUZ", "f8_e4m3fnuz", 8, {}},
    {"F8_E5M2FNUZ", "f8_e5m2fnuz", 8, {}},
    {"F6_E2M3", "f6_e2m3", 6, {}},
    {"F6_E3M2", "f6_e3m2", 6, {}},
    {"F4", "f4", 4, {}},
};

// A tensor's share of the header, with the refusals that name it.
class Entry {
 public:
  Entry(const std::string& file, const std::string& name, const Json& facts)
      : file_(file), name_(name), facts_(facts) {
    if (!facts.is_object()) refuse("is not described by an object");
  }

  template <class... Args>
  [[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) const {
    fail(ErrorKind::unreadable, "{}: tensor \"{}\": {}", file_, printable(name_),
         fmt::format(format, std::forward<Args>(args)...));
  }

  const StoredType& type() const {
    const Json& value = member("dtype");
    if (!value.is_string()) refuse("dtype is not a text");
    const auto& written = value.get_ref<const std::string&>();
    for (const StoredType& type : kTypes) {
      if (type.written == written) return type;
    }
    refuse("dtype \"{}\" is unknown", printable(written));
  }

  // Fills shape and rank; the bytes that shape and type take.
  uint64_t shape(TensorInfo& tensor, const StoredType& type) const {
    const Json& axes = member("shape");
    if (!axes.is_array()) refuse("shape is not a list");
    tensor.rank = static_cast<int>(axes.size());  // the parser bounds the values of a file
    uint64_t elements = 1;
    uint64_t bits = 0;
    bool fits = true;
    for (std::size_t axis = 0; axis < axes.size(); ++axis) {
      const uint64_t extent = whole(axes[axis], "shape");
      if (axis < tensor.shape.size()) tensor.shape[axis] = static_cast<int64_t>(extent);
      fits = fits && !__builtin_mul_overflow(elements, extent, &elements);
    }
    fits = fits && !__builtin_mul_overflow(elements, static_cast<uint64_t>(type.bits), &bits);
    fits = fits && elements <= uint64_t{std::numeric_limits<int64_t>::max()};
    if (!fits) refuse("its size overflows: shape {} of {}", shape_text(tensor), type.written);
    if (bits % 8 != 0) {
      refuse("{} numbers of {} bits do not fill whole bytes", elements, type.bits);
    }
    const int64_t outer = tensor.elements();
    tensor.inner = outer == 0 ? 0 : static_cast<int64_t>(elements) / outer;
    return bits / 8;
  }

  std::pair<uint64_t, uint64_t> offsets() const {
    const Json& ends = member("data_offsets");
    if (!ends.is_array() || ends.size() != 2) refuse("data_offsets is not a list of two numbers");
    return {whole(ends[0], "data_offsets"), whole(ends[1], "data_offsets")};
  }

 private:
  const Json& member(const char* key) const {
    const auto at = facts_.find(key);
    if (at == facts_.end()) refuse("{} is missing", key);
    return *at;
  }

  uint64_t whole(const Json& value, std::string_view what) const {
    constexpr auto kMost = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
    if (!value.is_number_unsigned() || value.get<uint64_t>() > kMost) {
      refuse("{} holds {}; it must hold whole numbers from 0 to 2^63 - 1", what,
             printable(value.is_primitive() ? value.dump() : value.type_name()));
    }
    return value.get<uint64_t>();
  }

  const std::string& file_;
  const std::string& name_;
  const Json& facts_;
};

// The JSON and the data behind it.
std::pair<std::string_view, std::span<const std::byte>> cut(std::span<const std::byte> bytes,
                                                            const std::string& file) {
  uint64_t length = 0;
  if (bytes.size() < sizeof length) {
    fail(ErrorKind::unreadable,
         "{}: has {} bytes, and the start of a safetensors file takes {}; download it again", file,
         bytes.size(), sizeof length);
  }
  const FileKind kind = file_kind(bytes);
  if (kind != FileKind::safetensors && kind != FileKind::other) {
    fail(ErrorKind::unreadable, "{}: is not safetensors: {}", file, advice(kind));
  }
  std::memcpy(&length, bytes.data(), sizeof length);
  if (length > kMaxSafetensorsHeader) {
    fail(ErrorKind::unreadable,
         "{}: is not safetensors, or damaged: it promises a header of {} bytes; at most {} are "
         "read",
         file, length, kMaxSafetensorsHeader);
  }
  const std::span<const std::byte> rest = bytes.subspan(sizeof length);
  if (length > rest.size()) {
    fail(ErrorKind::unreadable,
         "{}: promises a header of {} bytes, and {} follow; it is cut short or damaged, download "
         "it again",
         file, length, rest.size());
  }
  const std::string_view text(reinterpret_cast<const char*>(rest.data()), length);
  if (!text.starts_with('{')) {
    fail(ErrorKind::unreadable, "{}: is not safetensors, or damaged: its header is no JSON object",
         file);
  }
  return {text, rest.subspan(length)};
}

std::map<std::string, std::string> read_metadata(const Json& object, const std::string& file) {
  std::map<std::string, std::string> metadata;
  if (!object.is_object()) {
    fail(ErrorKind::unreadable, "{}: __metadata__ is not an object", file);
  }
  for (const auto& [key, value] : object.items()) {
    if (!value.is_string()) {
      fail(ErrorKind::unreadable, "{}: __metadata__: \"{}\" is not a text", file, printable(key));
    }
    metadata.emplace(key, value.get<std::string>());
  }
  return metadata;
}

}  // namespace

SafetensorsHeader parse_safetensors(std::span<const std::byte> bytes, const std::string& file) {
  const auto [text, data] = cut(bytes, file);
  const Json object = parse_json(text, file, {.bytes = kMaxSafetensorsHeader, .depth = 8});
  struct Placed {
    uint64_t begin;
    uint64_t end;
    TensorInfo tensor;
  };
  SafetensorsHeader header;
  std::vector<Placed> placed;
  for (const auto& [name, facts] : object.items()) {
    if (name == "__metadata__") {
      header.metadata = read_metadata(facts, file);
      continue;
    }
    const Entry entry(file, name, facts);
    const StoredType& type = entry.type();
    TensorInfo tensor;
    tensor.name = name;
    tensor.dtype = type.dtype;
    tensor.type_name = type.name;
    const uint64_t size = entry.shape(tensor, type);
    const auto [begin, end] = entry.offsets();
    if (begin > end || end > data.size()) {
      entry.refuse(
          "its data_offsets [{}, {}] do not lie in the {} bytes of tensor data; the file "
          "is cut short or damaged, download it again",
          begin, end, data.size());
    }
    if (end - begin != size) {
      entry.refuse("shape {} of {} takes {} bytes, and its data_offsets [{}, {}] span {}",
                   shape_text(tensor), type.written, size, begin, end, end - begin);
    }
    tensor.data = data.subspan(begin, size);
    placed.push_back({begin, end, std::move(tensor)});
  }
  std::sort(placed.begin(), placed.end(), [](const Placed& a, const Placed& b) {
    return std::tie(a.begin, a.end, a.tensor.name) < std::tie(b.begin, b.end, b.tensor.name);
  });
  uint64_t covered = 0;
  for (Placed& one : placed) {
    if (one.begin != covered) {
      fail(ErrorKind::unreadable,
           "{}: tensor \"{}\": its data begins at byte {}, and the tensors before it end at {}; "
           "data must lie without {}",
           file, printable(one.tensor.name), one.begin, covered,
           one.begin < covered ? "overlaps" : "holes");
    }
    covered = one.end;
    header.tensors.push_back(std::move(one.tensor));
  }
  if (covered != data.size()) {
    fail(ErrorKind::unreadable,
         "{}: the tensors end at byte {} of the {} bytes of data; data must lie without a rest",
         file, covered, data.size());
  }
  return header;
}

}  // namespace regard
