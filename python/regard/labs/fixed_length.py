"""Three ways to a fixed length, and what each loses."""

import numpy as np

from regard import nn, ops
from regard.labs._lab import Context, Lab
from regard.labs._learn import fit

LAB = Lab(
    name="fixed-length", items=("S2.1",), kind="training",
    title="Cut, pad or average: tail, work or order",
    question="A network with inputs of one size has to be given texts of many. Cutting loses what "
             "comes late, padding computes on nothing, averaging forgets the order. The task asks for "
             "order alone: which of two marked tokens comes first?",
    formula="cut      the first 6 of up to 24 tokens\n"
            "pad      24 tokens, padding masked: wasted = 1 − Σ lengths / (24 · texts)\n"
            "average  mean of the embeddings, then an MLP: equal for every order of the tokens\n"
            "packed   the texts one behind another, attention within each: nothing wasted",
    says="Truncation loses the tail, padding wastes computation, pooling loses order.",
    holds="Averaging embeddings loses order for certain: permuted texts have equal means, and chance is "
          "all that is left. Averaging states that attention made with positions does not, as the "
          "packed model shows, which ends in a mean as well.",
    code="""
import numpy as np
from regard import nn, ops
table = nn.Embedding(8, 16)
for ids in ([1, 2, 3], [3, 2, 1]):
    print(ops.mean(table(ids), "rows").numpy()[:3].round(6))           # one mean for both orders
""",
    more=("marks near the end only: cutting falls to chance",
          "a longest text ten times the typical one: what padding wastes then",
          "sinusoidal positions added before the mean: it can count again"))

LONGEST, KEPT, SHORTEST, VOCABULARY, WIDTH = 24, 6, 8, 12, 32
FIRST, SECOND, PADDING = 0, 1, VOCABULARY - 1  # the two marks; tokens between are noise
WAYS = ("cut", "pad", "average", "packed")


def texts(rng: np.random.Generator, rows: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Texts of SHORTEST to LONGEST tokens with each mark once, and which mark comes first."""
    made, answers = [], rng.integers(0, 2, rows)
    for answer in answers:
        ids = rng.integers(2, PADDING, rng.integers(SHORTEST, LONGEST + 1))
        early, late = np.sort(rng.choice(len(ids), 2, replace=False))
        ids[early], ids[late] = (FIRST, SECOND) if answer == 0 else (SECOND, FIRST)
        made.append(ids)
    return made, answers


class Reader(nn.Module):
    """Texts -> logits of the two answers."""

    def __init__(self, way: str, seed: int) -> None:
        self.way = way
        self.table = nn.Embedding(VOCABULARY, WIDTH, rng=seed, deviation=0.5)
        if way == "average":
            self.mlp = nn.Mlp(WIDTH, 4 * WIDTH, rng=seed)
        else:
            self.blocks = nn.Transformer(width=WIDTH, layers=2, heads=2, causal=False,
                                         context=LONGEST, head=False, seed=seed, deviation=0.0)
        self.answer = nn.Linear(WIDTH, 2, rng=seed + 1)

    def __call__(self, given: list[np.ndarray]) -> nn.Tensor:
        if self.way == "cut":
            given = [ids[:KEPT] for ids in given]
        lengths = [len(ids) for ids in given]
        x = self.table(np.concatenate(given))
        if self.way != "average":
            x = self.blocks.states(x, lengths)
        owner = np.repeat(np.arange(len(given)), lengths)
        mean = (owner[None] == np.arange(len(given))[:, None]) / np.array(lengths)[:, None]
        pooled = ops.matmul(nn.tensor(mean.astype(np.float32)), x)
        return self.answer(self.mlp(pooled) if self.way == "average" else pooled)


class Padded(Reader):
    """The same on LONGEST rows for every text: padding is computed, and no text looks at it."""

    def __call__(self, given: list[np.ndarray]) -> nn.Tensor:
        rows, lengths = [], []
        for ids in given:
            rest = LONGEST - len(ids)
            rows.append(np.concatenate([ids, np.full(rest, PADDING)]))
            lengths += [len(ids), rest] if rest else [len(ids)]
        x = self.blocks.states(self.table(np.concatenate(rows)), lengths)
        mean = np.zeros((len(given), LONGEST * len(given)), np.float32)
        for number, ids in enumerate(given):
            mean[number, number * LONGEST:number * LONGEST + len(ids)] = 1 / len(ids)
        return self.answer(ops.matmul(nn.tensor(mean), x))


@LAB.runs
def run(lab: Context) -> None:
    steps = lab.size(600, quick=250)
    ways = lab.size(WAYS, quick=("cut", "average", "packed"))  # padding computes what packing does
    found: dict[str, list[float]] = {way: [] for way in ways}
    late: list[float] = []
    for seed in lab.seeds:
        held, answers = texts(lab.rng(seed, 1), lab.size(1000, quick=300))
        for way in ways:
            model = Padded(way, seed) if way == "pad" else Reader(way, seed)

            def loss_of(rng: np.random.Generator, model: Reader = model) -> nn.Tensor:
                given, wanted = texts(rng, 32)
                return ops.cross_entropy(model(given), wanted)

            fit(model, loss_of, steps=steps, rate=3e-3, rng=lab.rng(seed, 2),
                tell=(lab, f"{way}, seed {seed}"))
            with nn.no_gradient():
                right = model(held).numpy().argmax(1) == answers
            found[way].append(float(right.mean()))
            if way == "cut":
                seen = np.array([{FIRST, SECOND} & set(ids[:KEPT].tolist()) == set() for ids in held])
                late.append(float(right[seen].mean()))
    near = lab.size(0.05, quick=0.12)
    lab.near("accuracy of averaged embeddings, mean (chance is 0.5)", float(np.mean(found["average"])),
             0.5, within=near)
    lab.effect("accuracy of packed texts over averaged ones", found["packed"], found["average"],
               at_least=lab.size(0.4, quick=0.2))
    lab.effect("accuracy of packed texts over cut ones", found["packed"], found["cut"],
               at_least=lab.size(0.1, quick=0.0))
    if not lab.quick:
        lab.at_least("accuracy of packed texts, least of three seeds", min(found["packed"]), 0.97)
        lab.at_least("accuracy of padded texts, least of three seeds", min(found["pad"]), 0.97)
        lab.near("accuracy of cut texts whose two marks were cut off", float(np.mean(late)), 0.5,
                 within=0.15)
    lengths = [len(ids) for ids in texts(lab.rng(lab.seed, 1), 1000)[0]]
    wasted = 1 - sum(lengths) / (LONGEST * len(lengths))
    lab.report("rows of a padded batch that are padding, share", wasted)
    for way in ways:
        lab.report(f"accuracy, {way}, mean", float(np.mean(found[way])))
    lab.number("accuracy", found)

    axes = lab.figure(width=5)
    axes.bar(range(len(ways)), [np.mean(found[way]) for way in ways],
             yerr=[np.std(found[way]) for way in ways], color="#0072B2")
    axes.axhline(0.5, color="#777777", linewidth=1)
    names = {"cut": "cut to 6", "pad": f"padded ({wasted:.0%} wasted)", "average": "averaged"}
    axes.set_xticks(range(len(ways)), [names.get(way, way) for way in ways])
    lab.label(axes, "Which mark comes first?", x="how texts get one size", y="accuracy (share of 1)")
