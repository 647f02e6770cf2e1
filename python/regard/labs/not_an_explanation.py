"""A weight is a share of a mixture: three measurements of what it does not say."""

import numpy as np

import regard
from regard.labs import _minilm
from regard.labs._lab import Context, Lab
from regard.labs._plot import COLOURS

SENTENCE_ON_MAPS = ("A high weight is a high mixing share in this layer and head, not a causal "
                    "explanation.")

LAB = Lab(
    name="not-an-explanation", items=("S2.45",), kind="arithmetic",
    title="A weight is a share, not an explanation",
    question="May one read a map of weights as the reasons for an output? Three numbers: could other "
             "weights give the same output, how well does a weight foretell what its key "
             "contributes, and what changes when that edge is cut?",
    formula="n > d_v + 1: p − t z with V ᵀz = 0, Σ z = 0 gives the same Σ p_j v_j (Carathéodory)\n"
            "contribution ‖p_j v_j W_O‖        effect ‖out − out without key j‖",
    says="Attention weights are no guarantee of interpretability. " + SENTENCE_ON_MAPS,
    code="""
import numpy as np, regard
rng = np.random.default_rng(0)
q, k, v = (rng.standard_normal((n, 1, 16)) for n in (1, 200, 200))
whole = regard.attention(q, k, v)
for j in range(3):                                                     # cut one edge after another
    cut = regard.attention(q, k, v, mask=lambda i, key, j=j: key != j)
    print(j, np.linalg.norm(whole - cut))
""",
    more=("fewer keys than d_v + 1: the weights are unique again",
          "peaked rows: there is less room for other weights, as the real heads show",
          "`regard inspect` shows contribution beside weight for any layer and head"))


def other_weights(p: np.ndarray, v: np.ndarray) -> np.ndarray:
    """A distribution with at most d_v + 1 weights above 0 and the same mean of v.

    Walks along vectors that change neither the mean nor the sum until a weight is 0.
    p [keys], v [keys, dim_v]
    """
    p, limit = p.copy(), v.shape[1] + 1
    while True:
        support = np.flatnonzero(p > 0)
        if len(support) <= limit:
            return p
        some = support[np.argsort(p[support])[::-1][:limit + 1]]  # large ones first: they move most
        z = np.linalg.svd(np.vstack([v[some].T, np.ones(len(some))]))[2][-1]
        z = z if z[np.argmax(np.abs(z))] > 0 else -z
        rising = np.flatnonzero(z > 1e-14)
        steps = p[some[rising]] / z[rising]
        first = int(np.argmin(steps))
        p[some] = np.maximum(p[some] - steps[first] * z, 0)
        p[some[rising[first]]] = 0


def mixture(p: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Σ p_j v_j by regard: the scores ln p over the keys that have a weight."""
    some = p > 0
    return regard.attention(np.ones((1, 1, 1)), np.log(p[some])[:, None, None],
                            np.ascontiguousarray(v[some])[:, None], scale=1.0)[0, 0]


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's."""
    ranks = [np.argsort(np.argsort(x)).astype(float) for x in (a, b)]
    return float(np.corrcoef(*ranks)[0, 1])


def measured(q: np.ndarray, k: np.ndarray, v: np.ndarray, w_o: np.ndarray) -> tuple[np.ndarray, ...]:
    """Of each row: weights, contributions and effects of a cut, [rows, keys]. One head, f64."""
    rows, keys = len(q), len(k)
    p = regard.attention(q[:, None], k[:, None], np.eye(keys)[:, None])[:, 0]
    out = regard.attention(q[:, None], k[:, None], v[:, None])[:, 0] @ w_o
    contribution = p * np.linalg.norm(v @ w_o, axis=1)
    effect = np.empty((rows, keys))
    for j in range(keys):
        cut = regard.attention(q[:, None], k[:, None], v[:, None],
                               mask=lambda i, key, j=j: key != j)[:, 0] @ w_o
        effect[:, j] = np.linalg.norm(out - cut, axis=1)
    return p, contribution, effect


@LAB.runs
def run(lab: Context) -> None:
    distances, errors = [], []
    shown = None
    for keys, dim_v in ((256, 64), (96, 16)):
        for seed in lab.seeds:
            lab.progress(f"{keys} keys, d_v = {dim_v}, seed {seed}")
            rng = lab.rng(seed, keys)
            q, k = (rng.standard_normal((n, 64)) for n in (1, keys))
            v = rng.standard_normal((keys, dim_v))
            p = regard.attention(q[:, None], k[:, None], np.eye(keys)[:, None])[0, 0]
            r = other_weights(p, v)
            distances.append(float(np.abs(p - r).sum() / 2))
            errors.append(float(np.abs(mixture(r, v) - mixture(p, v)).max()))
            if keys == 96 and seed == lab.seed:
                shown = p, r
            if seed == lab.seed:
                lab.at_most(f"other weights above 0, n = {keys}, d_v = {dim_v}", int((r > 0).sum()),
                            dim_v + 1)
                lab.at_most("their sum's distance from 1", float(abs(r.sum() - 1)), 1e-9)
    lab.at_least("total variation between the weights and the others, least", min(distances), 0.4)
    lab.at_most("output of the others against that of the weights, f64", max(errors), 1e-9)

    with_share, with_effect, differ = [], [], 0
    for seed in lab.seeds:
        rng = lab.rng(seed, 1)
        q, k, v, w_o = (rng.standard_normal(shape) for shape in
                        ((12, 32), (48, 32), (48, 32), (32, 64)))
        v *= rng.lognormal(0, 1, (48, 1))  # values of different lengths, as trained ones are
        p, contribution, effect = measured(q, k, v, w_o)
        with_share.append(np.mean([rank_correlation(a, b) for a, b in zip(p, contribution)]))
        with_effect.append(np.mean([rank_correlation(a, b) for a, b in zip(p, effect)]))
        differ += int((p.argmax(1) != effect.argmax(1)).sum())
    lab.check("rank correlation of weight and contribution, random heads", float(np.mean(with_share)),
              "above 0, below 0.99", 0 < np.mean(with_share) < 0.99)
    lab.check("rank correlation of weight and effect of a cut, random heads",
              float(np.mean(with_effect)), "above 0, below 0.99", 0 < np.mean(with_effect) < 0.99)
    lab.report("rows of 36 whose largest weight is not the edge with the largest effect", differ)
    lab.number("total variation", distances)

    points = [("random", p.ravel(), effect.ravel())]
    if _minilm.folder() and not lab.quick:
        points.append(real_heads(lab))
    left, right = lab.figure(2)
    order = np.argsort(-shown[0])
    left.stairs(shown[0][order], fill=True, color=COLOURS[0], label="softmax")
    left.stairs(-shown[1][order], fill=True, color=COLOURS[1], label="others, drawn downwards")
    lab.label(left, "Two distributions, one output", x="key, by its weight", y="weight (share of 1)")
    for name, weight, change in points:
        some = np.linspace(0, len(weight) - 1, 45).astype(int)
        right.plot(np.maximum(weight[some], 1e-6), np.maximum(change[some] / change.max(), 1e-6), linestyle="",
                   markersize=3, label=name)
    right.set_xscale("log")
    right.set_yscale("log")
    right.minorticks_off()
    lab.label(right, "Weight against effect of a cut", x="weight (share of 1)",
              y="change of the output (largest: 1)", legend="lower right")


def real_heads(lab: Context) -> tuple[str, np.ndarray, np.ndarray]:
    """The same of every head of MiniLM, on one sentence."""
    hidden, weights = _minilm.hidden_states(), _minilm.Weights(_minilm.folder())
    shares, effects, points = [], [], []
    for layer in range(len(hidden) - 1):
        q, k, v, w_o = _minilm.heads_of(weights, layer, hidden[layer])
        for head in range(_minilm.HEADS):
            p, contribution, effect = measured(q[:, head], k[:, head], v[:, head], w_o[head])
            shares += [rank_correlation(a, b) for a, b in zip(p, contribution)]
            effects += [rank_correlation(a, b) for a, b in zip(p, effect)]
            points.append((p.ravel(), effect.ravel()))
    lab.report("rank correlation of weight and contribution, 72 heads of MiniLM", float(np.mean(shares)))
    lab.report("rank correlation of weight and effect of a cut, 72 heads of MiniLM",
               float(np.mean(effects)))
    lab.report("rows of MiniLM where weight and effect correlate below 0.5, share",
               float(np.mean(np.array(effects) < 0.5)))
    return ("MiniLM", *(np.concatenate(part) for part in zip(*points)))
