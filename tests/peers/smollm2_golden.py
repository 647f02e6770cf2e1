"""What transformers computes from SmolLM2's own file: makes or checks the golden file of the model.

    smollm2_golden.py MODEL.gguf --write GOLDEN.json
    smollm2_golden.py MODEL.gguf --check GOLDEN.json

The weights are dequantised to f32 by the gguf package and attention is the eager one. The golden
file itself says what is asked: the prompts' ids, how many ids to continue by, which maps.
`greedy_min_margin` is the smallest distance of the two best logits on the way: where it is small, a
right implementation may choose otherwise.
Needs torch, transformers, gguf (see tests/peers/run).
"""

import argparse
import hashlib
import json
import os
import sys

import gguf
import torch
from gguf.quants import dequantize
from transformers import LlamaConfig, LlamaForCausalLM


def read_model(path):
    reader = gguf.GGUFReader(path)
    get = lambda key: reader.fields[key].contents()
    heads, kv_heads = get("llama.attention.head_count"), get("llama.attention.head_count_kv")
    config = LlamaConfig(
        vocab_size=len(get("tokenizer.ggml.tokens")),
        hidden_size=get("llama.embedding_length"),
        intermediate_size=get("llama.feed_forward_length"),
        num_hidden_layers=get("llama.block_count"),
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        max_position_embeddings=get("llama.context_length"),
        rms_norm_eps=get("llama.attention.layer_norm_rms_epsilon"),
        rope_theta=get("llama.rope.freq_base"),
        tie_word_embeddings=True,
        attn_implementation="eager",
    )
    names = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
             "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
             "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
             "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
    state = {}
    for tensor in reader.tensors:
        weight = torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).copy()).float()
        if tensor.name == "token_embd.weight":
            state["model.embed_tokens.weight"] = state["lm_head.weight"] = weight
        elif tensor.name == "output_norm.weight":
            state["model.norm.weight"] = weight
        else:
            _, layer, kind, _ = tensor.name.split(".")
            if kind in ("attn_q", "attn_k"):  # GGUF wants pairs (2i, 2i+1), transformers halves
                count = heads if kind == "attn_q" else kv_heads
                weight = (weight.view(count, -1, 2, weight.shape[1]).transpose(1, 2)
                          .reshape(weight.shape))
            state[f"model.layers.{layer}.{names[kind]}.weight"] = weight
    model = LlamaForCausalLM(config)
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not missing and not unexpected, (missing, unexpected)
    return model.eval(), get("tokenizer.ggml.tokens"), get("tokenizer.ggml.eos_token_id")


@torch.no_grad()
def compute(model, tokens, eos, ids, greedy, attention):
    """ids: the prompt; greedy: how many ids to continue it by; attention: "layer.head" names."""
    result = model(torch.tensor([ids]), output_attentions=True)
    logits = result.logits[0]
    chances = torch.log_softmax(logits[:-1].double(), -1)
    nll = -chances[torch.arange(len(ids) - 1), torch.tensor(ids[1:])].mean().item()
    best = torch.topk(logits[-1], 10)
    chosen, margin, step = [], float("inf"), model(torch.tensor([ids]), use_cache=True)
    for _ in range(greedy):
        top = torch.topk(step.logits[0, -1], 2)
        margin = min(margin, (top.values[0] - top.values[1]).item())
        chosen.append(top.indices[0].item())
        if chosen[-1] == eos:
            break
        step = model(torch.tensor([chosen[-1:]]), past_key_values=step.past_key_values)
    maps = {}
    for name in attention:
        layer, head = map(int, name.split("."))
        maps[name] = [[round(x, 6) for x in line]
                      for line in result.attentions[layer][0, head].tolist()]
    return {
        "tokens": [tokens[i] for i in ids],
        "mean_nll": nll,
        "top10": [[i, round(x, 5)] for i, x in zip(best.indices.tolist(), best.values.tolist())],
        "greedy_ids": chosen,
        "greedy_min_margin": round(margin, 5),
        "attention": maps,
    }


def differences(name, have, want, where=""):
    """Numbers may differ by what another build of torch rounds otherwise; all else must agree."""
    if isinstance(want, float) or isinstance(have, float):
        if abs(have - want) > 2e-4:
            yield f"{name}{where}: {have} is not {want}"
    elif isinstance(want, list):
        if len(have) != len(want):
            yield f"{name}{where}: {len(have)} items are not {len(want)}"
        for i, (a, b) in enumerate(zip(have, want)):
            yield from differences(name, a, b, f"{where}[{i}]")
    elif isinstance(want, dict):
        for key in want:
            yield from differences(name, have[key], want[key], f"{where}.{key}")
    elif have != want:
        yield f"{name}{where}: {have!r} is not {want!r}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write")
    action.add_argument("--check")
    arguments = parser.parse_args()
    golden_path = arguments.write or arguments.check
    golden = json.load(open(golden_path))
    digest = hashlib.sha256(open(arguments.model, "rb").read()).hexdigest()
    assert digest == golden["sha256"], f"{arguments.model} is not the model of {golden_path}"

    model, tokens, eos = read_model(arguments.model)
    problems = []
    for case in golden["cases"]:
        # greedy_ids may end early at the end token, so its length is the count asked for.
        fresh = compute(model, tokens, eos, case["ids"], len(case["greedy_ids"]),
                        list(case["attention"]))
        if arguments.write:
            case.update(fresh)
        else:
            problems += differences(case["prompt"][:30], fresh, {k: case[k] for k in fresh})
    if arguments.write:
        with open(golden_path, "w") as file:
            json.dump(golden, file, ensure_ascii=False, indent=None)
    for problem in problems[:20]:
        print(problem, file=sys.stderr)
    print(f"{len(golden['cases'])} cases, {len(problems)} differences")
    return 1 if problems else 0


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    sys.exit(main())
