"""Layers and training in Python: gradients against differences, learning, what is refused."""

import numpy as np
import pytest

from regard import nn, ops, train

RNG = np.random.default_rng(0)


def check_gradients(function, *shapes, step=1e-5):
    """Central differences of a random cotangent's product, in f64."""
    inputs = [RNG.standard_normal(shape) for shape in shapes]
    leaves = [nn.tensor(x, gradient=True) for x in inputs]
    made = function(*leaves)
    cotangent = RNG.standard_normal(made.shape)
    made.backward(nn.tensor(cotangent))
    for which, x in enumerate(inputs):
        flat = x.reshape(-1)
        for at in RNG.choice(flat.size, min(flat.size, 12), replace=False):
            kept, values = flat[at], []
            for sign in (1, -1):
                flat[at] = kept + sign * step
                with nn.no_gradient():
                    values.append((function(*map(nn.tensor, inputs)).numpy() * cotangent).sum())
            flat[at] = kept
            wanted = (values[0] - values[1]) / (2 * step)
            assert leaves[which].gradient.numpy().reshape(-1)[at] == pytest.approx(
                wanted, rel=1e-6, abs=1e-7), (which, at)


@pytest.mark.parametrize("function, shapes", [
    (ops.matmul, [(3, 4), (4, 5)]),
    (lambda x, w, b: ops.linear(x, w, b), [(3, 4), (5, 4), (5,)]),
    (lambda a, b: a * b + a - b * 2.0, [(3, 4), (3, 4)]),
    (lambda a, b: a * b + b, [(3, 4), (4,)]),
    (lambda x: ops.softmax(x) @ ops.transpose(ops.log_softmax(x)), [(3, 4)]),
    (lambda x, g, s: ops.layer_norm(x, g, s), [(3, 8), (8,), (8,)]),
    (lambda x, g: ops.rms_norm(x, g), [(3, 8), (8,)]),
    (lambda x: ops.tanh(x) + ops.sigmoid(x), [(3, 8)]),
    (lambda g, u: ops.activate_gated("silu", g, u), [(3, 8), (3, 8)]),
    (lambda x: ops.concat_columns([ops.columns(x, 1, 2), x]), [(3, 4)]),
    (lambda x: ops.concat_rows([x[1:], x]), [(3, 4)]),
    (lambda x: ops.permute(x.reshape(2, 3, 4), (2, 0, 1)), [(6, 4)]),
    (lambda x: ops.sum(x, "rows") + ops.mean(ops.transpose(x), "columns"), [(3, 4)]),
    (lambda x: ops.embedding(x, [1, 0, 1]), [(3, 4)]),
    (lambda x: ops.cross_entropy(x, [1, 0, 3], weights=[1, 2, 0], smoothing=0.1), [(3, 4)]),
    (lambda a, b: ops.mean_squared_error(a, b), [(3, 4), (3, 4)]),
    (lambda q, k, v: ops.attention(q, k, v, mask="causal"), [(4, 2, 3), (4, 1, 3), (4, 1, 5)]),
    (lambda q, k, v: ops.attention(q, k, v, segments=[0, 1, 4]), [(4, 2, 3), (4, 2, 3), (4, 2, 3)]),
])
def test_gradients(function, shapes):
    check_gradients(function, *shapes)


def test_a_captured_leaf_gets_its_gradient_and_is_read_anew():
    bias = nn.parameter(np.zeros((2, 7), np.float32))
    array = ops.captured(bias, "bias")
    q, k, v = (nn.tensor(RNG.standard_normal((4, 2, 8)).astype(np.float32)) for _ in range(3))

    def run():
        return ops.attention(q, k, v, score=lambda s, b, h, i, j: s + array[h, i - j + 3],
                             arrays=[array])

    first = run()
    ops.sum(first * first).backward()
    assert bias.gradient.numpy().any()
    with bias.writable() as numbers:
        numbers[:, 3] = 50  # the diagonal
    assert np.allclose(run().numpy(), v.numpy(), atol=1e-5)


def test_a_transformer_learns_to_repeat():
    model = nn.Transformer(vocabulary=16, width=48, layers=2, heads=4, positions="rope")
    optimiser = train.AdamW(model, rate=train.cosine(1e-2, steps=150, warmup=15))
    for step in range(150):
        half = np.random.default_rng(step).integers(0, 16, (16, 8))
        ids = np.concatenate([half, half], 1)
        counts = np.arange(15)[None, :] >= 7
        loss = optimiser.step(ops.cross_entropy(model(ids[:, :-1], [15] * 16), ids[:, 1:],
                                                weights=np.repeat(counts, 16, 0)))
    assert loss < 1.0 < np.log(16)
    assert optimiser.steps == 150 and optimiser.norm > 0
    shown = model.show(ids[0])
    assert shown[(1, "query")].shape == (16, 4, 12)


def test_an_encoder_decoder_and_states():
    model = nn.EncoderDecoder(vocabulary=16, width=16, layers=1, heads=2)
    assert model([1, 2, 3, 4], [3, 1], [5, 6, 7], [1, 2]).shape == (3, 16)
    encoder = nn.Transformer(width=16, layers=1, heads=2, causal=False, positions="none", head=False)
    x = RNG.standard_normal((5, 16)).astype(np.float32)
    order = RNG.permutation(5)
    straight, shuffled = (encoder.states(nn.tensor(one)).numpy() for one in (x, x[order]))
    assert np.allclose(straight[order], shuffled, atol=1e-5)
    with pytest.raises(TypeError, match="'widht' is no option"):
        nn.Transformer(widht=16)


def test_batch_norm_and_dropout_know_when_they_train():
    norm, drop = nn.BatchNorm(3), nn.Dropout(0.5, seed=1)
    x = nn.tensor(RNG.standard_normal((64, 3)).astype(np.float32) * 3 + 1)
    assert abs(norm(x).numpy().mean()) < 1e-5
    assert not np.allclose(norm(x).numpy(), norm.eval()(x).numpy())
    dropped = drop(x).numpy()
    assert 0.3 < (dropped == 0).mean() < 0.7
    assert (drop(x).numpy() != dropped).any()
    assert drop.eval()(x) is x


@pytest.mark.parametrize("cell, rows", [("tanh", 1), ("relu", 1), ("gru", 3), ("lstm", 4)])
def test_recurrent_layers(cell, rows):
    layer = nn.Recurrent(3, 5, cell=cell, rng=1)
    assert layer.weight_ih.shape == (5 * rows, 3)
    x = nn.tensor(RNG.standard_normal((4, 2, 3)).astype(np.float32))
    steps, last, c = layer(x, lengths=[4, 2])
    assert steps.shape == (4, 2, 5) and (c is not None) == (cell == "lstm")
    assert (last.numpy()[0] == steps.numpy()[3, 0]).all()
    assert (last.numpy()[1] == steps.numpy()[1, 1]).all()
    ops.sum(steps.reshape(8, 5)).backward()
    assert all(leaf.gradient is not None for leaf in layer.parameters().values())


def test_a_seq2seq_learns_to_reverse():
    model = nn.Seq2Seq(10, 10, width=24, hidden=48, bidirectional=True, cell="gru")
    optimiser = train.AdamW(model, rate=1e-2)
    for step in range(150):
        rng = np.random.default_rng(step)
        source = [rng.integers(3, 10, rng.integers(2, 6)).tolist() for _ in range(32)]
        optimiser.step(model(source, [one[::-1] for one in source]))
    source = [[3, 4, 5, 6], [9, 8]]
    written = model.greedy(source, 10)
    assert [one.ids for one in written] == [one[::-1] for one in source]
    assert all(one.stopped for one in written)
    assert np.allclose(written[0].weights[:, :4].sum(1), 1, atol=1e-5)
    with pytest.raises(ValueError, match="context is 'x'"):
        nn.Seq2Seq(4, 4, context="x")


def test_rates():
    rate = train.cosine(1.0, steps=100, warmup=10)
    assert [rate(0), rate(9), rate(10), rate(100)] == pytest.approx([0.1, 1, 1, 0.1])
    assert train.linear(1.0, steps=10, floor=0)(5) == 0.5
    assert train.inverse_sqrt(1.0, warmup=4)(16) == 0.5
    assert train.constant(2.0, warmup=2)(0) == 1


def test_a_loss_that_is_no_number_changes_nothing():
    w = nn.parameter(np.ones((1, 1), np.float32))
    optimiser = train.AdamW({"w": w})
    with pytest.raises(FloatingPointError, match="nan in step 0"):
        optimiser.step(ops.linear(nn.tensor(np.full((1, 1), np.nan, np.float32)), w).reshape(1))
    assert w.numpy() == 1 and w.gradient is None
    with pytest.raises(ValueError, match="no parameters"):
        train.AdamW({})
