"""The baseline of labs that compare: an LSTM that is called as a Transformer is."""

import numpy as np

from regard import nn, ops


class LstmModel(nn.Module):
    """ids [rows, tokens], lengths all equal -> logits [rows · tokens, vocabulary], as
    nn.Transformer gives them."""

    def __init__(self, vocabulary: int, width: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.table = nn.Embedding(vocabulary, width, rng=rng, deviation=1.0)
        self.layer = nn.Recurrent(width, width, cell="lstm", rng=rng)
        with self.layer.bias_ih.writable() as bias:
            bias[width:2 * width] += 1  # the forget gate starts open: Gers et al. 2000
        self.head = nn.Linear(width, vocabulary, rng=rng)

    def __call__(self, ids: np.ndarray, lengths: list[int]) -> nn.Tensor:
        rows, tokens = ids.shape
        states, _, _ = self.layer(self.table(np.ascontiguousarray(ids.T)))
        logits = self.head(states.reshape(rows * tokens, -1))
        order = np.arange(rows * tokens).reshape(tokens, rows).T.reshape(-1)
        return ops.gather(logits, order)
