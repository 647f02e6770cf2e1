"""Layers that learn: tensors, modules, and the parts of Transformers and recurrent networks."""

from regard._tensor import Tensor, checkpointed, no_gradient, set_threads, tensor
from regard.nn._layers import (
    Dropout,
    Embedding,
    LayerNorm,
    Linear,
    Mlp,
    RMSNorm,
    normal,
    parameter,
)
from regard.nn._module import Module

__all__ = [
    "Dropout", "Embedding", "LayerNorm", "Linear", "Mlp", "Module", "RMSNorm", "Tensor",
    "checkpointed", "no_gradient", "normal", "parameter", "set_threads", "tensor",
]
