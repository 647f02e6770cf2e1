"""Tensors and modules: memory, leaves, names, and what they refuse."""

import numpy as np
import pytest

from regard import nn, ops


def test_numbers_are_seen_without_a_copy():
    x = nn.tensor([[1, 2], [3, 4]])
    assert x.shape == (2, 2) and x.dtype == "f32" and x.size == 4
    seen = x.numpy()
    assert not seen.flags.writeable and seen.ctypes.data == x.numpy().ctypes.data
    del x
    assert seen.tolist() == [[1, 2], [3, 4]]


def test_a_leaf_is_written_in_place():
    w = nn.parameter(np.eye(2, dtype=np.float32))
    x = nn.tensor([[1, 2]])
    assert ops.linear(x, w).numpy().tolist() == [[1, 2]]
    with w.writable() as numbers:
        assert numbers.ctypes.data == w.numpy().ctypes.data
        numbers *= 3
    assert ops.linear(x, w).numpy().tolist() == [[3, 6]]
    w.assign(np.full((2, 2), 2, np.float32))
    assert ops.linear(x, w).numpy().tolist() == [[6, 6]]


def test_reshape_rows_and_items():
    x = nn.tensor(np.arange(12.0))
    assert x.dtype == "f64" and x.reshape(3, -1).shape == (3, 4)
    assert x.reshape(3, 4)[1:].numpy()[0, 0] == 4 and len(x.reshape(3, 4)) == 3
    assert nn.tensor(2.5).item() == 2.5
    with pytest.raises(ValueError, match="is not one number"):
        x.item()
    with pytest.raises(ValueError, match="do not fill"):
        x.reshape(5, -1)
    with pytest.raises(TypeError, match="only ranges of rows"):
        x[3]


@pytest.mark.parametrize("wrong, message", [
    (np.zeros(2, complex), "must be of numbers"),
    (np.zeros((1, 1, 1, 1, 1), np.float32), "5 axes"),
])
def test_tensor_refuses(wrong, message):
    with pytest.raises(ValueError, match=message):
        nn.tensor(wrong)


def test_computed_tensors_are_no_leaves():
    w = nn.parameter(np.ones((2, 2), np.float32))
    y = w.reshape(4)
    assert y.tracked and not y.is_leaf
    for refused in (lambda: y.gradient, lambda: y._writable(), y.require_gradient):
        with pytest.raises(ValueError):
            refused()


def test_gradients_come_back_through_shapes():
    w = nn.parameter(np.zeros((2, 3)))
    assert w.gradient is None
    w.reshape(6).backward(nn.tensor(np.arange(6.0)))
    w[1:].backward(nn.tensor(np.ones((1, 3))))
    assert w.gradient.numpy().tolist() == [[0, 1, 2], [4, 5, 6]]
    w.gradient = None
    assert w.gradient is None


def test_nothing_is_recorded_without_gradient():
    w = nn.parameter(np.zeros(3))
    with nn.no_gradient():
        assert not w.reshape(3, 1).tracked
    assert w.reshape(3, 1).tracked


def test_a_checkpoint_computes_again():
    w, runs = nn.parameter(np.ones(4)), []

    def function(x):
        runs.append(x)
        return x.reshape(2, 2).reshape(4)

    nn.checkpointed(function, w).backward(nn.tensor(np.arange(4.0)))
    assert len(runs) == 2 and w.gradient.numpy().tolist() == [0, 1, 2, 3]


class Two(nn.Module):
    def __init__(self):
        self.first = nn.Linear(3, 3, rng=1)
        self.rest = [nn.Linear(3, 2, rng=2, bias=False), nn.LayerNorm(2)]
        self.tied = self.first.weight


def test_modules_name_their_parameters():
    model = Two()
    assert list(model.parameters()) == ["first.weight", "first.bias", "rest.0.weight",
                                        "rest.1.gain", "rest.1.shift"]
    assert model.parameter_count() == 9 + 3 + 6 + 2 + 2
    state = model.state()
    state["first.bias"] += 1
    model.load_state(state)
    assert model.first.bias.numpy().tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match="missing .*rest.1.gain"):
        model.load_state({name: state[name] for name in list(state)[:3]})
    with pytest.raises(ValueError, match="first.weight is"):
        model.load_state({**state, "first.weight": np.zeros((1, 3))})
    assert not model.eval().rest[1].training and model.train().rest[1].training


def test_threads_are_checked():
    with pytest.raises(ValueError, match="2000"):
        nn.set_threads(2000)
    nn.set_threads(0)
