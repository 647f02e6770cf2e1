"""Residual sums: a way for what goes forwards and for what comes back."""

import numpy as np

from regard import nn, ops
from regard.labs._lab import Context, Lab

LAB = Lab(
    name="residual", items=("S2.24",), kind="arithmetic",
    title="x + F(x): a block may do nothing, and gradients get through",
    question="A block that adds to its input can start as the identity. What does the sum do to the "
             "gradient at the first of 24 layers?",
    formula="y = x + F(norm(x))        ∂y/∂x = 1 + ∂F/∂x",
    says="With residual sums a layer only has to learn a change, and F ≈ 0 gives the identity.",
    code="""
import numpy as np
from regard import nn, ops
norm, mlp = nn.LayerNorm(16), nn.Mlp(16, 64)
for name, part in mlp.parameters().items():
    if name.startswith("down"):
        part.assign(np.zeros(part.shape, np.float32))                  # the last projection
x = nn.tensor(np.random.default_rng(0).standard_normal((4, 16), dtype=np.float32))
print((ops.add(x, mlp(norm(x))).numpy() == x.numpy()).all())           # the identity
""",
    more=("weights drawn larger: without the sum gradients explode in place of vanishing",
          "the norm behind the sum (Post-LN): the lab `preln`", "other depths"))

DEPTHS = (1, 3, 6, 12, 24)
WIDTH = 64


def blocks(seed: int, depth: int) -> list[tuple[nn.LayerNorm, nn.Mlp]]:
    return [(nn.LayerNorm(WIDTH), nn.Mlp(WIDTH, 4 * WIDTH, rng=np.random.default_rng([seed, n])))
            for n in range(depth)]


def first_gradient(seed: int, depth: int, x: np.ndarray, dy: np.ndarray, sums: bool) -> float:
    """‖∂loss/∂(weights of the first block)‖, loss = Σ y ∘ dy."""
    layers = blocks(seed, depth)
    y = nn.tensor(x)
    for norm, mlp in layers:
        change = mlp(norm(y)) if sums else mlp(y)
        y = ops.add(y, change) if sums else change
    y.backward(nn.tensor(dy))
    squares = [np.square(part.gradient.numpy().astype(np.float64)).sum()
               for part in layers[0][1].parameters().values()]
    return float(np.sqrt(sum(squares)))


@LAB.runs
def run(lab: Context) -> None:
    depths = lab.size(DEPTHS, quick=(1, 6, 24))
    differ = 0
    with_sum: list[list[float]] = []
    without: list[list[float]] = []
    for seed in lab.seeds:
        lab.progress(f"seed {seed}")
        rng = lab.rng(seed)
        x, dy = (rng.standard_normal((32, WIDTH), dtype=np.float32) for _ in range(2))
        norm, mlp = blocks(seed, 1)[0]
        for name, part in mlp.parameters().items():
            if name.startswith("down"):
                part.assign(np.zeros(part.shape, np.float32))
        differ += int((ops.add(nn.tensor(x), mlp(norm(nn.tensor(x)))).numpy() != x).sum())
        with_sum.append([first_gradient(seed, depth, x, dy, True) for depth in depths])
        without.append([first_gradient(seed, depth, x, dy, False) for depth in depths])
    lab.equal("block whose last projection is 0: numbers that differ from its input", differ, 0)
    lab.effect("log₁₀ of the first block's gradient at depth 24, with sums above without",
               np.log10([s[-1] for s in with_sum]), np.log10([s[-1] for s in without]), at_least=3)
    kept = [s[-1] / s[0] for s in with_sum]
    lab.check("gradient at depth 24 over that at depth 1, with sums", float(np.mean(kept)),
              "0.1 to 10", 0.1 < min(kept) and max(kept) < 10)
    lab.report("the same without sums", float(np.mean([s[-1] / s[0] for s in without])))
    lab.number("depths", depths)
    lab.number("gradient with sums", with_sum)
    lab.number("gradient without", without)

    axes = lab.figure(width=5)
    for name, values in (("x + F(norm(x))", with_sum), ("F(x)", without)):
        axes.plot(depths, np.exp(np.mean(np.log(values), 0)), label=name)
    axes.set_yscale("log")
    lab.label(axes, "What reaches the first block", x="blocks", y="gradient norm of its weights")
