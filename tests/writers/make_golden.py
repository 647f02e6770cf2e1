"""Writes golden/blocks.bin: 96 blocks of 32 numbers (f32), then the same as Q8_0, Q4_0 and Q4_1.

    python3 tests/writers/make_golden.py      (needs numpy and gguf, see tests/peers)
"""

import pathlib

import numpy
from gguf import GGMLQuantizationType as Type
from gguf.quants import quantize

random = numpy.random.default_rng(7)
blocks = random.standard_normal((96, 32)).astype(numpy.float32)
blocks[1] = 0
blocks[2] = 1
blocks[3] = -1
blocks[4] *= 1e-6
blocks[5] *= 1e4
blocks[6] = numpy.arange(-16, 16)            # ties
blocks[7] = numpy.round(blocks[7] * 4) / 8
blocks[8, :] = 0
blocks[8, 5] = -3
blocks[9] = numpy.abs(blocks[9])
blocks[10] = -numpy.abs(blocks[10])
blocks[11, ::2] = 2.5
blocks[11, 1::2] = -2.5                      # the first of equal magnitude counts
blocks[12] *= 1e-36                          # its scale is nothing in f16
out = blocks.tobytes()
for kind in (Type.Q8_0, Type.Q4_0, Type.Q4_1):
    out += quantize(blocks, kind).tobytes()
(pathlib.Path(__file__).parent / "golden" / "blocks.bin").write_bytes(out)
