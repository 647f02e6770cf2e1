"""One to eight heads of equal parameters on tasks that need one relation or several."""

import numpy as np

import regard
from regard import nn, ops
from regard.labs import induction
from regard.labs._lab import Context, Lab
from regard.labs._learn import fit, predicted

LAB = Lab(
    name="heads", items=("S1.16", "S1.17", "S4.16"), kind="training",
    title="More heads: more distributions, not more numbers",
    question="Eight heads of 8 dimensions or one of 64: the matrices have the same sizes. What one "
             "position can do differs, since each head has weights of its own. On which tasks does "
             "that show, and where is one head as good?",
    formula="h · d_k = h · d_v = 64, so the number of parameters does not depend on h\n"
            "Concat(O_1 … O_h) W_O = Σ_h O_h W_O^(h)",
    says="Several heads expand what attention can represent; one head specialises in a relation and "
         "drops others, several run in parallel and are joined and projected.",
    holds="With h · d_v = d the width does not grow; what grows is the number of distributions at each "
          "position. Exponential capacity and sample efficiency are asserted, not shown, and this "
          "table shows neither. More is not always better: heads get fewer dimensions to match with.",
    code="""
import numpy as np
from regard import nn
for heads in (1, 2, 4, 8):
    model = nn.Transformer(vocabulary=32, width=64, layers=2, heads=heads)
    print(heads, model.config.dim or 64 // heads, model.parameter_count())
""",
    more=("relations at four places at once: where two heads begin to fall short",
          "`dim=64` for every head: more parameters, and no longer a comparison of heads alone",
          "[induction](../induction/README.md): what no number of heads in one layer does"))

HEADS = (1, 2, 4, 8)
VOCABULARY, LENGTH, WIDTH = 8, 16, 64
BACK = (1, 3, 6)  # a position is asked for the tokens so far back, all at once


def model_of(heads: int, layers: int, seed: int, vocabulary: int, answers: int) -> nn.Transformer:
    return nn.Transformer(vocabulary=max(vocabulary, answers), width=WIDTH, layers=layers, heads=heads,
                          inner=WIDTH, context=64, positions="rope", tied=False, seed=seed,
                          deviation=0.05)


class Relations:
    """At each place: the tokens 1, 3 and 6 back, joined to one answer of 8³. One layer."""

    layers, answers = 1, VOCABULARY ** len(BACK)

    def batch(self, rng: np.random.Generator, rows: int) -> tuple[np.ndarray, ...]:
        ids = rng.integers(0, VOCABULARY, (rows, LENGTH))
        answers = sum(np.roll(ids, back, 1) * VOCABULARY ** n for n, back in enumerate(BACK))
        return ids, answers, np.broadcast_to(np.arange(LENGTH) >= max(BACK), ids.shape)


class Sort:
    """Eight tokens, then the same in order. Two layers."""

    layers, answers = 2, VOCABULARY

    def batch(self, rng: np.random.Generator, rows: int) -> tuple[np.ndarray, ...]:
        ids = rng.integers(0, VOCABULARY, (rows, LENGTH // 2))
        whole = np.concatenate([ids, np.sort(ids, axis=1)], 1)
        asked = np.broadcast_to(np.arange(LENGTH - 1) >= LENGTH // 2 - 1, (rows, LENGTH - 1))
        return whole[:, :-1], whole[:, 1:], asked


class Induction:
    """What followed the last time: the task of the lab induction. Two layers."""

    layers, answers = 2, induction.VOCABULARY

    def batch(self, rng: np.random.Generator, rows: int) -> tuple[np.ndarray, ...]:
        ids, _ = induction.texts(rng, rows)
        asked = np.zeros((rows, induction.LENGTH), bool)
        asked[:, induction.ASKING] = True
        return ids[:, :-1], ids[:, 1:], asked


TASKS = {"three relations, one layer": (Relations(), 400), "sort, two layers": (Sort(), 300),
         "induction, two layers": (Induction(), 400)}


def concatenated_is_summed(rng: np.random.Generator) -> float:
    """Largest difference of Concat(O_h) W_O and Σ O_h W_O^(h), over the largest number. f64"""
    q, k, v = (rng.standard_normal((12, 4, 8)) for _ in range(3))
    w_o = rng.standard_normal((32, 32))
    out = regard.attention(q, k, v)
    summed = sum(out[:, head] @ w_o[8 * head:8 * (head + 1)] for head in range(4))
    whole = out.reshape(12, 32) @ w_o
    return float(np.abs(whole - summed).max() / np.abs(whole).max())


@LAB.runs
def run(lab: Context) -> None:
    lab.at_most("Concat(O) W_O against Σ O_h W_O^(h), f64", concatenated_is_summed(lab.rng()), 1e-12)
    tasks = dict(list(TASKS.items())[:lab.size(3, quick=1)])
    every = lab.size(HEADS, quick=(1, 4))
    found: dict[str, dict[int, list[float]]] = {name: {} for name in tasks}
    counts: dict[str, set[int]] = {name: set() for name in tasks}
    for name, (task, steps) in tasks.items():
        for heads in every:
            found[name][heads] = []
            for seed in lab.seeds:
                model = model_of(heads, task.layers, seed, VOCABULARY, task.answers)
                counts[name].add(model.parameter_count())

                def loss_of(rng: np.random.Generator, model: nn.Transformer = model,
                            task: Relations | Sort | Induction = task) -> nn.Tensor:
                    ids, answers, asked = task.batch(rng, 32)
                    return ops.cross_entropy(model(ids, [ids.shape[1]] * len(ids)), answers,
                                             weights=asked)

                fit(model, loss_of, steps=lab.size(steps, quick=200), rate=4e-3,
                    rng=lab.rng(seed, 1), tell=(lab, f"{name}, {heads} heads, seed {seed}"))
                ids, answers, asked = task.batch(lab.rng(seed, 2), 64)
                right = predicted(model, ids).argmax(-1) == answers
                found[name][heads].append(float(right[asked].mean()))
    lab.equal("sizes of models that a task was tried with", [len(sizes) for sizes in counts.values()],
              [1] * len(counts))
    relations = found["three relations, one layer"]
    lab.effect("three relations at once: accuracy of 4 heads over 1", relations[4], relations[1],
               at_least=lab.size(0.1, quick=0.0))
    for name, of in found.items():
        for heads, values in of.items():
            lab.report(f"{name}, heads {heads}: accuracy, spread of seeds",
                       [round(float(np.mean(values)), 3), round(float(np.std(values, ddof=1)), 3)])
    lab.number("accuracy", found)

    axes = lab.figure(width=5.4)
    for name, of in found.items():
        axes.errorbar(list(of), [np.mean(values) for values in of.values()],
                      yerr=[np.std(values, ddof=1) for values in of.values()], capsize=3, label=name)
    axes.set_xscale("log", base=2)
    axes.set_xticks(every, every)
    lab.label(axes, "Equal parameters, more distributions", x="heads",
              y="accuracy (share of 1, ± spread)")
