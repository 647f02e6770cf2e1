// BERT and MiniLM; RoBERTa, whose positions begin behind the padding token's. Post-norm, LayerNorm,
// positions and types that are added. Devlin et al. 2019; Liu et al. 2019; Reimers and Gurevych
// 2019 for the embedding of texts.
#include <filesystem>

#include "families/config_writer.h"
#include "families/families.h"
#include "families/pooling.h"

namespace regard::families {
namespace {

void defaults(Settings& settings) {
  settings.form = models::Form::encoder;
  settings.norm = nn::Norm::Kind::layer;
  settings.activation = Activation::gelu_erf;
  settings.gated = false;
  settings.attention_bias = settings.mlp_bias = true;
  settings.rope.dim = 0;
}

void read(const HfConfig& config, Settings& s) {
  only(config, "is_decoder", false);
  only(config, "add_cross_attention", false);
  const auto positions = config.find_string("position_embedding_type").value_or("absolute");
  if (positions != "absolute") {
    config.refuse("position_embedding_type", "is not \"absolute\", the only kind supported");
  }
  s.layers = config.get_int("num_hidden_layers", 1, models::kMostLayers);
  s.width = config.get_int("hidden_size", 1, models::kMostWidth);
  s.heads = s.kv_heads = config.get_int("num_attention_heads", 1, models::kMostHeads);
  if (s.width % s.heads != 0) config.refuse("hidden_size", "is no multiple of num_attention_heads");
  s.dim = s.dim_v = s.width / s.heads;
  s.inner.assign(static_cast<std::size_t>(s.layers),
                 config.get_int("intermediate_size", 1, models::kMostWidth));
  s.context = config.get_int("max_position_embeddings", 1, models::kMostContext);
  s.vocabulary = config.get_int("vocab_size", 1, INT32_MAX);
  s.epsilon = static_cast<float>(config.find_f64("layer_norm_eps", 0, 1).value_or(1e-12));
  s.activation = read_activation(config, "hidden_act", "gelu");
  s.encoder.token_types = config.get_int("type_vocab_size", 0, INT32_MAX);
  read_pooling(std::filesystem::path(config.name()).parent_path(), s.encoder);
}

void read_roberta(const HfConfig& config, Settings& s) {
  read(config, s);
  s.encoder.first_position = config.find_int("pad_token_id", 0, INT32_MAX).value_or(1) + 1;
  if (s.encoder.first_position >= s.context) {
    config.refuse("pad_token_id", "leaves no position in max_position_embeddings");
  }
  s.context -= s.encoder.first_position;
}

std::vector<TensorRule> rules(Transform positions) {
  return {{"embeddings.word_embeddings", "token_embd"},
          {"embeddings.position_embeddings", "position_embd", positions},
          {"embeddings.token_type_embeddings", "token_types"},
          {"embeddings.LayerNorm", "token_embd_norm"},
          {"encoder.layer.{}.attention.self.query", "blk.{}.attn_q"},
          {"encoder.layer.{}.attention.self.key", "blk.{}.attn_k"},
          {"encoder.layer.{}.attention.self.value", "blk.{}.attn_v"},
          {"encoder.layer.{}.attention.output.dense", "blk.{}.attn_output"},
          {"encoder.layer.{}.attention.output.LayerNorm", "blk.{}.attn_output_norm"},
          {"encoder.layer.{}.intermediate.dense", "blk.{}.ffn_up"},
          {"encoder.layer.{}.output.dense", "blk.{}.ffn_down"},
          {"encoder.layer.{}.output.LayerNorm", "blk.{}.layer_output_norm"}};
}

// What only other uses of such a model need: the next sentence, a masked token.
const std::vector<std::string_view> kOtherHeads{"embeddings.position_ids",
                                                "pooler.dense.weight",
                                                "pooler.dense.bias",
                                                "cls.predictions.bias",
                                                "cls.predictions.transform.dense.weight",
                                                "cls.predictions.transform.dense.bias",
                                                "cls.predictions.transform.LayerNorm.weight",
                                                "cls.predictions.transform.LayerNorm.bias",
                                                "cls.predictions.transform.LayerNorm.gamma",
                                                "cls.predictions.transform.LayerNorm.beta",
                                                "cls.predictions.decoder.weight",
                                                "cls.predictions.decoder.bias",
                                                "cls.seq_relationship.weight",
                                                "cls.seq_relationship.bias",
                                                "lm_head.bias",
                                                "lm_head.dense.weight",
                                                "lm_head.dense.bias",
                                                "lm_head.layer_norm.weight",
                                                "lm_head.layer_norm.bias",
                                                "lm_head.decoder.weight",
                                                "lm_head.decoder.bias"};

// RoBERTa's GGUF has no rows for padding: without them it is a BERT.
void write(const Settings& s, nlohmann::json& config) {
  config.update({{"architectures", {"BertModel"}},
                 {"num_hidden_layers", s.layers},
                 {"hidden_size", s.width},
                 {"num_attention_heads", s.heads},
                 {"intermediate_size", s.inner.front()},
                 {"max_position_embeddings", s.context},
                 {"vocab_size", s.vocabulary},
                 {"layer_norm_eps", decimal(s.epsilon)},
                 {"hidden_act", activation_name(s.activation)},
                 {"type_vocab_size", s.encoder.token_types}});
}

}  // namespace

const Family& bert() {
  static const Family family{.architecture = "bert",
                             .model_types = {"bert"},
                             .prefixes = {"bert."},
                             .tensors = rules(Transform::as_is),
                             .ignored = kOtherHeads,
                             .defaults = defaults,
                             .read_config = read,
                             .write_config = write};
  return family;
}

const Family& roberta() {
  static const Family family{.architecture = "bert",
                             .model_types = {"roberta", "xlm-roberta"},
                             .prefixes = {"roberta."},
                             .tensors = rules(Transform::past_padding),
                             .ignored = kOtherHeads,
                             .defaults = defaults,
                             .read_config = read_roberta,
                             .write_config = write};
  return family;
}

}  // namespace regard::families
