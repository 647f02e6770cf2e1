"""What counts as an array: DLPack, the buffer protocol, and what is refused."""

import array
import sys

import numpy as np
import pytest
import regard
from formula import problem


class OnlyDLPack:
    """An array that says nothing but __dlpack__."""

    def __init__(self, source):
        self.source = source

    def __dlpack__(self, **options):
        return self.source.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.source.__dlpack_device__()


def test_dlpack():
    q, k, v = problem(5, 9, 2, 1)
    out = regard.attention(*(OnlyDLPack(a) for a in (q, k[::-1], v[::-1])))
    assert type(out) is np.ndarray
    np.testing.assert_array_equal(out, regard.attention(q, k[::-1], v[::-1]))
    filled = np.zeros_like(out)
    given = OnlyDLPack(filled)
    assert regard.attention(q, k[::-1], v[::-1], out=given) is given
    np.testing.assert_array_equal(filled, out)


def test_buffers():
    q, k, v = problem(5, 9, 2, 1)
    buffers = [memoryview(a.tobytes()).cast("f", a.shape) for a in (q, k, v)]
    expected = regard.attention(q, k, v)
    np.testing.assert_array_equal(regard.attention(*buffers), expected)
    memory = bytearray(expected.nbytes)
    regard.attention(*buffers, out=memoryview(memory).cast("f", expected.shape))
    assert memory == expected.tobytes()
    memory.clear()  # nobody holds it any more


def test_subclasses_and_lists():
    q, k, v = problem(5, 9)

    class Own(np.ndarray):
        pass

    np.testing.assert_array_equal(regard.attention(q.view(Own), k, v), regard.attention(q, k, v))
    with pytest.raises(TypeError, match="attention: k is a masked array"):
        regard.attention(q, np.ma.masked_array(k, k > 0), v)
    for wrong in (None, 3, "q", [[[1.0]]], q.tolist(), object(), iter(q)):
        with pytest.raises(TypeError, match="attention: v .* is no array of numbers"):
            regard.attention(q, k, wrong)
        with pytest.raises(TypeError, match="attention: q .* is no array of numbers"):
            regard.attention(wrong, k, v)


@pytest.mark.parametrize("dtype", ["int32", "uint8", "uint16", "bool", "complex64"])
def test_other_types_are_refused_by_name(dtype):
    q, k, v = problem(5, 9)
    for name, wrong in zip("qkv", np.eye(3, dtype=bool)):
        arrays = [a.astype(dtype) if w else a for a, w in zip((q, k, v), wrong)]
        with pytest.raises(TypeError, match=f"attention: {name} is {dtype}, must be float"):
            regard.attention(*arrays)
    with pytest.raises(TypeError, match=f"attention: out is {dtype}, must be float"):
        regard.attention(q, k, v, out=np.empty((5, 1, 16), dtype))


def test_types_that_no_protocol_carries():
    q, k, v = problem(5, 9)
    for dtype in (">f4", "O", "f4,f4"):
        with pytest.raises(TypeError, match="attention: q .ndarray of .* is no array of numbers"):
            regard.attention(np.zeros(q.shape, dtype), k, v)


def test_an_address_between_numbers():
    q, k, v = problem(5, 9)
    odd = np.frombuffer(b"x" + q.tobytes(), np.uint8)[1:].view(np.float32).reshape(q.shape)
    with pytest.raises(ValueError, match="attention: q begins at an address"):
        regard.attention(odd, k, v)


def test_nothing_is_copied_or_kept():
    q, k, v = problem(50, 90, 2, 1)
    before = [sys.getrefcount(a) for a in (q, k, v)]
    regard.attention(q, k, v)
    with pytest.raises(ValueError):
        regard.attention(q, k, v[:5])
    assert [sys.getrefcount(a) for a in (q, k, v)] == before
    numbers = array.array("f", q.ravel())
    regard.attention(memoryview(numbers).cast("B").cast("f", q.shape), k, v)
    numbers.append(1)  # a buffer that somebody holds cannot grow
