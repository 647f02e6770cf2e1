"""Labs: the claims that people make about attention, each measured by regard and drawn.

    regard lab variance                     # a figure, its numbers, a line for each acceptance
    regard lab --list
    python -m regard.labs all --quick       # what the verb runs

A lab is a module of this folder: its name with underscores, one Lab, one function.

    from regard.labs import Context, Lab

    LAB = Lab(
        name="variance", items=("S1.18",), kind="arithmetic",
        title="Why scores are divided by the root of d_k",
        question="...", formula="Var(q·k) = d_k", says="...", holds="...",
        code="import numpy as np, regard\\n...", more=("...",))

    @LAB.runs
    def run(lab: Context) -> None:
        for seed in lab.seeds:                       # three, from --seed on
            q = lab.rng(seed).standard_normal((lab.size(20_000, quick=2_000), 64))
        lab.near("Var(q·k) / d_k", measured, 1.0, within=0.03)
        axes = lab.figure()
        axes.plot(dims, variances, label="Gaussian entries")
        lab.label(axes, "Variance grows with d_k", x="d_k (numbers)", y="variance of q·k")

The rules: regard computes; NumPy makes inputs and independent references; a calibrated threshold
rests on three seeds, and an effect is shown when it is at least three times the spread between
them (Context.effect). What is only told, without a threshold, goes through Context.report.
The order of the labs and the story that they tell are in _story.py; the gallery in docs/labs is
written by `regard lab all --docs docs/labs`. A new lab needs its module and, if it is none of
those already named there, its place in the story.
"""

from regard.labs._lab import Check, Context, Lab
from regard.labs._story import find, names

__all__ = ["Check", "Context", "Lab", "find", "names"]
