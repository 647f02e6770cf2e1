"""Tiles: the elements that slow memory has to move, counted."""

import numpy as np

import regard
from regard.labs._lab import Context, Lab

LAB = Lab(
    name="flash-io", items=("S2.43",), kind="arithmetic",
    title="The same result, with fewer trips to slow memory",
    question="Tiles and an online softmax compute what whole matrices compute. How much less has to "
             "be moved, and does the size of the tile change the result?",
    formula="naive  4 n² + 4 n d         scores written, read, weights written, read; q, k, v, out\n"
            "tiled  2 n d + 2 n d ⌈n / B_r⌉       k and v once for each block of B_r rows",
    says="FlashAttention is the same mathematics with tiling and online softmax, which saves "
         "transfers between slow and fast memory.",
    code="""
import numpy as np, regard
q, k, v = np.random.default_rng(0).standard_normal((3, 2048, 1, 64), dtype=np.float32)
print(regard.explain(q, k, v, mask="causal"))                          # how it is cut
plan = regard.AttentionPlan([0, 2048], heads=1, kv_heads=1, dim=64)
print(plan.workspace_bytes, "bytes of workspace; all scores would take", 4 * 2048**2)
""",
    more=("larger blocks of rows: fewer passes over k and v, until they no longer fit",
          "`regard bench attention` times what is counted here",
          "`regard.explain()` of your own shapes and masks"))

BLOCKS = (64, 128, 256)


def tiled(q: np.ndarray, k: np.ndarray, v: np.ndarray, rows: int, keys: int) -> tuple[np.ndarray, int]:
    """Attention tile after tile, each by regard, merged by regard; and the elements moved between
    these arrays and the tiles. q, k, v [tokens, heads, dim]"""
    blocks, moved = [], 0
    for first in range(0, len(q), rows):
        block = np.ascontiguousarray(q[first:first + rows])
        moved += block.size  # read once
        state = None
        for start in range(0, len(k), keys):
            tile_k, tile_v = (np.ascontiguousarray(x[start:start + keys]) for x in (k, v))
            moved += tile_k.size + tile_v.size
            part = regard.attention(block, tile_k, tile_v, lse=True)
            state = part if state is None else regard.merge(*state, *part)
        moved += block.size  # out, written once
        blocks.append(state[0])
    return np.concatenate(blocks), moved


def formula(n: int, d: int, rows: int) -> int:
    return 2 * n * d + 2 * n * d * -(-n // rows)


@LAB.runs
def run(lab: Context) -> None:
    n, d = 4096, 64
    naive = 4 * n * n + 4 * n * d
    lab.near("naive, millions of elements, n = 4096, d = 64", naive / 1e6, 68.2, within=0.06)
    for rows, expected in zip(BLOCKS, (34.1, 17.3, 8.9)):
        lab.near(f"tiled, B_r = {rows}, millions of elements", formula(n, d, rows) / 1e6, expected,
                 within=0.06)

    small = lab.size(1024, quick=512)
    errors, backward = [], []
    for seed in lab.seeds:
        rng = lab.rng(seed)
        q, k, v, dout = (rng.standard_normal((small, 1, d), dtype=np.float32) for _ in range(4))
        s = (q[:, 0] @ k[:, 0].T).astype(np.float64) / np.sqrt(d)
        p = np.exp(s - s.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        whole = p @ v[:, 0].astype(np.float64)
        for rows in BLOCKS:
            lab.progress(f"seed {seed}, B_r = {rows}")
            out, moved = tiled(q, k, v, rows, 128)
            errors.append(np.linalg.norm(out[:, 0] - whole) / np.linalg.norm(whole))
            if seed == lab.seed:
                lab.equal(f"counted, n = {small}, B_r = {rows}: elements", moved,
                          formula(small, d, rows))
        kernel, lse = regard.attention(q, k, v, lse=True)
        errors.append(np.linalg.norm(kernel[:, 0] - whole) / np.linalg.norm(whole))
        found = regard.attention_backward(q, k, v, kernel, dout, lse=lse)
        do = dout[:, 0].astype(np.float64)
        dp = do @ v[:, 0].T
        ds = p * (dp - (p * dp).sum(1, keepdims=True)) / np.sqrt(d)
        for got, want in ((found.dq, ds @ k[:, 0]), (found.dk, ds.T @ q[:, 0]), (found.dv, p.T @ do)):
            backward.append(np.linalg.norm(got[:, 0] - want) / np.linalg.norm(want))
    lab.at_most("output against whole matrices, worst, relative", max(errors), 1e-5)
    lab.at_most("gradients against whole matrices, worst, relative", max(backward), 1e-5)

    sizes = (1024, 4096, 16384)
    spaces = [regard.AttentionPlan([0, size], heads=1, kv_heads=1, dim=d, threads=2).workspace_bytes
              for size in sizes]
    matrices = [4 * size * size for size in sizes]
    lab.at_most("workspace at n = 16,384 over one n × n matrix", spaces[-1] / matrices[-1], 0.02)
    growth = np.log(spaces[-1] / spaces[0]) / np.log(sizes[-1] / sizes[0])
    lab.at_most("exponent of the workspace in n", float(growth), 1.1)
    lab.number("n", sizes)
    lab.number("workspace bytes", spaces)

    left, right = lab.figure(2)
    lengths = np.array([256, 512, 1024, 2048, 4096, 8192])
    left.plot(lengths, 4 * lengths**2 + 4 * lengths * d, label="naive")
    for rows in BLOCKS:
        left.plot(lengths, [formula(int(m), d, rows) for m in lengths], label=f"tiled, B_r = {rows}")
    left.set_xscale("log", base=2)
    left.set_yscale("log")
    lab.label(left, "Moved through slow memory", x="tokens n", y="elements")
    right.plot(sizes, matrices, label="one n × n matrix")
    right.plot(sizes, spaces, label="regard's workspace")
    right.set_xscale("log", base=2)
    right.set_yscale("log")
    lab.label(right, "Memory besides q, k, v and out", x="tokens n", y="bytes", legend="center left")
