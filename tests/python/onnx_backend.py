"""An ONNX backend of one node: Attention, FlexAttention or LinearAttention, computed by regard.

What surrounds the operator is data movement: views of heads, a cache in front of new keys, a mask
that is shorter than the keys. Subgraphs (score_mod, prob_mod) are traced into programs.
"""

import numpy as np
import regard
from onnx import AttributeProto, NodeProto, helper, numpy_helper
from onnx.backend.base import Backend, BackendRep
from regard import program
from regard.program import batch, head, key, row, score

OPERATORS = ("Attention", "FlexAttention", "LinearAttention")


class RegardBackend(Backend):
    @classmethod
    def is_compatible(cls, model, device="CPU", **options):
        return len(model.graph.node) == 1 and model.graph.node[0].op_type in OPERATORS

    @classmethod
    def prepare(cls, model, device="CPU", **options):
        if not cls.is_compatible(model) or not cls.supports_device(device):
            raise ValueError(f"this backend runs one node of {', '.join(OPERATORS)} on the CPU")
        return Node(model.graph.node[0], [value.name for value in model.graph.input])

    @classmethod
    def supports_device(cls, device):
        return device == "CPU"


class Node(BackendRep):
    def __init__(self, node, names):
        self._node, self._names = node, names
        self._attributes = {a.name: a.g if a.type == AttributeProto.GRAPH else
                            helper.get_attribute_value(a) for a in node.attribute}
        self._run = {"Attention": attention, "FlexAttention": flex_attention,
                     "LinearAttention": linear_attention}[node.op_type]

    def run(self, inputs, **options):
        given = dict(zip(self._names, inputs))
        results = self._run([given.get(name) for name in self._node.input], self._attributes,
                            [bool(name) for name in self._node.output])
        return [result for result, name in zip(results, self._node.output) if name]


# ---- Attention ----

def attention(inputs, attributes, outputs):
    """Y, present_key, present_value and qk_matmul_output."""
    q, k, v, mask, past_k, past_v, lengths = [*inputs, *[None] * (7 - len(inputs))]
    if q.ndim == 3:  # [batch, tokens, heads dim]
        q = split_heads(q, attributes["q_num_heads"])
        k, v = (split_heads(x, attributes["kv_num_heads"]) for x in (k, v))
    rows, past = q.shape[2], 0 if past_k is None else past_k.shape[2]
    if past_k is not None:
        k, v = np.concatenate([past_k, k], axis=2), np.concatenate([past_v, v], axis=2)
    allowed, bias = mask_and_bias(mask, k.shape[2])
    offset = past if lengths is None else regard.array(lengths - rows, "offset")[batch()]
    if attributes.get("is_causal"):
        allowed = allowed & (key() <= row() + offset)
    left, right = (attributes.get(f"{side}_window_size", -1) for side in ("left", "right"))
    if left >= 0:
        allowed = allowed & (row() + offset - key() <= left)
    if right >= 0:
        allowed = allowed & (key() - (row() + offset) <= right)
    if lengths is not None:
        allowed = allowed & program.lengths(lengths)
    capped = program.softcap(attributes["softcap"]) if attributes.get("softcap", 0) > 0 else None
    options = {"mask": allowed, "scale": attributes.get("scale"), "layout": "bhtd"}
    out = regard.attention(q, k, v, score=capped, bias=bias, **options)
    if inputs[0].ndim == 3:
        out = out.transpose(0, 2, 1, 3).reshape(*inputs[0].shape[:2], -1)
    if not any(outputs[3:]):
        return out, k, v
    mode = attributes.get("qk_matmul_output_mode", 0)
    name = ("similarities", "scores", "masked", "weights")[mode]
    if mode == 1:  # behind the softcap, before the bias
        bias = None
    _, extras = regard.attention(q, k, v, score=capped, bias=bias, **options, extras=[name])
    return out, k, v, getattr(extras, name).astype(q.dtype)


def split_heads(x, heads):
    """[batch, tokens, heads dim] -> [batch, heads, tokens, dim], the same memory."""
    return heads_of(x, heads).transpose(0, 2, 1, 3)


def mask_and_bias(mask, keys):
    """The condition and the addition that attn_mask stands for; it may be shorter than the keys."""
    if mask is None:
        return regard.full(), None
    missing = [(0, 0)] * (mask.ndim - 1) + [(0, keys - mask.shape[-1])]
    if mask.dtype == bool:
        return program.allowed(np.pad(mask, missing)), None
    bias = np.pad(mask.astype(np.float32), missing, constant_values=-np.inf)
    return program.allowed(bias != -np.inf), bias


# ---- FlexAttention ----

def flex_attention(inputs, attributes, outputs):
    q, k, v = inputs
    sizes = (*q.shape[:3], k.shape[2])
    score_mod, prob_mod = (
        None if graph is None else trace_graph(graph, leaf, sizes)
        for graph, leaf in ((attributes.get("score_mod"), score()),
                            (attributes.get("prob_mod"), program.weight())))
    return (regard.attention(q, k, v, score=score_mod, weight=prob_mod,
                             scale=attributes.get("scale"), layout="bhtd"),)


class Positions:
    """0, 1, ... along one axis of [batch, heads, rows, keys], counted from the right."""

    def __init__(self, axis=-1):
        self.axis = axis

    def expr(self):
        return {-1: key(), -2: row(), -3: head(), -4: batch()}[self.axis]


def value(x):
    if isinstance(x, Positions):
        return x.expr()
    return x.item() if isinstance(x, np.ndarray) and x.size == 1 else x


ELEMENTWISE = {
    "Add": lambda a, b: a + b, "Sub": lambda a, b: a - b, "Mul": lambda a, b: a * b,
    "Div": lambda a, b: a / b, "Neg": lambda a: -a, "Abs": abs, "Tanh": program.tanh,
    "Exp": program.exp, "Log": program.log, "Sqrt": program.sqrt, "Sigmoid": program.sigmoid,
    "Min": program.minimum, "Max": program.maximum, "Greater": lambda a, b: a > b,
    "GreaterOrEqual": lambda a, b: a >= b, "Less": lambda a, b: a < b,
    "LessOrEqual": lambda a, b: a <= b, "Equal": lambda a, b: a == b, "And": lambda a, b: a & b,
    "Or": lambda a, b: a | b, "Not": lambda a: ~a, "Where": program.where,
    "Identity": lambda a: a}


def trace_graph(graph, leaf, sizes):
    """The program that a graph of one input, shaped [batch, heads, rows, keys], stands for."""
    values = {graph.input[0].name: leaf}
    values |= {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        inputs = [values[name] for name in node.input]
        values[node.output[0]] = step(node, inputs, sizes)
    return values[graph.output[0].name]


def step(node: NodeProto, inputs, sizes):
    if node.op_type == "Shape":
        return np.array(sizes)
    if node.op_type == "Gather":
        return np.asarray(inputs[0][inputs[1]])
    if node.op_type == "Range":
        assert inputs[0] == 0 and inputs[2] == 1 and inputs[1] in sizes
        return Positions()
    if node.op_type == "Reshape":
        shape = list(inputs[1])
        assert shape.count(1) == len(shape) - 1
        return Positions(next(n for n, extent in enumerate(shape) if extent != 1) - len(shape))
    if node.op_type == "Cast":
        return value(inputs[0]).to(helper.tensor_dtype_to_np_dtype(node.attribute[0].i))
    return ELEMENTWISE[node.op_type](*map(value, inputs))


# ---- LinearAttention ----

def linear_attention(inputs, attributes, outputs):
    """output and present_state."""
    q, k, v, state, decay, beta = [*inputs, *[None] * (6 - len(inputs))]
    kv_heads = attributes["kv_num_heads"]
    q = heads_of(q, attributes["q_num_heads"])
    k, v = heads_of(k, kv_heads), heads_of(v, kv_heads)
    if decay is not None and decay.shape[-1] != kv_heads:
        decay = heads_of(decay, kv_heads)
    out, present = regard.linear_attention(
        q,
        k,
        v,
        rule=attributes.get("update_rule", b"gated_delta").decode(),
        decay=decay,
        beta=beta,
        state=state,
        scale=attributes.get("scale") or None,
        layout="bthd",
        return_state=True,
    )
    return out.reshape(*out.shape[:2], -1), present.astype(
        q.dtype if state is None else state.dtype
    )


def heads_of(x, heads):
    """[batch, tokens, heads dim] -> [batch, tokens, heads, dim], the same memory."""
    return x.reshape(*x.shape[:2], heads, -1)
