// GGUF bytes: any input loads or is refused in one clean line, and all that a load hands out can
// be read.
#include <cstddef>
#include <cstdint>
#include <span>

#include "formats/gguf_walk.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  regard::loads_or_refuses(std::as_bytes(std::span(data, size)));
  return 0;
}
