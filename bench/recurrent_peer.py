"""The training step of bench/recurrent_bench.cc in PyTorch, eager: an nn.LSTM encoder, a decoder of
nn.LSTMCell with Bahdanau's alignment, cross-entropy and AdamW.

    python bench/recurrent_peer.py [THREADS]        (torch; on an idle machine only)

W_h h is made once for a source, logits of all steps by one product, as one writes it for speed.
"""

import sys
import time

import torch
from torch import nn

HIDDEN, LENGTH, BATCH, VOCABULARY = 256, 30, 32, 1000


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.source = nn.Embedding(VOCABULARY, HIDDEN)
        self.target = nn.Embedding(VOCABULARY, HIDDEN)
        self.encoder = nn.LSTM(HIDDEN, HIDDEN)
        self.decoder = nn.LSTMCell(2 * HIDDEN, HIDDEN)
        self.query = nn.Linear(HIDDEN, HIDDEN, bias=False)
        self.key = nn.Linear(HIDDEN, HIDDEN, bias=False)
        self.score = nn.Linear(HIDDEN, 1, bias=False)
        self.output = nn.Linear(2 * HIDDEN, VOCABULARY)

    def forward(self, source, target, wanted):
        memory, (h, c) = self.encoder(self.source(source))
        values = memory.transpose(0, 1).contiguous()
        keys = self.key(values)
        h, c = h[0], c[0]
        rows = []
        for x in self.target(target):
            e = self.score(torch.tanh(self.query(h)[:, None] + keys))
            context = torch.bmm(torch.softmax(e, 1).transpose(1, 2), values)[:, 0]
            h, c = self.decoder(torch.cat([x, context], 1), (h, c))
            rows.append(torch.cat([h, context], 1))
        logits = self.output(torch.stack(rows))
        return nn.functional.cross_entropy(logits.flatten(0, 1), wanted.flatten())


def main():
    torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
    torch.manual_seed(1)
    model = Model()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0, fused=True)
    source, target, wanted = torch.randint(3, VOCABULARY, (3, LENGTH, BATCH))

    def step():
        optimiser.zero_grad()
        model(source, target, wanted).backward()
        optimiser.step()

    for _ in range(5):
        step()
    times = []
    for _ in range(25):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    times.sort()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads: "
          f"{1e3 * times[len(times) // 2]:.2f} ms a step (median), {1e3 * times[0]:.2f} least")


if __name__ == "__main__":
    main()
