"""linear_attention(): states that tokens write to and queries read, and their gradients."""

import numbers
import operator
from typing import Any, NamedTuple

from regard import _arrays, _core
from regard._options import check_flag, check_layout, thread_count


class LinearGradients(NamedTuple):
    """What linear_attention_backward() returns: a gradient for each argument, None for what was None."""

    dq: Any
    dk: Any
    dv: Any
    ddecay: Any
    dbeta: Any
    dstate: Any  # with normalise a pair, as state is


def linear_attention(q: Any, k: Any, v: Any, *, rule: str = "linear", decay: Any = None,
                     beta: Any = None, state: Any = None, return_state: bool = False,
                     features: str = "identity", normalise: bool = False, causal: bool = True,
                     scale: float | None = None, offsets: Any = None, key_offsets: Any = None,
                     layout: str = "thd", threads: int = 0, out: Any = None) -> Any:
    """Attention whose memory does not grow: each head keeps a state S [dim, dim_v].

    Token after token, with φ the feature map:
        S = exp(decay) S                            rules "gated" and "gated_delta"
        u = v, or beta (v - Sᵀ φ(k))                rules "delta" and "gated_delta"
        S = S + φ(k) uᵀ
        out = scale · Sᵀ φ(q), or normalised Sᵀ φ(q) / (φ(q) · Σ φ(k)), 0 where that sum is 0

    Arrays, in the order of axes that layout "thd" names:
        q      [tokens, heads, dim]             decay  [tokens, kv_heads, dim], or without dim
        k      [tokens, kv_heads, dim]          beta   [tokens, kv_heads or 1]
        v      [tokens, kv_heads, dim_v]        state  [kv_heads, dim, dim_v]
        out    [tokens, heads, dim_v]
    With a batch, or offsets, state has an axis of sequences before the others, whatever the layout.
    heads is a multiple of kv_heads: query head h reads the state h // (heads // kv_heads).
    dim and dim_v are at most 1024; any size may be 0. Each is float32, float16 or bfloat16 on the
    CPU with any strides, and stays where it is. A prompt at once, in chunks or token by token
    gives the same bits, so long as the state is handed on in float32.

    rule      "linear", "gated", "delta" or "gated_delta"
    decay     natural logarithm of what a state keeps in one token; gated rules
    beta      how much of what it does not know a state takes in; delta rules
    state     what came before: an array; with normalise a pair of it and Σ φ(k) [kv_heads, dim].
              Default zeros
    return_state  True: return (out, state), the state behind the last token, to be handed on;
              of the dtype of state, float32 where none was given
    features  φ, applied to each number of q and k: "identity", "elu" (elu(x) + 1), "relu", "exp"
    normalise  True: divide by the sum of weights; rules "linear" and "gated"
    causal    False: every query reads the state behind the last key; rule "linear". k and v may
              have another number of tokens then
    scale     multiplies the output; default 1/sqrt(dim), none with normalise
    offsets   for a ragged batch in one array without batch: sequence s holds the tokens
              offsets[s] up to offsets[s + 1]; rows that lie in none are left as they are
    key_offsets  the same for k and v without causal; default: offsets
    layout    a letter for each axis: t (tokens), h (heads), d (dim), b (batch), in any order
    threads   how many to use; 0 = all processors. Never changes a bit of the result
    out       where to put the result: writable, overlapping no input

    Returns out, or (out, state): a torch tensor if q is one and a NumPy array if not.

    Raises TypeError for what is no array of such numbers on the CPU or is of a wrong kind,
    ValueError for shapes and values that break a rule, MemoryError. out is untouched then.
    Source: the rules are ONNX LinearAttention's (opset 27); Katharopoulos et al. 2020,
    "Transformers are RNNs", eq. 4 to 7; Yang et al. 2024, "Gated Delta Networks".
    """
    call = _Call("linear_attention", q, k, v, decay, beta, state, normalise, offsets, layout)
    options = call.options(rule, features, causal, scale, key_offsets, threads)
    returned = check_flag(return_state, "return_state", call.name)
    if out is None:
        out = _arrays.empty(call.shape_of_out(), q, call.q.dtype)
    out_view = call.borrow(out, "out", call.layout, True)
    states = call.empty_states() if returned else (None, None)
    views = call.borrow_states(states, "output state", True)
    _core.linear_attention(*call.inputs, *options, out_view, *views)
    if not returned:
        return out
    return out, (states if call.normalise else states[0])


def linear_attention_backward(q: Any, k: Any, v: Any, dout: Any, *, rule: str = "linear",
                              decay: Any = None, beta: Any = None, state: Any = None,
                              out: Any = None, dstate: Any = None, features: str = "identity",
                              normalise: bool = False, causal: bool = True,
                              scale: float | None = None, offsets: Any = None,
                              key_offsets: Any = None, layout: str = "thd",
                              threads: int = 0) -> LinearGradients:
    """Gradients of a loss with respect to what linear_attention() took.

    q, k, v, rule, decay, beta, state, features, normalise, causal, scale, offsets, key_offsets,
    layout and threads are those of linear_attention(). Memory is linear in tokens.

    dout    gradient with respect to out [tokens, heads, dim_v]
    out     with normalise, what linear_attention() returned
    dstate  gradient with respect to the state returned; default zeros. With normalise a pair

    Returns LinearGradients(dq, dk, dv, ddecay, dbeta, dstate), each of the shape and dtype of its
    argument.

    Raises what linear_attention() raises.
    Source: the chain rule of the recurrence.
    """
    call = _Call("linear_attention_backward", q, k, v, decay, beta, state, normalise, offsets, layout)
    options = call.options(rule, features, causal, scale, key_offsets, threads)
    dout_view = call.borrow(dout, "dout", call.layout)
    out_view = None if out is None else call.borrow(out, "out", call.layout)
    upstream = call.borrow_states(call.pair(dstate, "dstate"), "dstate")
    gradients = [None if array is None else _arrays.empty(view.shape, array, view.dtype)
                 for array, view in zip((q, k, v, decay, beta), call.inputs)]
    states = tuple(None if array is None else _arrays.empty(view.shape, array, view.dtype)
                   for array, view in zip(call.states, call.inputs[5:]))
    views = [None if array is None else call.borrow(array, "d" + view_name, view_axes, True)
             for array, view_name, view_axes in zip(gradients, ("q", "k", "v", "decay", "beta"),
                                                    call.axes)]
    _core.linear_attention_backward(*call.inputs, *options, dout_view, out_view, *upstream,
                                    *views, *call.borrow_states(states, "output dstate", True))
    return LinearGradients(*gradients, states if call.normalise and state is not None
                           else states[0])


class _Call:
    """The arrays of one call, borrowed."""

    def __init__(self, name: str, q: Any, k: Any, v: Any, decay: Any, beta: Any, state: Any,
                 normalise: Any, offsets: Any, layout: Any) -> None:
        self.name = name
        self.layout = check_layout(layout, name)
        self.normalise = check_flag(normalise, "normalise", name)
        self.offsets = self._whole(offsets, "offsets")
        self.sequences = "b" in self.layout or offsets is not None
        self._like = q
        without_dim = self.layout.replace("d", "")
        of_head = getattr(decay, "ndim", len(self.layout)) == len(without_dim)
        self.axes = [self.layout] * 3 + [without_dim if of_head else self.layout, without_dim]
        self.inputs = [None if array is None else self.borrow(array, word, axes)
                       for array, word, axes in zip((q, k, v, decay, beta),
                                                    ("q", "k", "v", "decay", "beta"), self.axes)]
        self.q = self.inputs[0]
        self.states = self.pair(state, "state")
        self.inputs += self.borrow_states(self.states, "state")

    def borrow(self, array: Any, name: str, axes: str, writable: bool = False) -> _core.Borrowed:
        return _arrays.borrow(array, name, axes, writable, self.name)

    def pair(self, state: Any, name: str) -> tuple[Any, Any]:
        """A state and its key sum."""
        if state is None or not self.normalise:
            return state, None
        if not isinstance(state, tuple) or len(state) != 2:
            raise TypeError(f"{self.name}: {name} is a {type(state).__name__}, must be a pair "
                            "(state, key_sum) because normalise is True")
        return state

    def borrow_states(self, states: tuple[Any, Any], name: str,
                      writable: bool = False) -> list[Any]:
        axes = ("bthd", "bth") if self.sequences else ("thd", "th")
        names = (name, name.replace("state", "key_sum"))
        return [None if array is None else self.borrow(array, word, letters, writable)
                for array, word, letters in zip(states, names, axes)]

    def shape_of_out(self) -> tuple[int, ...]:
        sizes = list(self.q.shape)
        sizes[self.layout.index("d")] = self.inputs[2].shape[self.layout.index("d")]
        return tuple(sizes)

    def empty_states(self) -> tuple[Any, Any]:
        """For what comes out: of the dtype of what came in."""
        k, v = self.inputs[1].shape, self.inputs[2].shape
        kv_heads, dim = k[self.layout.index("h")], k[self.layout.index("d")]
        first: tuple[int, ...] = ()
        if self.offsets is not None:
            first = (len(self.offsets) - 1,)
        elif self.sequences:
            first = (self.q.shape[self.layout.index("b")],)
        shapes = ((*first, kv_heads, dim, v[self.layout.index("d")]), (*first, kv_heads, dim))
        made = [_arrays.empty(shape, self._like if given is None else given,
                              "float32" if given is None else view.dtype)
                for shape, given, view in zip(shapes, self.states, self.inputs[5:])]
        return made[0], made[1] if self.normalise else None

    def options(self, rule: Any, features: Any, causal: Any, scale: Any, key_offsets: Any,
                threads: Any) -> tuple[Any, ...]:
        for word, name in ((rule, "rule"), (features, "features")):
            if not isinstance(word, str):
                raise TypeError(f"{self.name}: {name} is {word!r}, must be a word")
        if scale is not None and (not isinstance(scale, numbers.Real) or isinstance(scale, bool)):
            raise TypeError(f"{self.name}: scale is {scale!r}, must be a number or None")
        return (self.offsets, self._whole(key_offsets, "key_offsets"), rule,
                features, self.normalise, check_flag(causal, "causal", self.name),
                None if scale is None else float(scale), thread_count(threads, self.name))

    def _whole(self, offsets: Any, name: str) -> list[int] | None:
        if offsets is None:
            return None
        try:
            whole = [operator.index(offset) for offset in offsets]
        except TypeError:
            raise TypeError(f"{self.name}: {name} is {offsets!r}, must be integers") from None
        if not whole:
            raise ValueError(f"{self.name}: {name} is empty, must hold one number more than there "
                             "are sequences")
        return whole
