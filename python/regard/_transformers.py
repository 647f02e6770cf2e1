"""transformers' models over the operator: what register() registers.

transformers describes a mask by a function of indices, as FlexAttention does, and asks each backend
to make of it what it likes. Here it stays a function until attention meets it, and is traced into a
program then, once for all layers.
"""

import functools
import operator
from collections.abc import Callable
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface

from regard import _masks, program
from regard._context import Sizes, Trace, tracing
from regard._expr import Expr
from regard._slots import softmax, softmax_with_sink
from regard._trace import trace_mask


def register(name: str) -> None:
    AttentionInterface.register(name, attention_forward)
    AttentionMaskInterface.register(name, Mask)


class Mask:
    """A mask that is a function of (batch, head, query, key), and a padding mask [batch, keys].

    The offsets are the positions of the first query and key that are there.
    """

    def __init__(self, batch_size: int, q_length: int, kv_length: int, q_offset: int = 0,
                 kv_offset: int = 0, mask_function: Callable[..., Any] | None = None,
                 attention_mask: torch.Tensor | None = None, **_: Any) -> None:
        self.shape = (batch_size, 1, q_length, kv_length)
        self._offsets = int(q_offset), int(kv_offset)
        self._function, self._padding = mask_function, attention_mask
        self._traced: dict[Sizes, Expr] = {}

    def program(self, sizes: Sizes) -> Expr:
        if sizes not in self._traced:
            q_offset, kv_offset = self._offsets
            # The query's position among the keys, where that is what the offset says.
            last = q_offset - kv_offset == sizes.keys - sizes.rows
            leaves = ("batch", "head", "query" if last else "row", "key")
            first = kv_offset if last else q_offset

            def mask(b: Expr, h: Expr, i: Expr, j: Expr) -> Any:
                return self._function(b, h, i + first, j + kv_offset)

            parts = []
            if self._function is not None:
                parts.append(trace_mask(mask, leaves, "attention: mask", Trace(sizes)))
            if self._padding is not None and not bool(self._padding.all()):
                parts.append(self._padded(sizes, kv_offset))
            self._traced[sizes] = functools.reduce(operator.and_, parts) if parts else _masks.full()
        return self._traced[sizes]

    def _padded(self, sizes: Sizes, kv_offset: int) -> Expr:
        missing = max(sizes.keys + kv_offset - self._padding.shape[-1], 0)
        padding = torch.nn.functional.pad(self._padding.bool(), (0, missing))
        with tracing(Trace()):
            return program.array(padding, "padding")(program.batch(), program.key() + kv_offset)


def attention_forward(module: torch.nn.Module, query: torch.Tensor, key: torch.Tensor,
                      value: torch.Tensor, attention_mask: Any, scaling: float | None = None,
                      dropout: float = 0.0, is_causal: bool | None = None,
                      softcap: float | None = None, sliding_window: int | None = None,
                      s_aux: torch.Tensor | None = None, position_bias: Any = None,
                      **_: Any) -> tuple[torch.Tensor, None]:
    """query, key, value [batch, heads, tokens, dim]; gives [batch, tokens, heads, dim_v]."""
    from regard import torch as bridge  # noqa: PLC0415 (it is imported, and registers this)

    rows, keys = query.shape[2], key.shape[2]
    sizes = Sizes(query.shape[0], query.shape[1], rows, keys)
    mask, bias = None, position_bias
    if isinstance(attention_mask, Mask):
        mask = attention_mask.program(sizes)
    elif attention_mask is not None:
        attention_mask = attention_mask[..., :keys]
        if attention_mask.dtype == torch.bool:
            mask = attention_mask
        else:
            bias = attention_mask if bias is None else attention_mask + bias
    else:
        causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
        mask = _masks.causal() if causal else _masks.full()
        if sliding_window is not None:
            mask = mask & program.window(sliding_window - 1, keys)
    out = bridge.attention(
        *(x.transpose(1, 2) for x in (query, key, value)), layout="bthd", mask=mask, bias=bias,
        score=None if softcap is None else program.softcap(float(softcap)),
        normaliser=softmax() if s_aux is None else softmax_with_sink(s_aux.reshape(-1)),
        dropout=dropout if module.training else 0.0, scale=scaling)
    return out, None
