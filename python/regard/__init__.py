"""Attention you can write down as a formula, run fast, trust to the bit, and look inside.

    import numpy as np, regard
    q = np.random.randn(2048, 12, 64).astype(np.float32)   # [tokens, heads, dim]
    k = np.random.randn(2048, 4, 64).astype(np.float32)    # [keys, kv_heads, dim]
    v = np.random.randn(2048, 4, 64).astype(np.float32)    # [keys, kv_heads, dim_v]
    out = regard.attention(q, k, v, mask="causal")         # [tokens, heads, dim_v]

attention() computes, explain() says how, causal() and full() are masks, doctor() tells what this
machine offers. The arrays stay where they are: NumPy, torch on the CPU, DLPack, buffers.
"""

from regard._attention import attention, explain
from regard._core import Mask
from regard._core import version as __version__
from regard._machine import doctor
from regard._masks import causal, full

__all__ = ["Mask", "__version__", "attention", "causal", "doctor", "explain", "full"]
