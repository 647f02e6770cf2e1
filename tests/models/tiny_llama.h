// TinyLlama: a random model of the Llama family small enough to compute by hand, as a GGUF file
// and as a second, plain computation of its logits in double precision.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <string>
#include <vector>

namespace regard {

struct TinyArray {
  std::vector<uint64_t> dims;  // the innermost first
  std::vector<float> numbers;
};

struct TinyLlama {
  int64_t layers = 2, width = 64, heads = 4, kv_heads = 2, dim = 16, dim_v = 16, inner = 96;
  int64_t context = 2048, rope_dim = 16;
  double rope_base = 10000, rope_scale = 1;
  float epsilon = 1e-5f;
  bool tied = true, biases = false, rope_factors = false;
  uint32_t seed = 1;
  std::string architecture = "llama";

  std::vector<std::string> tokens = {};  // filled by make()
  std::map<std::string, TinyArray> arrays = {};
  // A test may write a key as it likes: bytes of type and value.
  std::map<std::string, std::string> keys = {};

  int64_t vocabulary() const { return static_cast<int64_t>(tokens.size()); }

  // Fills tokens, arrays and keys from the sizes.
  TinyLlama& make();
  std::string file() const;
  std::filesystem::path save(const std::string& name) const;

  // Logits [ids, vocabulary] by the formulas, rotating adjacent pairs as the file means it.
  std::vector<double> logits(const std::vector<int32_t>& ids) const;

  const TinyArray& array(const std::string& name) const { return arrays.at(name); }
  bool has(const std::string& name) const { return arrays.contains(name); }

  template <class T>
  static std::string typed(uint32_t type, T value) {
    std::string bytes(sizeof type + sizeof value, '\0');
    std::memcpy(bytes.data(), &type, sizeof type);
    std::memcpy(bytes.data() + sizeof type, &value, sizeof value);
    return bytes;
  }
  void set_u32(const std::string& key, uint32_t value) { keys[key] = typed(4, value); }
  void set_f32(const std::string& key, float value) { keys[key] = typed(6, value); }
  void set_string(const std::string& key, const std::string& text) {
    keys[key] = typed(8, static_cast<uint64_t>(text.size())) + text;
  }
  static std::string array_of(uint32_t element, uint64_t count, const std::string& bytes) {
    std::string value = typed(9, element);
    value.append(reinterpret_cast<const char*>(&count), sizeof count);
    return value + bytes;
  }
};

inline std::string utf8(char32_t c) {
  if (c < 0x80) return {static_cast<char>(c)};
  return {static_cast<char>(0xC0 | (c >> 6)), static_cast<char>(0x80 | (c & 0x3F))};
}

inline TinyLlama& TinyLlama::make() {
  // Byte-level BPE: a token for each byte, a merge, a word of two bytes, and an end token.
  tokens.clear();
  char32_t next = 256;
  for (int byte = 0; byte < 256; ++byte) {
    const bool plain = (byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173);
    tokens.push_back(utf8(plain ? static_cast<char32_t>(byte) : next++));
  }
  tokens.push_back("th");
  tokens.push_back("<|end|>");
  const auto end = static_cast<uint32_t>(tokens.size() - 1);

  keys.clear();
  set_string("general.architecture", architecture);
  set_u32("llama.block_count", static_cast<uint32_t>(layers));
  set_u32("llama.context_length", static_cast<uint32_t>(context));
  set_u32("llama.embedding_length", static_cast<uint32_t>(width));
  set_u32("llama.feed_forward_length", static_cast<uint32_t>(inner));
  set_u32("llama.attention.head_count", static_cast<uint32_t>(heads));
  set_u32("llama.attention.head_count_kv", static_cast<uint32_t>(kv_heads));
  set_u32("llama.attention.key_length", static_cast<uint32_t>(dim));
  set_u32("llama.attention.value_length", static_cast<uint32_t>(dim_v));
  set_u32("llama.rope.dimension_count", static_cast<uint32_t>(rope_dim));
  set_f32("llama.rope.freq_base", static_cast<float>(rope_base));
  set_f32("llama.attention.layer_norm_rms_epsilon", epsilon);
  if (rope_scale != 1) {
    set_string("llama.rope.scaling.type", "linear");
    set_f32("llama.rope.scaling.factor", static_cast<float>(rope_scale));
  }
  set_string("tokenizer.ggml.model", "gpt2");
  set_string("tokenizer.ggml.pre", "gpt-2");
  std::string texts, types;
  for (std::size_t id = 0; id < tokens.size(); ++id) {
    texts += typed(0, uint64_t{tokens[id].size()}).substr(4) + tokens[id];
    types += typed(id == end ? 3 : 1, uint8_t{0}).substr(0, 4);
  }
  keys["tokenizer.ggml.tokens"] = array_of(8, tokens.size(), texts);
  keys["tokenizer.ggml.token_type"] = array_of(5, tokens.size(), types);
  keys["tokenizer.ggml.merges"] = array_of(8, 1, typed(0, uint64_t{3}).substr(4) + "t h");
  set_u32("tokenizer.ggml.eos_token_id", end);

  arrays.clear();
  std::mt19937 random(seed);
  const auto fill = [&](const std::string& name, std::vector<uint64_t> dims, float mean,
                        float spread) {
    std::size_t count = 1;
    for (const uint64_t extent : dims) count *= extent;
    TinyArray made{std::move(dims), std::vector<float>(count)};
    for (float& number : made.numbers) {
      number = mean + spread * (static_cast<float>(random() >> 8) * 0x1p-23f - 1.0f);
    }
    arrays[name] = std::move(made);
  };
  const auto u = [](int64_t size) { return static_cast<uint64_t>(size); };
  const auto matrix = [&](const std::string& name, int64_t inputs, int64_t outputs) {
    fill(name + ".weight", {u(inputs), u(outputs)}, 0,
         3.0f / std::sqrt(static_cast<float>(inputs)));
    if (biases) fill(name + ".bias", {u(outputs)}, 0, 0.5f);
  };
  fill("token_embd.weight", {u(width), u(vocabulary())}, 0, 1);
  fill("output_norm.weight", {u(width)}, 1, 0.5f);
  if (!tied) fill("output.weight", {u(width), u(vocabulary())}, 0, 0.5f);
  if (rope_factors) fill("rope_freqs.weight", {u(rope_dim / 2)}, 2, 1);
  for (int64_t layer = 0; layer < layers; ++layer) {
    const std::string block = "blk." + std::to_string(layer) + ".";
    fill(block + "attn_norm.weight", {u(width)}, 1, 0.5f);
    fill(block + "ffn_norm.weight", {u(width)}, 1, 0.5f);
    matrix(block + "attn_q", width, heads * dim);
    matrix(block + "attn_k", width, kv_heads * dim);
    matrix(block + "attn_v", width, kv_heads * dim_v);
    matrix(block + "attn_output", heads * dim_v, width);
    matrix(block + "ffn_gate", width, inner);
    matrix(block + "ffn_up", width, inner);
    matrix(block + "ffn_down", inner, width);
  }
  return *this;
}

inline std::string TinyLlama::file() const {
  constexpr std::size_t kAlign = 32;
  std::string head, data;
  const auto put = [](std::string& to, auto value) {
    to.append(reinterpret_cast<const char*>(&value), sizeof value);
  };
  const auto put_text = [&](const std::string& text) {
    put(head, uint64_t{text.size()});
    head += text;
  };
  head = "GGUF";
  put(head, uint32_t{3});
  put(head, uint64_t{arrays.size()});
  put(head, uint64_t{keys.size()});
  for (const auto& [key, value] : keys) {
    put_text(key);
    head += value;
  }
  for (const auto& [name, array] : arrays) {
    put_text(name);
    put(head, static_cast<uint32_t>(array.dims.size()));
    for (const uint64_t extent : array.dims) put(head, extent);
    put(head, uint32_t{0});
    data.resize((data.size() + kAlign - 1) / kAlign * kAlign);
    put(head, uint64_t{data.size()});
    data.append(reinterpret_cast<const char*>(array.numbers.data()),
                array.numbers.size() * sizeof(float));
  }
  head.resize((head.size() + kAlign - 1) / kAlign * kAlign);
  return head + data;
}

inline std::filesystem::path TinyLlama::save(const std::string& name) const {
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() / (name + "-" + std::to_string(::getpid()) + ".gguf");
  std::ofstream(path, std::ios::binary) << file();
  return path;
}

namespace tiny {

using Rows = std::vector<std::vector<double>>;

inline std::vector<double> norm(const std::vector<double>& x, const TinyArray& gain,
                                double epsilon) {
  double sum = 0;
  for (const double number : x) sum += number * number;
  std::vector<double> y(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    y[i] = x[i] / std::sqrt(sum / static_cast<double>(x.size()) + epsilon) * gain.numbers[i];
  }
  return y;
}

inline std::vector<double> multiply(const TinyLlama& model, const std::string& name,
                                    const std::vector<double>& x) {
  const TinyArray& matrix = model.array(name + ".weight");
  std::vector<double> y(matrix.dims[1]);
  for (std::size_t out = 0; out < y.size(); ++out) {
    if (model.has(name + ".bias")) y[out] = model.array(name + ".bias").numbers[out];
    for (std::size_t in = 0; in < x.size(); ++in) {
      y[out] += x[in] * matrix.numbers[out * x.size() + in];
    }
  }
  return y;
}

inline void rotate_pairs(const TinyLlama& model, std::vector<double>& x, std::size_t position) {
  for (std::size_t head = 0; head < x.size(); head += model.dim) {
    for (int64_t i = 0; i < model.rope_dim / 2; ++i) {
      double angle = static_cast<double>(position) / model.rope_scale *
                     std::pow(static_cast<double>(static_cast<float>(model.rope_base)),
                              -2.0 * static_cast<double>(i) / static_cast<double>(model.rope_dim));
      if (model.rope_factors) angle /= model.array("rope_freqs.weight").numbers[i];
      double& a = x[head + 2 * i];
      double& b = x[head + 2 * i + 1];
      const double turned = a * std::cos(angle) - b * std::sin(angle);
      b = a * std::sin(angle) + b * std::cos(angle);
      a = turned;
    }
  }
}

// One row: the mixed values of all heads for query q among the first `keys` keys.
inline std::vector<double> attend(const TinyLlama& model, const std::vector<double>& q,
                                  const Rows& k, const Rows& v, std::size_t keys) {
  std::vector<double> mixed(model.heads * model.dim_v);
  for (int64_t head = 0; head < model.heads; ++head) {
    const int64_t kv = head / (model.heads / model.kv_heads);
    std::vector<double> weight(keys);
    double most = -1e300, sum = 0;
    for (std::size_t j = 0; j < keys; ++j) {
      for (int64_t d = 0; d < model.dim; ++d)
        weight[j] += q[head * model.dim + d] * k[j][kv * model.dim + d];
      weight[j] /= std::sqrt(static_cast<double>(model.dim));
      most = std::max(most, weight[j]);
    }
    for (double& w : weight) sum += w = std::exp(w - most);
    for (std::size_t j = 0; j < keys; ++j) {
      for (int64_t d = 0; d < model.dim_v; ++d) {
        mixed[head * model.dim_v + d] += weight[j] / sum * v[j][kv * model.dim_v + d];
      }
    }
  }
  return mixed;
}

}  // namespace tiny

inline std::vector<double> TinyLlama::logits(const std::vector<int32_t>& ids) const {
  tiny::Rows x;
  const TinyArray& embedding = array("token_embd.weight");
  for (const int32_t id : ids) {
    const float* row = embedding.numbers.data() + id * width;
    x.emplace_back(row, row + width);
  }
  for (int64_t layer = 0; layer < layers; ++layer) {
    const std::string block = "blk." + std::to_string(layer) + ".";
    tiny::Rows k, v;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const auto normed = tiny::norm(x[i], array(block + "attn_norm.weight"), epsilon);
      std::vector<double> q = tiny::multiply(*this, block + "attn_q", normed);
      k.push_back(tiny::multiply(*this, block + "attn_k", normed));
      v.push_back(tiny::multiply(*this, block + "attn_v", normed));
      tiny::rotate_pairs(*this, q, i);
      tiny::rotate_pairs(*this, k[i], i);
      const auto added =
          tiny::multiply(*this, block + "attn_output", tiny::attend(*this, q, k, v, i + 1));
      for (int64_t d = 0; d < width; ++d) x[i][d] += added[d];
    }
    for (std::vector<double>& row : x) {
      const auto normed = tiny::norm(row, array(block + "ffn_norm.weight"), epsilon);
      const auto gate = tiny::multiply(*this, block + "ffn_gate", normed);
      auto up = tiny::multiply(*this, block + "ffn_up", normed);
      for (int64_t i = 0; i < inner; ++i) up[i] *= gate[i] / (1 + std::exp(-gate[i]));
      const auto added = tiny::multiply(*this, block + "ffn_down", up);
      for (int64_t d = 0; d < width; ++d) row[d] += added[d];
    }
  }
  TinyLlama head_only = *this;
  if (tied) head_only.arrays["output.weight"] = embedding;
  std::vector<double> all;
  for (const std::vector<double>& row : x) {
    const auto normed = tiny::norm(row, array("output_norm.weight"), epsilon);
    const auto one = tiny::multiply(head_only, "output", normed);
    all.insert(all.end(), one.begin(), one.end());
  }
  return all;
}

}  // namespace regard
