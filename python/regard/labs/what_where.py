"""What is looked for and what is handed over are chosen apart."""

import numpy as np

import regard
from regard import nn, ops
from regard.labs._lab import Context, Lab
from regard.labs._learn import fit

LAB = Lab(
    name="what-where", items=("S1.15",), kind="training",
    title="Attend by one feature, hand over another",
    question="Every item has two features, A and B. A query names an A and wants that item's B; its own "
             "B is noise. Queries and keys could be made of one, values of the other. Are they, when "
             "nobody says so and only the answer is trained?",
    formula="x = [one-hot A | one-hot B]     match M = W_Qᵀ W_K     hand over H = W_Vᵀ W_Oᵀ\n"
            "energy of a block = ‖block‖² / ‖whole‖²     wanted: M in A × A, H in B × B",
    says="Values are apart from queries and keys, so a head may select by one property and "
         "retrieve another.",
    holds="That it may does not mean that it must: weights that the task does not use keep their "
          "initial numbers unless something shrinks them. Here weight decay does; without it the "
          "blocks are still the larger part, as the last rows show.",
    code="""
import numpy as np, regard
a, b = np.eye(4), np.eye(4)[[2, 0, 3, 1]]                              # four items: A, and their B
out = regard.attention(10 * a[:2, None], 10 * a[:, None], b[:, None])  # ask for the A of the first two
print(out.round(3)[:, 0])                                              # gives their B
""",
    more=("no decay: how much of the rest stays from the first numbers",
          "answers that need A and B: the B × B block alone cannot give them",
          "fewer dimensions of the head than values of A: matches begin to overlap"))

VALUES, ITEMS, DIM = 12, 8, 16
WIDTH = 2 * VALUES


class Head(nn.Module):
    """One head and nothing else: queries [rows, WIDTH], ITEMS keys each -> logits of B."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.query, self.key, self.value = (nn.Linear(WIDTH, DIM, bias=False, rng=rng)
                                            for _ in range(3))
        self.out = nn.Linear(DIM, WIDTH, bias=False, rng=rng)

    def __call__(self, queries: np.ndarray, items: np.ndarray) -> nn.Tensor:
        asked, given = nn.tensor(queries), nn.tensor(items)
        q, k, v = (part.reshape(-1, 1, DIM) for part in
                   (self.query(asked), self.key(given), self.value(given)))
        segments = [regard.Segment(n, 1, n * ITEMS, ITEMS) for n in range(len(queries))]
        mixed = ops.attention(q, k, v, segments=segments)
        return ops.columns(self.out(mixed.reshape(-1, DIM)), VALUES, VALUES)

    def match(self) -> np.ndarray:
        return self.query.weight.numpy().T.astype(np.float64) @ self.key.weight.numpy()

    def hand_over(self) -> np.ndarray:
        return self.value.weight.numpy().T.astype(np.float64) @ self.out.weight.numpy().T


def batch(rng: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """queries [rows, WIDTH], items [rows · ITEMS, WIDTH], answers [rows]. No A comes twice in a row."""
    one_hot = np.eye(VALUES, dtype=np.float32)
    a = np.argsort(rng.random((rows, VALUES)), axis=1)[:, :ITEMS]
    b = rng.integers(0, VALUES, (rows, ITEMS))
    asked = rng.integers(0, ITEMS, rows)
    every = np.arange(rows)
    queries = np.concatenate([one_hot[a[every, asked]], one_hot[rng.integers(0, VALUES, rows)]], 1)
    items = np.concatenate([one_hot[a], one_hot[b]], -1).reshape(-1, WIDTH)
    return queries, items, b[every, asked]


def energy(matrix: np.ndarray, first: int) -> float:
    """The share of a matrix's square that lies in the block from (first, first) on."""
    block = matrix[first:first + VALUES, first:first + VALUES]
    return float((block**2).sum() / (matrix**2).sum())


def trained(lab: Context, seed: int, decay: float) -> tuple[Head, float]:
    head = Head(lab.rng(seed, 1))

    def loss_of(rng: np.random.Generator) -> nn.Tensor:
        queries, items, answers = batch(rng, 64)
        return ops.cross_entropy(head(queries, items), answers)

    fit(head, loss_of, steps=lab.size(2500, quick=500), rate=2e-2, rng=lab.rng(seed, 2), decay=decay,
        tell=(lab, f"seed {seed}, decay {decay}"))
    queries, items, answers = batch(lab.rng(seed, 3), lab.size(2000, quick=500))
    with nn.no_gradient():
        return head, float((head(queries, items).numpy().argmax(1) == answers).mean())


@LAB.runs
def run(lab: Context) -> None:
    found = {name: [trained(lab, seed, decay) for seed in lab.seeds]
             for name, decay in (("with decay", 0.1), ("without", 0.0))}
    heads = [head for head, _ in found["with decay"]]
    match = [energy(head.match(), 0) for head in heads]
    hand_over = [energy(head.hand_over(), VALUES) for head in heads]
    untrained = [Head(lab.rng(seed, 1)) for seed in lab.seeds]
    first = ([energy(head.match(), 0) for head in untrained],
             [energy(head.hand_over(), VALUES) for head in untrained])
    correct = [share for _, share in found["with decay"]]
    lab.effect("energy of the match in A × A over an untrained head", match, first[0], at_least=0.3)
    lab.effect("energy handed over in B × B over an untrained head", hand_over, first[1], at_least=0.3)
    if not lab.quick:
        lab.at_least("energy of W_Qᵀ W_K in A × A, least of three seeds", min(match), 0.9)
        lab.at_least("energy of W_Vᵀ W_Oᵀ in B × B, least of three seeds", min(hand_over), 0.9)
        lab.at_least("accuracy, least of three seeds", min(correct), 0.99)
    bare = found["without"]
    lab.report("untrained: energy in A × A, in B × B", [float(np.mean(part)) for part in first])
    lab.report("without decay: energy in A × A",
               float(np.mean([energy(head.match(), 0) for head, _ in bare])))
    lab.report("without decay: energy in B × B",
               float(np.mean([energy(head.hand_over(), VALUES) for head, _ in bare])))
    lab.report("without decay: accuracy", float(np.mean([share for _, share in bare])))
    lab.number("energy in A × A", match)
    lab.number("energy in B × B", hand_over)
    lab.number("accuracy", correct)

    axes = lab.figure(2)
    for part, matrix, title, x, y in (
            (axes[0], heads[0].match(), "What is matched", "feature of the key",
             "feature of the query"),
            (axes[1], heads[0].hand_over(), "What is handed over", "feature of the output",
             "feature of the item")):
        limit = np.abs(matrix).max()
        lab.heat(part, matrix, unit="weight", low=-limit, high=limit)
        for middle in (part.axhline, part.axvline):
            middle(VALUES - 0.5, color="white", linewidth=1)
        lab.label(part, title, x=f"{x} (A | B)", y=f"{y} (A | B)")
