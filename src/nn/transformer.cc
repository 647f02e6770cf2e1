#include "nn/transformer.h"

#include <cmath>
#include <utility>

#include "regard/program.h"

namespace regard::nn {
namespace {

TransformerConfig completed(TransformerConfig c) {
  if (c.kv_heads == 0) c.kv_heads = c.heads;
  require(c.width > 0 && c.layers > 0 && c.heads > 0,
          "transformer: width ({}), layers ({}) and heads ({}) must be positive", c.width, c.layers,
          c.heads);
  require(c.kv_heads > 0 && c.heads % c.kv_heads == 0,
          "transformer: heads ({}) is not a multiple of kv_heads ({})", c.heads, c.kv_heads);
  require(c.dim > 0 || c.width % c.heads == 0,
          "transformer: width ({}) is not a multiple of heads ({}); give dim", c.width, c.heads);
  if (c.dim == 0) c.dim = c.width / c.heads;
  if (c.dim_v == 0) c.dim_v = c.dim;
  if (c.inner == 0) c.inner = 4 * c.width;
  require(c.positions != Positions::rope || c.dim % 2 == 0,
          "transformer: heads of dim {} cannot be turned, which takes pairs", c.dim);
  for (const float rate : {c.dropout, c.attention_dropout}) {
    require(rate >= 0 && rate < 1, "transformer: dropout ({}) is not in 0 .. 1", rate);
  }
  return c;
}

// Mask and scores of self-attention; what of them is learned becomes a leaf.
Kind self_kind(const TransformerConfig& c, const Maker& make, const std::string& prefix) {
  using namespace program;
  Kind kind{.shape = {c.heads, c.kv_heads, c.dim, c.dim_v}};
  AttentionOptions& options = kind.options;
  if (c.causal) options.mask = causal_mask();
  if (c.window > 0) {
    const Expr near =
        c.causal ? query() - key() < Expr(c.window) : abs(query() - key()) < Expr(c.window);
    options.mask = options.mask.empty() ? near : options.mask & near;
  }
  const auto learn = [&](const char* name, Tensor::Extents shape) {
    const std::string whole = prefix + name;
    kind.learned.push_back(
        capture(name, make.parameters->add(whole, make.initial.normal(whole, shape, 0.02))));
    return kind.learned.back().array;
  };
  if (c.positions == Positions::alibi) {
    options.score = alibi(Array::of("slopes", alibi_slopes(static_cast<int>(c.heads))));
  }
  if (c.positions == Positions::relative) {
    options.score = relative_position(learn("attn_rel.weight", {c.heads, 2 * c.farthest + 1}));
  }
  if (c.positions == Positions::buckets) {
    options.score = t5_bias(learn("attn_rel_b.weight", {c.buckets, c.heads}),
                            static_cast<int>(c.buckets), static_cast<int>(c.farthest), !c.causal);
  }
  return kind;
}

class BlockMaker {
 public:
  BlockMaker(const TransformerConfig& config, const Maker& make, std::string prefix, int64_t layer)
      : c_(config), make_(make), prefix_(std::move(prefix)), layer_(layer) {}

  Block block(const Rotation& rotate) const {
    Block made{.dropout = c_.dropout, .checkpoint = c_.checkpoint};
    made.attention = attention("attn", 0);
    made.attention.rotate = rotate;
    made.attention_norms = norms("attn_norm");
    if (c_.cross) {
      made.cross = attention("cross_attn", 1);
      made.cross->cross = true;
      made.cross_norms = norms("cross_attn_norm");
    }
    made.mlp.part = mlp();
    made.mlp_norms = norms("ffn_norm");
    return made;
  }

 private:
  // Of matrices whose results are summed over the layers: GPT-2, Radford et al. 2019, section 2.3.
  double of_sums() const { return 1 / std::sqrt(2.0 * static_cast<double>(c_.layers)); }

  Linear linear(const std::string& name, int64_t outputs, int64_t inputs, double times = 1) const {
    return make_.linear(prefix_ + name, outputs, inputs, c_.bias, times);
  }

  Attention attention(const std::string& name, int64_t kind) const {
    Attention made{.layer = layer_,
                   .kind = kind,
                   .heads = c_.heads,
                   .kv_heads = c_.kv_heads,
                   .dim = c_.dim,
                   .dim_v = c_.dim_v,
                   .dropout = c_.attention_dropout};
    made.query = linear(name + "_q", c_.heads * c_.dim, c_.width);
    made.key = linear(name + "_k", c_.kv_heads * c_.dim, c_.width);
    made.value = linear(name + "_v", c_.kv_heads * c_.dim_v, c_.width);
    made.output = linear(name + "_output", c_.width, c_.heads * c_.dim_v, of_sums());
    return made;
  }

  Mlp mlp() const {
    Mlp made{.activation = c_.activation};
    if (c_.gated) made.gate = linear("ffn_gate", c_.inner, c_.width);
    made.up = linear("ffn_up", c_.inner, c_.width);
    made.down = linear("ffn_down", c_.width, c_.inner, of_sums());
    return made;
  }

  Norms norms(const char* name) const {
    Norm made = make_.norm(c_.norm, prefix_ + name, c_.width, c_.epsilon, c_.bias);
    Norms around;
    (c_.post_norm ? around.behind : around.before) = std::move(made);
    return around;
  }

  const TransformerConfig& c_;
  const Maker& make_;
  std::string prefix_;
  int64_t layer_;
};

}  // namespace

Transformer make_transformer(const TransformerConfig& config, const Maker& make,
                             const std::string& prefix, const Embedding& tokens) {
  Transformer made;
  made.config = completed(config);
  const TransformerConfig& c = made.config;
  made.kinds = {self_kind(c, make, prefix)};
  made.cross.shape = made.kinds[0].shape;
  made.embedding.tokens = tokens;
  if (!tokens && c.vocabulary > 0) {
    made.embedding.tokens = make.embedding(prefix + "token_embd", c.vocabulary, c.width);
  }
  made.embedding.dropout = c.dropout;
  if (c.positions == Positions::learned) {
    made.embedding.positions = make.embedding(prefix + "position_embd", c.context, c.width);
  }
  if (c.positions == Positions::sinusoidal) made.embedding.sinusoids = {.width = c.width};
  Rotation rotate;
  if (c.positions == Positions::rope) {
    const auto table = std::make_shared<RopeTable>(c.dim, c.rope_base);
    table->reserve(c.context);
    rotate.table = table;
  }
  for (int64_t layer = 0; layer < c.layers; ++layer) {
    const BlockMaker blocks(c, make, fmt::format("{}blk.{}.", prefix, layer), layer);
    made.blocks.push_back(blocks.block(rotate));
  }
  if (!c.post_norm) {
    made.norm = make.norm(c.norm, prefix + "output_norm", c.width, c.epsilon, c.bias);
  }
  if (c.head && c.vocabulary > 0) {
    made.head.matrix.matrix = c.tied
                                  ? made.embedding.tokens.table
                                  : Matrix(make.matrix(prefix + "output", c.vocabulary, c.width));
  }
  return made;
}

std::shared_ptr<Pass> Transformer::pass(const Texts& texts, const PassOptions& options,
                                        std::optional<Source> source) const {
  for (const Segment& text : texts.segments) {
    require(text.rows <= config.context, "transformer: a text has {} tokens, the context is {}",
            text.rows, config.context);
  }
  require(!config.cross || source, "transformer: its cross-attention needs a source");
  require(config.cross || !source, "transformer: there is a source, but no cross-attention");
  if (source) source->kind = cross;
  return Pass::make(texts, kinds, options, std::move(source));
}

Tensor Transformer::through(Tensor x, const Pass& pass) const {
  const Step step = pass.step();
  x = step.drop(std::move(x), embedding.dropout, 0, Dropped::embedding);
  step.show(0, Site::embedding, x);
  for (const Block& block : blocks) x = block(x, step);
  return norm(std::move(x));
}

Tensor Transformer::hidden(std::span<const int32_t> ids, const Texts& texts,
                           const PassOptions& options, std::optional<Source> source) const {
  require(std::ssize(ids) == texts.tokens(), "transformer: {} ids for {} tokens of texts",
          ids.size(), texts.tokens());
  const auto pass_of = pass(texts, options, std::move(source));
  return through(embedding(ids, texts.positions), *pass_of);
}

Tensor Transformer::hidden(Tensor x, const Texts& texts, const PassOptions& options,
                           std::optional<Source> source) const {
  require(x.rank() == 2 && x.shape(0) == texts.tokens() && x.shape(1) == config.width,
          "transformer: x is {}, must be [{}, {}]", x, texts.tokens(), config.width);
  const auto pass_of = pass(texts, options, std::move(source));
  return through(embedding.place(std::move(x), texts.positions), *pass_of);
}

Tensor EncoderDecoder::logits(std::span<const int32_t> source_ids, const Texts& sources,
                              std::span<const int32_t> target_ids, const Texts& targets,
                              const PassOptions& options) const {
  // The two halves draw other random numbers.
  PassOptions of_encoder = options;
  if (options.random) of_encoder.random = derived_seed(*options.random, "encoder");
  Tensor states = encoder.hidden(source_ids, sources, of_encoder);
  return decoder.logits(
      decoder.hidden(target_ids, targets, options, Source{std::move(states), sources}));
}

EncoderDecoder make_encoder_decoder(TransformerConfig config, const Maker& make) {
  EncoderDecoder made;
  TransformerConfig half = config;
  half.causal = half.head = false;
  made.encoder = make_transformer(half, make, "enc.");
  config.cross = config.causal = true;
  made.decoder = make_transformer(config, make, "dec.", made.encoder.embedding.tokens);
  return made;
}

}  // namespace regard::nn
