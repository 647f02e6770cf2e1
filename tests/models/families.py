"""The cases of make_checkpoints.py: for each family its class in transformers and two or more
small configurations that differ in everything that a loader could get wrong.

A case is (name, settings of the config class, options); the options are
    dtype     of the stored weights: float32, float16 or bfloat16 (the numbers expected are
              those of the stored weights, computed in f32)
    shards    most kilobytes of a file, to have several
    pooling   a sentence-transformers folder: the key of 1_Pooling/config.json
    normalise the folder's modules.json ends in Normalize
    head      T5: the head is a matrix of its own
    prefix    BERT and RoBERTa: a masked language model, whose names begin with the family's
"""

VOCABULARY = 89
CONTEXT = 84  # of tables of positions: a prompt of 17 tokens and 64 more fit

COMMON = {"vocab_size": VOCABULARY, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}


def llama_like(width, heads, kv_heads, dim, inner, layers=2, tied=True, **more):
    return COMMON | {"hidden_size": width, "num_attention_heads": heads,
                     "num_key_value_heads": kv_heads, "head_dim": dim, "intermediate_size": inner,
                     "num_hidden_layers": layers, "max_position_embeddings": 128,
                     "tie_word_embeddings": tied} | more


def rope(kind, theta=10000.0, **more):
    return {"rope_parameters": {"rope_type": kind, "rope_theta": theta} | more}


def bert_like(width, heads, inner, layers=2, **more):
    return COMMON | {"hidden_size": width, "num_attention_heads": heads, "intermediate_size": inner,
                     "num_hidden_layers": layers, "max_position_embeddings": 64,
                     "type_vocab_size": 2} | more


def t5_like(width, heads, dim, inner, layers, decoder_layers, **more):
    return {"vocab_size": VOCABULARY, "d_model": width, "num_heads": heads, "d_kv": dim,
            "d_ff": inner, "num_layers": layers, "num_decoder_layers": decoder_layers,
            "decoder_start_token_id": 0} | more


HALF = {"dtype": "float16"}
BRAIN = {"dtype": "bfloat16"}

# Of the numbers: those whose greedy texts are told apart clearly and repeat little; else 1.
SEEDS = {
    "gpt2-1": 4, "gpt2-2": 5, "llama-1": 3, "llama-2": 1, "llama-linear": 4, "llama-yarn": 1,
    "llama-dynamic": 5, "mistral-1": 1, "mistral-2": 2, "qwen2-1": 2, "qwen2-2": 3, "qwen3-1": 5,
    "qwen3-2": 6, "gemma2-1": 3, "gemma2-2": 4, "gemma3-1": 2, "gemma3-2": 2, "phi3-1": 5,
    "phi3-2": 4, "bloom-1": 4, "bloom-2": 1, "mpt-1": 5, "mpt-2": 2, "mixtral-1": 4,
    "mixtral-2": 6, "t5-1": 2, "t5-2": 3, "flan-t5-1": 5, "flan-t5-2": 2,
}

FAMILIES = {
    "gpt2": ("GPT2LMHeadModel", [
        ("gpt2-1", COMMON | {"n_embd": 60, "n_head": 3, "n_layer": 2, "n_inner": 20,
                             "n_positions": CONTEXT}, HALF),
        ("gpt2-2", COMMON | {"n_embd": 40, "n_head": 1, "n_layer": 3, "n_inner": 36,
                             "n_positions": CONTEXT, "tie_word_embeddings": False}, BRAIN),
    ]),
    "llama": ("LlamaForCausalLM", [
        ("llama-1", llama_like(42, 3, 1, 20, 48), HALF),
        ("llama-2", llama_like(24, 2, 1, 128, 28, tied=False, attention_bias=True, mlp_bias=True,
                               **rope("llama3", 5000.0, factor=4.0, low_freq_factor=1.0,
                                      high_freq_factor=4.0, original_max_position_embeddings=32)),
         BRAIN | {"shards": 40}),
        ("llama-linear", llama_like(30, 5, 5, 24, 32, **rope("linear", factor=2.5)), HALF),
        ("llama-yarn", llama_like(32, 4, 2, 32, 40, **rope(
            "yarn", factor=4.0, original_max_position_embeddings=32, beta_fast=32.0,
            beta_slow=1.0)), HALF),
        ("llama-dynamic", llama_like(33, 3, 1, 22, 40, **rope("dynamic", factor=2.0)), HALF),
    ]),
    "mistral": ("MistralForCausalLM", [
        ("mistral-1", llama_like(36, 6, 2, 20, 32, tied=False, sliding_window=7), HALF),
        ("mistral-2", llama_like(30, 3, 1, 64, 40, sliding_window=None), BRAIN),
    ]),
    "qwen2": ("Qwen2ForCausalLM", [
        ("qwen2-1", llama_like(60, 3, 1, 20, 28), HALF),
        ("qwen2-2", llama_like(48, 2, 2, 24, 28, tied=False, use_sliding_window=True,
                               sliding_window=9, max_window_layers=1), HALF),
    ]),
    "qwen3": ("Qwen3ForCausalLM", [
        ("qwen3-1", llama_like(35, 5, 1, 20, 32), HALF),
        ("qwen3-2", llama_like(24, 4, 2, 72, 32, tied=False, attention_bias=True,
                               **rope("default", 1e6)), BRAIN),
    ]),
    "gemma2": ("Gemma2ForCausalLM", [
        ("gemma2-1", llama_like(42, 3, 1, 20, 40, sliding_window=8,
                                query_pre_attn_scalar=28, attn_logit_softcapping=5.0,
                                final_logit_softcapping=6.0), HALF),
        ("gemma2-2", llama_like(24, 2, 1, 96, 40, sliding_window=16, query_pre_attn_scalar=96),
         BRAIN),
    ]),
    "gemma3": ("Gemma3ForCausalLM", [
        ("gemma3-1", llama_like(
            30, 3, 1, 20, 32, layers=4, sliding_window=8, query_pre_attn_scalar=20,
            layer_types=["sliding_attention", "full_attention"] * 2,
            rope_parameters={
                "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
                "full_attention": {"rope_type": "linear", "rope_theta": 1e6, "factor": 8.0}}),
         HALF),
        ("gemma3-2", llama_like(20, 2, 1, 48, 20, layers=6, sliding_window=5,
                                query_pre_attn_scalar=50), BRAIN),
    ]),
    "phi3": ("Phi3ForCausalLM", [
        ("phi3-1", llama_like(60, 3, 1, 20, 24, tied=False), HALF),
        ("phi3-2", llama_like(
            48, 2, 2, 24, 28, tied=True, sliding_window=11, original_max_position_embeddings=128,
            **rope("longrope", partial_rotary_factor=0.75,
                   short_factor=[1.0 + 0.1 * i for i in range(9)],
                   long_factor=[1.0 + 0.9 * i for i in range(9)])), BRAIN),
    ]),
    "bloom": ("BloomForCausalLM", [
        ("bloom-1", COMMON | {"hidden_size": 60, "n_head": 3, "n_layer": 1}, HALF),
        ("bloom-2", COMMON | {"hidden_size": 40, "n_head": 2, "n_layer": 2,
                              "apply_residual_connection_post_layernorm": True}, BRAIN),
    ]),
    "mpt": ("MptForCausalLM", [
        ("mpt-1", COMMON | {"d_model": 60, "n_heads": 3, "n_layers": 1, "expansion_ratio": 4,
                            "max_seq_len": 128}, HALF),
        ("mpt-2", COMMON | {"d_model": 40, "n_heads": 2, "n_layers": 2, "expansion_ratio": 4,
                            "max_seq_len": 128, "attn_config": {"softmax_scale": 0.3}}, BRAIN),
    ]),
    "mixtral": ("MixtralForCausalLM", [
        ("mixtral-1", llama_like(42, 3, 1, 20, 24, tied=False, num_local_experts=4,
                                 num_experts_per_tok=2, sliding_window=None), HALF),
        ("mixtral-2", llama_like(32, 2, 2, 64, 20, num_local_experts=4, num_experts_per_tok=3,
                                 sliding_window=10), BRAIN),
    ]),
    "bert": ("BertModel", [
        ("bert-1", bert_like(60, 3, 24), HALF),
        ("bert-2", bert_like(48, 2, 40, hidden_act="gelu_new", layer_norm_eps=1e-5),
         BRAIN | {"prefix": "BertForMaskedLM"}),
    ]),
    "roberta": ("RobertaModel", [
        ("roberta-1", bert_like(60, 3, 24) | {"pad_token_id": 1, "bos_token_id": 0,
                                              "type_vocab_size": 1}, HALF),
        ("roberta-2", bert_like(48, 1, 48) | {"pad_token_id": 3, "type_vocab_size": 1},
         BRAIN | {"prefix": "RobertaForMaskedLM"}),
    ]),
    "minilm": ("BertModel", [
        ("minilm-1", bert_like(40, 2, 64, layer_norm_eps=1e-12),
         HALF | {"pooling": "mean_tokens", "normalise": True}),
        ("minilm-2", bert_like(36, 1, 28), BRAIN | {"pooling": "cls_token", "normalise": False}),
        ("minilm-max", bert_like(40, 2, 40, layers=1),
         HALF | {"pooling": "max_tokens", "normalise": True}),
    ]),
    "t5": ("T5ForConditionalGeneration", [
        ("t5-1", t5_like(28, 3, 20, 32, 2, 2, relative_attention_num_buckets=8,
                         relative_attention_max_distance=20), HALF),
        ("t5-2", t5_like(32, 1, 48, 40, 1, 2), BRAIN),
    ]),
    "flan-t5": ("T5ForConditionalGeneration", [
        ("flan-t5-1", t5_like(24, 3, 24, 24, 2, 2, feed_forward_proj="gated-gelu"),
         HALF | {"head": True}),
        ("flan-t5-2", t5_like(24, 1, 72, 24, 2, 1, feed_forward_proj="gated-gelu",
                              relative_attention_num_buckets=12), BRAIN | {"head": True}),
    ]),
}
