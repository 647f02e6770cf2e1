#!/usr/bin/env python3
"""Writes golden/smollm2.json: what transformers computes from the same GGUF file.

    python3 make_golden.py SmolLM2-135M-Instruct.Q4_1.gguf > golden/smollm2.json

Needs torch, transformers, accelerate and gguf. Weights are dequantised to f32 by transformers, attention is
the plain ("eager") one, so that its maps can be had. Per prompt: token ids and texts, mean NLL,
the ten largest logits behind the last token, the greedy continuation with the smallest distance
between its first and second choice, and for some prompts whole maps as "layer.head".
"""
import hashlib
import json
import pathlib
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

TROPHY = "The trophy did not fit in the bag because it was too {}."
MAPS = ["0.0", "4.8", "13.8", "16.3", "16.5", "29.8"]
# prompt, most tokens of the greedy continuation, maps
CASES = [
    (TROPHY.format("big"), 48, MAPS),
    (TROPHY.format("small"), 48, ["16.3", "16.5"]),
    ("def fibonacci(n):\n    if n < 2:\n        return n\n", 40, []),
    ("<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n", 48, []),
    ("Zażółć gęślą jaźń — 東京は日本の首都です 🚀 12345 x²", 16, []),
]


def continue_greedily(model, ids, count, end):
    """Ids of the likeliest continuation, end token included, and its smallest margin."""
    chosen, margin, cache, feed = [], float("inf"), None, ids
    while len(chosen) < count and (not chosen or chosen[-1] != end):
        step = model(torch.tensor([feed]), past_key_values=cache, use_cache=True)
        cache = step.past_key_values
        first, second = step.logits[0, -1].topk(2).values.tolist()
        margin = min(margin, first - second)
        feed = [int(step.logits[0, -1].argmax())]
        chosen += feed
    return chosen, margin


def describe(model, tokenizer, prompt, count, maps):
    ids = tokenizer(prompt)["input_ids"]
    out = model(torch.tensor([ids]), output_attentions=True)
    logits = out.logits[0].double()
    nll = torch.nn.functional.cross_entropy(logits[:-1], torch.tensor(ids[1:]))
    top = logits[-1].topk(10)
    greedy, margin = continue_greedily(model, ids, count, tokenizer.eos_token_id)
    attention = {}
    for name in maps:
        layer, head = map(int, name.split("."))
        rows = out.attentions[layer][0, head].tolist()
        attention[name] = [[round(weight, 6) for weight in row] for row in rows]
    return {
        "prompt": prompt,
        "ids": ids,
        "tokens": tokenizer.convert_ids_to_tokens(ids),
        "mean_nll": nll.item(),
        "top10": [[int(i), round(v, 5)] for i, v in zip(top.indices, top.values.tolist())],
        "greedy_ids": greedy,
        "greedy_text": tokenizer.decode(greedy),
        "greedy_min_margin": round(margin, 5),
        "attention": attention,
    }


def main():
    path = pathlib.Path(sys.argv[1])
    source = {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
    tokenizer = AutoTokenizer.from_pretrained(**source)
    model = AutoModelForCausalLM.from_pretrained(
        **source, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    golden = {
        "model": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "reference": "transformers, float32, dequantised weights, eager attention",
        "cases": [describe(model, tokenizer, *case) for case in CASES],
    }
    json.dump(golden, sys.stdout, ensure_ascii=False)
    print()


if __name__ == "__main__":
    with torch.no_grad():
        main()
