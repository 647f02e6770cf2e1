"""A model's speed beside what this machine's measured limits allow.

    speed.py BENCH.json MACHINE.json FILE.json    from regard bench model, doctor, doctor FILE

Decode reads every weight once a token, so reading bounds it. A prompt token multiplies with every
matrix of the layers, so multiply-adds bound it (attention comes on top, the head counts once).
"""

import json
import math
import sys

bench, machine, file = (json.load(open(path)) for path in sys.argv[1:4])
bytes_read = sum(tensor["bytes"] for tensor in file["tensors"])
flop = sum(2 * math.prod(tensor["shape"]) for tensor in file["tensors"]
           if tensor["name"].startswith("blk.") and len(tensor["shape"]) == 2)

for row in bench:
    speed = row["tokens_per_second"]
    if row["test"] == "decode":
        limit = machine["read_peak_gbs"] * 1e9 / bytes_read
        why = f"{machine['read_peak_gbs']:.1f} GB/s read, {bytes_read / 1e6:.1f} MB a token"
    else:
        limit = machine["fma_peak_gflops"] * 1e9 / flop
        why = f"{machine['fma_peak_gflops']:.0f} GFLOP/s, {flop / 1e9:.2f} GFLOP a token"
    print(f"  {row['test']:<8}{speed:8.0f} tokens/s of {limit:5.0f} that the machine's measured "
          f"limit allows ({why}): {100 * speed / limit:.0f} %")
