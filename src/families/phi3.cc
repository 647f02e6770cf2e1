// Phi-3: Llama with Q, K and V in one matrix, gate and up in another, part of each head turned, and
// LongRoPE. Abdin et al. 2024.
#include "families/config_writer.h"
#include "families/families.h"

namespace regard::families {
namespace {

void defaults(Settings&) {}

void read(const HfConfig& config, Settings& settings) {
  read_common(config, settings);
  read_windows(config, settings, {});
}

void write(const Settings& s, nlohmann::json& config) {
  write_common(s, config);
  write_window(s, config);
  config["architectures"] = {"Phi3ForCausalLM"};
  config["pad_token_id"] = nullptr;  // transformers' own is past most vocabularies
  config["original_max_position_embeddings"] = s.rope.near > 0 ? s.rope.near : s.context;
}

}  // namespace

const Family& phi3() {
  static const Family family{
      .architecture = "phi3",
      .model_types = {"phi3"},
      .prefixes = {},
      .tensors = {{"model.embed_tokens", "token_embd"},
                  {"model.norm", "output_norm"},
                  {"lm_head", "output"},
                  {"model.layers.{}.input_layernorm", "blk.{}.attn_norm"},
                  {"model.layers.{}.self_attn.qkv_proj", "blk.{}.attn_qkv"},
                  {"model.layers.{}.self_attn.o_proj", "blk.{}.attn_output"},
                  {"model.layers.{}.post_attention_layernorm", "blk.{}.ffn_norm"},
                  {"model.layers.{}.mlp.gate_up_proj", "blk.{}.ffn_up"},
                  {"model.layers.{}.mlp.down_proj", "blk.{}.ffn_down"}},
      .ignored = {},
      .defaults = defaults,
      .read_config = read,
      .write_config = write};
  return family;
}

}  // namespace regard::families
