#include "formats/describe.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <string_view>

#include "base/printable.h"

namespace regard {
namespace {

std::string text(const GgufFile& file, std::string_view key) {
  return printable(file.find_string(key).value_or(""));
}

std::string tokenizer(const GgufFile& file) {
  const std::string kind = text(file, "tokenizer.ggml.model");
  const std::string rule = text(file, "tokenizer.ggml.pre");
  return rule.empty() ? kind : fmt::format("{} ({})", kind, rule);
}

std::vector<TypeCount> count_types(const GgufFile& file) {
  std::vector<TypeCount> types;
  for (const GgufTensor& tensor : file.tensors()) {
    auto at = std::find_if(types.begin(), types.end(),
                           [&](const TypeCount& count) { return count.type == tensor.type_name; });
    if (at == types.end()) {
      at = types.insert(at, {std::string(tensor.type_name), tensor.dtype.has_value()});
    }
    at->tensors += 1;
    at->parameters += tensor.elements();
    at->bytes += static_cast<int64_t>(tensor.data.size());
  }
  std::stable_sort(types.begin(), types.end(),
                   [](const TypeCount& a, const TypeCount& b) { return a.bytes > b.bytes; });
  return types;
}

}  // namespace

FileSummary summarise(const GgufFile& file) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  FileSummary summary;
  summary.format = fmt::format("GGUF version {}", file.version());
  summary.architecture = text(file, "general.architecture");
  summary.name = text(file, "general.name");
  summary.size_label = text(file, "general.size_label");
  summary.license = text(file, "general.license");
  summary.tokenizer = tokenizer(file);
  summary.file_bytes = static_cast<int64_t>(file.bytes().size());
  summary.tensors = static_cast<int64_t>(file.tensors().size());
  summary.keys = static_cast<int64_t>(file.keys().size());
  summary.types = count_types(file);
  for (const TypeCount& count : summary.types) {
    summary.parameters += count.parameters;
    summary.tensor_bytes += count.bytes;
  }

  const std::string model(file.find_string("general.architecture").value_or(""));
  const auto number = [&](std::string_view name) {
    return file.find_int(fmt::format("{}.{}", model, name), 0, kMost);
  };
  summary.layers = file.find_int(model + ".block_count", 0, GgufFile::kMaxLayers);
  summary.width = number("embedding_length");
  summary.context_length = number("context_length");
  summary.tokens = number("vocab_size");
  if (const auto tokens = file.find_strings("tokenizer.ggml.tokens")) {
    summary.tokens = static_cast<int64_t>(tokens->size());
  }
  const auto per_layer = [&](std::string_view name) -> std::vector<int64_t> {
    if (!summary.layers) return {};
    const std::string key = fmt::format("{}.{}", model, name);
    return file.find_per_layer(key, *summary.layers, 0, kMost).value_or(std::vector<int64_t>());
  };
  summary.heads = per_layer("attention.head_count");
  summary.kv_heads = per_layer("attention.head_count_kv");
  if (summary.kv_heads.empty()) summary.kv_heads = summary.heads;
  summary.feed_forward = per_layer("feed_forward_length");
  summary.split_count = file.find_int("split.count", 0, 99999).value_or(1);
  return summary;
}

}  // namespace regard
