// ByteRange: a part of a text, by its bytes.
#pragma once

#include <cstdint>

namespace regard {

struct ByteRange {
  int64_t begin = 0;
  int64_t end = 0;  // behind the last byte
  friend bool operator==(const ByteRange&, const ByteRange&) = default;
};

}  // namespace regard
