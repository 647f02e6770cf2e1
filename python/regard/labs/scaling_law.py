"""Loss against size: Transformers and LSTMs of one language."""

from typing import Any

import numpy as np

from regard import nn, ops
from regard.labs._lab import Context, Lab
from regard.labs._learn import fit
from regard.labs._lstm import LstmModel
from regard.labs._plot import COLOURS, GREY

LAB = Lab(
    name="scaling-law", items=("S4.15",), kind="training",
    title="Larger models of one language, predictably better",
    question="A language in which the next token mostly follows from the last two, by a table of 4,096 "
             "entries, of which some are met daily and most almost never. Models of five sizes read "
             "equally much of it. Does the loss fall with the size along a straight line on "
             "logarithmic axes?",
    formula="ln loss ≈ a − b · ln parameters, fitted by least squares; R² of the fit",
    says="Transformers improve predictably with size, recurrent networks gain less; projections may be "
         "arbitrarily large; GPT-3 is a thousand times larger than BERT.",
    holds="A line over a factor of forty in size and one in tokens is no law, and the loss here cannot "
          "fall below what is random in the language. Projections do not grow without end: the rank of "
          "W_Q W_Kᵀ is at most min(d, d_k), whatever d_k. GPT-3 has 515 times the parameters of BERT-large "
          "and 1,590 times those of BERT-base. R² ≥ 0.9 was set beforehand; the language and the number "
          "of steps were chosen so that the sizes differ.",
    code="""
import numpy as np
rng = np.random.default_rng(0)
for d_k in (8, 32, 128):                        # a residual stream of d = 32 numbers
    q, k = rng.standard_normal((32, d_k)), rng.standard_normal((32, d_k))
    print(d_k, np.linalg.matrix_rank(q @ k.T))
print(round(175e9 / 340e6), round(175e9 / 110e6))                      # GPT-3 over BERT
""",
    more=("twice the steps: the line shifts, and bends where the randomness of the language is met",
          "a uniform language instead of Zipf's: every entry of the table counts alike, and the line breaks",
          "deeper instead of wider at equal parameters"))

VOCABULARY, TOKENS, ROWS, CERTAIN = 64, 32, 32, 0.8
WIDTHS = (8, 16, 24, 40, 64)
LSTM_WIDTHS = (8, 20, 40, 80)


class Language:
    def __init__(self, rng: np.random.Generator) -> None:
        self.table = rng.integers(0, VOCABULARY, (VOCABULARY, VOCABULARY))
        zipf = 1 / np.arange(1, VOCABULARY + 1)
        self.zipf = zipf / zipf.sum()

    def texts(self, rng: np.random.Generator, rows: int) -> np.ndarray:
        """[rows, TOKENS + 1]: the table's token with probability CERTAIN, else one of Zipf's."""
        ids = rng.choice(VOCABULARY, (rows, TOKENS + 1), p=self.zipf)
        follows = rng.random(ids.shape) < CERTAIN
        for place in range(2, TOKENS + 1):
            known = self.table[ids[:, place - 2], ids[:, place - 1]]
            ids[:, place] = np.where(follows[:, place], known, ids[:, place])
        return ids

    def floor(self) -> float:
        """The mean of −ln p(next) that no model can go below, over the tokens of the table, each as
        often as the others: an estimate."""
        p = CERTAIN + (1 - CERTAIN) * self.zipf
        rest = (1 - CERTAIN) * self.zipf
        single = -(p * np.log(p)) - (rest * np.log(rest)).sum() + rest * np.log(rest)
        return float(single.mean())


def loss_on(model: Any, ids: np.ndarray) -> nn.Tensor:
    return ops.cross_entropy(model(ids[:, :-1], [TOKENS] * len(ids)), ids[:, 1:])


def transformer(width: int, seed: int) -> nn.Transformer:
    return nn.Transformer(vocabulary=VOCABULARY, width=width, layers=2, heads=max(1, width // 16),
                          dim=min(width, 16), context=TOKENS, positions="rope", tied=False, seed=seed,
                          deviation=0.0)


def lstm(width: int, seed: int) -> LstmModel:
    return LstmModel(VOCABULARY, width, seed)


def line(sizes: list[int], losses: np.ndarray) -> tuple[float, float, float]:
    """Slope and offset of ln loss over ln size, and R². losses [seeds, sizes]"""
    x, y = np.log(sizes), np.log(losses.mean(0))
    slope, offset = np.polyfit(x, y, 1)
    rest = y - slope * x - offset
    return float(slope), float(offset), float(1 - (rest**2).sum() / ((y - y.mean()) ** 2).sum())


@LAB.runs
def run(lab: Context) -> None:
    steps = lab.size(700, quick=150)
    kinds = {"Transformer": (transformer, lab.size(WIDTHS, quick=(8, 32)))}
    if not lab.quick:
        kinds["LSTM"] = (lstm, LSTM_WIDTHS)
    sizes: dict[str, list[int]] = {}
    losses: dict[str, np.ndarray] = {}
    for kind, (make, widths) in kinds.items():
        sizes[kind] = [make(width, 0).parameter_count() for width in widths]
        found = np.zeros((3, len(widths)))
        for row, seed in enumerate(lab.seeds):
            language = Language(lab.rng(seed, 1))
            held = language.texts(lab.rng(seed, 2), 128)
            for column, width in enumerate(widths):
                model = make(width, seed)

                def loss_of(rng: np.random.Generator, model: Any = model,
                            language: Language = language) -> nn.Tensor:
                    return loss_on(model, language.texts(rng, ROWS))

                fit(model, loss_of, steps=steps, rate=6e-3, rng=lab.rng(seed, 3),
                    tell=(lab, f"{kind} of width {width}, seed {seed}"))
                with nn.no_gradient():
                    found[row, column] = loss_on(model, held).item()
        losses[kind] = found
    of = losses["Transformer"]
    lab.check("Transformer: loss by size, mean", of.mean(0).round(3), "falling",
              bool((np.diff(of.mean(0)) < 0).all()))
    lab.effect("loss of the smallest Transformer over the largest", of[:, 0], of[:, -1],
               at_least=lab.size(0.5, quick=0.05))
    fits = {}
    if not lab.quick:
        fits = {kind: line(sizes[kind], losses[kind]) for kind in kinds}
        lab.at_least("Transformer: R² of the line through ln loss over ln parameters",
                     fits["Transformer"][2], 0.9)
        lab.report("LSTM: loss by size, mean", losses["LSTM"].mean(0).round(3))
        for kind, (slope, _, fit_of) in fits.items():
            lab.report(f"{kind}: exponent of the parameters, R²", [round(slope, 3), round(fit_of, 3)])
    floor = Language(lab.rng(lab.seed, 1)).floor()
    lab.report("what is random in the language, about, nats", floor)
    lab.number("parameters", sizes)
    lab.number("loss", losses)

    axes = lab.figure(width=5)
    for number, (kind, found) in enumerate(losses.items()):
        axes.errorbar(sizes[kind], found.mean(0), yerr=found.std(0, ddof=1), linestyle="", capsize=3,
                      color=COLOURS[number], label=kind)
        if kind in fits:
            slope, offset, _ = fits[kind]
            axes.plot(sizes[kind], np.exp(offset) * np.array(sizes[kind]) ** slope, marker="",
                      color=COLOURS[number])
    axes.axhline(floor, color=GREY, linewidth=1, label="randomness of the language")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.minorticks_off()
    axes.set_yticks([1, 1.5, 2, 3, 4], ["1", "1.5", "2", "3", "4"])
    lab.label(axes, "Loss and size after equally many tokens", x="parameters", y="held-out loss (nats)")
