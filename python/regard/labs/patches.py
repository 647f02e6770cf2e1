"""The same operation reads images: patches as tokens."""

import numpy as np

from regard import nn, ops
from regard.labs._lab import Context, Lab
from regard.labs._learn import fit

LAB = Lab(
    name="patches", items=("S4.24",), kind="training",
    title="An image is a sequence of patches",
    question="Nothing in attention knows words. Cut an image into squares, let one linear layer turn "
             "each into a vector, and the blocks that read text read shapes. What happens to them "
             "without positions?",
    formula="image 16 × 16 → 16 patches of 4 × 4 → Linear(16, width) → blocks → mean → 4 classes\n"
            "without positions the image is a bag of patches",
    says="The same architecture works on images, proteins and mixtures of inputs.",
    holds="Shown here for generated shapes and nothing larger. That positions are needed is not shown: "
          "corners, arcs and crossings lie within single patches, and a bag of those tells these four "
          "shapes apart almost as well. The 95 % was set beforehand.",
    code="""
import numpy as np
from regard import nn
embed = nn.Linear(16, 32)
blocks = nn.Transformer(width=32, layers=1, heads=4, causal=False, context=16, head=False)
image = np.zeros((16, 16), np.float32)
image[4:12, 4:12] = 1
patches = image.reshape(4, 4, 4, 4).swapaxes(1, 2).reshape(16, 16)      # rows of patches, in order
print(blocks.states(embed(nn.tensor(patches))).shape)
""",
    more=("patches of 2 × 2: 64 tokens, 16 times the pairs",
          "more noise: where it begins to fail",
          "two shapes in one image, and the question which is above: now order counts"))

SIDE, PATCH, WIDTH = 16, 4, 32
TOKENS = (SIDE // PATCH) ** 2
CLASSES = ("square", "disc", "cross", "triangle")


def images(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """[count, SIDE, SIDE] and classes [count]: outlines of any place and size, in noise."""
    classes = rng.integers(0, len(CLASSES), count)
    radius = rng.uniform(3.5, 6.5, count)[:, None, None]
    middle = rng.uniform(-1, 1, (2, count)) * (SIDE / 2 - 0.5 - radius[:, 0, 0]) + SIDE / 2 - 0.5
    y = np.arange(SIDE)[None, :, None] - middle[0][:, None, None]
    x = np.arange(SIDE)[None, None, :] - middle[1][:, None, None]
    inside = np.maximum(abs(x), abs(y)) <= radius + 0.5
    below = 2 * abs(x) - (y + radius)  # 0 on a triangle's two sides
    distance = np.select(
        [(classes == kind)[:, None, None] for kind in range(4)],
        [abs(np.maximum(abs(x), abs(y)) - radius),
         abs(np.hypot(x, y) - radius),
         np.minimum(abs(x), abs(y)),
         np.minimum(abs(below) / 2, abs(y - radius) + 9.0 * (below > 0))])
    drawn = (distance <= 0.6) & inside
    return (drawn + 0.25 * rng.standard_normal(drawn.shape)).astype(np.float32), classes


def patches_of(pictures: np.ndarray) -> np.ndarray:
    """[count, SIDE, SIDE] -> [count · TOKENS, PATCH²]"""
    across = SIDE // PATCH
    return np.ascontiguousarray(pictures.reshape(-1, across, PATCH, across, PATCH).swapaxes(2, 3)
                                ).reshape(-1, PATCH * PATCH)


class Reader(nn.Module):
    def __init__(self, positions: str, seed: int) -> None:
        self.embed = nn.Linear(PATCH * PATCH, WIDTH, rng=seed)
        self.blocks = nn.Transformer(width=WIDTH, layers=2, heads=4, causal=False, context=TOKENS,
                                     positions=positions, head=False, seed=seed, deviation=0.0)
        self.classify = nn.Linear(WIDTH, len(CLASSES), rng=seed + 1)

    def __call__(self, pictures: np.ndarray) -> nn.Tensor:
        count = len(pictures)
        states = self.blocks.states(self.embed(nn.tensor(patches_of(pictures))), [TOKENS] * count)
        mean = np.repeat(np.eye(count, dtype=np.float32), TOKENS, axis=1) / TOKENS
        return self.classify(ops.matmul(nn.tensor(mean), states))


def accuracy(model: Reader, pictures: np.ndarray, classes: np.ndarray) -> float:
    right = 0
    with nn.no_gradient():
        for start in range(0, len(pictures), 64):
            part = slice(start, start + 64)
            right += int((model(pictures[part]).numpy().argmax(1) == classes[part]).sum())
    return right / len(pictures)


@LAB.runs
def run(lab: Context) -> None:
    steps = lab.size(900, quick=200)
    marks = list(range(0, steps + 1, 50))
    kinds = lab.size(("learned", "rope", "none"), quick=("learned",))
    curves: dict[str, list[list[float]]] = {kind: [] for kind in kinds}
    for seed in lab.seeds:
        held = images(lab.rng(seed, 1), lab.size(512, quick=128))
        for kind in kinds:
            model, curve = Reader(kind, seed), []

            def loss_of(rng: np.random.Generator, model: Reader = model) -> nn.Tensor:
                pictures, classes = images(rng, 32)
                return ops.cross_entropy(model(pictures), classes)

            fit(model, loss_of, steps=steps, rate=3e-3, rng=lab.rng(seed, 2),
                each=lambda _, c=curve, m=model, h=held: c.append(accuracy(m, *h)),
                tell=(lab, f"{kind}, seed {seed}"))
            curves[kind].append(curve)
    last = {kind: [curve[-1] for curve in every] for kind, every in curves.items()}
    lab.at_least("accuracy with learned positions, least of three seeds (a guess is 0.25)",
                 min(last["learned"]), lab.size(0.95, quick=0.5))
    for kind, values in last.items():
        lab.report(f"accuracy, positions {kind}, mean", float(np.mean(values)))
    lab.number("steps", marks)
    lab.number("accuracy", curves)

    axes = lab.figure(3, width=3.3)
    pictures, classes = images(lab.rng(lab.seed, 3), 64)
    chosen = [pictures[np.flatnonzero(classes == kind)[0]] for kind in range(4)]
    lab.heat(axes[0], np.block([chosen[:2], chosen[2:]]), unit="brightness")
    lab.label(axes[0], "Square, disc, cross, triangle", x="column (pixels)", y="row (pixels)")
    for kind in kinds:
        axes[1].plot(marks, np.mean(curves[kind], 0), markersize=3, label=f"positions: {kind}")
    lab.label(axes[1], "Which shape is it?", x="training steps", y="accuracy (share of 1)")
    axes[2].bar(range(len(kinds)), [np.mean(last[kind]) for kind in kinds],
                yerr=[np.std(last[kind]) for kind in kinds], color="#0072B2")
    axes[2].set_xticks(range(len(kinds)), kinds)
    lab.label(axes[2], "After training", x="positions", y="accuracy (share of 1)")
