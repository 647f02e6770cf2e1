"""What the first token still counts for, many steps later."""

from typing import Any

import numpy as np

from regard import nn, ops
from regard.labs._lab import Context, Lab
from regard.labs._learn import fit

LAB = Lab(
    name="rnn-grad", items=("S0.2", "S2.5", "S2.6", "S4.4", "S4.12"), kind="training",
    title="The way back to the first token",
    question="A value is told first, then noise, then it is asked for. Through a recurrent network the "
             "gradient goes back one step after another, through attention in one. How large is it "
             "after D steps, which models learn to answer, and what of the first token can still be read "
             "off a recurrent state?",
    formula="recurrent: ∂h_t/∂h_0 = Π_s diag(1 − h_s²) W, which shrinks or grows like gain^t\n"
            "steps between place i and place n: recurrent n − i, attention 1 a layer",
    says="A product of local Jacobians vanishes or explodes; early information is overwritten; from "
         "token 3 to token 500 a recurrent network takes 497 steps, attention one.",
    holds="Attention does not keep a gradient for free: untrained it averages, and the share of one of D "
          "keys falls like 1/D. It is trained attention whose gradient hardly depends on D. Gradients "
          "here are of the right answer's logit, because that of the loss vanishes where a model is "
          "sure. A norm that explodes can be clipped, one that vanished cannot be brought back so. "
          "Gates help as far as training has set them: after 400 steps the LSTM still guessed, after "
          "the 2,000 of this page it does not. And a small gradient is not yet a lost value: at D = 1000 "
          "the trained LSTM's is below 10⁻⁶, and its answers are right. No number here is a bound.",
    code="""
import numpy as np
from regard import nn, ops
layer = nn.Recurrent(8, 32, cell="tanh")
for steps in (10, 50, 100):
    x = nn.tensor(np.random.default_rng(0).standard_normal((steps, 1, 8)).astype(np.float32), gradient=True)
    ops.sum(layer(x)[1]).backward()
    print(steps, np.linalg.norm(x.gradient.numpy()[0]))                # of the first input
""",
    more=("`cell=\"relu\"`: no 1 − h², and the gain alone decides",
          "an LSTM whose forget gate starts at 0.99: how far it carries untrained",
          "noise that looks like values: attention needs positions to know the first"))

VALUES, NOISE, HIDDEN = 8, 8, 48
ASK, VOCABULARY = VALUES + NOISE, VALUES + NOISE + 1
CELLS = ("tanh", "gru", "lstm")


def texts(rng: np.random.Generator, rows: int, distance: int) -> np.ndarray:
    """[rows, distance + 1]: a value, noise, the question; the question is `distance` steps later."""
    ids = rng.integers(VALUES, ASK, (rows, distance + 1))
    ids[:, 0], ids[:, -1] = rng.integers(0, VALUES, rows), ASK
    return ids


def set_gain(layer: nn.Recurrent, gain: float, rng: np.random.Generator) -> None:
    """Recurrent weights normal with deviation gain/√hidden, biases 0."""
    drawn = rng.standard_normal((layer.hidden, layer.hidden)) * gain / layer.hidden ** 0.5
    layer.weight_hh.assign(drawn.astype(np.float32))
    for bias in (layer.bias_ih, layer.bias_hh):
        bias.assign(np.zeros(layer.hidden, np.float32))


class Recurrent(nn.Module):
    def __init__(self, cell: str, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.table = nn.Embedding(VOCABULARY, HIDDEN, rng=rng, deviation=1.0)
        self.layer = nn.Recurrent(HIDDEN, HIDDEN, cell=cell, rng=rng)
        if cell == "tanh":
            set_gain(self.layer, 0.9, rng)
        self.answer = nn.Linear(HIDDEN, VALUES, rng=rng)

    def embedded(self, ids: np.ndarray) -> nn.Tensor:
        return self.table(ids)

    def states(self, x: nn.Tensor, rows: int) -> nn.Tensor:
        """x [rows, tokens, HIDDEN] -> [tokens, rows, HIDDEN]"""
        return self.layer(ops.permute(x, (1, 0, 2)))[0]

    def __call__(self, x: nn.Tensor, rows: int) -> nn.Tensor:
        return self.answer(self.layer(ops.permute(x, (1, 0, 2)))[1])


class Attention(nn.Module):
    def __init__(self, seed: int) -> None:
        self.table = nn.Embedding(VOCABULARY, HIDDEN, rng=seed, deviation=1.0)
        self.block = nn.Transformer(width=HIDDEN, layers=1, heads=1, positions="none", head=False,
                                    inner=HIDDEN, seed=seed, deviation=0.0, context=2048)
        self.answer = nn.Linear(HIDDEN, VALUES, rng=seed + 1)

    def embedded(self, ids: np.ndarray) -> nn.Tensor:
        return self.table(ids)

    def __call__(self, x: nn.Tensor, rows: int) -> nn.Tensor:
        tokens = x.shape[1]
        states = self.block.states(x.reshape(rows * tokens, HIDDEN), [tokens] * rows)
        return self.answer(ops.gather(states, np.arange(rows) * tokens + tokens - 1))


def models(seed: int) -> dict[str, Any]:
    return {**{cell: Recurrent(cell, seed) for cell in CELLS}, "attention": Attention(seed)}


def gradient(model: Any, ids: np.ndarray) -> float:
    """Mean norm of ∂(the right answer's logit)/∂(embedding of the first token)."""
    with nn.no_gradient():
        x = np.array(model.embedded(ids).numpy())
    leaf = nn.tensor(x, gradient=True)
    logits = model(leaf, len(ids))
    right = np.eye(VALUES, dtype=np.float32)[ids[:, 0]]
    ops.sum(logits * nn.tensor(right)).backward()
    return float(np.linalg.norm(leaf.gradient.numpy()[:, 0], axis=1).mean())


def accuracy(model: Any, ids: np.ndarray) -> float:
    with nn.no_gradient():
        return float((model(model.embedded(ids), len(ids)).numpy().argmax(1) == ids[:, 0]).mean())


def by_gain(rng: np.random.Generator, gain: float, steps: int) -> float:
    """‖∂(u·h_t)/∂x_1‖ of a tanh network of that gain, hidden 64, whose inputs are small; u a random
    direction. f32"""
    layer = nn.Recurrent(64, 64, cell="tanh", rng=rng)
    set_gain(layer, gain, rng)
    layer.weight_ih.assign(np.eye(64, dtype=np.float32))
    x = nn.tensor((rng.standard_normal((steps, 1, 64)) * 1e-3).astype(np.float32), gradient=True)
    last = layer(x)[1]
    u = rng.standard_normal((1, 64)).astype(np.float32)
    ops.sum(last * nn.tensor(u / np.linalg.norm(u))).backward()
    return float(np.linalg.norm(x.gradient.numpy()[0]))


class Exploding(nn.Module):
    """A tanh network of gain 1.5 and one number read off its last state."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.layer = nn.Recurrent(8, 32, cell="tanh", rng=rng)
        set_gain(self.layer, 1.5, rng)
        self.answer = nn.Linear(32, 1, rng=rng)

    def loss(self, x: nn.Tensor, wanted: nn.Tensor) -> nn.Tensor:
        missed = self.answer(self.layer(x)[1]) - wanted
        return ops.sum(missed * missed) * (1 / wanted.shape[0])


def descent(rng: np.random.Generator, seed: int, clip: float) -> tuple[list[float], float]:
    """A hundred steps of plain gradient descent at rate 0.05 through 60 steps of time, the norm of all
    gradients clipped to clip. The losses before each, and the largest norm before it was clipped."""
    model = Exploding(seed)
    x = nn.tensor((rng.standard_normal((60, 16, 8)) * 0.3).astype(np.float32))
    wanted = nn.tensor(rng.standard_normal((16, 1)).astype(np.float32))
    losses, largest = [], 0.0
    for _ in range(100):
        loss = model.loss(x, wanted)
        losses.append(loss.item())
        if losses[-1] > 1e30 or not np.isfinite(losses[-1]):
            losses[-1] = 1e30  # it is lost, and no number of f32 would tell how far
            break
        loss.backward()
        leaves = model.parameters().values()
        norm = sum(np.square(leaf.gradient.numpy(), dtype=np.float64).sum() for leaf in leaves) ** 0.5
        largest = max(largest, float(norm))
        for leaf in leaves:
            step = 0.05 * min(1.0, clip / norm) * leaf.gradient.numpy()
            with leaf.writable() as numbers:
                numbers -= step
        model.clear_gradients()
    return losses, largest


def probe(states: np.ndarray, values: np.ndarray) -> float:
    """Accuracy of a ridge regression from states [rows, HIDDEN] to values, on the second half."""
    half, wanted = len(states) // 2, np.eye(VALUES)[values]
    x = np.concatenate([states, np.ones((len(states), 1))], 1).astype(np.float64)
    fitted = np.linalg.solve(x[:half].T @ x[:half] + 1e-2 * np.eye(x.shape[1]),
                             x[:half].T @ wanted[:half])
    return float(((x[half:] @ fitted).argmax(1) == values[half:]).mean())


@LAB.runs
def run(lab: Context) -> None:
    distances = lab.size((10, 50, 100, 200, 1000), quick=(10, 100))
    rows, names = lab.size(16, quick=8), (*CELLS, "attention")
    untrained: dict[str, list[list[float]]] = {name: [] for name in names}
    after: dict[str, list[list[float]]] = {name: [] for name in names}
    right: dict[str, list[list[float]]] = {name: [] for name in names}
    probed, gains = [], {gain: [] for gain in (0.5, 0.9, 1.5)}
    clipped: dict[float, list[tuple[list[float], float]]] = {1.0: [], np.inf: []}
    for seed in lab.seeds:
        for gain, found in gains.items():
            found += [[by_gain(lab.rng(seed, 1, draw), gain, steps) for steps in (10, 60)]
                      for draw in range(4)]
        for clip, descents in clipped.items():
            descents.append(descent(lab.rng(seed, 5), seed, clip))
        for name, model in models(seed).items():
            held = [texts(lab.rng(seed, 2, distance), rows, distance) for distance in distances]
            untrained[name].append([gradient(model, ids) for ids in held])
            if name == "tanh":
                ids = texts(lab.rng(seed, 3), lab.size(800, quick=300), 30)
                with nn.no_gradient():
                    states = model.states(model.embedded(ids), len(ids)).numpy()
                probed.append([probe(states[step], ids[:, 0]) for step in range(0, 31, 5)])
            if lab.quick and name != "attention":
                continue

            def loss_of(rng: np.random.Generator, model: Any = model) -> nn.Tensor:
                ids = texts(rng, 32, int(rng.integers(5, 41)))
                return ops.cross_entropy(model(model.embedded(ids), len(ids)), ids[:, 0])

            fit(model, loss_of, steps=lab.size(2000, quick=150), rate=4e-3, rng=lab.rng(seed, 4),
                tell=(lab, f"{name}, seed {seed}"))
            after[name].append([gradient(model, ids) for ids in held])
            right[name].append([accuracy(model, ids) for ids in held])
    hundred = distances.index(100)
    fall = [one[0] / max(one[hundred], 1e-45) for one in untrained["tanh"]]
    lab.at_least("tanh network of gain 0.9, untrained: gradient at D = 10 over D = 100, least", min(fall), 1e3)
    change = [max(one[0] / one[hundred], one[hundred] / one[0]) for one in after["attention"]]
    lab.at_most("trained attention: the larger of the gradients at D = 10 and 100 over the smaller, "
                "largest of three seeds", max(change), 10)
    slopes = {gain: float(np.mean([np.log(one[1] / one[0]) for one in found]))
              for gain, found in gains.items()}
    lab.check("ln gradient, from 10 steps to 60: gain 0.5, gain 1.5",
              [round(slopes[0.5], 2), round(slopes[1.5], 2)], "below 0, above 0",
              slopes[0.5] < 0 < slopes[1.5])
    after_over_before = {clip: [float(np.mean(one[-10:])) / one[0] for one, _ in descents]
                         for clip, descents in clipped.items()}
    lab.check("gain 1.5, loss in the last 10 of 100 plain steps over that before: clipped to norm 1, the "
              "largest of three seeds; not clipped, the least",
              [float(f"{max(after_over_before[1.0]):.3g}"),
               float(f"{min(after_over_before[np.inf]):.3g}")], "below 1, above 1",
              max(after_over_before[1.0]) < 1 < min(after_over_before[np.inf]))
    lab.report("largest norm of the gradient on the way, clipped descent, three seeds",
               [float(f"{norm:.3g}") for _, norm in clipped[1.0]])
    lab.effect("probe of the first token, from the first state over the one 30 steps later",
               [one[0] for one in probed], [one[-1] for one in probed], at_least=0.3)
    lab.report("steps on the way from token 500 to token 3: recurrent, attention", [500 - 3, 1])
    lab.report("untrained attention: gradient at D = 10 over D = 100",
               float(np.mean([one[0] / one[hundred] for one in untrained["attention"]])))
    lab.report("probe by step 0, 5 … 30 (a guess: 0.125)", np.mean(probed, 0).round(3))
    for name in names:
        if right[name]:
            lab.report(f"{name}, trained on D = 5 to 40: accuracy at D = "
                       f"{', '.join(map(str, distances))}", np.mean(right[name], 0).round(3))
    lab.number("distances", distances)
    lab.number("gradient, untrained", untrained)
    lab.number("gradient, trained", after)
    lab.number("accuracy", right)

    left, middle = lab.figure(2)
    for axes, found, title in ((left, untrained, "Untrained"), (middle, after, "Trained on D ≤ 40")):
        for name in names:
            if found[name]:
                axes.plot(distances, np.maximum(np.mean(found[name], 0), 1e-30), label=name)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.minorticks_off()
        lab.label(axes, title, x="distance D (tokens)", y="‖∂ answer / ∂ first token‖")
