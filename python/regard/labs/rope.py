"""Rotary positions: only the distance counts, if angles are exact."""

import numpy as np

import regard
from regard.labs._lab import Context, Lab

LAB = Lab(
    name="rope", items=("S2.46",), kind="arithmetic",
    title="Rotated, only the distance counts",
    question="RoPE turns queries and keys by angles that grow with their position, so that the "
             "product depends on the distance alone. How far from the start does that hold, in "
             "numbers of 32 bits?",
    formula="⟨R_m q, R_n k⟩ = ⟨q, R_(n−m) k⟩        angle of pair i at position m: m · base^(−2i/dim)",
    says="Rotary embedding makes scores depend on relative positions.",
    holds="In exact arithmetic. An *angle* that is itself rounded to 32 bits is wrong by 10⁻² at "
          "position 10⁵; regard computes angles in 64 bits and stores their cosines and sines.",
    code="""
import numpy as np, regard
table = regard.RopeTable(64)
q, k = np.random.default_rng(0).standard_normal((2, 1, 1, 64), dtype=np.float32)
for start in (0, 1000, 100_000):
    a = regard.rope(q.copy(), table, [start + 7])
    b = regard.rope(k.copy(), table, [start])
    print((a * b).sum())                                               # the same, nearly to the bit
""",
    more=("`factors` and `scale` of `RopeTable`: how contexts are stretched",
          "`RopeTable(32)` on heads of 64: a partial rotation, the rest carries no position",
          "`layout=\"pairs\"`: which numbers turn together is a convention of the checkpoint"))

OFFSETS = (0, 10, 100, 1_000, 10_000, 100_000)


def turned(x: np.ndarray, at: int, angle_type: type) -> np.ndarray:
    """The formula in f64, with angles of another type. x [vectors, dim]"""
    half = x.shape[1] // 2
    rates = (10000.0 ** (-np.arange(half) * 2 / x.shape[1])).astype(angle_type)
    angles = (angle_type(at) * rates).astype(np.float64)
    a, b = x[:, :half], x[:, half:]
    return np.concatenate([a * np.cos(angles) - b * np.sin(angles),
                           b * np.cos(angles) + a * np.sin(angles)], axis=1)


@LAB.runs
def run(lab: Context) -> None:
    dim, vectors, distance = 64, 64, 7
    errors: dict[str, list[float]] = {"f64": [], "f32 angles": [], "regard, f32": []}
    table = regard.RopeTable(dim)
    tables = 0.0
    for offset in OFFSETS:
        worst = dict.fromkeys(errors, 0.0)
        for seed in lab.seeds:
            rng = lab.rng(seed)
            q, k = (rng.standard_normal((vectors, dim)) for _ in range(2))
            truth = (turned(q, distance, np.float64) * k).sum(1)
            for name, kind in (("f64", np.float64), ("f32 angles", np.float32)):
                product = (turned(q, offset + distance, kind) * turned(k, offset, kind)).sum(1)
                worst[name] = max(worst[name], float(np.abs(product - truth).max()))
            rows = [regard.rope(x[:, None].astype(np.float32), table, [at] * vectors)[:, None]
                    for x, at in ((q, offset + distance), (k, offset))]
            a, b = (np.ascontiguousarray(r.reshape(1, vectors, dim)) for r in rows)
            zero = np.zeros((1, vectors, 1), np.float32)
            _, extras = regard.attention(a, b, zero, scale=1.0, extras=["similarities"])
            worst["regard, f32"] = max(worst["regard, f32"],
                                       float(np.abs(extras.similarities.ravel() - truth).max()))
            exact = turned(k, offset, np.float64)
            tables = max(tables, float(np.abs(b[0] - exact).max()))
        for name in errors:
            errors[name].append(worst[name])
    lab.at_most("formula in f64, at 10⁵: difference from position 0", errors["f64"][-1], 1e-9)
    lab.at_most("regard, f32 vectors, any position: difference from exact", max(errors["regard, f32"]),
                5e-5)
    lab.at_most("regard's rotated keys against f64, any position", tables, 1e-6)
    lab.at_least("angles of 32 bits, at 10³: difference", errors["f32 angles"][3], 1e-5)
    lab.at_least("angles of 32 bits, at 10⁵: difference", errors["f32 angles"][-1], 1e-3)
    part = np.ones((1, 1, dim), np.float32)
    regard.rope(part, regard.RopeTable(dim // 2), [5])
    lab.equal("partial rotation: numbers behind the rotated half that change",
              int((part[0, 0, dim // 2:] != 1).sum()), 0)
    x = lab.rng().standard_normal((1, 1, dim), dtype=np.float32)
    pairs = regard.rope(x.copy(), table, [9], layout="pairs")
    swap = np.concatenate([x[..., ::2], x[..., 1::2]], axis=-1)
    halves = regard.rope(np.ascontiguousarray(swap), table, [9])
    lab.equal("pairs against halves of the reordered vector: numbers that differ",
              int((np.concatenate([pairs[..., ::2], pairs[..., 1::2]], -1) != halves).sum()), 0)
    stretched = regard.rope(x.copy(), regard.RopeTable(dim, scale=4.0), [36])
    lab.equal("scale 4 at position 36 against scale 1 at 9: numbers that differ",
              int((stretched != regard.rope(x.copy(), table, [9])).sum()), 0)
    lab.number("offsets", OFFSETS)
    lab.number("errors", errors)

    axes = lab.figure(width=5)
    for name, line in errors.items():
        axes.plot(np.maximum(OFFSETS, 1), np.maximum(line, 1e-16), label=name)
    axes.set_xscale("log")
    axes.set_yscale("log")
    lab.label(axes, "Seven tokens apart, further and further out", x="position of the key (tokens)",
              y="error of the score q·k")
