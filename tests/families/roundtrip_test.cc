// A folder of safetensors and the GGUF that is made of it are one model: settings come back from
// their keys, and every packed number is the same. The stored cases of every family.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <set>

#include "families/families.h"
#include "formats/gguf_tensors.h"
#include "formats/safetensors.h"
#include "models/build.h"
#include "models/family_tensors.h"
#include "models/gguf_keys.h"

namespace regard {
namespace {

template <class T>
void put(std::string& to, T value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void put_text(std::string& to, std::string_view text) {
  put(to, uint64_t{text.size()});
  to += text;
}

struct PutValue {
  std::string& to;
  void operator()(uint32_t value) const { put(to, uint32_t{4}), put(to, value); }
  void operator()(float value) const { put(to, uint32_t{6}), put(to, value); }
  void operator()(bool value) const { put(to, uint32_t{7}), put(to, uint8_t{value}); }
  void operator()(const std::string& value) const { put(to, uint32_t{8}), put_text(to, value); }
  void operator()(const std::vector<uint32_t>& values) const {
    put(to, uint32_t{9}), put(to, uint32_t{4}), put(to, uint64_t{values.size()});
    for (const uint32_t value : values) put(to, value);
  }
  void operator()(const std::vector<bool>& values) const {
    put(to, uint32_t{9}), put(to, uint32_t{7}), put(to, uint64_t{values.size()});
    for (const bool value : values) put(to, uint8_t{value});
  }
};

std::string as_gguf(const models::FamilyTensors& tensors, const models::Settings& settings,
                    const models::Family& family) {
  const auto keys = models::write_keys(settings, family);
  std::string head = "GGUF", data;
  put(head, uint32_t{3});
  put(head, uint64_t{tensors.tensors().size()});
  put(head, uint64_t{keys.size() + 1});
  put_text(head, "general.architecture");
  PutValue{head}(settings.architecture);
  for (const models::GgufKey& key : keys) {
    put_text(head, key.key);
    std::visit(PutValue{head}, key.value);
  }
  for (const TensorInfo& listed : tensors.tensors()) {
    const TensorInfo& tensor = tensors.get(listed.name);
    put_text(head, tensor.name);
    put(head, static_cast<uint32_t>(tensor.rank));
    for (int axis = tensor.rank; axis-- > 0;) put(head, static_cast<uint64_t>(tensor.shape[axis]));
    const DType dtype = *tensor.dtype;
    put(head, uint32_t{dtype == DType::f32 ? 0u : dtype == DType::f16 ? 1u : 30u});
    data.resize((data.size() + 31) / 32 * 32);
    put(head, uint64_t{data.size()});
    data.append(reinterpret_cast<const char*>(tensor.data.data()), tensor.data.size());
    tensors.release(tensor.data);
  }
  head.resize((head.size() + 31) / 32 * 32);
  return head + data;
}

void expect_same(const Tensor& a, const Tensor& b) {
  ASSERT_EQ(static_cast<bool>(a), static_cast<bool>(b));
  if (a) {
    EXPECT_TRUE(std::ranges::equal(a.numbers<float>(), b.numbers<float>()));
  }
}

void expect_same(const nn::Linear& a, const nn::Linear& b) {
  expect_same(a.bias, b.bias);
  ASSERT_EQ(static_cast<bool>(a), static_cast<bool>(b));
  if (!a) return;
  ASSERT_EQ(a.matrix.packed->dtype(), b.matrix.packed->dtype());
  ASSERT_EQ(a.matrix.packed->bytes(), b.matrix.packed->bytes());
  EXPECT_EQ(std::memcmp(a.matrix.packed->data(), b.matrix.packed->data(), a.matrix.packed->bytes()),
            0);
}

void expect_same(const nn::Norm& a, const nn::Norm& b) {
  EXPECT_EQ(a.kind, b.kind);
  expect_same(a.gain, b.gain);
  expect_same(a.shift, b.shift);
  EXPECT_EQ(a.epsilon, b.epsilon);
}

void expect_same(const nn::Norms& a, const nn::Norms& b) {
  expect_same(a.before, b.before);
  expect_same(a.after, b.after);
  EXPECT_EQ(a.residual_is_normed, b.residual_is_normed);
}

void expect_same(const nn::Block& a, const nn::Block& b) {
  expect_same(a.attention_norms, b.attention_norms);
  expect_same(a.mlp_norms, b.mlp_norms);
  EXPECT_EQ(a.attention.kind, b.attention.kind);
  expect_same(a.attention.query, b.attention.query);
  expect_same(a.attention.key, b.attention.key);
  expect_same(a.attention.value, b.attention.value);
  expect_same(a.attention.output, b.attention.output);
  expect_same(a.attention.query_norm, b.attention.query_norm);
  EXPECT_EQ(a.attention.rotate.layout, b.attention.rotate.layout);
  ASSERT_EQ(a.mlp.part.index(), b.mlp.part.index());
  if (const auto* one = std::get_if<nn::Mlp>(&a.mlp.part)) {
    const auto& other = std::get<nn::Mlp>(b.mlp.part);
    EXPECT_EQ(one->activation, other.activation);
    expect_same(one->gate, other.gate);
    expect_same(one->up, other.up);
    expect_same(one->down, other.down);
    return;
  }
  const auto &one = std::get<nn::Experts>(a.mlp.part), &other = std::get<nn::Experts>(b.mlp.part);
  EXPECT_EQ(one.used, other.used);
  ASSERT_EQ(one.experts.size(), other.experts.size());
  for (std::size_t i = 0; i < one.experts.size(); ++i) {
    expect_same(one.experts[i].gate, other.experts[i].gate);
    expect_same(one.experts[i].down, other.experts[i].down);
  }
}

void expect_same(const RopeTable& a, const RopeTable& b) {
  ASSERT_EQ(a.dim(), b.dim());
  ASSERT_EQ(a.positions(), b.positions());
  for (int64_t row = 0; row < a.positions(); ++row) {
    EXPECT_EQ(std::memcmp(a.cosines(row), b.cosines(row), a.dim() * sizeof(float)), 0);
  }
}

std::string text(const Expr& expr) { return expr.empty() ? "" : to_string(expr); }

TEST(Families, AreTheSameFromSafetensorsAndFromGguf) {
  ThreadPool pool(1);
  std::set<const models::Family*> seen;
  for (const auto& entry : std::filesystem::directory_iterator(REGARD_REFERENCE_CASES)) {
    SCOPED_TRACE(entry.path().filename().string());
    const HfConfig config = HfConfig::open(entry.path());
    const std::string type = config.model_type();
    if (type == "bert" || type == "roberta" || type == "t5") continue;
    const models::Family& family = families::family_of(config);
    seen.insert(&family);
    const Safetensors stored = Safetensors::open(entry.path());
    const models::Settings settings = families::read_config(config, family);
    const models::FamilyTensors tensors(stored, family, settings);
    const models::Decoder a = models::build_decoder(settings, models::Weights(tensors, pool));
    const std::string bytes = as_gguf(tensors, settings, family);
    const GgufTensors file(GgufFile::parse(std::as_bytes(std::span(bytes)), "made.gguf"));
    const models::Settings again =
        models::read_keys(file.keys(), file, families::family_of(file.keys()));
    const models::Decoder b = models::build_decoder(again, models::Weights(file, pool));

    ASSERT_EQ(a.blocks.size(), b.blocks.size());
    for (std::size_t i = 0; i < a.blocks.size(); ++i) expect_same(a.blocks[i], b.blocks[i]);
    expect_same(a.head.matrix, b.head.matrix);
    expect_same(a.head.norm, b.head.norm);
    expect_same(a.embedding.norm, b.embedding.norm);
    EXPECT_EQ(a.head.soft_cap, b.head.soft_cap);
    EXPECT_EQ(a.embedding.scale, b.embedding.scale);
    EXPECT_EQ(a.config.context, b.config.context);
    ASSERT_EQ(a.config.kinds.size(), b.config.kinds.size());
    for (std::size_t i = 0; i < a.config.kinds.size(); ++i) {
      EXPECT_EQ(text(a.config.kinds[i].mask), text(b.config.kinds[i].mask));
      EXPECT_EQ(text(a.config.kinds[i].score), text(b.config.kinds[i].score));
      EXPECT_EQ(a.config.kinds[i].scale, b.config.kinds[i].scale);
    }
    ASSERT_EQ(a.rotations.size(), b.rotations.size());
    a.reserve(200);
    b.reserve(200);
    for (std::size_t i = 0; i < a.rotations.size(); ++i) {
      expect_same(*a.rotations[i], *b.rotations[i]);
    }
  }
  EXPECT_EQ(seen.size(), 11u);
}

// The message of the Error that a configuration gives; fails the test when there is none.
std::string refusal(const std::string& config) {
  try {
    const HfConfig parsed = HfConfig::parse(config, "config.json");
    families::read_config(parsed, families::family_of(parsed));
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::unreadable);
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    return error.what();
  }
  ADD_FAILURE() << "was read: " << config;
  return "";
}

TEST(Families, RefuseWhatWouldChangeTheNumbers) {
  const auto llama = [](const std::string& more, const char* type = "llama") {
    return R"({"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
               "intermediate_size": 48, "vocab_size": 90, "max_position_embeddings": 64,
               "model_type": ")" +
           std::string(type) + "\"" + more + "}";
  };
  struct Case {
    std::string config;
    std::vector<const char*> words;
  };
  for (const Case& c : std::vector<Case>{
           {R"({"model_type": "mamba\n"})", {"mamba", "llama", "qwen3", "gemma2"}},
           {"{}", {"model_type"}},
           {llama(R"(, "quantization_config": {"bits": 4})"), {"quantization_config"}},
           {llama(R"(, "hidden_act": "mish")"), {"hidden_act", "mish", "silu"}},
           {llama(R"(, "rope_scaling": {"rope_type": "spiral"})"), {"spiral", "yarn"}},
           {llama(R"(, "rope_scaling": {"rope_type": "yarn", "factor": 4})"),
            {"original_max_position_embeddings"}},
           {llama(R"(, "rope_scaling": {"rope_type": "llama3", "factor": 4})"),
            {"low_freq_factor"}},
           {llama(R"(, "rope_theta": 0.5)"), {"freq_base"}},
           {llama(R"(, "num_key_value_heads": 3)"), {"head_count", "3"}},
           {llama(R"(, "rope_scaling": {"type": "longrope", "long_factor": [1],
                       "short_factor": [1]})",
                  "phi3"),
            {"short_factor", "1", "4"}},
           {llama(R"(, "layer_types": ["full_attention"], "sliding_window": 4)", "mistral"),
            {"layer_types"}},
           {llama(R"(, "layer_types": ["a", "full_attention"], "sliding_window": 4)", "mistral"),
            {"layer_types", "sliding_attention"}},
           {llama(R"(, "num_local_experts": 2, "num_experts_per_tok": 3)", "mixtral"),
            {"expert", "3", "2"}},
           {llama(R"(, "use_bidirectional_attention": true)", "gemma2"),
            {"use_bidirectional_attention"}},
           {R"({"model_type": "gpt2", "scale_attn_by_inverse_layer_idx": true})",
            {"scale_attn_by_inverse_layer_idx"}},
           {R"({"model_type": "mpt", "n_layers": 1, "d_model": 8, "n_heads": 2, "vocab_size": 9,
               "max_seq_len": 8, "attn_config": {"clip_qkv": 8}})",
            {"clip_qkv"}}}) {
    const std::string message = refusal(c.config);
    EXPECT_NE(message.find("config.json"), std::string::npos) << message;
    for (const char* word : c.words) {
      EXPECT_NE(message.find(word), std::string::npos) << word << " is not in: " << message;
    }
  }
}

}  // namespace
}  // namespace regard
