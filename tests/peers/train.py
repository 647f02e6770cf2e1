"""The same model, first weights and order of texts in regard and in PyTorch: do the losses agree?

    tests/peers/train.py REGARD TEXT [--steps 500] [--width 384] [--layers 6] [--threads 2]

Prints the losses side by side, the largest difference, and the mean of the last tenth of steps of
each, whose difference must be within 1 %. Needs torch and transformers.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from transformers import GPT2LMHeadModel

MASK = (1 << 64) - 1
BOUNDARY = 256
CONFIG = """[model]
family = "gpt2"
layers = {layers}
width = {width}
heads = 6
[data]
text = "{text}"
tokenizer = "bytes"
length = {length}
[run]
steps = {steps}
rows = {rows}
seed = 1
eval_batches = 0
[optimiser]
beta2 = 0.99
decay = 0.1
clip = 1.0
[schedule]
rate = {rate}
warmup = {warmup}
floor = 0.1
"""


def philox(low, seed):
    c = [low & 0xFFFFFFFF, low >> 32 & 0xFFFFFFFF, 0, 0]
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        left, right = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [right >> 32 ^ c[1] ^ k0, right & 0xFFFFFFFF, left >> 32 ^ c[3] ^ k1,
             left & 0xFFFFFFFF]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c


def uniform(seed, position):
    words = philox(position, seed)
    return ((words[1] << 32 | words[0]) >> 11) * 2.0 ** -53


def epoch_of(targets, length, seed, epoch):
    """Windows (first, length) of one document in the order of an epoch: src/data/text_source.cc."""
    stream = (seed * 0x9E3779B97F4A7C15 + epoch) & MASK
    shift = int(uniform(~stream & MASK, 0) * length)
    pieces = [(0, shift)] if shift else []
    pieces += [(at, min(length, targets - at)) for at in range(shift, targets, length)]
    for i in range(len(pieces) - 1):
        j = i + int(uniform(stream, i) * (len(pieces) - i))
        pieces[i], pieces[j] = pieces[j], pieces[i]
    return pieces


def batches(ids, length, rows, seed):
    """As rows of one text each, padded; regard has the same texts without padding."""
    waiting, epoch = [], 0
    while True:
        batch, tokens = [], 0
        while True:
            if not waiting:
                waiting = epoch_of(len(ids) - 1, length, seed, epoch)
                epoch += 1
            if tokens + waiting[0][1] > rows * length:
                break
            batch.append(waiting.pop(0))
            tokens += batch[-1][1]
        x = torch.zeros(len(batch), length, dtype=torch.long)
        y = torch.full((len(batch), length), -100)
        for row, (first, count) in enumerate(batch):
            x[row, :count] = ids[first:first + count]
            y[row, :count] = ids[first + 1:first + count + 1]
        yield x, y


def rate_of(step, steps, rate, warmup):
    if step < warmup:
        return rate * (step + 1) / warmup
    way = (step - warmup) / max(1, steps - warmup)
    return rate * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * way)))


def train_torch(folder, ids, a):
    model = GPT2LMHeadModel.from_pretrained(folder, attn_pdrop=0, embd_pdrop=0, resid_pdrop=0)
    model.train()
    tables = {"transformer.wte.weight", "transformer.wpe.weight"}
    named = list(model.named_parameters())
    decay = [p for n, p in named if p.dim() > 1 and n not in tables]
    rest = [p for n, p in named if p.dim() <= 1 or n in tables]
    optimiser = torch.optim.AdamW([{"params": decay, "weight_decay": 0.1},
                                   {"params": rest, "weight_decay": 0.0}],
                                  lr=a.rate, betas=(0.9, 0.99), eps=1e-8)
    losses, source = [], batches(ids, a.length, a.rows, seed=1)
    for step in range(a.steps):
        x, y = next(source)
        for group in optimiser.param_groups:
            group["lr"] = rate_of(step, a.steps, a.rate, a.warmup)
        logits = model(x).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten())
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        losses.append(loss.item())
    return losses


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("regard")
    parser.add_argument("text")
    for name, usual in (("steps", 500), ("width", 384), ("layers", 6), ("length", 256),
                        ("rows", 12), ("threads", 2), ("warmup", 50)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    parser.add_argument("--rate", type=float, default=1e-3)
    a = parser.parse_args()
    torch.set_num_threads(a.threads)

    with tempfile.TemporaryDirectory() as folder:
        def regard(name, **changes):
            sizes = {**vars(a), "text": Path(a.text).resolve(), **changes}
            config = Path(folder) / f"{name}.toml"
            config.write_text(CONFIG.format(**sizes))
            start = time.monotonic()
            subprocess.run([a.regard, "train", config, "--out", f"{folder}/{name}", "-t",
                            str(a.threads), "--every", "50"], check=True,
                           stdout=subprocess.DEVNULL)
            return time.monotonic() - start

        # A step at rate 0 leaves the weights what they were.
        regard("first", rate=0.0, steps=1, warmup=0)
        seconds = regard("run")
        lines = (Path(folder) / "run/log.jsonl").read_text().splitlines()
        ours = [json.loads(line)["loss"] for line in lines]

        text = Path(a.text).read_bytes()
        ids = torch.tensor(list(text) + [BOUNDARY])
        ids = ids[:len(ids) - int(0.1 * len(ids))]  # the rest is held out
        start = time.monotonic()
        theirs = train_torch(f"{folder}/first/last", ids, a)
        torch_seconds = time.monotonic() - start

    for step in sorted({0, 1, 9, a.steps // 4, a.steps // 2, a.steps - 1} & set(range(a.steps))):
        print(f"step {step + 1:5}  regard {ours[step]:.5f}  torch {theirs[step]:.5f}")
    worst = max(abs(o - t) / t for o, t in zip(ours, theirs))
    last = max(1, a.steps // 10)
    mean = [sum(losses[-last:]) / last for losses in (ours, theirs)]
    apart = abs(mean[0] - mean[1]) / mean[1]
    print(f"largest difference of a step {100 * worst:.3f} %; the last {last} steps: regard "
          f"{mean[0]:.5f}, torch {mean[1]:.5f}, {100 * apart:.3f} % apart (1 % is allowed)")
    print(f"regard {1000 * seconds / a.steps:.0f} ms a step with saving, torch "
          f"{1000 * torch_seconds / a.steps:.0f}")
    return 0 if apart <= 0.01 else 1


if __name__ == "__main__":
    sys.exit(main())
