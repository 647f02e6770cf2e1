#include "models/build.h"

#include <cmath>
#include <utility>

#include "base/check.h"
#include "models/rope.h"
#include "regard/program.h"
#include "simd/f64_math.h"

namespace regard::models {
namespace {

// Press et al. 2022. For their 8 the slopes of the paper's own code; else 2^(-alibi k / p) with p
// the next power of two, every other one first where heads is not p, as MPT takes them.
std::vector<float> slopes(float alibi, int64_t heads) {
  if (alibi == 8) return program::alibi_slopes(static_cast<int>(heads));
  int64_t power = 1;
  while (power < heads) power *= 2;
  const auto slope = [&](int64_t k) {
    return static_cast<float>(f64::exp(-double{alibi} * static_cast<double>(k) /
                                       static_cast<double>(power) * f64::log(2.0)));
  };
  std::vector<float> made;
  for (int64_t k = 1; k <= power && power == heads; ++k) made.push_back(slope(k));
  for (int64_t k = 2; k <= power && power != heads; k += 2) made.push_back(slope(k));
  for (int64_t k = 1; std::ssize(made) < heads; k += 2) made.push_back(slope(k));
  return made;
}

// The parts of one block, named as GGUF names them.
class BlockMaker {
 public:
  BlockMaker(const Settings& settings, const Weights& weights, int64_t layer)
      : s_(settings), weights_(weights), prefix_(fmt::format("blk.{}.", layer)), layer_(layer) {}

  nn::Block make(const nn::Rotation& rotation, int64_t kind) const {
    nn::Block block;
    block.attention_norms.before = norm("attn_norm", s_.width);
    block.attention_norms.residual_is_normed = s_.norm_is_residual;
    block.attention = attention(rotation, kind);
    block.mlp_norms.before = norm("ffn_norm", s_.width);
    block.mlp_norms.residual_is_normed = s_.norm_is_residual;
    if (s_.sandwich) {
      block.attention_norms.after = norm("post_attention_norm", s_.width);
      block.mlp_norms.after = norm("post_ffw_norm", s_.width);
    }
    if (s_.experts > 0) {
      block.mlp.part = experts();
    } else {
      block.mlp.part = mlp();
    }
    return block;
  }

 private:
  // Of matrices whose results are summed over the layers: GPT-2, Radford et al. 2019, section 2.3.
  double of_sums() const { return 1 / std::sqrt(2 * static_cast<double>(s_.layers)); }

  std::string name(const char* part) const { return prefix_ + part; }
  nn::Norm norm(const char* part, int64_t width) const {
    return weights_.norm(s_.norm, name(part), width, s_.epsilon);
  }

  nn::Attention attention(const nn::Rotation& rotation, int64_t kind) const {
    nn::Attention made;
    made.layer = layer_;
    made.kind = kind;
    made.heads = s_.heads;
    made.kv_heads = s_.kv_heads;
    made.dim = s_.dim;
    made.dim_v = s_.dim_v;
    made.rotate = rotation;
    // Whole heads in the order of pairs are turned into halves when they are packed.
    const int64_t halves = s_.pairs && rotation.layout == RopeLayout::halves ? s_.dim : 0;
    const int64_t q = s_.heads * s_.dim, k = s_.kv_heads * s_.dim, v = s_.kv_heads * s_.dim_v;
    const bool bias = s_.attention_bias;
    if (weights_.has(name("attn_qkv.weight"))) {
      const std::string all = name("attn_qkv");
      const std::string names[] = {name("attn_q"), name("attn_k"), name("attn_v")};
      made.query = weights_.linear(all, q, s_.width, {0, q + k + v, halves, bias, names[0]});
      made.key = weights_.linear(all, k, s_.width, {q, q + k + v, halves, bias, names[1]});
      made.value = weights_.linear(all, v, s_.width, {q + k, q + k + v, 0, bias, names[2]});
    } else {
      made.query = weights_.linear(name("attn_q"), q, s_.width, {0, 0, halves, bias});
      made.key = weights_.linear(name("attn_k"), k, s_.width, {0, 0, halves, bias});
      made.value = weights_.linear(name("attn_v"), v, s_.width, {0, 0, 0, bias});
    }
    made.output = weights_.linear(name("attn_output"), s_.width, s_.heads * s_.dim_v,
                                  {0, 0, 0, bias && s_.output_bias}, of_sums());
    if (s_.head_norms) {
      made.query_norm = norm("attn_q_norm", s_.dim);
      made.key_norm = norm("attn_k_norm", s_.dim);
    }
    return made;
  }

  nn::Mlp mlp() const {
    const int64_t inner = s_.inner[static_cast<std::size_t>(layer_)];
    const Rows rows{.bias = s_.mlp_bias};
    nn::Mlp made{.activation = s_.activation};
    const bool apart = !weights_.stored() || weights_.has(name("ffn_gate.weight"));
    if (s_.gated && !apart) {  // Phi-3: one matrix, the gate first
      const std::string both = name("ffn_up"), gate = name("ffn_gate");
      made.gate = weights_.linear(both, inner, s_.width, {0, 2 * inner, 0, s_.mlp_bias, gate});
      made.up = weights_.linear(both, inner, s_.width, {inner, 2 * inner, 0, s_.mlp_bias});
    } else {
      if (s_.gated) made.gate = weights_.linear(name("ffn_gate"), inner, s_.width, rows);
      made.up = weights_.linear(name("ffn_up"), inner, s_.width, rows);
    }
    made.down = weights_.linear(name("ffn_down"), s_.width, inner, rows, of_sums());
    return made;
  }

  nn::Experts experts() const {
    const int64_t inner = s_.inner[static_cast<std::size_t>(layer_)];
    nn::Experts made;
    made.used = s_.experts_used;
    made.router = weights_.linear(name("ffn_gate_inp"), s_.experts, s_.width);
    auto gate = weights_.experts(name("ffn_gate_exps"), s_.experts, inner, s_.width);
    auto up = weights_.experts(name("ffn_up_exps"), s_.experts, inner, s_.width);
    auto down = weights_.experts(name("ffn_down_exps"), s_.experts, s_.width, inner);
    for (std::size_t i = 0; i < gate.size(); ++i) {
      made.experts.push_back(
          {std::move(gate[i]), std::move(up[i]), std::move(down[i]), s_.activation});
    }
    return made;
  }

  const Settings& s_;
  const Weights& weights_;
  std::string prefix_;
  int64_t layer_;
};

// Kinds of layers and their rotations, in the order in which layers meet them.
struct Kinds {
  std::vector<bool> local;
  std::vector<nn::Rotation> rotations;

  int64_t of(bool wanted) const { return local.front() == wanted ? 0 : 1; }
};

Kinds make_kinds(const Settings& settings, Decoder& model) {
  Kinds kinds;
  std::shared_ptr<RopeTable> table;
  for (int64_t layer = 0; layer < settings.layers; ++layer) {
    const bool local = settings.is_local(layer);
    if (!kinds.local.empty() && (kinds.local.size() == 2 || kinds.local.front() == local)) continue;
    if (!table || settings.local_rope) {
      const bool own = local && settings.local_rope;
      table = rope_table(own ? *settings.local_rope : settings.rope);
      if (table) model.rotations.push_back(table);
    }
    const bool whole = settings.rope.dim == settings.dim;
    const RopeLayout layout = settings.pairs && !whole ? RopeLayout::pairs : RopeLayout::halves;
    kinds.local.push_back(local);
    kinds.rotations.push_back({table, layout});
    model.config.kinds.push_back(attention_options(settings, local));
    const bool windowed = local && settings.window < settings.context;
    model.config.plain.push_back(!windowed && settings.score_cap == 0 && settings.alibi == 0);
  }
  return kinds;
}

DecoderConfig config_of(const Settings& s) {
  DecoderConfig config;
  config.architecture = s.architecture;
  config.layers = s.layers;
  config.width = s.width;
  config.heads = s.heads;
  config.kv_heads = s.kv_heads;
  config.dim = s.dim;
  config.dim_v = s.dim_v;
  config.vocabulary = s.vocabulary;
  config.context = s.context;
  return config;
}

}  // namespace

AttentionOptions attention_options(const Settings& settings, bool local) {
  using namespace program;
  AttentionOptions options{.mask = causal()};
  if (local && settings.window < settings.context) {
    options.mask = causal_mask() & (query() - key() < Expr(settings.window));
  }
  if (settings.score_cap > 0) options.score = softcap(Expr(settings.score_cap));
  if (settings.alibi > 0) {
    options.score = alibi(Array::of("slopes", slopes(settings.alibi, settings.heads)));
  }
  if (settings.attention_scale > 0) options.scale = settings.attention_scale;
  return options;
}

Decoder build_decoder(const Settings& settings, const Weights& weights) {
  const Settings& s = settings;
  if (weights.has(fmt::format("blk.{}.attn_norm.weight", s.layers))) {
    fail(ErrorKind::unreadable, "{}: block_count is {}, but the file has a tensor of blk.{}",
         weights.source().name(), s.layers, s.layers);
  }
  Decoder model;
  model.config = config_of(s);
  // The largest matrix first: its packed copy and its pages of the file stand beside the least.
  model.embedding.tokens.table = weights.matrix("token_embd.weight", s.vocabulary, s.width);
  model.head.matrix.matrix = s.tied ? model.embedding.tokens.table
                                    : weights.matrix("output.weight", s.vocabulary, s.width);
  if (!s.tied && weights.has("output.bias")) {
    model.head.matrix.bias = tensor_of(weights.vector("output.bias", s.vocabulary));
  }
  model.head.norm = weights.norm(s.norm, "output_norm", s.width, s.epsilon);
  model.head.soft_cap = s.logit_cap;
  model.embedding.scale = s.embedding_scale;
  if (s.learned_positions) {
    model.embedding.positions.table = weights.matrix("position_embd.weight", s.context, s.width);
  }
  if (s.embedding_norm) {
    model.embedding.norm = weights.norm(s.norm, "token_embd_norm", s.width, s.epsilon);
  }
  const Kinds kinds = make_kinds(s, model);
  for (int64_t layer = 0; layer < s.layers; ++layer) {
    const int64_t kind = kinds.of(s.is_local(layer));
    model.blocks.push_back(
        BlockMaker(s, weights, layer).make(kinds.rotations[static_cast<std::size_t>(kind)], kind));
  }
  return model;
}

}  // namespace regard::models
