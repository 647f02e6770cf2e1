"""With scores divided by √d_k one learning rate serves every d_k."""

import numpy as np

import regard
from regard import nn, ops
from regard.labs._lab import Context, Lab
from regard.labs._learn import descend
from regard.labs._plot import COLOURS, LINES, MARKERS

LAB = Lab(
    name="lr-transfer", items=("S1.21", "S1.25"), kind="training",
    title="Unscaled scores want another learning rate for every d_k",
    question="Heads of 16, 64 and 256 dimensions learn the weights of the same teacher by plain gradient "
             "descent, at many rates. Which rate is best, and does it stay the best when the head "
             "grows?",
    formula="s = c q·k        a step changes s by about rate · c² · (‖k‖² + ‖q‖²) ~ rate · c² · d_k\n"
            "c = 1/√d_k: the same for every d_k        c = 1: grows with d_k, so the rate must fall",
    says="A temperature of √d_k keeps the variance of the scores at 1 for every d_k; without it the "
         "learning rate has to shrink as d_k grows, and training fails at scale.",
    holds="That is an argument about gradient descent, and so it is measured here. Adam divides every "
          "gradient by its size, and c² leaves the formula: with Adam the division matters through "
          "saturation at the start. It matters, too, that the wanted weights are soft: where one key is "
          "right and the rest are wrong, saturated rows do no harm, and in a first run of that kind the "
          "best rates without scaling did not move. The factors 2 and 4 were set beforehand; rates "
          "differ by factors of 2, and the best one has the lowest mean loss over the run.",
    code="""
import numpy as np, regard
rng = np.random.default_rng(0)
for dim in (16, 64, 256):
    q, k, v = (rng.standard_normal((32, 1, dim)) for _ in range(3))
    for scale in (None, 1.0):                   # variance of the scores a head starts with
        _, more = regard.attention(q, k, v, scale=scale, extras=["scores"])
        print(dim, "scaled  " if scale is None else "unscaled", more.scores.var().round(2))
""",
    more=("`train.AdamW` in place of `descend`: the best rates lie closer together",
          "scale=1/d_k: the rate may grow with d_k",
          "[saturation](../saturation/README.md): what unscaled scores do to rows at the start"))

DIMS = (16, 64, 256)
WIDTH, ITEMS, BATCH = 16, 8, 32


class Head(nn.Module):
    """Queries and keys of one head. scale: of its scores; None: 1/√dim."""

    def __init__(self, dim: int, scale: float | None, rng: np.random.Generator) -> None:
        self.query, self.key = (nn.Linear(WIDTH, dim, bias=False, rng=rng) for _ in range(2))
        self.dim, self.scale = dim, scale

    def parts(self, queries: np.ndarray, keys: np.ndarray) -> tuple[nn.Tensor, nn.Tensor]:
        return (self.query(nn.tensor(queries)).reshape(-1, 1, self.dim),
                self.key(nn.tensor(keys)).reshape(-1, 1, self.dim))

    def __call__(self, queries: np.ndarray, keys: np.ndarray) -> nn.Tensor:
        """The weights [rows, ITEMS]: what attention gives over unit vectors."""
        q, k = self.parts(queries, keys)
        segments = [regard.Segment(n, 1, n * ITEMS, ITEMS) for n in range(len(queries))]
        return ops.attention(q, k, nn.tensor(unit(len(queries))), segments=segments,
                             scale=self.scale).reshape(-1, ITEMS)

    def state_of(self, queries: np.ndarray, keys: np.ndarray) -> list[float]:
        """Variance of the scores, and the share of rows with p_max > 0.99."""
        with nn.no_gradient():
            p = self(queries, keys).numpy()
            q, k = (part.numpy() for part in self.parts(queries, keys))
        scale = self.dim ** -0.5 if self.scale is None else self.scale
        scores = scale * np.einsum("rd,rnd->rn", q[:, 0], k.reshape(len(q), ITEMS, self.dim))
        return [float(scores.var()), float((p.max(1) > 0.99).mean())]


def unit(rows: int) -> np.ndarray:
    return np.tile(np.eye(ITEMS, dtype=np.float32), (rows, 1))[:, None]


def batch(rng: np.random.Generator, teacher: np.ndarray,
          rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """queries [rows, WIDTH], keys [rows · ITEMS, WIDTH], and the weights that a teacher gives them,
    whose scores have variance 1: rows that are neither flat nor peaked."""
    queries, keys = (rng.standard_normal((n, WIDTH), dtype=np.float32) for n in (rows, rows * ITEMS))
    bounds = (list(range(rows + 1)), [n * ITEMS for n in range(rows + 1)])
    return queries, keys, regard.attention((queries @ teacher)[:, None], keys[:, None], unit(rows),
                                           segments=bounds, scale=WIDTH ** -0.5)[:, 0]


def trained(lab: Context, seed: int, dim: int, scale: float | None, rate: float,
            steps: int) -> tuple[list[float], Head, np.ndarray]:
    """Losses of a run, the head, the teacher. The loss: ITEMS² · mean squared error of the weights."""
    rng = lab.rng(seed, 1)
    teacher = (rng.standard_normal((WIDTH, WIDTH)) / WIDTH ** 0.5).astype(np.float32)
    head, losses = Head(dim, scale, rng), []
    for _ in range(steps):
        *inputs, wanted = batch(rng, teacher, BATCH)
        error = ops.mean_squared_error(head(*inputs), wanted) * float(ITEMS ** 2)
        losses.append(descend(head, error, rate))
    return losses, head, teacher


@LAB.runs
def run(lab: Context) -> None:
    dims = lab.size(DIMS, quick=(16, 256))
    rates = lab.size(2.0 ** np.arange(-10, 3), quick=2.0 ** np.arange(-7, 2, 2))
    steps = lab.size(200, quick=60)
    losses: dict[tuple[str, int], np.ndarray] = {}
    for name, scale in (("scaled", None), ("unscaled", 1.0)):
        for dim in dims:
            lab.progress(f"{name}, d_k = {dim}")
            losses[name, dim] = np.array([[np.mean(trained(lab, seed, dim, scale, float(rate),
                                                           steps)[0]) for rate in rates]
                                          for seed in lab.seeds])
    best = {key: [float(rates[int(row.argmin())]) for row in found]
            for key, found in losses.items()}
    mean_best = {key: float(rates[int(found.mean(0).argmin())]) for key, found in losses.items()}
    shift = {name: [max(best[name, dim][n] for dim in dims) / min(best[name, dim][n] for dim in dims)
                    for n in range(3)] for name in ("scaled", "unscaled")}
    overall = {name: max(mean_best[name, dim] for dim in dims) / min(mean_best[name, dim]
                                                                     for dim in dims)
               for name in shift}
    lab.effect("log₂ of the shift of the best rate, unscaled over scaled",
               np.log2(shift["unscaled"]), np.log2(shift["scaled"]), at_least=1)
    if not lab.quick:
        lab.at_most("best rate, scaled: largest over smallest across d_k (mean loss)",
                    overall["scaled"], 2)
        lab.at_least("best rate, unscaled: largest over smallest across d_k (mean loss)",
                     overall["unscaled"], 4)
    for key, rate in mean_best.items():
        lab.report(f"best rate, {key[0]}, d_k = {key[1]}", rate)

    rate = mean_best["scaled", 256]
    courses = {}
    for name, scale in (("scaled", None), ("unscaled", 1.0)):
        course, head, teacher = trained(lab, lab.seed, 256, scale, rate, steps)
        inputs = batch(lab.rng(lab.seed, 3), teacher, 256)[:2]
        fresh = Head(256, scale, lab.rng(lab.seed, 4))
        for when, one in (("untrained", fresh), (f"after {steps} steps at rate {rate:g}", head)):
            lab.report(f"d_k = 256, {name}, {when}: variance of scores, share of saturated rows",
                       one.state_of(*inputs))
        courses[name] = course
    lab.number("rates", rates)
    lab.number("mean loss of a run", {f"{name}, d_k = {dim}": found for (name, dim), found in
                                 losses.items()})

    left, right = lab.figure(2)
    for (name, dim), found in losses.items():
        number = dims.index(dim)
        left.plot(rates, found.mean(0), color=COLOURS[0 if name == "scaled" else 1],
                  linestyle=LINES[number], marker=MARKERS[number], markersize=3.5,
                  label=f"{name}, d_k = {dim}")
    left.set_xscale("log", base=2)
    lab.label(left, "The best rate, and whether it stays", x="learning rate",
              y="mean loss of the run (64 · squared error)")
    for name, course in courses.items():
        smooth = np.convolve(course, np.ones(10) / 10, "valid")[::5]
        right.plot(np.arange(len(smooth)) * 5, smooth, marker="", label=name)
    lab.label(right, f"d_k = 256 at rate {rate:g}", x="training steps", y="loss (64 · squared error)")
