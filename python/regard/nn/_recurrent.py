"""Recurrent layers, and sequence to sequence: one vector between encoder and decoder, or an
alignment."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regard import _core
from regard._tensor import Tensor
from regard.nn._layers import generator, parameter
from regard.nn._module import Compiled, Module

_GATES = {"tanh": 1, "relu": 1, "gru": 3, "lstm": 4}


class Recurrent(Module):
    """h_t = cell(x_t, h_{t-1}) over x [time, batch, inputs]; equations, names and gate order are
    PyTorch's. cell: tanh or relu (Elman 1990), gru (Cho et al. 2014), lstm (Hochreiter and
    Schmidhuber 1997)."""

    def __init__(self, inputs: int, hidden: int, *, cell: str = "lstm", reverse: bool = False,
                 rng: Any = 0) -> None:
        if cell not in _GATES:
            raise ValueError(f"Recurrent: cell is {cell!r}; there are tanh, relu, gru and lstm")
        rng, rows = generator(rng), _GATES[cell] * hidden
        self.cell, self.hidden, self.reverse = cell, hidden, reverse

        def uniform(*shape: int) -> Tensor:
            return parameter(rng.uniform(-1, 1, shape).astype(np.float32) * hidden ** -0.5)

        self.weight_ih, self.weight_hh = uniform(rows, inputs), uniform(rows, hidden)
        self.bias_ih, self.bias_hh = uniform(rows), uniform(rows)

    def __call__(self, x: Tensor, lengths: Sequence[int] = (), h: Tensor | None = None,
                 c: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Of all steps [time, batch, hidden]; the last h [batch, hidden]; an LSTM's last c, or None.
        lengths: steps of each row, if not all; a finished row keeps its state."""
        return _core.recur(self.cell, x, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh,
                           h, c, list(lengths), self.reverse)


@dataclass(frozen=True)
class Written:
    """What greedy decoding wrote: ids without the stop token, the weights of each over the source
    (empty without attention), and whether the stop token ended it."""

    ids: list[int]
    weights: NDArray[np.float32]
    stopped: bool


class Seq2Seq(Compiled):
    """A recurrent encoder reads the source, a recurrent decoder writes the target.

    context  "init": the last state is the decoder's first (Sutskever et al. 2014)
             "every_step": it is given to each step, too (Cho et al. 2014)
             "bahdanau": each step looks at the whole source (Bahdanau et al. 2015); query
             "previous_state" as there, or "state"
             "luong": so does each step's outcome (Luong et al. 2015); score "dot", "general",
             "concat"
    width is that of embeddings, hidden of each direction and of the decoder, units of additive
    scores (0: hidden). Sources and targets are lists of lists of ids.
    """

    def __init__(self, source_vocabulary: int, target_vocabulary: int, *, width: int = 64,
                 hidden: int = 128, units: int = 0, cell: str = "lstm",
                 bidirectional: bool = False, context: str = "bahdanau",
                 query: str = "previous_state", score: str = "general", start: int = 1,
                 stop: int = 2, seed: int = 0) -> None:
        self._compiled = _core.Seq2Seq(source_vocabulary, target_vocabulary, width, hidden, units,
                                    cell, bidirectional, context, query, score, start, stop, seed)

    def __call__(self, source: Sequence[Sequence[int]],
                 target: Sequence[Sequence[int]]) -> Tensor:
        """The mean loss over all target tokens and the stop token, in nats: [1]. Teacher forcing."""
        return self._compiled.teach(source, target)[0]

    def taught(self, source: Sequence[Sequence[int]], target: Sequence[Sequence[int]]
               ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Loss, logits [time, batch, target_vocabulary], weights [batch, time, source] or None."""
        return self._compiled.teach(source, target)

    def greedy(self, source: Sequence[Sequence[int]], longest: int) -> list[Written]:
        """The likeliest token at each step, until the stop token or `longest` tokens."""
        return [Written(ids, np.array(weights, np.float32), stopped)
                for ids, weights, stopped in self._compiled.greedy(source, longest)]
