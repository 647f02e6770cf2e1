"""Two models of one language: their coordinates differ, their geometry does not."""

import numpy as np

from regard import nn, ops
from regard.labs._lab import Context, Lab
from regard.labs._learn import fit

LAB = Lab(
    name="embeddings", items=("S2.23",), kind="training",
    title="Coordinates belong to one model, distances to the language",
    question="Two models learn the same language from different first numbers. May a vector of one be "
             "compared with a vector of the other? And once the best rotation between the two is "
             "found from half of the tokens, do the other half fit?",
    formula="raw       mean over tokens of cos(e_t, e'_t)\n"
            "aligned   the same after e' ← e' R, R = argmin ‖E − E'R‖ over orthogonal R:\n"
            "          E'ᵀE = U Σ Vᵀ, R = U Vᵀ (Schönemann 1966), from one half, measured on the other",
    says="Embeddings belong to a model and its tokenizer; coordinates of two models cannot be compared; "
         "tokens with similar contexts lie close together.",
    holds="An orthogonal R is enough only where training keeps both sides of the product balanced, as "
          "small first numbers and weight decay do; else any invertible R may stand between two models. "
          "The thresholds 0.3 and 0.8 were set from a first run.",
    code="""
import numpy as np
rng = np.random.default_rng(0)
a = rng.standard_normal((20, 4))
b = a @ np.linalg.qr(rng.standard_normal((4, 4)))[0]                   # the same points, turned
cosine = lambda x, y: (x * y).sum(1) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1)
u, _, vt = np.linalg.svd(b.T @ a)
print(cosine(a, b).mean().round(3), cosine(a, b @ u @ vt).mean().round(3))
""",
    more=("`decay=0` and large first numbers: what an orthogonal R cannot undo",
          "a wider table than the language has dimensions: the spare ones do not align",
          "two languages with the same geometry: a dictionary without a single pair of words"))

TOKENS, WIDTH = 64, 6


def language(rng: np.random.Generator) -> np.ndarray:
    """p(next | token) [TOKENS, TOKENS]: tokens lie anywhere in the plane, and near ones follow."""
    place = rng.uniform(-1, 1, (TOKENS, 2))
    follows = np.exp(-np.square(place[:, None] - place[None]).sum(-1) / 0.15)
    return follows / follows.sum(1, keepdims=True)


class Pairs(nn.Module):
    def __init__(self, rng: np.random.Generator) -> None:
        self.table = nn.Embedding(TOKENS, WIDTH, rng=rng, deviation=0.1)
        self.next = nn.Linear(WIDTH, TOKENS, rng=rng, deviation=0.1)

    def __call__(self, ids: np.ndarray) -> nn.Tensor:
        return self.next(self.table(ids))


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))


def rotation(to: np.ndarray, of: np.ndarray) -> np.ndarray:
    """The orthogonal R for which `of` R is nearest to `to`."""
    u, _, vt = np.linalg.svd(of.T @ to)
    return u @ vt


def trained(lab: Context, follows: np.ndarray, seed: int, number: int) -> tuple[Pairs, np.ndarray]:
    """A model, and its table around its mean, in double precision."""
    model, steps = Pairs(lab.rng(seed, 2, number)), lab.size(2000, quick=600)
    cumulated = follows.cumsum(1)

    def loss_of(rng: np.random.Generator) -> nn.Tensor:
        ids = rng.integers(0, TOKENS, 256)
        after = (cumulated[ids] < rng.random((256, 1))).sum(1)
        return ops.cross_entropy(model(ids), np.minimum(after, TOKENS - 1))

    fit(model, loss_of, steps=steps, rate=2e-2, rng=lab.rng(seed, 3, number), decay=0.02,
        tell=(lab, f"seed {seed}, model {number + 1}"))
    table = model.table.table.numpy().astype(np.float64)
    return model, table - table.mean(0)


@LAB.runs
def run(lab: Context) -> None:
    raw, aligned, chance, near = [], [], [], []
    kept = None
    for seed in lab.seeds:
        follows = language(lab.rng(seed, 1))
        a, b = (trained(lab, follows, seed, number)[1] for number in range(2))
        order = lab.rng(seed, 4).permutation(TOKENS)
        half, other = order[:TOKENS // 2], order[TOKENS // 2:]
        found = b @ rotation(a[half], b[half])
        raw.append(float(cosines(a, b).mean()))
        aligned.append(float(cosines(a[other], found[other]).mean()))
        wrong = b[order] @ rotation(a[half], b[order][half])  # other tokens' vectors: the null
        chance.append(float(cosines(a[other], wrong[other]).mean()))
        above = np.triu_indices(TOKENS, 1)
        unit = a / np.linalg.norm(a, axis=1, keepdims=True)
        contexts = np.sqrt(follows) @ np.sqrt(follows).T  # Bhattacharyya's: 1 for equal contexts
        near.append(float(np.corrcoef((unit @ unit.T)[above], contexts[above])[0, 1]))
        kept = kept or (a, b, found)
    lab.at_most("cosine of raw coordinates, distance from 0, mean", abs(float(np.mean(raw))), 0.3)
    lab.at_least("cosine of the half that the rotation was not fitted on, least of three seeds",
                 min(aligned), lab.size(0.8, quick=0.6))
    lab.effect("cosine, aligned over raw", aligned, raw, at_least=lab.size(0.3, quick=0.2))
    lab.effect("cosine, aligned over a rotation fitted to shuffled tokens", aligned, chance,
               at_least=0.3)
    lab.at_least("correlation of closeness with likeness of contexts, least", min(near), 0.5)
    for name, values in (("raw", raw), ("aligned", aligned), ("shuffled", chance)):
        lab.report(f"cosine, {name}", values)
        lab.number(f"cosine, {name}", values)

    a, b, found = kept
    axes = lab.figure(2)
    frame = np.linalg.svd(a, full_matrices=False)[2][:2].T  # the plane that shows most of a
    for part, second, title in ((axes[0], b, "Two models, raw coordinates"),
                                (axes[1], found, "After one rotation")):
        x, y = (a @ frame)[::2], (second @ frame)[::2]  # half of the tokens: a readable figure
        part.plot(x[:, 0], x[:, 1], linestyle="", label="model 1")
        part.plot(y[:, 0], y[:, 1], linestyle="", label="model 2")
        for one, two in zip(x[::2], y[::2]):
            part.plot(*zip(one, two), color="#777777", linewidth=0.7, linestyle="-", marker="")
        lab.label(part, title, x="first principal axis of model 1", y="second principal axis")
