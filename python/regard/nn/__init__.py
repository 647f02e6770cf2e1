"""Layers that learn: tensors, modules, and the parts of Transformers and recurrent networks."""

from regard._tensor import Tensor, checkpointed, no_gradient, set_threads, tensor
from regard.nn._layers import (
    BatchNorm,
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
from regard.nn._recurrent import Recurrent, Seq2Seq, Written
from regard.nn._transformer import EncoderDecoder, Transformer

__all__ = [
    "BatchNorm", "Dropout", "Embedding", "EncoderDecoder", "LayerNorm", "Linear", "Mlp", "Module",
    "RMSNorm", "Recurrent", "Seq2Seq", "Tensor", "Transformer", "Written", "checkpointed", "no_gradient", "normal", "parameter", "set_threads", "tensor",
]
