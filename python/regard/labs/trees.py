"""Nested structure: accuracy by depth, inside and beyond the depth of training."""

from typing import Any

import numpy as np

from regard import nn, ops
from regard.labs._lab import Context, Lab
from regard.labs._learn import fit, predicted
from regard.labs._lstm import LstmModel

LAB = Lab(
    name="trees", items=("S3.9",), kind="training",
    title="A flat sequence, and the tree in it",
    question="Brackets of two kinds: what must a closing one be? The answer is the last bracket that is "
             "still open, which a stack knows and attention has to find. Models are trained where "
             "nesting goes to depth 4 and asked up to depth 12, at equal length. And a small ListOps: "
             "the largest or smallest of nested lists.",
    formula="Dyck-2: accuracy of the kind at closing brackets, by their depth; a guess is 0.5\n"
            "control: as many tokens, never nested deeper than 4",
    says="Transformers are said to have blind spots of topology: good with flat sequences, weak with "
         "hierarchies.",
    holds="What is measured is generalisation to texts nested deeper than any in training, at equal "
          "length. In texts of trained depth both models are right, in deeper ones both fall, the "
          "Transformer somewhat more. Mind the curve: in a deep text the deepest brackets are the easy "
          "ones, because they close right after they open; what fails are pairs with a deep text between "
          "them, and those lie at shallow depths as well. ListOps, whose answer needs all levels, falls "
          "with each level beyond training. The 95 % was set beforehand; what counts as a fall was set "
          "from the first run.",
    code="""
def kind_of_closing(text):
    stack, wanted = [], []
    for token in text:                          # 0 ( 1 [ open, 2 ) 3 ] close
        if token < 2:
            stack.append(token)
        else:
            wanted.append(stack.pop() + 2)
    return wanted
print(kind_of_closing([0, 1, 3, 2]))
""",
    more=("train to depth 8: the fall moves, and does not vanish",
          "more layers: depth of nesting against depth of the network",
          "ListOps with sums modulo 10: nothing left that a single extreme token gives away"))

DEPTH, FAR, LENGTH, WIDTH = 4, 12, 40, 48


def brackets(rng: np.random.Generator, rows: int, deepest: int) -> tuple[np.ndarray, np.ndarray]:
    """ids [rows, LENGTH] of balanced texts, 0 and 1 open, 2 and 3 close; depth [rows, LENGTH] of each
    closing bracket's pair, 0 at opening ones. Each text climbs to `deepest` once or more."""
    ids, depth = np.zeros((rows, LENGTH), np.int64), np.zeros((rows, LENGTH), np.int64)
    for row in range(rows):
        stack: list[int] = []
        up = rng.random(LENGTH)
        kinds = rng.integers(0, 2, LENGTH)
        top = rng.integers(max(1, deepest - 3), deepest + 1)  # how deep this text goes
        rising = True
        for place in range(LENGTH):
            left = LENGTH - place  # must suffice to close all that is open
            rising = (rising or not stack) and len(stack) < top
            opens = not stack or (len(stack) + 1 < left and len(stack) < top
                                  and up[place] < (0.75 if rising else 0.4))
            if opens:
                stack.append(int(kinds[place]))
                ids[row, place] = stack[-1]
            else:
                depth[row, place] = len(stack)
                ids[row, place] = stack.pop() + 2
    return ids, depth


def lists(rng: np.random.Generator, rows: int, deepest: int) -> tuple[np.ndarray, np.ndarray]:
    """ListOps of LENGTH tokens: 0 to 9 digits, 10 max[, 11 min[, 12 ], 13 padding in front; the last
    token is ]. And the values [rows]."""
    ids, values = np.full((rows, LENGTH), 13), np.zeros(rows, np.int64)
    for row in range(rows):
        value = int(rng.integers(0, 10))
        text = [value]
        for _ in range(deepest):  # each level wraps the one before in a list with two digits
            function, digits = int(rng.integers(0, 2)), rng.integers(0, 10, 2).tolist()
            at = int(rng.integers(0, 3))
            text = [10 + function, *digits[:at], *text, *digits[at:], 12]
            value = (max, min)[function](value, *digits)
        ids[row, -len(text):] = text
        values[row] = value
    return ids, values


def closing_loss(model: Any, rng: np.random.Generator) -> nn.Tensor:
    ids, depth = brackets(rng, 32, DEPTH)
    # A closing bracket is predicted before it is read; that it closes is told by the weights.
    return ops.cross_entropy(model(ids[:, :-1], [LENGTH - 1] * len(ids)), ids[:, 1:],
                             weights=(depth[:, 1:] > 0).astype(float))


def closing_accuracy(model: Any, rng: np.random.Generator, deepest: int,
                     rows: int) -> dict[int, float]:
    """By depth. Only the two closing kinds compete."""
    ids, depth = brackets(rng, rows, deepest)
    right = predicted(model, ids[:, :-1])[:, :, 2:4].argmax(-1) + 2 == ids[:, 1:]
    return {int(level): float(right[depth[:, 1:] == level].mean())
            for level in np.unique(depth[:, 1:]) if level > 0}


def list_accuracy(model: Any, rng: np.random.Generator, deepest: int, rows: int) -> float:
    ids, values = lists(rng, rows, deepest)
    return float((predicted(model, ids)[:, -1, :10].argmax(-1) == values).mean())


def list_loss(model: Any, rng: np.random.Generator) -> nn.Tensor:
    parts = [lists(rng, 8, depth) for depth in range(1, DEPTH + 1)]
    ids, values = (np.concatenate(part) for part in zip(*parts))
    last = np.tile(np.arange(LENGTH) == LENGTH - 1, len(ids))
    return ops.cross_entropy(model(ids, [LENGTH] * len(ids)), np.repeat(values, LENGTH),
                             weights=last)


def models(vocabulary: int, seed: int) -> dict[str, Any]:
    return {"Transformer": nn.Transformer(vocabulary=vocabulary, width=WIDTH, layers=2, heads=4,
                                          context=LENGTH, positions="rope", tied=False, seed=seed,
                                          deviation=0.0),
            "LSTM": LstmModel(vocabulary, 64, seed)}


@LAB.runs
def run(lab: Context) -> None:
    rows = lab.size(300, quick=60)
    steps = lab.size(700, quick=120)
    control: dict[str, list[float]] = {"Transformer": [], "LSTM": []}
    beyond: dict[str, list[float]] = {"Transformer": [], "LSTM": []}
    by_depth: dict[str, list[dict[int, float]]] = {"Transformer": [], "LSTM": []}
    by_list: dict[str, list[list[float]]] = {"Transformer": [], "LSTM": []}
    for seed in lab.seeds:
        for name, model in models(4, seed).items():
            fit(model, lambda rng, model=model: closing_loss(model, rng), steps=steps, rate=5e-3,
                rng=lab.rng(seed, 1), tell=(lab, f"brackets, {name}, seed {seed}"))
            within = closing_accuracy(model, lab.rng(seed, 2), DEPTH, rows)
            deep = closing_accuracy(model, lab.rng(seed, 3), FAR, rows)
            control[name].append(float(np.mean(list(within.values()))))
            beyond[name].append(float(np.mean([deep[level] for level in deep if level > DEPTH])))
            by_depth[name].append(deep)
        for name, model in ({} if lab.quick else models(14, seed)).items():
            fit(model, lambda rng, model=model: list_loss(model, rng), steps=steps, rate=4e-3,
                rng=lab.rng(seed, 4), tell=(lab, f"ListOps, {name}, seed {seed}"))
            by_list[name].append([list_accuracy(model, lab.rng(seed, 5, depth), depth, rows)
                                  for depth in range(1, 9)])
    for name in control:
        lab.at_least(f"{name}: accuracy at equal length and depths 1 to {DEPTH}, least of three seeds",
                     min(control[name]), lab.size(0.95, quick=0.55))
        if not lab.quick:
            lab.effect(f"{name}: accuracy within the trained depths over depths {DEPTH + 1} to {FAR}",
                       control[name], beyond[name], at_least=0.03)
        lab.report(f"{name}: accuracy beyond the trained depths, mean", float(np.mean(beyond[name])))
    lab.report("accuracy beyond, LSTM minus Transformer, each seed",
               np.subtract(beyond["LSTM"], beyond["Transformer"]).round(3))
    for name, found in by_list.items():
        if found:
            lab.report(f"ListOps, {name}: accuracy by depth 1 to 8 (trained to {DEPTH}), mean",
                       np.mean(found, 0).round(3))
    lab.number("closing brackets by depth, texts of depth 12", by_depth)
    lab.number("ListOps by depth", by_list)

    axes = np.atleast_1d(lab.figure(1 if lab.quick else 2))
    for name, found in by_depth.items():
        levels = sorted(set.intersection(*(set(one) for one in found)))
        axes[0].plot(levels, [np.mean([one[level] for one in found]) for level in levels], label=name)
        if by_list[name]:
            axes[1].plot(range(1, 9), np.mean(by_list[name], 0), label=name)
    for part, title, y in zip(axes, ("Which bracket closes?", "ListOps: max and min of lists"),
                              ("accuracy (a guess: 0.5)", "accuracy (share of 1)")):
        part.axvline(DEPTH + 0.5, color="#777777", linewidth=1)
        lab.label(part, title, x=f"depth (trained to {DEPTH})", y=y)
