#include "formats/describe.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <limits>
#include <string_view>
#include <utility>

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

void count(std::vector<TypeCount>& types, std::string_view type, bool computable,
           int64_t parameters, std::size_t bytes) {
  auto at = std::find_if(types.begin(), types.end(),
                         [&](const TypeCount& one) { return one.type == type; });
  if (at == types.end()) at = types.insert(at, {std::string(type), computable});
  at->tensors += 1;
  at->parameters += parameters;
  at->bytes += static_cast<int64_t>(bytes);
}

void fill_types(FileSummary& summary, std::vector<TypeCount> types) {
  std::stable_sort(types.begin(), types.end(),
                   [](const TypeCount& a, const TypeCount& b) { return a.bytes > b.bytes; });
  summary.types = std::move(types);
  summary.tensors = summary.parameters = summary.tensor_bytes = 0;
  for (const TypeCount& one : summary.types) {
    summary.tensors += one.tensors;
    summary.parameters += one.parameters;
    summary.tensor_bytes += one.bytes;
  }
}

void fill_types(FileSummary& summary, std::span<const TensorInfo> tensors) {
  std::vector<TypeCount> types;
  for (const TensorInfo& tensor : tensors) {
    count(types, tensor.type_name, tensor.dtype.has_value(), tensor.elements(), tensor.data.size());
  }
  fill_types(summary, std::move(types));
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
  summary.keys = static_cast<int64_t>(file.keys().size());
  std::vector<TypeCount> types;
  for (const GgufTensor& tensor : file.tensors()) {
    count(types, tensor.type_name, tensor.dtype.has_value(), tensor.elements(), tensor.data.size());
  }
  fill_types(summary, std::move(types));

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
  summary.files = file.find_int("split.count", 0, 99999).value_or(1);
  return summary;
}

FileSummary summarise(const GgufTensors& model) {
  FileSummary summary = summarise(model.keys());
  summary.file_bytes = 0;
  for (const GgufFile& file : model.files()) {
    summary.file_bytes += static_cast<int64_t>(file.bytes().size());
  }
  fill_types(summary, model.tensors());
  return summary;
}

FileSummary summarise(const Safetensors& model, const HfConfig* settings) {
  FileSummary summary;
  summary.format = "safetensors";
  summary.file_bytes = model.file_bytes();
  summary.files = model.files();
  summary.keys = std::ssize(model.metadata());
  fill_types(summary, model.tensors());
  if (settings == nullptr) return summary;
  summary.architecture = printable(settings->find_string("model_type").value_or(""));
  summary.name = printable(settings->find_string("_name_or_path").value_or(""));
  // Families call the same thing by several names.
  const HfConfig config = settings->text();
  const auto first = [&](std::initializer_list<std::string_view> names,
                         int64_t most) -> std::optional<int64_t> {
    for (const std::string_view name : names) {
      if (const auto found = config.find_int(name, 0, most)) return found;
    }
    return std::nullopt;
  };
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  summary.layers =
      first({"num_hidden_layers", "n_layer", "num_layers", "n_layers"}, HfConfig::kMaxLayers);
  summary.width = first({"hidden_size", "n_embd", "d_model"}, kMost);
  summary.context_length = first({"max_position_embeddings", "n_positions", "max_seq_len"}, kMost);
  summary.tokens = first({"vocab_size"}, kMost);
  const auto each_layer = [&](std::optional<int64_t> number) {
    return number
               ? std::vector<int64_t>(static_cast<std::size_t>(summary.layers.value_or(1)), *number)
               : std::vector<int64_t>();
  };
  summary.heads =
      each_layer(first({"num_attention_heads", "n_head", "num_heads", "n_heads"}, kMost));
  summary.kv_heads = each_layer(first({"num_key_value_heads"}, kMost));
  if (summary.kv_heads.empty()) summary.kv_heads = summary.heads;
  summary.feed_forward = each_layer(first({"intermediate_size", "n_inner", "d_ff"}, kMost));
  return summary;
}

}  // namespace regard
