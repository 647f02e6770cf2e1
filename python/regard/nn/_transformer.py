"""Transformer and EncoderDecoder: the layers that inference runs, with leaves that training changes."""

from collections.abc import Sequence
from typing import Any

from numpy.typing import ArrayLike

from regard import _core
from regard._tensor import Tensor, as_ids
from regard.nn._module import Compiled


class _Network(Compiled):
    def __init__(self, encoder_decoder: bool, seed: int, deviation: float, sizes: Any) -> None:
        config = _core.TransformerConfig()
        for name, value in sizes.items():
            if not hasattr(config, name):
                raise TypeError(f"{type(self).__name__}: {name!r} is no option; there are "
                                f"{', '.join(n for n in dir(config) if not n.startswith('_'))}")
            setattr(config, name, value)
        self.config = config
        self.seed = seed
        self._compiled = _core.Network(config, seed, deviation, encoder_decoder)
        self.passes = 0  # while training: each has a dropout of its own

    def _random(self) -> int | None:
        if not self.training or not (self.config.dropout or self.config.attention_dropout):
            return None
        self.passes += 1
        return (self.seed << 32) + self.passes


class Transformer(_Network):
    """A decoder (causal) or encoder: blocks of attention and MLP. Vaswani et al. 2017.

    model = nn.Transformer(vocabulary=64, width=128, layers=2, heads=4)
    logits = model(ids, lengths)        # ids of all texts one behind another, lengths of each

    Options, with their defaults: vocabulary 0 (none: call states()), width, layers, heads 1,
    kv_heads, dim, dim_v, inner (0: from the others), context 512, norm "layer" ("rms", "none"),
    epsilon 1e-5, post_norm False, activation "gelu_tanh", gated False, bias True, causal True,
    window 0, tied True, head True, positions "learned" ("none", "sinusoidal", "rope", "alibi",
    "relative", "buckets"), rope_base, buckets, farthest, dropout 0, attention_dropout 0,
    checkpoint False (blocks are computed again for their gradients: less memory).
    deviation is that of initial matrices; 0: Xavier's.
    """

    def __init__(self, *, seed: int = 0, deviation: float = 0.02, **sizes: Any) -> None:
        super().__init__(False, seed, deviation, sizes)

    def __call__(self, ids: ArrayLike, lengths: Sequence[int] | None = None) -> Tensor:
        """Logits [tokens, vocabulary] of packed texts; one text without lengths."""
        return self._compiled.logits(self.hidden(ids, lengths))

    def hidden(self, ids: ArrayLike, lengths: Sequence[int] | None = None) -> Tensor:
        """What the blocks make of the tokens, [tokens, width]."""
        ids = as_ids(ids)
        return self._compiled.hidden(ids, _lengths(lengths, len(ids)), self._random(), None)

    def states(self, x: Tensor, lengths: Sequence[int] | None = None) -> Tensor:
        """The same of x [tokens, width], embedded but not yet placed."""
        return self._compiled.hidden_of(x, _lengths(lengths, len(x)), self._random(), None)

    def head(self, hidden: Tensor) -> Tensor:
        """hidden [tokens, width] -> logits [tokens, vocabulary]."""
        return self._compiled.logits(hidden)

    def show(self, ids: ArrayLike | Tensor,
             lengths: Sequence[int] | None = None) -> dict[tuple[int, str], Tensor]:
        """(layer, place) -> tensor: embedding and residual [tokens, width]; query, key, value and
        attended [tokens, heads, dim] of every layer, as attention is given them."""
        shown = _core.Shown()
        if isinstance(ids, Tensor):
            self._compiled.hidden_of(ids, _lengths(lengths, len(ids)), None, shown)
        else:
            ids = as_ids(ids)
            self._compiled.hidden(ids, _lengths(lengths, len(ids)), None, shown)
        return shown.seen


class EncoderDecoder(_Network):
    """An encoder that sees all of its text, and a decoder that looks at it: Vaswani et al. 2017.
    Options as of Transformer; both halves have the same sizes and share one table of tokens."""

    def __init__(self, *, seed: int = 0, deviation: float = 0.02, **sizes: Any) -> None:
        super().__init__(True, seed, deviation, sizes)

    def __call__(self, source: ArrayLike, source_lengths: Sequence[int], target: ArrayLike,
                 target_lengths: Sequence[int]) -> Tensor:
        """Logits [tokens of the targets, vocabulary]; target n looks at source n."""
        return self._compiled.translate(as_ids(source), list(source_lengths), as_ids(target),
                                       list(target_lengths), self._random())


def _lengths(lengths: Sequence[int] | None, tokens: int) -> list[int]:
    return [tokens] if lengths is None else [int(length) for length in lengths]
