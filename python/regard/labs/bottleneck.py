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
          "the first run, as are the bits a token that count as a plateau. Accuracy is of each token "
          "given those before it; greedy decoding, which reads what it wrote itself, is told besides. "
          "Attention is flat up to the lengths of training only. Of the cells, the LSTM learned at twice "
          "the rate of the others; it loses least without attention. "
          "A plateau is asked of the three smallest or weakest fixed models, picked on the first run; the "
          "curves of the LSTMs of 64 and 128 bend, and have not gone flat by length 20.",
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
    more=("`context=\"every_step\"`: the same vector at each step hardly helps",
          "`context=\"luong\"`: another score, the same opening",
          "`bidirectional=True`: each state has read both ways"))

TOKENS, FIRST_ID, SHORTEST, LONGEST = 12, 3, 5, 20
LENGTHS = (5, 10, 15, 20, 30)  # the last one beyond those of training
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


def greedy(model: nn.Seq2Seq, rng: np.random.Generator, length: int) -> float:
    """Share of tokens in their place when the model reads what it wrote itself."""
    source, target = pairs(rng, 128, length)
    return float(np.mean([sum(a == b for a, b in zip(one.ids, text)) / length
                          for one, text in zip(model.greedy(source, 2 * length), target)]))


def ends(model: nn.Seq2Seq, rng: np.random.Generator, limit: int = 24) -> bool:
    """Whether the stop token or the limit ends each decoding of sources of 1 to 40 tokens."""
    found = model.greedy([pairs(rng, 1, length)[0][0] for length in range(1, 41)], limit)
    return all(len(one.ids) < limit if one.stopped else len(one.ids) == limit for one in found)


def per_token(values: np.ndarray) -> float:
    """Bits recovered of each token more, from length 15 to 20; values [seeds, lengths, 2]."""
    start, stop = LENGTHS.index(15), LENGTHS.index(20)
    return float((values[:, stop, 1] - values[:, start, 1]).mean() / 5)


def copies(lab: Context, context: str, seed: int) -> tuple[float, bool]:
    """The fixed vector on copies of up to 8 tokens: exact matches, and whether each decode ended
    with the stop token or at the longest length."""
    model = model_of(context, "lstm", 128, seed)

    def loss_of(rng: np.random.Generator) -> nn.Tensor:
        return model(*pairs(rng, 64, int(rng.integers(1, 9, 2).max()), copy=True))  # long ones more often

    fit(model, loss_of, steps=2500, rate=5e-3, rng=lab.rng(seed, 3),
        tell=(lab, f"copy, {context}, seed {seed}"))
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
    names = {"init": "fixed vector", "every_step": "fixed vector at every step", "bahdanau": "Bahdanau"}
    last = lengths.index(lab.size(LONGEST, quick=10))
    runs = [(context, "lstm", hidden) for context in ("init", "bahdanau") for hidden in sizes
            if context == "init" or hidden <= 64]
    if not lab.quick:
        runs += [(context, cell, 64) for context in ("init", "bahdanau") for cell in ("tanh", "gru")]
        runs += [("every_step", "lstm", 64)]
    found, free, ended = {}, {}, []
    for context, cell, hidden in runs:
        one, free[context, cell, hidden] = [], []
        for seed in lab.seeds:
            if not lab.quick:
                ended.append(ends(model_of(context, cell, hidden, seed), lab.rng(seed, 5)))
            model = trained(lab, context, cell, hidden, seed)
            one.append([measured(model, lab.rng(seed, 2, length), length) for length in lengths])
            if not lab.quick:
                ended.append(ends(model, lab.rng(seed, 5)))
                free[context, cell, hidden].append(greedy(model, lab.rng(seed, 6), LONGEST))
        found[context, cell, hidden] = np.array(one)  # [seeds, lengths, (accuracy, bits)]
    fixed, aligned = found["init", "lstm", 64], found["bahdanau", "lstm", 64]
    lab.effect(f"accuracy at length {lengths[last]}, Bahdanau over the fixed vector",
               aligned[:, last, 0], fixed[:, last, 0], at_least=lab.size(0.18, quick=0.05))
    if not lab.quick:
        lab.at_least("Bahdanau, hidden 64, length 20: token accuracy, least of three seeds",
                     float(aligned[:, last, 0].min()), 0.98)
        lab.at_most("fixed vector, hidden 64, length 20: token accuracy, largest of three seeds",
                    float(fixed[:, last, 0].max()), 0.8)
        lab.check("fixed vector, hidden 64: accuracy by length", fixed[:, :, 0].mean(0).round(3),
                  "falling", bool((np.diff(fixed[:, :, 0].mean(0)) < 0).all()))
        lab.effect("fixed vector at length 20, hidden 128 over 32",
                   found["init", "lstm", 128][:, last, 0], found["init", "lstm", 32][:, last, 0])
        lab.at_most("Bahdanau, hidden 64: most minus least accuracy, lengths 5 to 20",
                    float(np.ptp(aligned[:, :last + 1, 0])), 0.02)
        for cell in ("tanh", "gru", "lstm"):
            lab.effect(f"{cell} of 64: accuracy at length 20, with attention over without",
                       found["bahdanau", cell, 64][:, last, 0], found["init", cell, 64][:, last, 0],
                       at_least=0.18)
        lab.effect("bits recovered at length 20, Bahdanau over the fixed vector", aligned[:, last, 1],
                   fixed[:, last, 1], at_least=10)
        for cell, hidden in (("lstm", 32), ("gru", 64), ("tanh", 64)):
            lab.at_most(f"fixed vector, {cell} of {hidden}: a plateau, bits of each token more from "
                        "length 15 to 20 (of 3.58) [calibrated]", per_token(found["init", cell, hidden]), 1)
        lab.at_least("Bahdanau, lstm of 64: bits of each token more from length 15 to 20 (of 3.58) "
                     "[calibrated]", per_token(aligned), 3.4)
        copied = [copies(lab, context, seed) for context in ("init", "every_step") for seed in lab.seeds]
        lab.at_least("copies of up to 8 tokens, given once and at every step: exact matches, least",
                     min(right for right, _ in copied), 0.99)
        ended += [one for _, one in copied]
        lab.equal("every decode ends with the stop token or at the limit, untrained, trained, and beyond "
                  "the lengths of training", all(ended), True)
    for (context, cell, hidden), values in found.items():
        lab.report(f"{names[context]}, {cell} of {hidden}: accuracy at length {', '.join(map(str, lengths))}",
                   values[:, :, 0].mean(0).round(3))
    for hidden in () if lab.quick else (64, 128):
        lab.report(f"fixed vector, lstm of {hidden}, no plateau by length 20: bits of each token more from "
                   "length 15 to 20", per_token(found["init", "lstm", hidden]))
    for (context, cell, hidden), values in free.items():
        if values:
            lab.report(f"{names[context]}, {cell} of {hidden}: greedy decoding, tokens right at length "
                       f"{LONGEST}", float(np.mean(values)))
    lab.number("lengths", lengths)
    for (context, cell, hidden), values in found.items():
        lab.number(f"accuracy and bits, {names[context]}, {cell} of {hidden}", values)

    left, right = lab.figure(2)
    for (context, cell, hidden), values in found.items():
        if cell != "lstm" or context == "every_step":
            continue
        number = sizes.index(hidden)
        style = {"color": COLOURS[0 if context == "bahdanau" else 1], "linestyle": LINES[number],
                 "marker": MARKERS[number], "label": f"{names[context]}, hidden {hidden}"}
        left.plot(lengths, values[:, :, 0].mean(0), **style)
        right.plot(lengths, values[:, :, 1].mean(0), **style)
    right.plot(lengths, np.array(lengths) * np.log2(TOKENS), color=GREY, linewidth=1, marker="",
               linestyle="-", label="all of the source")
    for axes in (left, right):
        axes.axvline(lengths[last] + 0.5, color=GREY, linewidth=1)  # the longest of training
    x = f"length of the source (tokens; trained to {lengths[last]})"
    lab.label(left, "Writing it backwards", x=x, y="token accuracy (share of 1)")
    lab.label(right, "What got through", x=x, y="bits recovered, at least")
