#include "models/llama.h"

#include <utility>

#include "base/check.h"
#include "models/gguf_weights.h"

namespace regard::models {
namespace {

// Limits on what a file may claim before its tensors are looked at.
constexpr int64_t kMostWidth = int64_t{1} << 24;
constexpr int64_t kMostContext = int64_t{1} << 30;
constexpr int64_t kMostHeads = int64_t{1} << 16;
constexpr int64_t kMostDim = 1024;  // of the attention kernels
constexpr int64_t kMostLayers = 4096;
constexpr double kMostRopeBase = 1e12;
constexpr double kMostRopeScale = 1e6;

struct LlamaSizes {
  DecoderConfig common;
  std::vector<int64_t> inner;  // of each layer's MLP
  float epsilon = 0;
  double rope_base = 10000;
  double rope_scale = 1;
  int64_t rope_dim = 0;
};

int64_t same_in_every_layer(const GgufFile& file, const std::string& key,
                            const std::vector<int64_t>& values) {
  for (const int64_t value : values) {
    if (value != values.front()) {
      fail(ErrorKind::unreadable,
           "{}: {} differs between layers ({} and {}), which is not supported", file.name(), key,
           values.front(), value);
    }
  }
  return values.front();
}

double rope_scale(const GgufFile& file) {
  const std::string_view type = file.find_string("llama.rope.scaling.type").value_or("linear");
  if (type == "none") return 1;
  if (type != "linear") {
    fail(ErrorKind::unreadable, "{}: llama.rope.scaling.type is not none or linear", file.name());
  }
  const auto factor = file.find_f64("llama.rope.scaling.factor");
  const double scale = factor ? *factor : file.find_f64("llama.rope.scale_linear").value_or(1.0);
  if (scale == 0) return 1;  // older converters write 0 for no scaling
  if (!(scale >= 1 / kMostRopeScale && scale <= kMostRopeScale)) {
    fail(ErrorKind::unreadable, "{}: llama.rope.scaling.factor ({}) is not in {} .. {}",
         file.name(), scale, 1 / kMostRopeScale, kMostRopeScale);
  }
  return scale;
}

LlamaSizes read_sizes(const GgufFile& file) {
  LlamaSizes sizes;
  DecoderConfig& common = sizes.common;
  common.architecture = "llama";
  common.layers = file.get_int("llama.block_count", 1, kMostLayers);
  common.context = file.get_int("llama.context_length", 1, kMostContext);
  common.width = file.get_int("llama.embedding_length", 1, kMostWidth);
  sizes.inner = file.get_per_layer("llama.feed_forward_length", common.layers, 1, kMostWidth);
  common.heads = same_in_every_layer(
      file, "llama.attention.head_count",
      file.get_per_layer("llama.attention.head_count", common.layers, 1, kMostHeads));
  const auto kv_heads =
      file.find_per_layer("llama.attention.head_count_kv", common.layers, 1, kMostHeads);
  common.kv_heads = kv_heads ? same_in_every_layer(file, "llama.attention.head_count_kv", *kv_heads)
                             : common.heads;
  if (common.heads % common.kv_heads != 0) {
    fail(ErrorKind::unreadable,
         "{}: llama.attention.head_count ({}) is no multiple of head_count_kv ({})", file.name(),
         common.heads, common.kv_heads);
  }
  const auto key_length = file.find_int("llama.attention.key_length", 1, kMostDim);
  const auto value_length = file.find_int("llama.attention.value_length", 1, kMostDim);
  if ((!key_length || !value_length) &&
      (common.width % common.heads != 0 || common.width / common.heads > kMostDim)) {
    fail(ErrorKind::unreadable,
         "{}: llama.embedding_length ({}) over head_count ({}) is no head size in 1 .. {}",
         file.name(), common.width, common.heads, kMostDim);
  }
  common.dim = key_length.value_or(common.width / common.heads);
  common.dim_v = value_length.value_or(common.width / common.heads);

  sizes.epsilon = file.get_f32("llama.attention.layer_norm_rms_epsilon");
  sizes.rope_base = file.find_f64("llama.rope.freq_base").value_or(10000.0);
  sizes.rope_scale = rope_scale(file);
  sizes.rope_dim = file.find_int("llama.rope.dimension_count", 2, kMostDim).value_or(common.dim);
  if (sizes.rope_dim > common.dim || sizes.rope_dim % 2 != 0) {
    fail(ErrorKind::unreadable,
         "{}: llama.rope.dimension_count ({}) is not even or above the head size ({})", file.name(),
         sizes.rope_dim, common.dim);
  }
  if (!(sizes.epsilon >= 0 && sizes.epsilon <= 1)) {
    fail(ErrorKind::unreadable, "{}: llama.attention.layer_norm_rms_epsilon ({}) is not in 0 .. 1",
         file.name(), sizes.epsilon);
  }
  if (!(sizes.rope_base >= 1 && sizes.rope_base <= kMostRopeBase)) {
    fail(ErrorKind::unreadable, "{}: llama.rope.freq_base ({}) is not in 1 .. {}", file.name(),
         sizes.rope_base, kMostRopeBase);
  }
  if (file.find_int("llama.expert_count", 0, kMostWidth).value_or(0) > 0) {
    fail(ErrorKind::unreadable,
         "{}: llama.expert_count is not 0: mixtures of experts are not supported", file.name());
  }
  const GgufTensor& embedding = file.get("token_embd.weight");
  common.vocabulary = embedding.dims[1];
  if (common.vocabulary > INT32_MAX) {
    fail(ErrorKind::unreadable, "{}: token_embd.weight has {} rows, ids have 32 bits", file.name(),
         common.vocabulary);
  }
  const auto vocabulary = file.find_int("llama.vocab_size", 1, INT32_MAX);
  if (vocabulary && *vocabulary != common.vocabulary) {
    fail(ErrorKind::unreadable, "{}: llama.vocab_size is {}, token_embd.weight has {} rows",
         file.name(), *vocabulary, common.vocabulary);
  }
  if (file.find(fmt::format("blk.{}.attn_norm.weight", common.layers)) != nullptr) {
    fail(ErrorKind::unreadable, "{}: llama.block_count is {}, but the file has a tensor of blk.{}",
         file.name(), common.layers, common.layers);
  }
  return sizes;
}

nn::Block load_block(const GgufWeights& weights, const LlamaSizes& sizes, int64_t layer,
                     const nn::Rotation& rotation) {
  const DecoderConfig& common = sizes.common;
  const auto name = [&](const char* part) { return fmt::format("blk.{}.{}", layer, part); };
  const int64_t halves = rotation.layout == RopeLayout::halves ? common.dim : 0;
  const int64_t inner = sizes.inner[static_cast<std::size_t>(layer)];

  nn::Block block;
  block.attention_norms.before = weights.rms_norm(name("attn_norm"), common.width, sizes.epsilon);
  nn::Attention& attention = block.attention;
  attention.layer = layer;
  attention.heads = common.heads;
  attention.kv_heads = common.kv_heads;
  attention.dim = common.dim;
  attention.dim_v = common.dim_v;
  attention.rotate = rotation;
  attention.query = weights.linear(name("attn_q"), common.heads * common.dim, common.width, halves);
  attention.key =
      weights.linear(name("attn_k"), common.kv_heads * common.dim, common.width, halves);
  attention.value = weights.linear(name("attn_v"), common.kv_heads * common.dim_v, common.width);
  attention.output = weights.linear(name("attn_output"), common.width, common.heads * common.dim_v);
  block.mlp_norms.before = weights.rms_norm(name("ffn_norm"), common.width, sizes.epsilon);
  nn::Mlp mlp;
  mlp.gate = weights.linear(name("ffn_gate"), inner, common.width);
  mlp.up = weights.linear(name("ffn_up"), inner, common.width);
  mlp.down = weights.linear(name("ffn_down"), common.width, inner);
  block.mlp.part = std::move(mlp);
  return block;
}

}  // namespace

Decoder load_llama(const GgufFile& file, ThreadPool& pool) {
  const LlamaSizes sizes = read_sizes(file);
  const GgufWeights weights(file, pool);
  Decoder model;
  model.config = sizes.common;

  // The largest matrix first: its packed copy and its pages of the file stand beside the least.
  const int64_t width = model.config.width;
  model.embedding.tokens.table =
      weights.matrix("token_embd.weight", model.config.vocabulary, width);
  model.head.matrix.matrix = weights.has("output.weight")
                                 ? weights.matrix("output.weight", model.config.vocabulary, width)
                                 : model.embedding.tokens.table;
  model.head.norm = weights.rms_norm("output_norm", width, sizes.epsilon);

  std::vector<float> factors;
  if (weights.has("rope_freqs.weight")) {
    factors = weights.vector("rope_freqs.weight", sizes.rope_dim / 2);
    for (const float factor : factors) {
      if (!(factor > 0)) {
        fail(ErrorKind::unreadable, "{}: rope_freqs.weight holds {}, a divisor must be positive",
             file.name(), factor);
      }
    }
  }
  const auto table =
      std::make_shared<RopeTable>(sizes.rope_dim, sizes.rope_base, factors, sizes.rope_scale);
  model.rotations = {table};
  model.config.kinds = {{.mask = causal()}};
  // The file's rows are in the order of adjacent pairs. Whole heads are turned into halves; a head
  // that is rotated in part keeps its order.
  const bool whole = sizes.rope_dim == model.config.dim;
  const nn::Rotation rotation{table, whole ? RopeLayout::halves : RopeLayout::pairs};
  for (int64_t layer = 0; layer < model.config.layers; ++layer) {
    model.blocks.push_back(load_block(weights, sizes, layer, rotation));
  }
  return model;
}

}  // namespace regard::models
