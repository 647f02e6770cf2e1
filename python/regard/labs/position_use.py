"""Position is injected; whether it is used, the data decide."""

import numpy as np

from regard import nn, ops
from regard.labs._lab import Context, Lab
from regard.labs._learn import fit, predicted

LAB = Lab(
    name="position-use", items=("S4.22",), kind="training",
    title="Order is offered, and used only where it tells something",
    question="Two models with the same positions, one trained on texts whose next token depends on "
             "the last, one on bags of words, where only the mixture counts. How much does each one's "
             "prediction change when its text is shuffled?",
    formula="sensitivity = mean KL( p(next | x) ‖ p(next | shuffled x) ), in nats",
    says="Position is injected, not enforced: a model learns how sensitive to be, and that varies "
         "with the domain.",
    code="""
import numpy as np
from regard import nn
model = nn.Transformer(vocabulary=16, width=32, layers=1, heads=2, context=16)
ids = np.arange(12)
def last(ids): return model(ids).numpy()[-1].astype(float)
def log_p(z): return z - np.log(np.exp(z).sum())
p, q = log_p(last(ids)), log_p(last(np.random.default_rng(0).permutation(ids)))
print((np.exp(p) * (p - q)).sum())                    # untrained: nearly nothing
""",
    more=("a mixture of both kinds of text: the sensitivity lies between",
          "`positions=\"none\"`: the causal model still sees which token is last",
          "shuffle all but the last token: what is left is the use of far order"))

VOCABULARY, TOKENS, TOPICS, CONCENTRATION = 16, 24, 4, 0.3


class World:
    """Where texts come from: chains of tokens, or bags drawn from a topic."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.follows = rng.dirichlet(np.full(VOCABULARY, CONCENTRATION), VOCABULARY)
        self.topics = rng.dirichlet(np.full(VOCABULARY, CONCENTRATION), TOPICS)

    def texts(self, rng: np.random.Generator, rows: int, ordered: bool) -> np.ndarray:
        """[rows, TOKENS + 1]"""
        draws = rng.random((rows, TOKENS + 1))
        ids = np.zeros((rows, TOKENS + 1), np.int64)
        topic = rng.integers(0, TOPICS, rows)
        ids[:, 0] = rng.integers(0, VOCABULARY, rows)
        for place in range(0 if not ordered else 1, TOKENS + 1):
            table = self.follows[ids[:, place - 1]] if ordered else self.topics[topic]
            ids[:, place] = np.minimum((table.cumsum(1) < draws[:, place, None]).sum(1),
                                       VOCABULARY - 1)
        return ids


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def sensitivity(model: nn.Transformer, ids: np.ndarray, rng: np.random.Generator) -> float:
    shuffled = np.take_along_axis(ids, np.argsort(rng.random(ids.shape), axis=1), 1)
    p, q = (log_softmax(predicted(model, one)[:, -1]) for one in (ids, shuffled))
    return float((np.exp(p) * (p - q)).sum(-1).mean())


@LAB.runs
def run(lab: Context) -> None:
    steps = lab.size(900, quick=150)
    marks = list(range(0, steps + 1, 50))
    curves: dict[str, list[list[float]]] = {"ordered": [], "bags": []}
    for seed in lab.seeds:
        world = World(lab.rng(seed, 1))
        for kind in curves:
            ordered = kind == "ordered"
            model = nn.Transformer(vocabulary=VOCABULARY, width=32, layers=2, heads=2,
                                   context=TOKENS, seed=seed, deviation=0.0)
            held, curve = world.texts(lab.rng(seed, 2), 256, ordered)[:, :-1], []

            def loss_of(rng: np.random.Generator, model: nn.Transformer = model,
                        world: World = world, ordered: bool = ordered) -> nn.Tensor:
                ids = world.texts(rng, 32, ordered)
                return ops.cross_entropy(model(ids[:, :-1], [TOKENS] * len(ids)), ids[:, 1:])

            fit(model, loss_of, steps=steps, rate=3e-3, rng=lab.rng(seed, 3),
                each=lambda _, c=curve, m=model, h=held, s=seed: c.append(
                    sensitivity(m, h, lab.rng(s, 4))), tell=(lab, f"{kind}, seed {seed}"))
            curves[kind].append(curve)
    last = {kind: [curve[-1] for curve in every] for kind, every in curves.items()}
    lab.effect("sensitivity of the model of ordered texts over that of bags", last["ordered"],
               last["bags"], at_least=lab.size(1.0, quick=0.3))
    lab.at_most("sensitivity of the model of bags, largest of three seeds", max(last["bags"]),
                lab.size(0.05, quick=0.2))
    for kind, values in last.items():
        lab.report(f"sensitivity, {kind}, nats, mean", float(np.mean(values)))
    lab.number("steps", marks)
    lab.number("sensitivity", curves)

    axes = lab.figure(width=5)
    for kind, name in (("ordered", "texts in order"), ("bags", "bags of words")):
        axes.plot(marks, np.mean(curves[kind], 0), markersize=3, label=f"trained on {name}")
    lab.label(axes, "What shuffling the text does to the prediction", x="training steps",
              y="KL of the next token (nats)")
