// The seeds of the safetensors fuzz target: the cases of the tests, right and wrong, headers
// without their length, and indices of shards.
//   safetensors_corpus [--check] FOLDER
#include <string>
#include <vector>

#include "corpus_tool.h"
#include "formats/safetensors_builder.h"

namespace regard {
namespace {

std::vector<Seed> seeds() {
  std::vector<Seed> all;
  for (const SafetensorsCase& one : safetensors_cases()) all.emplace_back(one.name, one.file);
  all.emplace_back("header_alone", fmt::format("{{{}}}", entry("a", "F32", "[2]", 0, 8)));
  all.emplace_back("index",
                   R"({"metadata":{"total_size":8},"weight_map":{"a":"m-1.safetensors"}})");
  all.emplace_back("index_twice", R"({"weight_map":{"a":"m.safetensors","a":"n.safetensors"}})");
  all.emplace_back("index_outside", R"({"weight_map":{"a":"../m.safetensors"}})");
  all.emplace_back("index_number", R"({"weight_map":{"a":1}})");
  all.emplace_back("index_empty", R"({"weight_map":{}})");
  return all;
}

}  // namespace
}  // namespace regard

int main(int count, char** arguments) {
  return regard::corpus_tool(count, arguments, regard::seeds(), "");
}
