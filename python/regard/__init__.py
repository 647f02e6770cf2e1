"""Attention you can write down as a formula, run fast, trust to the bit, and look inside.

    import numpy as np, regard
    q = np.random.randn(2048, 12, 64).astype(np.float32)   # [tokens, heads, dim]
    k = np.random.randn(2048, 4, 64).astype(np.float32)    # [keys, kv_heads, dim]
    v = np.random.randn(2048, 4, 64).astype(np.float32)    # [keys, kv_heads, dim_v]
    out = regard.attention(q, k, v, mask="causal")         # [tokens, heads, dim_v]
    out = regard.attention(q, k, v, mask=lambda i, j: (j <= i) & (i - j < 256),
                           score=lambda s: 30 * np.tanh(s / 30))

attention() computes, flex_attention() takes PyTorch FlexAttention's functions, explain() says how.
Masks and score programs are expressions of regard.program. Normalisers and similarities are
functions here. The arrays stay where they are: NumPy, torch on the CPU, DLPack, buffers.

    model = regard.load("smollm2")                         # a file, a folder, a pulled name
    for piece in model.stream("The trophy did not fit in the bag because"): print(piece, end="")
    logits, hidden_states = model.forward("The trophy")

A model generates, chats, scores, embeds, and gives its numbers as arrays.
regard.torch, imported by itself, has gradients for torch and a backend for transformers.
"""

from regard import program
from regard._attention import attention, explain
from regard._backward import Gradients, attention_backward
from regard._cache import AttentionPlan, KvCache, RopeTable, rope
from regard._captured import Array, array
from regard._core import version as __version__
from regard._expr import Expr
from regard._extras import Extras
from regard._flex import flex_attention
from regard._linear import LinearGradients, linear_attention, linear_attention_backward
from regard._machine import doctor
from regard._masks import causal, full
from regard._merge import merge
from regard._model import Forward, Model, ModelFacts, Stream, load
from regard._segments import Segment
from regard._slots import (
    Normaliser,
    Similarity,
    additive,
    bilinear,
    cosine,
    dot,
    dropout,
    entmax15,
    gumbel_softmax,
    hardmax,
    negative_distance,
    relu,
    sigmoid,
    softmax,
    softmax_with_sink,
    sparsemax,
)
from regard._tokenizer import ChatTemplate, Tokenizer

__all__ = [
    "Array", "AttentionPlan", "ChatTemplate", "Expr", "Extras", "Forward", "Gradients", "KvCache",
    "LinearGradients", "Model", "ModelFacts", "Normaliser", "RopeTable", "Segment", "Similarity",
    "Stream", "Tokenizer", "__version__", "additive", "array", "attention", "attention_backward",
    "bilinear", "causal", "cosine", "doctor", "dot", "dropout", "entmax15", "explain",
    "flex_attention", "full", "gumbel_softmax", "hardmax", "linear_attention",
    "linear_attention_backward", "load", "merge", "negative_distance", "program", "relu", "rope",
    "sigmoid", "softmax", "softmax_with_sink", "sparsemax",
]
