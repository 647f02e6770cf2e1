#!/usr/bin/env python3
"""text_bench and the `tokenizers` package in turn, on one text with one tokenizer.json, one thread.

    tokenizers_peer.py TEXT_BENCH TOKENIZER.json TEXT

A GGUF file has no tokenizer.json; build() of tests/text/make_goldens.py makes one of its keys.
The package is timed on the whole text, and line by line, where it is faster; the best of three.
"""
import json
import os
import subprocess
import sys
import time

os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
from tokenizers import Tokenizer  # noqa: E402  the number of threads is read when it is loaded

program, path, text_path = sys.argv[1:]
with open(text_path, encoding="utf-8", newline="") as file:
    text = file.read()
size = len(text.encode()) / 1e6
tokenizer = Tokenizer.from_file(path)
tokenizer.no_truncation()
tokenizer.no_padding()
lines = text.splitlines(keepends=True)
ways = {"whole": lambda: tokenizer.encode(text), "lines": lambda: [tokenizer.encode(l) for l in lines]}
best = {}
for name, way in ways.items():
    for _ in range(3 if name == "lines" else 1):
        start = time.perf_counter()
        way()
        best[name] = max(best.get(name, 0), size / (time.perf_counter() - start))
    print(f"tokenizers, {name}: {best[name]:.1f} MB/s")
ran = subprocess.run([program, path, text_path, "--benchmark_filter=^(load|encode|encode_with_ranges|decode)$",
                      "--benchmark_format=json"], check=True, capture_output=True, text=True)
for result in json.loads(ran.stdout)["benchmarks"]:
    speed = result.get("bytes_per_second", 0) / 1e6
    ratio = f", {speed / max(best.values()):.1f} x" if result["name"].startswith("encode") else ""
    print(f"regard, {result['name']}: " + (f"{speed:.1f} MB/s{ratio}" if speed else f"{result['real_time']:.0f} ms"))
