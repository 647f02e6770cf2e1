"""Writes golden/*.txt: recurrent encoder-decoders built from PyTorch's own modules, with their loss
and the gradient of every parameter.

    python tests/seq2seq/make_goldens.py        (torch; float64, so that the numbers are the model's)

A file is lines: `source`, `target` (a sequence each), `loss NUMBER`, and for each parameter
`NAME shape... : numbers`, then `NAME.gradient : numbers`.
"""

import pathlib

import torch
from torch import nn

START, STOP = 1, 2
VOCABULARY, WIDTH, HIDDEN, UNITS = 9, 6, 8, 7
SOURCES = [[3, 4, 5, 6, 7], [8, 3, 4], [5]]
TARGETS = [[4, 3, 8], [5, 6, 7, 8], [3]]


class Model(nn.Module):
    def __init__(self, cell, bidirectional, kind):
        super().__init__()
        self.kind, self.cell = kind, cell
        memory = HIDDEN * (2 if bidirectional else 1)
        self.source = nn.Embedding(VOCABULARY, WIDTH)
        self.target = nn.Embedding(VOCABULARY, WIDTH)
        make = {"lstm": nn.LSTM, "gru": nn.GRU}[cell]
        self.encoder = make(WIDTH, HIDDEN, bidirectional=bidirectional)
        fed = memory if kind in ("bahdanau", "every_step") else 0
        self.decoder = make(WIDTH + fed, HIDDEN)
        if bidirectional:
            self.bridge_h = nn.Linear(memory, HIDDEN)
            self.bridge_c = nn.Linear(memory, HIDDEN)
        if kind in ("bahdanau", "state"):
            self.query = nn.Linear(HIDDEN, UNITS, bias=False)
            self.key = nn.Linear(memory, UNITS, bias=False)
            self.score = nn.Parameter(torch.randn(UNITS))
        if kind == "general":
            self.key = nn.Linear(memory, HIDDEN, bias=False)
        if kind in ("state", "general"):
            self.join = nn.Linear(memory + HIDDEN, HIDDEN, bias=False)
        self.output = nn.Linear(HIDDEN + (memory if kind == "bahdanau" else 0), VOCABULARY)

    def scores(self, state, memory):  # state [hidden], memory [source, width]
        if self.kind == "general":
            return self.key(memory) @ state
        return torch.tanh(self.query(state) + self.key(memory)) @ self.score

    def loss(self, source, target):
        """The sum over one pair: no batch, no padding."""
        memory, last = self.encoder(self.source(torch.tensor(source))[:, None])
        memory = memory[:, 0]
        h, c = last if self.cell == "lstm" else (last, None)
        h, c = h.reshape(1, -1), c.reshape(1, -1) if c is not None else None
        whole = h[0]
        if hasattr(self, "bridge_h"):
            h = torch.tanh(self.bridge_h(h))
            c = self.bridge_c(c)
        total = 0
        for before, wanted in zip([START] + target, target + [STOP]):
            x = self.target(torch.tensor([before]))
            if self.kind == "bahdanau":
                weights = torch.softmax(self.scores(h[0], memory), 0)
                context = weights @ memory
                x = torch.cat([x, context[None]], 1)
            if self.kind == "every_step":
                x = torch.cat([x, whole[None]], 1)
            state = (h[None], c[None]) if c is not None else h[None]
            out, state = self.decoder(x[None], state)
            h, c = (state[0][0], state[1][0]) if c is not None else (state[0], None)
            out = out[0, 0]
            if self.kind == "bahdanau":
                out = torch.cat([out, context])
            if self.kind in ("state", "general"):
                weights = torch.softmax(self.scores(out, memory), 0)
                out = torch.tanh(self.join(torch.cat([weights @ memory, out])))
            total = total - torch.log_softmax(self.output(out), 0)[wanted]
        return total


NAMES = {"query.weight": "attention.query.weight", "key.weight": "attention.key.weight",
         "score": "attention.score"}


def write(name, cell, bidirectional, kind):
    torch.manual_seed(1)
    model = Model(cell, bidirectional, kind).double()
    tokens = sum(len(t) + 1 for t in TARGETS)
    loss = sum(model.loss(s, t) for s, t in zip(SOURCES, TARGETS)) / tokens
    loss.backward()
    lines = [f"source {' '.join(map(str, s))}" for s in SOURCES]
    lines += [f"target {' '.join(map(str, t))}" for t in TARGETS]
    lines.append(f"loss {loss.item():.9g}")
    for key, parameter in model.named_parameters():
        shape = " ".join(map(str, parameter.shape))
        numbers = lambda x: " ".join(f"{v:.9g}" for v in x.flatten().tolist())
        lines.append(f"{NAMES.get(key, key)} {shape} : {numbers(parameter)}")
        lines.append(f"{NAMES.get(key, key)}.gradient : {numbers(parameter.grad)}")
    path = pathlib.Path(__file__).parent / "golden" / f"{name}.txt"
    path.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    write("lstm_bahdanau", "lstm", True, "bahdanau")
    write("lstm_bahdanau_state", "lstm", True, "state")
    write("gru_bahdanau", "gru", False, "bahdanau")
    write("lstm_general", "lstm", False, "general")
    write("gru_every_step", "gru", False, "every_step")
    write("lstm_init", "lstm", False, "init")
