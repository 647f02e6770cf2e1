"""Norms over a token and norms over a batch, beside padding."""

import numpy as np

from regard import nn
from regard.labs._lab import Context, Lab

LAB = Lab(
    name="norms", items=("S2.26", "S2.27"), kind="arithmetic",
    title="A token's norm should not depend on its neighbours",
    question="LayerNorm uses the numbers of one token, BatchNorm those of one feature over the whole "
             "batch. What does the same sentence become in another batch, with more padding?",
    formula="LayerNorm  (x − mean_D x) / √(var_D x + ε) · γ + β         a token at a time\n"
            "BatchNorm  the same with mean and variance over batch and tokens, a feature at a time",
    says="Batch statistics depend on the mixture of lengths, on the share of padding and on the "
         "size of the batch; LayerNorm works on each token.",
    code="""
import numpy as np
from regard import nn
norm = nn.LayerNorm(8)
x = np.random.default_rng(0).standard_normal((5, 8), dtype=np.float32)
whole, alone = norm(nn.tensor(x)).numpy(), norm(nn.tensor(x[2:3])).numpy()
print((whole[2] == alone[0]).all(), whole.mean(1).round(6))            # to the bit; means 0
""",
    more=("padding that is not zeros: an embedding of the padding token has a norm, too",
          "statistics over real tokens only: the mixture of lengths still counts",
          "`nn.RMSNorm`: without the mean, and just as indifferent to neighbours"))


def batch_norm(x: np.ndarray) -> np.ndarray:
    """The formula in f64, in training: statistics of this batch. x [batch, tokens, features]"""
    x = x.astype(np.float64)
    return (x - x.mean((0, 1))) / np.sqrt(x.var((0, 1)) + 1e-5)


@LAB.runs
def run(lab: Context) -> None:
    width, real = 64, 20
    shares = (0.0, 0.2, 0.4, 0.6, 0.8)
    layer, batch, means, variances = [], [], [], []
    norm, differ, gradients = nn.LayerNorm(width), 0, []
    for seed in lab.seeds:
        rng = lab.rng(seed)
        sentence = (rng.standard_normal((real, width)) * 2 + rng.standard_normal(width)).astype(
            np.float32)
        others = (rng.standard_normal((7, real, width)) * 2).astype(np.float32)
        alone = norm(nn.tensor(sentence)).numpy()
        means.append(float(np.abs(alone.astype(np.float64).mean(1)).max()))
        variances.append(float(np.abs(alone.astype(np.float64).var(1) - 1).max()))
        of_layer, of_batch, first = [], [], None
        for share in shares:
            tokens = round(real / (1 - share))
            x = np.zeros((8, tokens, width), np.float32)
            x[0, :real], x[1:, :real] = sentence, others
            found = norm(nn.tensor(x.reshape(-1, width))).numpy().reshape(x.shape)[0, :real]
            differ += int((found != alone).sum())
            of_layer.append(float(np.linalg.norm(found - alone) / np.linalg.norm(alone)))
            of = batch_norm(x)[0, :real]
            first = of if first is None else first
            of_batch.append(float(np.linalg.norm(of - first) / np.linalg.norm(first)))
        layer.append(of_layer)
        batch.append(of_batch)
        other_batch = batch_norm(np.concatenate([sentence[None], others[:3] * 3]))[0]
        gradients.append(float(np.linalg.norm(other_batch - first) / np.linalg.norm(first)))
    lab.equal("LayerNorm: numbers of a sentence that differ in other batches", differ, 0)
    lab.at_most("LayerNorm: distance of a token's mean from 0", max(means), 1e-6)
    lab.at_most("LayerNorm: distance of a token's variance from 1", max(variances), 1e-3)
    lab.effect("BatchNorm at 80 % padding: change of the same sentence", [b[-1] for b in batch],
               [b[-1] for b in layer], at_least=0.1)
    lab.check("BatchNorm: the change grows with padding", [round(float(x), 3) for x in
                                                           np.mean(batch, 0)], "growing",
              bool((np.diff(np.mean(batch, 0)) > 0).all()))
    lab.report("BatchNorm: change in a batch of 4 with larger neighbours", float(np.mean(gradients)))
    lab.number("share of padding", shares)
    lab.number("change, LayerNorm", layer)
    lab.number("change, BatchNorm", batch)

    axes = lab.figure(width=5)
    axes.plot(np.array(shares) * 100, np.mean(batch, 0), label="BatchNorm, mean of three seeds")
    axes.plot(np.array(shares) * 100, np.mean(layer, 0), label="LayerNorm: the same bits")
    lab.label(axes, "The same sentence in other batches", x="padding in the batch (%)",
              y="relative change of its output")
