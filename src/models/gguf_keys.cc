#include "models/gguf_keys.h"

#include <algorithm>

#include "base/check.h"
#include "base/printable.h"
#include "matmul/matmul.h"
#include "models/encoder_keys.h"

namespace regard::models {
namespace {

// Reads keys that begin with the architecture's name.
class Reader {
 public:
  Reader(const GgufFile& file, std::string_view architecture)
      : file_(file), prefix_(std::string(architecture) + ".") {}

  const std::string& name() const noexcept { return file_.name(); }
  std::string key(const char* rest) const { return prefix_ + rest; }

  int64_t get(const char* rest, int64_t most) const { return file_.get_int(key(rest), 1, most); }
  std::optional<int64_t> find(const char* rest, int64_t least, int64_t most) const {
    return file_.find_int(key(rest), least, most);
  }
  void set(const char* rest, float& value) const {
    if (const auto found = file_.find_f64(key(rest))) value = static_cast<float>(*found);
  }
  void set(const char* rest, bool& value) const {
    if (const auto found = file_.find_bool(key(rest))) value = *found;
  }
  std::string_view text(const char* rest, std::string_view otherwise) const {
    return file_.find_string(key(rest)).value_or(otherwise);
  }

  // A number that all layers share.
  std::optional<int64_t> same(const char* rest, int64_t layers) const {
    const auto values = file_.find_per_layer(key(rest), layers, 1, kMostHeads);
    if (!values) return std::nullopt;
    for (const int64_t value : *values) {
      if (value != values->front()) {
        fail(ErrorKind::unreadable,
             "{}: {} differs between layers ({} and {}), which is not supported", name(), key(rest),
             values->front(), value);
      }
    }
    return values->front();
  }

  const GgufFile& file() const noexcept { return file_; }

 private:
  const GgufFile& file_;
  std::string prefix_;
};

std::vector<float> factors(const TensorSource& tensors, const char* name, int64_t count) {
  const TensorInfo* tensor = tensors.find(name);
  if (tensor == nullptr) return {};
  if (tensor->dtype != DType::f32 || tensor->shape != std::array<int64_t, 4>{count, 1, 1, 1}) {
    fail(ErrorKind::unreadable, "{}: tensor {} is {} {}, must be f32 [{}]", tensors.name(), name,
         tensor->type_name, shape_text(*tensor), count);
  }
  std::vector<float> numbers(static_cast<std::size_t>(count));
  dequantise_row(DType::f32, tensor->data.data(), count, numbers.data());
  return numbers;
}

void read_rope(const Reader& reader, const TensorSource& tensors, RopeSettings& rope) {
  const auto dim = reader.find("rope.dimension_count", 2, kMostDim);
  if (dim) rope.dim = *dim;
  reader.set("rope.freq_base", rope.base);
  const std::string_view type = reader.text("rope.scaling.type", "linear");
  if (type == "yarn") {
    Yarn yarn;
    reader.set("rope.scaling.factor", yarn.factor);
    yarn.original_context = reader.get("rope.scaling.original_context_length", kMostContext);
    reader.set("rope.scaling.attn_factor", yarn.attention);
    reader.set("rope.scaling.yarn_beta_fast", yarn.beta_fast);
    reader.set("rope.scaling.yarn_beta_slow", yarn.beta_slow);
    reader.set("rope.scaling.yarn_truncate", yarn.whole);
    rope.yarn = yarn;
  } else if (type == "linear") {
    reader.set("rope.scale_linear", rope.scale);
    reader.set("rope.scaling.factor", rope.scale);
    if (rope.scale == 0) rope.scale = 1;  // older converters write 0 for no scaling
  } else if (type != "none" && type != "longrope") {
    fail(ErrorKind::unreadable, "{}: {} is \"{}\"; none, linear, yarn and longrope are known",
         reader.name(), reader.key("rope.scaling.type"), printable(type));
  }
  rope.factors = factors(tensors, "rope_freqs.weight", rope.dim / 2);
  rope.far_factors = factors(tensors, "rope_factors_long.weight", rope.dim / 2);
  if (rope.far_factors.empty()) return;
  rope.factors = factors(tensors, "rope_factors_short.weight", rope.dim / 2);
  rope.near = reader.get("rope.scaling.original_context_length", kMostContext);
  reader.set("rope.scaling.attn_factor", rope.amplitude);
}

// A number is a period: the last layer of each is global. An array says it of each layer.
void read_pattern(const Reader& reader, Settings& settings) {
  const GgufValue* value = reader.file().find_key(reader.key("attention.sliding_window_pattern"));
  if (value == nullptr) return;
  settings.local.assign(static_cast<std::size_t>(settings.layers), true);
  if (value->type == GgufType::array && value->element == GgufType::boolean) {
    if (value->bytes.size() != settings.local.size()) {
      fail(ErrorKind::unreadable, "{}: {} has {} entries for {} layers", reader.name(),
           reader.key("attention.sliding_window_pattern"), value->bytes.size(), settings.layers);
    }
    for (std::size_t i = 0; i < settings.local.size(); ++i) {
      settings.local[i] = value->bytes[i] != std::byte{0};
    }
    return;
  }
  const int64_t period = reader.get("attention.sliding_window_pattern", kMostLayers);
  for (int64_t i = period - 1; i < settings.layers; i += period) settings.local[i] = false;
}

std::vector<bool> pattern(const Settings& settings) {
  if (!settings.local.empty()) return settings.local;
  return std::vector<bool>(static_cast<std::size_t>(settings.layers), true);
}

const char* epsilon_key(const Settings& settings) {
  return settings.norm == nn::Norm::Kind::rms ? "attention.layer_norm_rms_epsilon"
                                              : "attention.layer_norm_epsilon";
}

void read_vocabulary(const Reader& reader, const TensorSource& tensors, Settings& settings) {
  settings.vocabulary = tensors.get("token_embd.weight").shape[0];
  if (settings.vocabulary < 1 || settings.vocabulary > INT32_MAX) {
    fail(ErrorKind::unreadable, "{}: token_embd.weight has {} rows, ids have 32 bits",
         reader.name(), settings.vocabulary);
  }
  const auto claimed = reader.find("vocab_size", 1, INT32_MAX);
  if (claimed && *claimed != settings.vocabulary) {
    fail(ErrorKind::unreadable, "{}: {} is {}, token_embd.weight has {} rows", reader.name(),
         reader.key("vocab_size"), *claimed, settings.vocabulary);
  }
}

}  // namespace

Settings read_keys(const GgufFile& file, const TensorSource& tensors, const Family& family) {
  const Reader reader(file, family.architecture);
  Settings s;
  s.architecture = family.architecture;
  s.layers = reader.get("block_count", kMostLayers);
  s.context = reader.get("context_length", kMostContext);
  s.width = reader.get("embedding_length", kMostWidth);
  s.inner = file.get_per_layer(reader.key("feed_forward_length"), s.layers, 1, kMostWidth);
  file.get_per_layer(reader.key("attention.head_count"), s.layers, 1, kMostHeads);
  s.heads = *reader.same("attention.head_count", s.layers);
  s.kv_heads = reader.same("attention.head_count_kv", s.layers).value_or(s.heads);
  const auto key_length = reader.find("attention.key_length", 1, kMostDim);
  const auto value_length = reader.find("attention.value_length", 1, kMostDim);
  if ((!key_length || !value_length) && s.width % s.heads != 0) {
    fail(ErrorKind::unreadable, "{}: {} ({}) over head_count ({}) is no head size", file.name(),
         reader.key("embedding_length"), s.width, s.heads);
  }
  s.dim = key_length.value_or(s.width / s.heads);
  s.dim_v = value_length.value_or(s.width / s.heads);
  s.rope.dim = s.dim;
  family.defaults(s);
  s.epsilon = file.get_f32(reader.key(epsilon_key(s)));
  if (s.rope.dim > 0) read_rope(reader, tensors, s.rope);
  if (s.local_rope) {
    s.local_rope->dim = s.rope.dim;
    reader.set("rope.freq_base_swa", s.local_rope->base);
  }
  s.window = reader.find("attention.sliding_window", 0, kMostContext).value_or(s.window);
  read_pattern(reader, s);
  reader.set("attention.scale", s.attention_scale);
  reader.set("attention.max_alibi_bias", s.alibi);
  reader.set("attn_logit_softcapping", s.score_cap);
  reader.set("final_logit_softcapping", s.logit_cap);
  reader.set("embedding_scale", s.embedding_scale);
  reader.set("norm_is_residual", s.norm_is_residual);
  s.experts = reader.find("expert_count", 0, kMostExperts).value_or(0);
  if (s.experts > 0) s.experts_used = reader.get("expert_used_count", kMostExperts);
  read_vocabulary(reader, tensors, s);
  s.tied = !tensors.has("output.weight");
  read_encoder_keys(file, tensors, s);
  check(s, file.name());
  return s;
}

std::vector<GgufKey> write_keys(const Settings& s, const Family& family) {
  std::vector<GgufKey> keys;
  const auto put = [&](const char* rest, auto value) {
    keys.push_back({std::string(family.architecture) + "." + rest, std::move(value)});
  };
  const auto count = [&](const char* rest, int64_t value) {
    put(rest, static_cast<uint32_t>(value));
  };
  // What the family's name says by itself need not be written.
  Settings usual = s;
  usual.window = 0;
  usual.local.clear();
  usual.score_cap = usual.logit_cap = usual.attention_scale = 0;
  usual.embedding_scale = 1;
  usual.alibi = 0;
  usual.norm_is_residual = false;
  family.defaults(usual);

  count("block_count", s.layers);
  count("context_length", s.context);
  count("embedding_length", s.width);
  if (std::all_of(s.inner.begin(), s.inner.end(),
                  [&](int64_t inner) { return inner == s.inner.front(); })) {
    count("feed_forward_length", s.inner.front());
  } else {
    put("feed_forward_length", std::vector<uint32_t>(s.inner.begin(), s.inner.end()));
  }
  count("attention.head_count", s.heads);
  count("attention.head_count_kv", s.kv_heads);
  count("attention.key_length", s.dim);
  count("attention.value_length", s.dim_v);
  count("vocab_size", s.vocabulary);
  put(epsilon_key(s), s.epsilon);
  if (s.rope.dim > 0) {
    count("rope.dimension_count", s.rope.dim);
    put("rope.freq_base", s.rope.base);
    if (s.local_rope) put("rope.freq_base_swa", s.local_rope->base);
    if (s.rope.yarn) {
      put("rope.scaling.type", std::string("yarn"));
      put("rope.scaling.factor", s.rope.yarn->factor);
      count("rope.scaling.original_context_length", s.rope.yarn->original_context);
      put("rope.scaling.attn_factor", s.rope.yarn->attention);
      put("rope.scaling.yarn_beta_fast", s.rope.yarn->beta_fast);
      put("rope.scaling.yarn_beta_slow", s.rope.yarn->beta_slow);
      put("rope.scaling.yarn_truncate", s.rope.yarn->whole);
    } else if (!s.rope.far_factors.empty()) {
      put("rope.scaling.type", std::string("longrope"));
      count("rope.scaling.original_context_length", s.rope.near);
      put("rope.scaling.attn_factor", s.rope.amplitude);
    } else if (s.rope.scale != 1) {
      put("rope.scaling.type", std::string("linear"));
      put("rope.scaling.factor", s.rope.scale);
    }
  }
  if (s.window > 0 || usual.window > 0) count("attention.sliding_window", s.window);
  if (s.window > 0 && pattern(s) != pattern(usual)) {
    put("attention.sliding_window_pattern", pattern(s));
  }
  if (s.alibi != usual.alibi) put("attention.max_alibi_bias", s.alibi);
  if (s.attention_scale != usual.attention_scale) put("attention.scale", s.attention_scale);
  if (s.score_cap != usual.score_cap) put("attn_logit_softcapping", s.score_cap);
  if (s.logit_cap != usual.logit_cap) put("final_logit_softcapping", s.logit_cap);
  if (s.embedding_scale != usual.embedding_scale) put("embedding_scale", s.embedding_scale);
  if (s.norm_is_residual != usual.norm_is_residual) put("norm_is_residual", s.norm_is_residual);
  if (s.experts > 0) {
    count("expert_count", s.experts);
    count("expert_used_count", s.experts_used);
  }
  write_encoder_keys(s, keys);
  return keys;
}

}  // namespace regard::models
