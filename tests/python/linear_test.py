"""regard.linear_attention on NumPy arrays, compared with the recurrence in float64."""

import itertools

import numpy as np
import pytest
import regard
from formula import normal

RULES = ["linear", "gated", "delta", "gated_delta"]
MAPS = {
    "identity": lambda x: x,
    "elu": lambda x: np.where(x > 0, x + 1, np.exp(np.minimum(x, 0))),
    "relu": lambda x: np.maximum(x, 0),
    "exp": np.exp,
}


def problem(rule, batch=2, tokens=40, heads=4, kv_heads=2, dim=12, dim_v=20):
    """q, k, v and the gates of rule, in layout "bthd"."""
    arrays = {
        "q": normal(1, batch, tokens, heads, dim),
        "k": normal(2, batch, tokens, kv_heads, dim) / np.float32(np.sqrt(dim)),
        "v": normal(3, batch, tokens, kv_heads, dim_v),
    }
    if "gated" in rule:
        arrays["decay"] = -np.abs(normal(4, batch, tokens, kv_heads, dim)) / 10
    if "delta" in rule:
        arrays["beta"] = (1 / (1 + np.exp(normal(5, batch, tokens, kv_heads)))).astype(np.float32)
    return arrays


def recurrence(q, k, v, decay=None, beta=None, state=None, features="identity", normalise=False,
               scale=None):
    """One sequence, layout "thd". Returns out and the last state."""
    q, k, v = (np.asarray(x, np.float64) for x in (q, k, v))
    q, k = MAPS[features](q), MAPS[features](k)
    (tokens, heads, dim), (_, kv_heads, dim_v) = q.shape, v.shape
    state = np.zeros((kv_heads, dim, dim_v)) if state is None else state.astype(np.float64)
    total = np.zeros((kv_heads, dim))
    out = np.empty((tokens, heads, dim_v))
    for t in range(tokens):
        if decay is not None:
            state = state * np.exp(np.float64(decay[t]))[..., None]
            total = total * np.exp(np.float64(decay[t]))
        total = total + k[t]
        u = v[t]
        if beta is not None:
            u = np.float64(beta[t])[:, None] * (u - np.einsum("hdm,hd->hm", state, k[t]))
        state = state + k[t][:, :, None] * u[:, None, :]
        for head in range(heads):
            of = head // (heads // kv_heads)
            out[t, head] = q[t, head] @ state[of]
            if normalise:
                out[t, head] /= q[t, head] @ total[of]
            else:
                out[t, head] *= dim**-0.5 if scale is None else scale
    return out, state


def assert_near(result, expected, tolerance=2e-6):
    expected = np.asarray(expected, np.float64)
    assert np.linalg.norm(result - expected) <= tolerance * np.linalg.norm(expected) + 1e-30


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("scale", [None, 0.5])
def test_agrees_with_the_recurrence(rule, scale):
    arrays = problem(rule)
    out, state = regard.linear_attention(**arrays, rule=rule, scale=scale, layout="bthd",
                                         return_state=True)
    assert state.dtype == np.float32
    for b in range(2):
        one = {name: array[b] for name, array in arrays.items()}
        expected, last = recurrence(**one, scale=scale)
        assert_near(out[b], expected)
        assert_near(state[b], last)
        alone = regard.linear_attention(**one, rule=rule, scale=scale)
        np.testing.assert_array_equal(alone, out[b])


@pytest.mark.parametrize("features", MAPS)
@pytest.mark.parametrize("rule", ["linear", "gated"])
def test_feature_maps_normalised(features, rule):
    one = {name: array[0] for name, array in problem(rule).items()}
    if features == "identity":
        one["q"], one["k"] = np.abs(one["q"]), np.abs(one["k"])
    out = regard.linear_attention(**one, rule=rule, features=features, normalise=True)
    assert_near(out, recurrence(**one, features=features, normalise=True)[0], 1e-5)


@pytest.mark.parametrize("rule", RULES)
def test_a_state_handed_on_gives_the_same_bits(rule):
    one = {name: array[0] for name, array in problem(rule).items()}
    whole, last = regard.linear_attention(**one, rule=rule, return_state=True)
    state, parts = None, []
    for rows in (slice(0, 7), slice(7, 8), slice(8, 40)):
        part = {name: array[rows] for name, array in one.items()}
        out, state = regard.linear_attention(**part, rule=rule, state=state, return_state=True)
        parts.append(out)
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    np.testing.assert_array_equal(state, last)


def test_a_normalised_state_is_a_pair():
    one = {name: array[0] for name, array in problem("gated").items()}
    options = {"rule": "gated", "features": "elu", "normalise": True}
    whole, last = regard.linear_attention(**one, **options, return_state=True)
    state, key_sum = last
    assert state.shape == (2, 12, 20) and key_sum.shape == (2, 12)
    head = {name: array[:9] for name, array in one.items()}
    tail = {name: array[9:] for name, array in one.items()}
    _, middle = regard.linear_attention(**head, **options, return_state=True)
    out = regard.linear_attention(**tail, **options, state=middle)
    np.testing.assert_array_equal(out, whole[9:])
    with pytest.raises(TypeError, match=r"state is a ndarray, must be a pair \(state, key_sum\)"):
        regard.linear_attention(**tail, **options, state=state)


def test_without_causal_it_is_its_quadratic_form():
    q, k, v = normal(1, 30, 4, 16), normal(2, 700, 2, 16), normal(3, 700, 2, 8)
    out = regard.linear_attention(q, k, v, features="elu", normalise=True, causal=False)
    weights = np.einsum("ihd,jhd->hij", MAPS["elu"](np.float64(q)),
                        np.repeat(MAPS["elu"](np.float64(k)), 2, axis=1))
    weights /= weights.sum(-1, keepdims=True)
    assert_near(out, np.einsum("hij,jhm->ihm", weights, np.repeat(v, 2, axis=1)), 1e-5)


def test_gates_may_be_one_for_a_head_and_one_for_all():
    arrays = problem("gated_delta")
    arrays["decay"], arrays["beta"] = arrays["decay"][..., :1], arrays["beta"][..., :1]
    out = regard.linear_attention(**arrays, rule="gated_delta", layout="bthd")
    flat = {**arrays, "decay": arrays["decay"][..., 0]}
    np.testing.assert_array_equal(
        regard.linear_attention(**flat, rule="gated_delta", layout="bthd"), out)
    wide = {**arrays, "decay": np.repeat(arrays["decay"], 12, -1),
            "beta": np.repeat(arrays["beta"], 2, -1)}
    np.testing.assert_array_equal(
        regard.linear_attention(**wide, rule="gated_delta", layout="bthd"), out)


@pytest.mark.parametrize("layout", ["".join(axes) for axes in itertools.permutations("bthd")])
def test_every_layout_is_the_same_numbers(layout):
    arrays = problem("gated_delta", tokens=9)
    expected = regard.linear_attention(**arrays, rule="gated_delta", layout="bthd")

    def arrange(array, axes):
        return np.ascontiguousarray(array.transpose(["bthd".index(axis) for axis in axes]))

    moved = {name: arrange(array, layout.replace("d", "") if array.ndim == 3 else layout)
             for name, array in arrays.items()}
    out = regard.linear_attention(**moved, rule="gated_delta", layout=layout)
    np.testing.assert_array_equal(out, arrange(expected, layout))


def test_a_ragged_batch_is_its_sequences():
    arrays = problem("gated_delta", batch=1)
    one = {name: array[0] for name, array in arrays.items()}
    states = normal(9, 3, 2, 12, 20)
    out, last = regard.linear_attention(**one, rule="gated_delta", state=states, return_state=True,
                                        offsets=[0, 25, 25, 40])
    np.testing.assert_array_equal(last[1], states[1])
    for number, rows in ((0, slice(0, 25)), (2, slice(25, 40))):
        part = {name: array[rows] for name, array in one.items()}
        alone, state = regard.linear_attention(**part, rule="gated_delta", state=states[number],
                                               return_state=True)
        np.testing.assert_array_equal(out[rows], alone)
        np.testing.assert_array_equal(last[number], state)


def test_float16_is_rounded_once():
    arrays = {name: array.astype(np.float16) for name, array in problem("gated_delta").items()}
    out, state = regard.linear_attention(**arrays, rule="gated_delta", layout="bthd",
                                         return_state=True)
    assert out.dtype == np.float16 and state.dtype == np.float32
    wide = {name: array.astype(np.float32) for name, array in arrays.items()}
    np.testing.assert_array_equal(
        out, regard.linear_attention(**wide, rule="gated_delta",
                                     layout="bthd").astype(np.float16))
    _, half = regard.linear_attention(**arrays, rule="gated_delta", layout="bthd",
                                      state=np.zeros((2, 2, 12, 20), np.float16),
                                      return_state=True)
    np.testing.assert_array_equal(half, state.astype(np.float16))


def test_out_is_filled_and_threads_change_nothing():
    arrays = problem("delta")
    out = np.full((2, 40, 4, 20), np.nan, np.float32)
    assert regard.linear_attention(**arrays, rule="delta", layout="bthd", out=out, threads=1) is out
    np.testing.assert_array_equal(
        out, regard.linear_attention(**arrays, rule="delta", layout="bthd", threads=3))


@pytest.mark.parametrize("rule, normalise", [*((rule, False) for rule in RULES), ("gated", True)])
def test_gradients_are_slopes(rule, normalise):
    one = {name: array[0] for name, array in problem(rule, 1, 5, 2, 1, 3, 2).items()}
    if normalise:
        one["q"], one["k"] = np.abs(one["q"]) + 1, np.abs(one["k"]) + 1
    state = normal(8, 1, 3, 2) if not normalise else None
    dout, dstate = normal(6, 5, 2, 2), normal(7, 1, 3, 2)
    options = {"rule": rule, "normalise": normalise}
    if normalise:
        options["out"] = regard.linear_attention(**one, rule=rule, normalise=True)
        upstream = dstate, np.zeros((1, 3), np.float32)
    else:
        upstream = dstate
    gradients = regard.linear_attention_backward(**one, dout=dout, state=state, dstate=upstream,
                                                 **options)
    inputs = {**one, **({} if state is None else {"state": state})}

    def loss(changed):
        out, last = recurrence(**{**inputs, **changed}, normalise=normalise)
        return (out * dout).sum() + (last * dstate).sum()

    for name, array in inputs.items():
        gradient = getattr(gradients, "d" + name)
        slopes = np.empty(array.shape)
        for at in np.ndindex(array.shape):
            wide = [array.astype(np.float64) for _ in range(2)]
            wide[0][at] += 1e-5
            wide[1][at] -= 1e-5
            slopes[at] = (loss({name: wide[0]}) - loss({name: wide[1]})) / 2e-5
        assert gradient.shape == array.shape and gradient.dtype == array.dtype
        assert_near(gradient, slopes, 1e-5)
    for name in {"decay", "beta", "state"} - set(inputs):
        assert getattr(gradients, "d" + name) is None


Q, K, V = normal(1, 4, 4, 8), normal(2, 4, 2, 8), normal(3, 4, 2, 10)


def call(q=Q, k=K, v=V, **options):
    return lambda: regard.linear_attention(q, k, v, **options)


@pytest.mark.parametrize("error, words, run", [
    (ValueError, "k is 1 x 4 x 2 x 7, must be 1 x 4 x 2 x 8", call(k=K[..., :7])),
    (ValueError, "heads (3) is not a positive multiple of kv_heads (2)", call(q=Q[:, :3])),
    (ValueError, "rule is 'fast', must be one of 'linear', 'gated', 'delta', 'gated_delta'",
     call(rule="fast")),
    (TypeError, "rule is None, must be a word", call(rule=None)),
    (ValueError, "features is 'tanh', must be one of", call(features="tanh")),
    (ValueError, "a gated rule needs decay", call(rule="gated")),
    (ValueError, "beta is for delta rules", call(beta=K[..., 0])),
    (ValueError, "state is 1 x 1 x 8 x 10, must be 1 x 2 x 8 x 10",
     call(state=normal(1, 1, 8, 10))),
    (ValueError, "scale cancels", call(normalise=True, scale=1.0)),
    (TypeError, "scale is True", call(scale=True)),
    (TypeError, "normalise is 1, must be True or False", call(normalise=1)),
    (ValueError, "q holds f64, must hold f32, f16 or bf16", call(q=Q.astype(np.float64))),
    (TypeError, "offsets is 3, must be integers", call(offsets=3)),
    (ValueError, "offsets is empty", call(offsets=[])),
    (ValueError, "offsets[1] is 9, must be in 0 .. 4", call(offsets=[0, 9])),
    (ValueError, "output out overlaps v", call(out=V.reshape(4, 2, 10), q=Q[:, :2])),
    (ValueError, "threads (-1) is not in 0 .. 1024", call(threads=-1)),
])
def test_refused_in_one_line(error, words, run):
    with pytest.raises(error) as caught:
        run()
    text = str(caught.value)
    assert words in text and "\n" not in text and text.startswith("linear_attention: ")
