"""Makes tests/nn/data/*.safetensors: two-layer models, their losses and every gradient by PyTorch.

    make_goldens.py [FOLDER]

Needs torch, transformers and safetensors; nothing is fetched. decoder: transformers' Llama (RMSNorm
in front, RoPE, shared key/value heads, SwiGLU). encoder_decoder: torch's own Transformer layers
(LayerNorm behind, ReLU, sines and cosines). Texts are padded to one length here and packed there.
A file has, all f32:
    ids, targets, weights, lengths       of the texts one behind another; a row of weight 0 is
                                         part of a prompt. encoder_decoder also: source_ids,
                                         source_lengths
    loss                                 [1], sum of weight * cross-entropy / sum of weights
    logits                               [tokens, vocabulary]
    weight.NAME, gradient.NAME           by nn::Transformer's names
"""

import pathlib
import sys

import torch
from safetensors.torch import save_file

torch.manual_seed(20261125)
torch.set_num_threads(1)


def padded(rows, lengths):
    """[sum of lengths, ...] -> [texts, longest, ...], zeros behind each text."""
    made = rows.new_zeros((len(lengths), max(lengths), *rows.shape[1:]))
    at = 0
    for text, length in enumerate(lengths):
        made[text, :length] = rows[at:at + length]
        at += length
    return made


def packed(rows, lengths):
    return torch.cat([rows[text, :length] for text, length in enumerate(lengths)])


def real(lengths):
    """[texts, longest], True where there is a token."""
    return torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]


def case(vocabulary, lengths):
    tokens = sum(lengths)
    made = {"ids": torch.randint(vocabulary, (tokens,)),
            "targets": torch.randint(vocabulary, (tokens,)),
            "weights": torch.ones(tokens),
            "lengths": torch.tensor(lengths)}
    made["weights"][:2] = 0
    return made


def finish(name, folder, made, logits, parameters):
    """parameters: {our name: (parameter, how a tensor of its shape becomes ours)}."""
    rows = torch.nn.functional.cross_entropy(logits, made["targets"], reduction="none")
    loss = (rows * made["weights"]).sum() / made["weights"].sum()
    loss.backward()
    made |= {"loss": loss.reshape(1), "logits": logits}
    for ours, (parameter, ours_of) in parameters.items():
        made["weight." + ours] = ours_of(parameter)
        made["gradient." + ours] = ours_of(parameter.grad)
    save_file({key: value.detach().float().contiguous().clone() for key, value in made.items()},
              folder / f"{name}.safetensors")


def same(tensor):
    return tensor


def randomise(model):
    """Biases and gains too, so that none is checked against nothing."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.25)
            else:
                parameter.normal_(0 if parameter.mean().abs() < 0.5 else 1, 0.2)


def decoder(folder):
    from transformers import LlamaConfig, LlamaForCausalLM

    lengths = [9, 5, 12]
    made = case(40, lengths)
    config = LlamaConfig(vocab_size=40, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
                         num_attention_heads=4, num_key_value_heads=2, rms_norm_eps=1e-5,
                         rope_theta=10000.0, max_position_embeddings=64,
                         tie_word_embeddings=False, attn_implementation="eager")
    model = LlamaForCausalLM(config)
    randomise(model)
    logits = model(input_ids=padded(made["ids"], lengths),
                   attention_mask=real(lengths).long(), use_cache=False).logits
    parameters = {"token_embd.weight": (model.model.embed_tokens.weight, same),
                  "output_norm.weight": (model.model.norm.weight, same),
                  "output.weight": (model.lm_head.weight, same)}
    for i, layer in enumerate(model.model.layers):
        for ours, module in {"attn_norm": layer.input_layernorm,
                             "attn_q": layer.self_attn.q_proj,
                             "attn_k": layer.self_attn.k_proj,
                             "attn_v": layer.self_attn.v_proj,
                             "attn_output": layer.self_attn.o_proj,
                             "ffn_norm": layer.post_attention_layernorm,
                             "ffn_gate": layer.mlp.gate_proj,
                             "ffn_up": layer.mlp.up_proj,
                             "ffn_down": layer.mlp.down_proj}.items():
            parameters[f"blk.{i}.{ours}.weight"] = (module.weight, same)
    finish("decoder", folder, made, packed(logits, lengths), parameters)


def sinusoids(count, width):
    angles = torch.arange(count)[:, None] / 10000 ** (torch.arange(0, width, 2) / width)
    return torch.stack([angles.sin(), angles.cos()], -1).reshape(count, width)


def third(part):
    return lambda tensor: tensor.chunk(3)[part]


def encoder_decoder(folder):
    vocabulary, width, lengths, source_lengths = 30, 24, [6, 4], [5, 9]
    made = case(vocabulary, lengths)
    made |= {"source_ids": torch.randint(vocabulary, (sum(source_lengths),)),
             "source_lengths": torch.tensor(source_lengths)}
    options = dict(d_model=width, nhead=4, dim_feedforward=32, dropout=0.0, activation="relu",
                   batch_first=True, norm_first=False)
    modules = torch.nn.ModuleDict({
        "source": torch.nn.Embedding(vocabulary, width),
        "encoder": torch.nn.ModuleList(torch.nn.TransformerEncoderLayer(**options)
                                       for _ in range(2)),
        "decoder": torch.nn.ModuleList(torch.nn.TransformerDecoderLayer(**options)
                                       for _ in range(2))})
    randomise(modules)
    table = modules["source"].weight  # of both texts and of the head

    def embed(ids, of):
        ids = padded(ids, of)
        return modules["source"](ids) + sinusoids(ids.shape[1], width)

    memory = embed(made["source_ids"], source_lengths)
    nobody = ~real(source_lengths)
    for layer in modules["encoder"]:
        memory = layer(memory, src_key_padding_mask=nobody)
    x = embed(made["ids"], lengths)
    future = torch.ones(max(lengths), max(lengths), dtype=torch.bool).triu(1)
    for layer in modules["decoder"]:
        x = layer(x, memory, tgt_mask=future, tgt_key_padding_mask=~real(lengths),
                  memory_key_padding_mask=nobody)
    logits = packed(x @ table.T, lengths)

    parameters = {"enc.token_embd.weight": (table, same)}

    def add(prefix, module):
        for end in ("weight", "bias"):
            parameters[f"{prefix}.{end}"] = (getattr(module, end), same)

    def add_attention(prefix, module):
        for part, letter in enumerate("qkv"):
            parameters[f"{prefix}_{letter}.weight"] = (module.in_proj_weight, third(part))
            parameters[f"{prefix}_{letter}.bias"] = (module.in_proj_bias, third(part))
        add(f"{prefix}_output", module.out_proj)

    for half, stack in (("enc", modules["encoder"]), ("dec", modules["decoder"])):
        for i, layer in enumerate(stack):
            block = f"{half}.blk.{i}."
            add_attention(block + "attn", layer.self_attn)
            add(block + "attn_norm", layer.norm1)
            add(block + "ffn_up", layer.linear1)
            add(block + "ffn_down", layer.linear2)
            if half == "enc":
                add(block + "ffn_norm", layer.norm2)
            else:
                add_attention(block + "cross_attn", layer.multihead_attn)
                add(block + "cross_attn_norm", layer.norm2)
                add(block + "ffn_norm", layer.norm3)
    finish("encoder_decoder", folder, made, logits, parameters)


if __name__ == "__main__":
    here = pathlib.Path(__file__).resolve().parent / "data"
    target = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else here
    target.mkdir(parents=True, exist_ok=True)
    decoder(target)
    encoder_decoder(target)
