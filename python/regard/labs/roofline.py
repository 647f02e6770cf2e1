"""The roofline: what arithmetic allows, what memory allows, and where attention lies."""

import json
import os
import shutil
import subprocess

import numpy as np

import regard
from regard import nn, ops
from regard.labs._lab import Context, Lab
from regard.labs._plot import GREY
from regard.labs._timing import milliseconds

LAB = Lab(
    name="roofline", items=("S2.40", "S2.41"), kind="timing",
    title="Limited by arithmetic or by memory",
    question="Which of attention's parts wait for memory on this machine, and which for arithmetic?",
    formula="intensity = FLOP / bytes moved        roof = min(peak FLOP/s, intensity · bandwidth)\n"
            "naive f32 attention → d / 4        decode → ½ a query head, × g for groups of g",
    says="A GPU's fast memory is small and its large memory slow (an H100: 80 GB of HBM3 at "
         "3.35 TB/s), so kernels are bound by arithmetic or by transfers.",
    code="""
import regard
n, d = 4096, 64
print("naive attention:", 4 * n * n * d / (4 * (4 * n * n + 4 * n * d)), "FLOP a byte")
print("decode:", 4 * n * d / (4 * 2 * n * d), "FLOP a byte")
print(regard.doctor()["cpu"])
""",
    more=("`regard doctor` measures both ceilings, `regard bench attention` both beside each shape",
          "more query heads for each key head: decode moves to the right",
          "the H100's line is its data sheet's (67 TFLOP/s f32 without tensor cores), not measured"))


def ceilings() -> tuple[float, float]:
    """(GFLOP/s, GB/s) as `regard doctor` measures them."""
    program = os.environ.get("REGARD_CLI") or shutil.which("regard")
    if program is None:
        raise FileNotFoundError(2, "the ceilings are measured by `regard doctor`: run it as regard "
                                   "lab roofline", "regard")
    told = json.loads(subprocess.run([program, "doctor", "--json"], check=True,
                                     capture_output=True).stdout)
    return told["fma_peak_gflops"], told["read_peak_gbs"]


@LAB.runs
def run(lab: Context) -> None:
    peak, bandwidth = ceilings()
    rng = lab.rng()

    def draw(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, dtype=np.float32)

    n, d, keys, rows = 2048, 64, lab.size(131_072, quick=32_768), 65_536
    q, k, v = draw(n, 4, d), draw(n, 4, d), draw(n, 4, d)
    one, group, long_k, long_v = draw(1, 2, d), draw(1, 16, d), draw(keys, 2, d), draw(keys, 2, d)
    x, w = nn.tensor(draw(1024, 1024)), nn.tensor(draw(1024, 1024))
    wide, gain, shift = nn.tensor(draw(rows, 256)), nn.tensor(draw(256)), nn.tensor(draw(256))
    cached = 2 * keys * 2 * d * 4  # bytes of keys and values
    # name: what runs, its FLOP, the bytes that it has to move
    parts = {
        "matrix product": (lambda: ops.linear(x, w), 2 * 1024**3, 3 * 1024**2 * 4),
        "tiled attention": (lambda: regard.attention(q, k, v), 4 * n * n * 4 * d, 4 * n * 4 * d * 4),
        "decode": (lambda: regard.attention(one, long_k, long_v), 4 * keys * 2 * d, cached),
        "decode, 8 a group": (lambda: regard.attention(group, long_k, long_v), 4 * keys * 16 * d,
                              cached),
        "LayerNorm": (lambda: ops.layer_norm(wide, gain, shift), 8 * rows * 256, 2 * rows * 256 * 4),
    }
    with nn.no_gradient():
        times = milliseconds({name: part[0] for name, part in parts.items()},
                             seconds=lab.size(2.0, quick=0.3))
    points = {}
    for name, (_, flop, moved) in parts.items():
        intensity, rate = flop / moved, flop / np.mean(times[name]) / 1e6
        roof = min(peak, intensity * bandwidth)
        points[name] = (intensity, rate)
        lab.at_most(f"{name}: measured over its roof", rate / roof, 1.25)
        lab.report(f"{name}: FLOP a byte, GFLOP/s", f"{intensity:.3g}, {rate:.3g}")
    lab.near("decode: FLOP a byte", points["decode"][0], 0.5, within=1e-9)
    lab.near("decode, 8 a group: FLOP a byte", points["decode, 8 a group"][0], 4.0, within=1e-9)
    naive = 4 * 4096**2 * d / (4 * (4 * 4096**2 + 4 * 4096 * d))
    lab.near("naive attention, n = 4096, d = 64: FLOP a byte", naive, 16.0, within=0.5)
    lab.report("peak of arithmetic, GFLOP/s", peak)
    lab.report("peak of reading, GB/s", bandwidth)
    lab.number("points", points)

    axes = lab.figure(width=5.4, height=3.8)
    at = np.geomspace(0.1, 2000, 60)
    axes.plot(at, np.minimum(peak, at * bandwidth), color="black", marker="", label="this machine")
    axes.plot(at, np.minimum(67_000, at * 3350), color=GREY, linestyle=":", marker="",
              label="H100, data sheet, f32")
    for name, point in points.items():
        axes.plot(*point, linestyle="", label=name)
    axes.set_xscale("log")
    axes.set_yscale("log")
    lab.label(axes, regard.doctor()["cpu"], x="intensity (FLOP a byte)", y="GFLOP/s")
