// Safetensors bytes and indices of shards: any input loads or is refused in one clean line, and all
// that a load hands out can be read.
#include <cstddef>
#include <cstdint>
#include <span>

#include "formats/safetensors_walk.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  const std::span<const std::byte> bytes = std::as_bytes(std::span(data, size));
  regard::safetensors_loads_or_refuses(bytes);
  regard::index_loads_or_refuses({reinterpret_cast<const char*>(data), size});
  // Most inputs have a wrong length in front: the rest as a header with the right one.
  if (size > 0 && data[0] == '{') {
    std::string file(8, '\0');
    const uint64_t length = size - size % 16;  // up to 15 bytes of data behind it
    std::memcpy(file.data(), &length, sizeof length);
    file.append(reinterpret_cast<const char*>(data), size);
    regard::safetensors_loads_or_refuses(std::as_bytes(std::span(file)));
  }
  return 0;
}
