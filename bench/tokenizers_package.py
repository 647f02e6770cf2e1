"""Times the `tokenizers` package on one thread, to compare build/release/bench/text_bench with in
the same run: tokenizers_package.py MODEL.gguf TEXT (the tokenizer of tests/text/make_goldens.py).
"""
import importlib.util
import os
import pathlib
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
GOLDENS = pathlib.Path(__file__).resolve().parents[1] / "tests/text/make_goldens.py"
spec = importlib.util.spec_from_file_location("make_goldens", GOLDENS)
goldens = importlib.util.module_from_spec(spec)
spec.loader.exec_module(goldens)
tokenizer = goldens.build(*goldens.read_model(sys.argv[1]), *goldens.RULES["smollm"][1:])
text = pathlib.Path(sys.argv[2]).read_text(encoding="utf-8")
best = float("inf")
for _ in range(2):
    start = time.perf_counter()
    tokenizer.encode(text)
    best = min(best, time.perf_counter() - start)
print(f"tokenizers encode: {len(text.encode()) / best / 2**20:.1f} MiB/s")
