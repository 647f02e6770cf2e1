"""One vector between encoder and decoder against a look at the whole source."""

import numpy as np

from regard import nn
from regard.labs._lab import Context, Lab
from regard.labs._learn import fit
from regard.labs._plot import COLOURS, GREY, LINES, MARKERS

LAB = Lab(
    name="bottleneck", items=("S0.1", "S1.1", "S1.4", "S1.9", "S4.2"), kind="training",
    title="What fits through one vector",
    question="A recurrent encoder reads a sequence, a recurrent decoder writes it backwards. Between "
             "them stands one vector of fixed size, or an alignment that looks at every state of the "
             "encoder. How does the accuracy fall as sources grow, how many bits get through, and does "
             "a better cell mend it?",
    formula="fixed: s_0 = h_T        Bahdanau: c_t = Σ_i α_ti h_i,  α_t = softmax(vᵀ tanh(W s_{t−1} + U h_i))\n"
            "bits recovered ≥ T · log₂ V − Σ_t CE_t / ln 2, for T random tokens of V",
    says="A vector of constant size cannot hold a sequence of any length; asking the whole input at "
         "each step opens it. Recurrent networks forget, LSTMs patched that somewhat, attention on top "
         "helped more.",
    holds="The limit is what training finds in so many steps, not what a vector of floats could hold in "
          "principle: a larger vector carries more, and longer training would as well. The 98 % and the "
          "80 % at length 20 and hidden size 64 were proposed beforehand; the number of steps is that of "
          "the first run.",
    code="""
import numpy as np
from regard import nn, train
for context in ("init", "bahdanau"):
    model = nn.Seq2Seq(11, 11, width=32, hidden=32, context=context)   # ids 3 to 10 are tokens
    optimiser = train.AdamW(model, rate=1e-2)
    for step in range(150):
        rng = np.random.default_rng(step)
        source = rng.integers(3, 11, (32, 8)).tolist()
        loss = optimiser.step(model(source, [text[::-1] for text in source]))
    print(context, round(loss, 3))
""",
    more=("`context=\"every_step\"`: the same vector at each step helps a little",
          "`context=\"luong\"`: another score, the same opening",
          "`bidirectional=True`: each state has read both ways"))

TOKENS, FIRST_ID, SHORTEST, LONGEST = 12, 3, 5, 20
LENGTHS = (5, 10, 15, 20)
Texts = list[list[int]]


def pairs(rng: np.random.Generator, rows: int, length: int, copy: bool = False) -> tuple[Texts, Texts]:
    source = rng.integers(FIRST_ID, FIRST_ID + TOKENS, (rows, length)).tolist()
    return source, [text if copy else text[::-1] for text in source]


def model_of(context: str, cell: str, hidden: int, seed: int) -> nn.Seq2Seq:
    return nn.Seq2Seq(FIRST_ID + TOKENS, FIRST_ID + TOKENS, width=32, hidden=hidden, cell=cell,
                      context=context, seed=seed)


def trained(lab: Context, context: str, cell: str, hidden: int, seed: int) -> nn.Seq2Seq:
    model, longest = model_of(context, cell, hidden, seed), lab.size(LONGEST, quick=10)

    def loss_of(rng: np.random.Generator) -> nn.Tensor:
        return model(*pairs(rng, 32, int(rng.integers(SHORTEST, longest + 1))))

    fit(model, loss_of, steps=lab.size(1000, quick=300), rate=1e-2 if cell == "lstm" else 5e-3,
        rng=lab.rng(seed, 1), tell=(lab, f"{context}, {cell} of {hidden}, seed {seed}"))
    return model


def measured(model: nn.Seq2Seq, rng: np.random.Generator, length: int) -> tuple[float, float]:
    """Token accuracy (teacher forcing), and bits recovered of a held-out source."""
    source, target = pairs(rng, 128, length)
    with nn.no_gradient():
        logits = model.taught(source, target)[1].numpy()[:length].astype(np.float64)
    wanted = np.array(target).T  # [time, batch], as the logits
    shifted = logits - logits.max(-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    entropy = -np.take_along_axis(log_p, wanted[..., None], -1).mean(1).sum() / np.log(2)
    return float((logits.argmax(-1) == wanted).mean()), float(length * np.log2(TOKENS) - entropy)


def copies(lab: Context, seed: int) -> tuple[float, bool]:
    """The fixed vector on copies of up to 8 tokens: exact matches, and whether each decode ended
    with the stop token or at the longest length."""
    model = model_of("every_step", "lstm", 128, seed)

    def loss_of(rng: np.random.Generator) -> nn.Tensor:
        return model(*pairs(rng, 64, int(rng.integers(1, 9)), copy=True))

    fit(model, loss_of, steps=1500, rate=5e-3, rng=lab.rng(seed, 3), tell=(lab, f"copy, seed {seed}"))
    right, ended = [], True
    for length in range(1, 9):
        source, _ = pairs(lab.rng(seed, 4, length), 50, length, copy=True)
        written = model.greedy(source, 12)
        right += [one.ids == text for one, text in zip(written, source)]
        ended &= all(one.stopped or len(one.ids) == 12 for one in written)
    return float(np.mean(right)), ended


@LAB.runs
def run(lab: Context) -> None:
    lengths = lab.size(LENGTHS, quick=(5, 10))
    sizes = lab.size((32, 64, 128), quick=(64,))
    names = {"init": "fixed vector", "bahdanau": "Bahdanau"}
    runs = [(context, "lstm", hidden) for context in names for hidden in sizes
            if context == "init" or hidden <= 64]
    if not lab.quick:
        runs += [(context, cell, 64) for context in names for cell in ("tanh", "gru")]
    found = {}
    for context, cell, hidden in runs:
        one = []
        for seed in lab.seeds:
            model = trained(lab, context, cell, hidden, seed)
            one.append([measured(model, lab.rng(seed, 2, length), length) for length in lengths])
        found[context, cell, hidden] = np.array(one)  # [seeds, lengths, (accuracy, bits)]
    fixed, aligned = found["init", "lstm", 64], found["bahdanau", "lstm", 64]
    lab.effect(f"accuracy at length {lengths[-1]}, Bahdanau over the fixed vector",
               aligned[:, -1, 0], fixed[:, -1, 0], at_least=lab.size(0.18, quick=0.05))
    if not lab.quick:
        lab.at_least("Bahdanau, hidden 64, length 20: token accuracy, least of three seeds",
                     float(aligned[:, -1, 0].min()), 0.98)
        lab.at_most("fixed vector, hidden 64, length 20: token accuracy, largest of three seeds",
                    float(fixed[:, -1, 0].max()), 0.8)
        lab.check("fixed vector, hidden 64: accuracy by length", fixed[:, :, 0].mean(0).round(3),
                  "falling", bool((np.diff(fixed[:, :, 0].mean(0)) < 0).all()))
        lab.effect("fixed vector at length 20, hidden 128 over 32",
                   found["init", "lstm", 128][:, -1, 0], found["init", "lstm", 32][:, -1, 0])
        lab.effect("bits recovered at length 20, Bahdanau over the fixed vector", aligned[:, -1, 1],
                   fixed[:, -1, 1], at_least=10)
        copied = [copies(lab, seed) for seed in lab.seeds]
        lab.at_least("copies of up to 8 tokens through the vector: exact matches, least",
                     min(right for right, _ in copied), 0.99)
        lab.check("every decode ends with the stop token or at the longest length",
                  all(ended for _, ended in copied), "True", all(ended for _, ended in copied))
    for (context, cell, hidden), values in found.items():
        lab.report(f"{names[context]}, {cell} of {hidden}: accuracy at length {lengths[-1]}",
                   float(values[:, -1, 0].mean()))
    lab.number("lengths", lengths)
    for (context, cell, hidden), values in found.items():
        lab.number(f"accuracy and bits, {names[context]}, {cell} of {hidden}", values)

    left, right = lab.figure(2)
    for (context, cell, hidden), values in found.items():
        if cell != "lstm":
            continue
        number = sizes.index(hidden)
        style = {"color": COLOURS[0 if context == "bahdanau" else 1], "linestyle": LINES[number],
                 "marker": MARKERS[number], "label": f"{names[context]}, hidden {hidden}"}
        left.plot(lengths, values[:, :, 0].mean(0), **style)
        right.plot(lengths, values[:, :, 1].mean(0), **style)
    right.plot(lengths, np.array(lengths) * np.log2(TOKENS), color=GREY, linewidth=1, marker="",
               linestyle="-", label="all of the source")
    lab.label(left, "Writing it backwards", x="length of the source (tokens)",
              y="token accuracy (share of 1)")
    lab.label(right, "What got through", x="length of the source (tokens)", y="bits recovered, at least")
