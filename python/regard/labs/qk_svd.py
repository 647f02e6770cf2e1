"""What a head matches: singular values and angles of W_Q and W_K, and what of them means anything."""

import numpy as np

import regard
from regard.labs import _minilm
from regard.labs._lab import Context, Lab
from regard.labs._plot import GREY

LAB = Lab(
    name="qk-svd", items=("S1.14", "S2.15"), kind="arithmetic",
    title="What a head looks for, and what of that can be known",
    question="A head reads the stream by W_Q and is found by W_K. Which directions are these, are "
             "the two the same, and which of such numbers would survive another way of writing the "
             "same head?",
    formula="score = x W_Q W_Kᵀ yᵀ = x M yᵀ;   W_Q R and W_K R^(−T) give the same M for every R\n"
            "W_Q = U Σ Vᵀ: columns of U are read from the stream, V lies in the head's own space\n"
            "symmetry index ‖(M + Mᵀ)/2‖² / ‖M‖²;   effective rank e^H(σ²/Σσ²)",
    says="Singular vectors of W_Q and W_K show what is matched, and whether matching is symmetric.",
    holds="With Q = X W_Q the directions read from the stream are the columns of U, not of V. And "
          "W_Q and W_K alone mean little: any invertible R changes their singular values and no "
          "score. M, the spans of U_Q and U_K, and their angles are the head's own.",
    code="""
import numpy as np, regard
rng = np.random.default_rng(0)
x, w_q, w_k = rng.standard_normal((10, 96)), *rng.standard_normal((2, 96, 16))
r = rng.standard_normal((16, 16))
def out(w_q, w_k):
    return regard.attention((x @ w_q)[:, None] / 96, (x @ w_k)[:, None], x[:, None])
print(abs(out(w_q, w_k) - out(w_q @ r, w_k @ np.linalg.inv(r).T)).max())   # the same attention
print(np.linalg.svd(w_q)[1][:3], np.linalg.svd(w_q @ r)[1][:3])            # not the same matrix
""",
    more=("heads of another model: `_minilm.py` reads safetensors",
          "fold the norm's gain into W_Q and W_K first: diag(γ) W", "d_k near d: angles shrink, the "
          "spans cannot but overlap"))


def spectrum(w_q: np.ndarray, w_k: np.ndarray) -> np.ndarray:
    """Singular values of M = W_Q W_Kᵀ through QR of its factors: nothing d × d is formed."""
    return np.linalg.svd(np.linalg.qr(w_q)[1] @ np.linalg.qr(w_k)[1].T, compute_uv=False)


def angles(w_q: np.ndarray, w_k: np.ndarray) -> np.ndarray:
    """Cosines of the principal angles between what is read and what is found."""
    return np.linalg.svd(np.linalg.qr(w_q)[0].T @ np.linalg.qr(w_k)[0], compute_uv=False)


def symmetry(w_q: np.ndarray, w_k: np.ndarray) -> float:
    """‖(M + Mᵀ)/2‖² / ‖M‖² = ½ + ⟨M, Mᵀ⟩ / 2‖M‖², from d_k × d_k products."""
    cross = w_k.T @ w_q  # ⟨M, Mᵀ⟩ = tr(M M) = tr((W_Kᵀ W_Q)²)
    return float(0.5 + 0.5 * np.trace(cross @ cross) / (spectrum(w_q, w_k) ** 2).sum())


def effective_rank(values: np.ndarray) -> float:
    share = values**2 / (values**2).sum()
    share = share[share > 0]
    return float(np.exp(-(share * np.log(share)).sum()))


def similarities(q: np.ndarray, k: np.ndarray) -> np.ndarray:
    """q kᵀ by regard, [rows, keys]"""
    q, k = (np.ascontiguousarray(x[:, None], np.float32) for x in (q, k))
    _, extras = regard.attention(q, k, k, scale=1.0, extras=["similarities"])
    return extras.similarities[:, 0].astype(np.float64)


def relative(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


@LAB.runs
def run(lab: Context) -> None:
    width, dim = lab.size((768, 64), quick=(384, 48))
    scores, fixed, moved, indices = [], [], [], []
    for seed in lab.seeds:
        rng = lab.rng(seed)
        w_q, w_k = rng.standard_normal((2, width, dim)) / np.sqrt(width)
        r = rng.standard_normal((dim, dim)) + 2 * np.eye(dim)
        v_q, v_k = w_q @ r, w_k @ np.linalg.inv(r).T
        x = rng.standard_normal((40, width))
        scores.append(relative(similarities(x @ v_q, x @ v_k), similarities(x @ w_q, x @ w_k)))
        fixed += [relative(spectrum(v_q, v_k), spectrum(w_q, w_k)),
                  relative(angles(v_q, v_k), angles(w_q, w_k)),
                  abs(symmetry(v_q, v_k) - symmetry(w_q, w_k)),
                  abs(effective_rank(spectrum(v_q, v_k)) / effective_rank(spectrum(w_q, w_k)) - 1)]
        moved.append(relative(np.linalg.svd(v_q, compute_uv=False),
                              np.linalg.svd(w_q, compute_uv=False)))
        indices.append(symmetry(w_q, w_k))
        if seed == lab.seed:
            raw, learned = similarities(x, x), similarities(x @ w_q, x @ w_k)
            lab.at_most("‖S − Sᵀ‖ / ‖S‖, S = X Xᵀ", relative(raw.T, raw), 1e-7)
            lab.at_least("the same, S = Q Kᵀ", relative(learned.T, learned), 0.5)
            u, _, vh = np.linalg.svd(w_q, full_matrices=False)
            apart = x - (x @ u) @ u.T  # what W_Q does not read
            lab.at_most("x without its part in span(U): ‖x W_Q‖ / ‖W_Q‖",
                        float(np.linalg.norm(apart @ w_q) / np.linalg.norm(w_q)), 1e-9)
            lab.equal("numbers in a column of U and of V", [u.shape[0], vh.shape[1]], [width, dim])
            table = regard.RopeTable(dim)
            turns = []
            for distance in (0, 1, 4, 16, 64):
                turned = regard.rope(np.ascontiguousarray(w_k[:, None], np.float32), table,
                                     [distance] * width)[:, 0].astype(np.float64)
                turns.append(symmetry(w_q, turned))
            lab.report("symmetry index of W_Q R_Δ W_Kᵀ (RoPE) at Δ = 0, 1, 4, 16, 64",
                       ", ".join(f"{turn:.3f}" for turn in turns))
    lab.at_most("scores after W_Q R, W_K R^(−T): relative change", max(scores), 1e-4)
    lab.at_most("σ(M), angles, symmetry index, effective rank: largest relative change", max(fixed),
                1e-4)
    lab.at_least("σ(W_Q) alone: relative change", min(moved), 0.5)
    lab.near(f"symmetry index of random W_Q, W_K ({width} × {dim})", float(np.mean(indices)), 0.5,
             within=0.02)

    left, right = lab.figure(2)
    w_q, w_k = lab.rng(lab.seed).standard_normal((2, width, dim)) / np.sqrt(width)
    left.plot(spectrum(w_q, w_k) / spectrum(w_q, w_k)[0], marker="", label="random")
    groups, names = [indices], ["random"]
    if _minilm.folder() and not lab.quick:
        weights, found = _minilm.Weights(_minilm.folder()), []
        for layer in range(6):
            q, k = (weights.layer(layer, f"self.{name}")[0].astype(np.float64)
                    .reshape(384, _minilm.HEADS, -1) for name in ("query", "key"))
            found.append([symmetry(q[:, h], k[:, h]) for h in range(_minilm.HEADS)])
            if layer in (0, 5):
                values = spectrum(q[:, 0], k[:, 0])
                left.plot(values / values[0], marker="", label=f"MiniLM, layer {layer}, head 0")
                lab.report(f"effective rank of M, MiniLM, layer {layer}, head 0 of 32",
                           effective_rank(values))
        groups += found
        names += [f"layer {layer}" for layer in range(6)]
        lab.number("symmetry index of MiniLM's heads", found)
        lab.report("mean symmetry index of MiniLM's 72 heads", float(np.mean(found)))
        lab.report("heads of MiniLM further from 0.5 than any random draw", int(sum(
            abs(one - 0.5) > max(abs(i - 0.5) for i in indices) for row in found for one in row)))
    lab.number("symmetry index of random heads", indices)
    for at, group in enumerate(groups):
        right.plot([at] * len(group), group, linestyle="", marker="os^DvPX"[at % 7])
    right.axhline(0.5, color=GREY, linewidth=1)
    right.set_xticks(range(len(groups)), names, rotation=30)
    lab.label(left, "Singular values of M", x="rank of the value", y="σ / largest σ")
    lab.label(right, "Symmetric matching?", x="heads of", y="symmetry index (0.5: chance)")
