"""Norms before or behind the sum: gradients by depth, and what training without warm-up does."""

import numpy as np

from regard import nn, ops, train
from regard.labs._lab import Context, Lab
from regard.labs._learn import fit
from regard.labs._plot import COLOURS, LINES

LAB = Lab(
    name="preln", items=("S2.29",), kind="training",
    title="Where the norm stands decides whether warm-up is needed",
    question="A block may normalise what it reads (Pre-LN) or the sum it leaves (Post-LN). How large "
             "are the first gradients near the output of 6, 12 and 24 such blocks, and which of the "
             "two trains when the learning rate is at its height from the first step on?",
    formula="Pre-LN   x + F(LN(x))        Post-LN   LN(x + F(x))\n"
            "near the output, at the start: Pre-LN ~ 1/√L (the stream has grown by √L and the last norm "
            "divides by it), Post-LN independent of L (Xiong et al. 2020)",
    says="A block is attention, sum, norm, MLP, sum, norm; norms may stand before the parts or behind "
         "the sums.",
    holds="Both orders train here at a small rate; which is better depends on rate and warm-up. The "
          "slopes, their width, the rate and the depth were set beforehand and held in the first run; "
          "the largest gradient of Post-LN is not always in the last block.",
    code="""
import numpy as np
from regard import nn, ops
ids = np.random.default_rng(0).integers(0, 16, (4, 16))
for post in (False, True):
    for layers in (6, 24):
        model = nn.Transformer(vocabulary=16, width=32, layers=layers, heads=2, post_norm=post, deviation=0)
        ops.cross_entropy(model(ids[:, :-1], [15] * 4), ids[:, 1:]).backward()
        last = model.parameters()[f"blk.{layers - 1}.ffn_down.weight"].gradient
        print("Post-LN" if post else "Pre-LN ", layers, np.linalg.norm(last.numpy()).round(4))
""",
    more=("`norm=\"rms\"`: the same picture without means",
          "a warm-up of a tenth of the run: where Post-LN catches up",
          "[residual](../residual/README.md): what sums do for gradients, norms aside"))

DEPTHS = (6, 12, 24)
VOCABULARY, TOKENS = 16, 16
MODELS = 6  # untrained ones a seed: the gradients of one depend much on its first numbers


def model_of(layers: int, post: bool, seed: int) -> nn.Transformer:
    return nn.Transformer(vocabulary=VOCABULARY, width=32, layers=layers, heads=2, context=TOKENS,
                          post_norm=post, deviation=0.0, seed=seed, tied=False)


def loss_on(model: nn.Transformer, rng: np.random.Generator, rows: int) -> nn.Tensor:
    """Half a text of random tokens, then the same half again, which alone counts."""
    half = rng.integers(0, VOCABULARY, (rows, TOKENS // 2))
    ids = np.concatenate([half, half], 1)
    counts = np.tile(np.arange(TOKENS - 1) >= TOKENS // 2 - 1, rows)
    return ops.cross_entropy(model(ids[:, :-1], [TOKENS - 1] * rows), ids[:, 1:], weights=counts)


def gradients(layers: int, post: bool, seed: int, rng: np.random.Generator) -> list[float]:
    """Norm of the gradient of each block's last matrix: root mean square over untrained models."""
    squares = np.zeros(layers)
    for number in range(MODELS):
        model = model_of(layers, post, seed * MODELS + number)
        loss_on(model, rng, 32).backward()
        leaves = model.parameters()
        squares += [np.square(leaves[f"blk.{layer}.ffn_down.weight"].gradient.numpy()).sum()
                    for layer in range(layers)]
    return np.sqrt(squares / MODELS).tolist()


def slope(norms: list[float]) -> float:
    """Of ln norm over ln depth."""
    return float(np.polyfit(np.log(DEPTHS), np.log(norms), 1)[0])


@LAB.runs
def run(lab: Context) -> None:
    found = {post: [[gradients(layers, post, seed, lab.rng(seed, layers)) for layers in DEPTHS]
                    for seed in lab.seeds] for post in (False, True)}
    last = {post: [[of[-1] for of in one] for one in every] for post, every in found.items()}
    pre, post = ([slope(one) for one in last[which]] for which in (False, True))
    lab.near("slope of ln ‖gradient‖, last block, over ln L: Pre-LN", float(np.mean(pre)), -0.5,
             within=0.2)
    lab.near("the same: Post-LN", float(np.mean(post)), 0.0, within=0.2)
    lab.effect("slope of Post-LN over that of Pre-LN", post, pre, at_least=0.2)
    where = [int(np.argmax(one[-1])) + 1 for one in found[True]]
    lab.report("Post-LN, 24 blocks: the block with the largest gradient", where)

    layers, steps = lab.size((12, 500), quick=(6, 100))
    rate = 2e-3
    runs: dict[tuple[bool, bool], list[list[float]]] = {}
    for after in (False, True):
        for warm in (False, True):
            runs[after, warm] = []
            for seed in lab.seeds:
                if lab.quick and (warm or seed != lab.seed):
                    continue
                model = model_of(layers, after, seed)
                runs[after, warm].append(fit(
                    model, lambda rng, model=model: loss_on(model, rng, 16), steps=steps,
                    rate=train.constant(rate, warmup=steps // 4 if warm else 0),
                    rng=lab.rng(seed, 1), tell=(lab, f"{'Post' if after else 'Pre'}-LN, seed {seed}")))
    ends = {key: [float(np.mean(losses[-50:])) for losses in every] for key, every in runs.items()
            if every}
    names = {(after, warm): f"{'Post' if after else 'Pre'}-LN, {'with' if warm else 'no'} warm-up"
             for after in (False, True) for warm in (False, True)}
    if not lab.quick:
        lab.effect(f"last loss without warm-up at rate {rate:g}, {layers} blocks: Post-LN over Pre-LN",
                   ends[True, False], ends[False, False], at_least=0.2)
        lab.at_most("last loss of Pre-LN without warm-up, mean (a guess is 2.77)",
                    float(np.mean(ends[False, False])), 1.0)
    for key, values in ends.items():
        lab.report(f"last loss, {names[key]}", float(np.mean(values)))
    lab.number("gradient norm of each block's last matrix",
               {f"{'Post' if after else 'Pre'}-LN, {depth} blocks":
                np.mean([one[number] for one in found[after]], 0)
                for after in (False, True) for number, depth in enumerate(DEPTHS)})
    lab.number("last losses", {names[key]: values for key, values in ends.items()})

    left, right = lab.figure(2)
    for after, colour in ((False, COLOURS[0]), (True, COLOURS[1])):
        for number, depth in enumerate(DEPTHS):
            norms = np.mean([one[number] for one in found[after]], 0)
            left.plot(np.arange(1, depth + 1), norms, color=colour, linestyle=LINES[number], marker="",
                      label=f"{'Post' if after else 'Pre'}-LN, L = {depth}")
    left.set_yscale("log")
    lab.label(left, "First gradients, block by block", x="block", y="‖gradient‖ of its last matrix")
    for key, every in runs.items():
        if not every:
            continue
        smooth = np.convolve(np.mean(every, 0), np.ones(20) / 20, "valid")[::10]
        right.plot(np.arange(len(smooth)) * 10, smooth, color=COLOURS[int(key[0])],
                   linestyle="-" if key[1] else "--", marker="", label=names[key])
    lab.label(right, f"{layers} blocks at rate {rate:g}", x="training steps", y="loss (nats)")
