// The seeds of the GGUF fuzz target: the public incidents, one file each, and small files that
// between them use every part of the format.
//   gguf_corpus FOLDER          writes them
//   gguf_corpus --check FOLDER  fails unless FOLDER holds exactly these bytes
#include <string>
#include <vector>

#include "corpus_tool.h"
#include "formats/ggml_types.h"
#include "formats/gguf_builder.h"
#include "formats/gguf_incidents.h"

namespace regard {
namespace {

std::string every_value_type() {
  GgufBuilder file;
  file.key<uint8_t>("u8", 1).key<int8_t>("i8", -1).key<uint16_t>("u16", 2).key<int16_t>("i16", -2);
  file.key<uint32_t>("u32", 3).key<int32_t>("i32", -3).key<float>("f32", 0.5f).key("bool", true);
  file.key<uint64_t>("u64", 4).key<int64_t>("i64", -4).key<double>("f64", 0.25);
  file.string_key("string", "text").strings("strings", {"a", "", "bc"});
  file.array<uint8_t>("u8s", {1}).array<int8_t>("i8s", {-1}).array<uint16_t>("u16s", {2});
  file.array<int16_t>("i16s", {-2}).array<uint32_t>("u32s", {3}).array<int32_t>("i32s", {-3});
  file.array<uint64_t>("u64s", {4}).array<int64_t>("i64s", {-4}).array<float>("f32s", {0.5f});
  file.array<double>("f64s", {0.25}).array<bool>("bools", {true, false});
  return file.build();
}

std::string every_tensor_type() {
  GgufBuilder file;
  file.alignment = 8;
  file.key<uint32_t>("general.alignment", 8);
  for (uint32_t id = 0; id < 64; ++id) {
    const GgmlType* type = find_ggml_type(id);
    if (type == nullptr) continue;
    file.tensor(std::string(type->name), {static_cast<uint64_t>(type->block_elements)}, id,
                static_cast<std::size_t>(type->block_bytes));
  }
  return file.build();
}

std::vector<Seed> seeds() {
  std::vector<Seed> all;
  for (const Incident& incident : gguf_incidents()) all.emplace_back(incident.name, incident.file);
  all.emplace_back("small_model", small_model().build());
  all.emplace_back("empty", GgufBuilder().build());
  all.emplace_back("every_value_type", every_value_type());
  all.emplace_back("every_tensor_type", every_tensor_type());
  GgufBuilder ranks;
  ranks.f32_tensor("rank0", {}).f32_tensor("rank3", {2, 3, 4}).f32_tensor("rank4", {1, 2, 1, 2});
  all.emplace_back("ranks", ranks.build());
  GgufBuilder aligned;
  aligned.alignment = 128;
  aligned.key<uint32_t>("general.alignment", 128).f32_tensor("a", {1}).f32_tensor("b", {1});
  all.emplace_back("alignment_128", aligned.build());
  GgufBuilder version_two = small_model();
  version_two.version = 2;
  all.emplace_back("version_2", version_two.build());
  all.emplace_back("nested_array",
                   GgufBuilder().raw_array("a", 9, 1, std::string(40, '\0')).build());
  all.emplace_back("duplicate_key",
                   GgufBuilder().key<uint32_t>("k", 1).key<uint32_t>("k", 1).build());
  all.emplace_back("duplicate_tensor",
                   GgufBuilder().f32_tensor("t", {1}).f32_tensor("t", {1}).build());
  all.emplace_back("overlap",
                   GgufBuilder().f32_tensor("a", {16}).tensor("b", {8}, 0, 32, 32).build());
  return all;
}

}  // namespace
}  // namespace regard

int main(int count, char** arguments) {
  return regard::corpus_tool(count, arguments, regard::seeds(), ".gguf");
}
