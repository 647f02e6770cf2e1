"""What the labs that train share: a loop, a plain step down the gradient, maps of weights."""

from collections.abc import Callable
from typing import Any

import numpy as np

import regard
from regard import nn, train
from regard.labs._lab import Context

Loss = Callable[[np.random.Generator], nn.Tensor]


def fit(model: nn.Module, loss_of: Loss, *, steps: int, rate: Any, rng: np.random.Generator,
        decay: float = 0.0, each: Callable[[int], None] | None = None, every: int = 50,
        tell: tuple[Context, str] | None = None) -> list[float]:
    """AdamW for so many steps over the batches that loss_of draws; gives the losses.

    rate  a number (a short line up to it, then half a cosine down) or a function of the step
    each  called before the first step, then after every `every` steps, with the steps done
    """
    if not callable(rate):
        rate = train.cosine(rate, steps=steps, warmup=max(1, steps // 20))
    optimiser = train.AdamW(model, rate=rate, decay=decay)
    model.train()
    losses = []
    for step in range(steps):
        if step % every == 0:
            if each:
                each(step)
            if tell:
                tell[0].progress(f"{tell[1]}, step {step} of {steps}")
        losses.append(optimiser.step(loss_of(rng)))
    if each:
        each(steps)
    model.eval()
    return losses


def descend(model: nn.Module, loss: nn.Tensor, rate: float) -> float:
    """One step of plain gradient descent. Gives the loss."""
    loss.backward()
    for leaf in model.parameters().values():
        if leaf.gradient is not None:
            step = rate * leaf.gradient.numpy()
            with leaf.writable() as numbers:
                numbers -= step
    model.clear_gradients()
    return loss.item()


def predicted(model: Any, ids: np.ndarray) -> np.ndarray:
    """Logits of a batch of texts of one length: ids [rows, tokens] -> [rows, tokens, vocabulary]."""
    with nn.no_gradient():
        logits = model(ids, [ids.shape[1]] * len(ids)).numpy()
    return logits.reshape(*ids.shape, -1)


def weights(shown: dict[tuple[int, str], nn.Tensor], layer: int, *, causal: bool = True) -> np.ndarray:
    """A layer's weights [heads, tokens, keys], which attention gives over values that are unit
    vectors; shown is what model.show() made of one text."""
    q, k = (np.array(shown[layer, name].numpy()) for name in ("query", "key"))
    keys, heads = len(k), k.shape[1]
    unit = np.ascontiguousarray(np.broadcast_to(np.eye(keys, dtype=np.float32)[:, None],
                                                (keys, heads, keys)))
    found = regard.attention(q, k, unit, mask="causal" if causal else None)
    return found.transpose(1, 0, 2)
