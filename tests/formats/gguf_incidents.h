// The public incidents with GGUF readers, each as the smallest file that has its defect, and the
// part of the message that says the right rule caught it. fuzz/corpus/gguf holds the same files.
#pragma once

#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "gguf_builder.h"

namespace regard {

struct Incident {
  std::string name;     // the id under which it was published; also the file's name
  std::string defect;   // what the file does
  std::string file;     // its bytes
  std::string message;  // a part of what regard says
};

// GoogleTest names the case by this.
inline void PrintTo(const Incident& incident, std::ostream* out) { *out << incident.name; }

inline std::vector<Incident> gguf_incidents() {
  constexpr uint64_t kHuge = ~uint64_t{0};
  std::vector<Incident> all;
  const auto add = [&](const char* name, const char* defect, std::string file,
                       const char* message) {
    all.push_back({name, defect, std::move(file), message});
  };
  {
    GgufBuilder file = small_model();
    file.tensor_count = (uint64_t{1} << 58) + 1;
    add("CVE_2024_21836", "the number of tensors times their size wraps (TALOS-2024-1912)",
        file.build(), "promises 288230376151711745 tensors");
  }
  {
    GgufBuilder file;
    std::string value;
    append_string(value, "short", kHuge);
    add("CVE_2024_23496", "a string's length plus one wraps to 0 (TALOS-2024-1913)",
        file.raw_key("general.name", 8, value).build(), "takes 18446744073709551615 bytes");
  }
  {
    GgufBuilder file;
    add("CVE_2024_21825", "an array's length times its element size wraps (TALOS-2024-1914)",
        file.raw_array("tokenizer.ggml.scores", 6, (uint64_t{1} << 62) + 1, "1234").build(),
        "promises an array of 4611686018427387905 f32 values");
  }
  {
    GgufBuilder file;
    add("CVE_2024_21802", "more dimensions than the reader has room for (TALOS-2024-1915)",
        file.tensor("t", {1, 1, 1, 1, 1, 1, 1, 1}, 0, 4).build(), "has 8 dimensions");
  }
  {
    GgufBuilder file = small_model();
    file.key_count = (uint64_t{1} << 60) + 1;
    add("CVE_2024_23605", "the number of keys times their size wraps (TALOS-2024-1916)",
        file.build(), "promises 1152921504606846977 keys");
  }
  {
    GgufBuilder file;
    const uint64_t half = (uint64_t{1} << 61) - 8;  // f32 numbers: 2^63 - 32 bytes
    file.tensor("a", {half}, 0, 32).tensor("b", {half}, 0, 32, 4 * half);
    file.tensor("c", {24}, 0, 96, 8 * half);
    add("CVE_2025_53630", "tensor sizes, each possible, whose sum wraps", file.build(),
        "do not lie in the");
  }
  {
    GgufBuilder file;
    const uint64_t half = (uint64_t{1} << 61) - 8;
    file.tensor("a", {half}, 0, 32).tensor("b", {half}, 0, 32, 4 * half);
    add("CVE_2026_27940", "a sum of sizes that wraps only once the reader's own overhead is added",
        file.build(), "do not lie in the");
  }
  {
    GgufBuilder file;
    add("CVE_2026_33298", "an exabyte tensor whose size wraps to 4 MB",
        file.tensor("t", {1024, 1024, (uint64_t{1} << 44) + 1}, 0, 64).build(),
        "its size overflows");
  }
  {
    GgufBuilder file;
    add("CVE_2026_7482", "a tensor that ends behind the file",
        file.tensor("t", {1024, 1024}, 0, 64).build(), "4194304 bytes at offset 0");
  }
  {
    GgufBuilder file;
    add("CVE_2026_7482_offset", "a tensor whose offset plus size wraps back into the file",
        file.tensor("t", {16}, 0, 64, kHuge - 31).build(), "at offset 18446744073709551584");
  }
  {
    GgufBuilder file;
    add("llama_cpp_26318", "general.alignment as i32",
        file.key<int32_t>("general.alignment", 32).f32_tensor("t", {4}).build(),
        "has type i32; it must be u32");
  }
  {
    GgufBuilder file;
    add("gguf_tools_27", "general.alignment of 0 divides by zero",
        file.key<uint32_t>("general.alignment", 0).f32_tensor("t", {4}).build(),
        "is 0; it must be a power of two");
  }
  {
    GgufBuilder file;
    add("llama_cpp_24997", "general.alignment of 2^31 wraps 32-bit padding",
        file.key<uint32_t>("general.alignment", 0x80000000u).f32_tensor("t", {4}).build(),
        "do not lie in the 0 bytes");
  }
  {
    GgufBuilder file;
    add("ggml_1517", "a dimension of 0 divides by zero", file.tensor("t", {1, 0}, 0, 4).build(),
        "dimension 1 is 0");
  }
  {
    GgufBuilder file;
    add("llama_cpp_24263", "a key without a name", file.key<uint32_t>("", 1).build(),
        "the name is empty");
  }
  {
    GgufBuilder file;
    add("llama_cpp_18674", "2^42 + 1 rows, whose stride wraps",
        file.tensor("t", {4194304, (uint64_t{1} << 42) + 1}, 0, 64).build(), "its size overflows");
  }
  {
    GgufBuilder file;
    add("llama_cpp_19856", "a negative tensor type indexes in front of the type table",
        file.tensor("t", {32}, 0xFFFFFFFFu, 64).build(), "type 4294967295 is unknown");
  }
  return all;
}

}  // namespace regard
