// Four steps: the fixed start, the metadata, the tensor list, the places of the tensors' data.
// Every count is held against the bytes that are left before anything is made for it, and every
// product is checked, so no field of a file can make the reader allocate, loop or point wildly.
#include "formats/gguf_parse.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <numeric>

#include "formats/byte_reader.h"
#include "formats/file_kind.h"
#include "formats/ggml_types.h"

namespace regard {
namespace {

constexpr uint64_t kMaxEntries = uint64_t{1} << 24;  // keys, and tensors: indices stay 32-bit
constexpr uint64_t kMaxKeyBytes = 65535;
constexpr uint64_t kMaxTensorNameBytes = 63;  // ggml keeps 64 with the terminator
constexpr uint64_t kMaxStringBytes = uint64_t{1} << 30;
constexpr uint64_t kMaxArrayElements = uint64_t{1} << 30;
constexpr uint32_t kMaxRank = 4;
constexpr uint64_t kLeastKeyBytes = 8 + 1 + 4 + 1;         // name, type, value
constexpr uint64_t kLeastTensorBytes = 8 + 1 + 4 + 4 + 8;  // name, rank, type, offset
constexpr std::string_view kAlignmentKey = "general.alignment";

bool starts_with(std::span<const std::byte> bytes, std::string_view prefix) {
  return bytes.size() >= prefix.size() &&
         std::memcmp(bytes.data(), prefix.data(), prefix.size()) == 0;
}

struct Counts {
  uint64_t tensors;
  uint64_t keys;
};

Counts read_start(ByteReader& reader, std::span<const std::byte> bytes, GgufHeader& header) {
  constexpr std::string_view kMagic = "GGUF";
  constexpr std::size_t kStartBytes = 4 + 4 + 8 + 8;
  const auto byte_at = [&](std::size_t i) { return std::to_integer<int>(bytes[i]); };
  if (bytes.empty()) reader.refuse("is empty (0 bytes); download it again");
  if (bytes.size() >= kMagic.size() && !starts_with(bytes, kMagic)) {
    reader.refuse(
        "is not GGUF: it begins with the bytes {:02x} {:02x} {:02x} {:02x}, not with "
        "\"GGUF\"; {}",
        byte_at(0), byte_at(1), byte_at(2), byte_at(3), advice(file_kind(bytes)));
  }
  if (bytes.size() < kStartBytes) {
    reader.refuse("has {} bytes, and the start of a GGUF file takes {}; download it again",
                  bytes.size(), kStartBytes);
  }
  reader.take(kMagic.size(), "the magic");
  header.version = reader.read<uint32_t>("the version");
  if (header.version != 0 && (header.version & 0xFFFF) == 0) {
    reader.refuse("is big-endian (version word {:#010x}); convert it to little-endian",
                  header.version);
  }
  if (header.version == 1) {
    reader.refuse("is GGUF version 1, whose layout is outdated; convert the model again");
  }
  if (header.version != 2 && header.version != 3) {
    reader.refuse("is GGUF version {}; versions 2 and 3 can be read", header.version);
  }
  const auto tensors = reader.read<uint64_t>("the number of tensors");
  const auto keys = reader.read<uint64_t>("the number of keys");
  const auto check = [&](std::string_view what, uint64_t count, uint64_t least_bytes) {
    if (count > reader.left() / least_bytes) {
      reader.refuse(
          "promises {} {} of at least {} bytes each, and {} bytes follow; it is cut short "
          "or damaged, download it again",
          count, what, least_bytes, reader.left());
    }
    if (count > kMaxEntries) {
      reader.refuse("promises {} {}; at most {} are read", count, what, kMaxEntries);
    }
  };
  check("tensors", tensors, kLeastTensorBytes);
  check("keys", keys, kLeastKeyBytes);
  return {tensors, keys};
}

GgufType read_type(ByteReader& reader, std::string_view what) {
  const auto id = reader.read<uint32_t>(what);
  if (id > static_cast<uint32_t>(GgufType::f64)) {
    reader.refuse("{} is {}; GGUF has 0 to 12", what, id);
  }
  return GgufType{id};
}

std::span<const std::byte> read_string(ByteReader& reader, std::string_view what) {
  const std::string_view text = reader.string(what);
  if (text.size() > kMaxStringBytes) {
    reader.refuse("{} has {} bytes; at most {} are read", what, text.size(), kMaxStringBytes);
  }
  return std::as_bytes(std::span(text));
}

void check_booleans(const ByteReader& reader, std::span<const std::byte> values) {
  for (const std::byte value : values) {
    if (value > std::byte{1})
      reader.refuse("a bool is {}; it must be 0 or 1", std::to_integer<int>(value));
  }
}

void read_array(ByteReader& reader, std::span<const std::byte> bytes, GgufValue& value) {
  value.element = read_type(reader, "the array's element type");
  value.count = reader.read<uint64_t>("the array's length");
  if (value.element == GgufType::array) reader.refuse("is an array of arrays, which is not read");
  const bool strings = value.element == GgufType::string;
  const uint64_t each = strings ? sizeof(uint64_t) : gguf_type_bytes(value.element);
  if (value.count > reader.left() / each) {
    reader.refuse(
        "promises an array of {} {} values of at least {} bytes each, and {} bytes "
        "follow; the file is cut short or damaged, download it again",
        value.count, to_string(value.element), each, reader.left());
  }
  if (value.count > kMaxArrayElements) {
    reader.refuse("has {} array elements; at most {} are read", value.count, kMaxArrayElements);
  }
  if (strings) {
    const std::size_t first = reader.position();
    for (uint64_t i = 0; i < value.count; ++i) read_string(reader, "a string of the array");
    value.bytes = bytes.subspan(first, reader.position() - first);
    return;
  }
  value.bytes = reader.take(value.count * each, "the array");
  if (value.element == GgufType::boolean) check_booleans(reader, value.bytes);
}

GgufValue read_value(ByteReader& reader, std::span<const std::byte> bytes) {
  GgufValue value;
  value.key = reader.string("the key's name");
  if (value.key.empty()) reader.refuse("the name is empty");
  if (value.key.size() > kMaxKeyBytes) {
    reader.refuse("the name has {} bytes; at most {} are allowed", value.key.size(), kMaxKeyBytes);
  }
  reader.name(value.key);
  value.type = read_type(reader, "the value type");
  value.element = value.type;
  if (value.type == GgufType::array) {
    read_array(reader, bytes, value);
  } else if (value.type == GgufType::string) {
    value.bytes = read_string(reader, "the string");
  } else {
    value.bytes = reader.take(gguf_type_bytes(value.type), "the value");
    if (value.type == GgufType::boolean) check_booleans(reader, value.bytes);
  }
  return value;
}

// Sorting instead of hashing: no choice of names makes it slow, and the order then serves look-up.
template <class Entry>
std::vector<uint32_t> sorted_order(const std::vector<Entry>& entries,
                                   std::string_view Entry::*name) {
  std::vector<uint32_t> order(entries.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    const int compared = (entries[a].*name).compare(entries[b].*name);
    return compared != 0 ? compared < 0 : a < b;
  });
  return order;
}

template <class Entry>
void refuse_duplicates(ByteReader& reader, std::string_view kind, const std::vector<Entry>& entries,
                       std::string_view Entry::*name, const std::vector<uint32_t>& order) {
  for (std::size_t i = 1; i < order.size(); ++i) {
    const std::string_view here = entries[order[i]].*name;
    if (here != entries[order[i - 1]].*name) continue;
    reader.enter(kind, order[i]);
    reader.name(here);
    reader.refuse("is listed twice, as number {} and number {}; the file is damaged", order[i - 1],
                  order[i]);
  }
}

void read_keys(ByteReader& reader, std::span<const std::byte> bytes, uint64_t count,
               GgufHeader& header) {
  for (uint64_t i = 0; i < count; ++i) {
    reader.enter("key", i);
    header.values.push_back(read_value(reader, bytes));
  }
  header.values_by_key = sorted_order(header.values, &GgufValue::key);
  refuse_duplicates(reader, "key", header.values, &GgufValue::key, header.values_by_key);
}

void read_alignment(ByteReader& reader, GgufHeader& header) {
  for (const GgufValue& value : header.values) {
    if (value.key != kAlignmentKey) continue;
    reader.enter("key", 0);
    reader.name(kAlignmentKey);
    if (value.type != GgufType::u32) {
      reader.refuse("has type {}; it must be u32", to_string(value.type));
    }
    std::memcpy(&header.alignment, value.bytes.data(), sizeof header.alignment);
    if (header.alignment < 8 || !std::has_single_bit(header.alignment)) {
      reader.refuse("is {}; it must be a power of two and at least 8", header.alignment);
    }
  }
}

// Where the file says a tensor lies in the data section.
struct Place {
  uint64_t offset;
  uint64_t bytes;
};

const GgmlType& read_tensor_type(ByteReader& reader, GgufTensor& tensor) {
  tensor.type_id = reader.read<uint32_t>("the type");
  const GgmlType* type = find_ggml_type(tensor.type_id);
  if (type == nullptr && is_removed_ggml_type(tensor.type_id)) {
    reader.refuse("type {} was removed from the format; convert the model again", tensor.type_id);
  }
  if (type == nullptr) {
    reader.refuse("type {} is unknown; types 0 to 42 are known", tensor.type_id);
  }
  tensor.dtype = type->dtype;
  tensor.type_name = type->name;
  return *type;
}

uint64_t tensor_bytes(const ByteReader& reader, const GgufTensor& tensor, const GgmlType& type) {
  if (tensor.dims[0] % type.block_elements != 0) {
    reader.refuse("its rows have {} numbers, which is not a multiple of the {} in a block of {}",
                  tensor.dims[0], type.block_elements, type.name);
  }
  int64_t elements = tensor.dims[0];
  int64_t bytes = 0;
  bool fits = !__builtin_mul_overflow(tensor.dims[0] / type.block_elements,
                                      int64_t{type.block_bytes}, &bytes);
  for (std::size_t axis = 1; axis < tensor.dims.size(); ++axis) {
    fits = fits && !__builtin_mul_overflow(elements, tensor.dims[axis], &elements) &&
           !__builtin_mul_overflow(bytes, tensor.dims[axis], &bytes);
  }
  if (!fits) {
    reader.refuse("its size overflows: {} × {} × {} × {} numbers of {}", tensor.dims[0],
                  tensor.dims[1], tensor.dims[2], tensor.dims[3], type.name);
  }
  return static_cast<uint64_t>(bytes);
}

Place read_tensor(ByteReader& reader, GgufTensor& tensor) {
  tensor.name = reader.string("the tensor's name");
  if (tensor.name.empty()) reader.refuse("the name is empty");
  if (tensor.name.size() > kMaxTensorNameBytes) {
    reader.refuse("the name has {} bytes; at most {} are allowed", tensor.name.size(),
                  kMaxTensorNameBytes);
  }
  reader.name(tensor.name);
  const auto rank = reader.read<uint32_t>("the number of dimensions");
  if (rank > kMaxRank) reader.refuse("has {} dimensions; at most {} are allowed", rank, kMaxRank);
  tensor.rank = static_cast<int>(rank);
  for (uint32_t axis = 0; axis < rank; ++axis) {
    const auto extent = reader.read<uint64_t>("a dimension");
    if (extent == 0 || extent > uint64_t{std::numeric_limits<int64_t>::max()}) {
      reader.refuse("dimension {} is {}; it must be 1 to 2^63 - 1", axis, extent);
    }
    tensor.dims[axis] = static_cast<int64_t>(extent);
  }
  const GgmlType& type = read_tensor_type(reader, tensor);
  const uint64_t bytes = tensor_bytes(reader, tensor, type);
  return {reader.read<uint64_t>("the offset"), bytes};
}

std::vector<Place> read_tensors(ByteReader& reader, uint64_t count, GgufHeader& header) {
  std::vector<Place> places;
  for (uint64_t i = 0; i < count; ++i) {
    reader.enter("tensor", i);
    places.push_back(read_tensor(reader, header.tensors.emplace_back()));
  }
  header.tensors_by_name = sorted_order(header.tensors, &GgufTensor::name);
  refuse_duplicates(reader, "tensor", header.tensors, &GgufTensor::name, header.tensors_by_name);
  return places;
}

// Gives each tensor its bytes: aligned, inside the file, and shared with no other tensor.
void place_tensors(ByteReader& reader, std::span<const std::byte> bytes,
                   const std::vector<Place>& places, GgufHeader& header) {
  const uint64_t aligned =
      (uint64_t{reader.position()} + header.alignment - 1) / header.alignment * header.alignment;
  header.data_start = std::min<uint64_t>(aligned, bytes.size());
  const std::span<const std::byte> data = bytes.subspan(header.data_start);
  const auto enter = [&](std::size_t i) {
    reader.enter("tensor", i);
    reader.name(header.tensors[i].name);
  };
  for (std::size_t i = 0; i < places.size(); ++i) {
    enter(i);
    const Place& place = places[i];
    if (place.offset % header.alignment != 0) {
      reader.refuse("offset {} is not a multiple of the file's alignment {}", place.offset,
                    header.alignment);
    }
    if (place.offset > data.size() || place.bytes > data.size() - place.offset) {
      reader.refuse(
          "{} bytes at offset {} do not lie in the {} bytes of tensor data; the file is "
          "cut short or damaged, download it again",
          place.bytes, place.offset, data.size());
    }
    header.tensors[i].data = data.subspan(place.offset, place.bytes);
  }
  std::vector<uint32_t> order(places.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    return places[a].offset != places[b].offset ? places[a].offset < places[b].offset : a < b;
  });
  for (std::size_t i = 1; i < order.size(); ++i) {
    const Place& before = places[order[i - 1]];
    const Place& here = places[order[i]];
    if (before.offset + before.bytes <= here.offset) continue;
    enter(order[i]);
    reader.refuse("its data at offset {} overlaps tensor \"{}\" (offset {}, {} bytes)", here.offset,
                  printable(header.tensors[order[i - 1]].name), before.offset, before.bytes);
  }
}

}  // namespace

std::size_t gguf_type_bytes(GgufType type) noexcept {
  switch (type) {
    case GgufType::u8:
    case GgufType::i8:
    case GgufType::boolean:
      return 1;
    case GgufType::u16:
    case GgufType::i16:
      return 2;
    case GgufType::u32:
    case GgufType::i32:
    case GgufType::f32:
      return 4;
    case GgufType::u64:
    case GgufType::i64:
    case GgufType::f64:
      return 8;
    case GgufType::string:
    case GgufType::array:
      return 0;
  }
  return 0;
}

GgufHeader parse_gguf(std::span<const std::byte> bytes, const std::string& file) {
  GgufHeader header;
  ByteReader reader(bytes, file);
  const Counts counts = read_start(reader, bytes, header);
  read_keys(reader, bytes, counts.keys, header);
  read_alignment(reader, header);
  const std::vector<Place> places = read_tensors(reader, counts.tensors, header);
  place_tensors(reader, bytes, places, header);
  return header;
}

}  // namespace regard
