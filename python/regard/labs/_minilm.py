"""A real encoder's attention, where `regard pull minilm` has fetched it: its weights as inputs."""

import json
import os
import struct
from pathlib import Path

import numpy as np

import regard

SENTENCE = "The trophy did not fit in the bag because it was too big."
HEADS = 12


def folder() -> Path | None:
    """Where the model lies, or None."""
    cache = os.environ.get("REGARD_CACHE") or Path(
        os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "regard")
    found = Path(cache) / "minilm"
    return found if (found / "model.safetensors").is_file() else None


class Weights:
    """The matrices of model.safetensors, all f32, as x @ W takes them."""

    def __init__(self, path: Path) -> None:
        self._path = path / "model.safetensors"
        with open(self._path, "rb") as file:
            size, = struct.unpack("<Q", file.read(8))
            self._header = json.loads(file.read(size))
        self._first = 8 + size

    def layer(self, layer: int, name: str) -> tuple[np.ndarray, np.ndarray]:
        """(W [inputs, outputs], bias) of "self.query" and its kin."""
        prefix = f"encoder.layer.{layer}.attention.{name}"
        return self._read(f"{prefix}.weight").T, self._read(f"{prefix}.bias")

    def _read(self, name: str) -> np.ndarray:
        entry = self._header[name]
        begin, end = entry["data_offsets"]
        return np.fromfile(self._path, "<f4", (end - begin) // 4,
                           offset=self._first + begin).reshape(entry["shape"])


def heads_of(weights: Weights, layer: int, hidden: np.ndarray) -> tuple[np.ndarray, ...]:
    """q, k, v [tokens, heads, dim] and W_O [heads, dim, width], f64, of a layer's input."""
    made = []
    for name in ("self.query", "self.key", "self.value"):
        matrix, bias = weights.layer(layer, name)
        made.append((hidden.astype(np.float64) @ matrix + bias).reshape(len(hidden), HEADS, -1))
    out, _ = weights.layer(layer, "output.dense")
    return *made, out.reshape(HEADS, -1, out.shape[1]).astype(np.float64)


def hidden_states() -> np.ndarray:
    """[layers + 1, tokens, width] of SENTENCE."""
    return regard.load("minilm").forward(SENTENCE).hidden_states
