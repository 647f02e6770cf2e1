"""FlexAttention functions written with torch are traced unchanged. Skipped without torch."""

import numpy as np
import published
import pytest
import regard
from formula import normal
from regard import program
from regard.program import score

torch = pytest.importorskip("torch")
flex = pytest.importorskip("torch.nn.attention.flex_attention")

A = published.captured(torch)
SHAPE = published.BATCH, published.HEADS, published.TOKENS, published.KEYS
SIZES = regard._context.Sizes(*SHAPE)
POINTS = np.random.default_rng(1).integers(0, SHAPE, (200, 4)).T
SCORES = 2 * normal(3, 200).astype(np.float64)


def traced(function, leaves=("score", "batch", "head", "row", "key"), sizes=SIZES):
    return regard._trace.trace(function, leaves, "score_mod", regard._context.Trace(sizes))


def value_of(expr):
    b, h, q, k = POINTS
    return program.evaluate(expr, s=SCORES, batch=b, head=h, i=q, j=k)


def expected_of(function, with_score):
    points = torch.from_numpy(POINTS.copy()).T
    scores = torch.from_numpy(SCORES)
    return np.array([float(function(*([s] if with_score else []), *point))
                     for s, point in zip(scores, points)])


@pytest.mark.parametrize("name", published.score_mods(torch, A))
def test_published_score_mods(name):
    score_mod = published.score_mods(torch, A)[name]
    np.testing.assert_allclose(value_of(traced(score_mod)), expected_of(score_mod, True),
                               rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", published.mask_mods(torch, A))
def test_published_mask_mods(name):
    mask_mod = published.mask_mods(torch, A)[name]
    expr = traced(mask_mod, ("batch", "head", "row", "key"))
    np.testing.assert_array_equal(value_of(expr), expected_of(mask_mod, False))


F = torch.nn.functional
FUNCTIONS = [
    torch.tanh,
    torch.exp,
    torch.exp2,
    torch.sigmoid,
    torch.abs,
    torch.square,
    torch.floor,
    torch.ceil,
    torch.round,
    torch.trunc,
    torch.sign,
    torch.neg,
    torch.reciprocal,
    torch.relu,
    torch.frac,
    torch.isnan,
    torch.isinf,
    torch.sin,
    torch.cos,
    torch.tan,
    torch.sinh,
    torch.cosh,
    torch.expm1,
    torch.logical_not,
    torch.special.expit,
    torch.zeros_like,
    torch.ones_like,
    F.silu,
    F.softplus,
    F.leaky_relu,
    F.elu,
    F.hardtanh,
    F.logsigmoid,
    lambda x: F.gelu(x, approximate="tanh"),
    lambda x: torch.full_like(x, 3.5),
    lambda x: torch.clamp(x, -1, 1),
    lambda x: torch.clamp(x, min=0.5),
    lambda x: x.clamp(max=0),
    lambda x: torch.clamp(input=x, min=0),
    lambda x: torch.where(x > 0, x, 2.0),
    lambda x: torch.where(x > 0, 1.0, x),
    lambda x: x.masked_fill(x > 1, float("-inf")),
    lambda x: torch.masked_fill(x, x < 0, 5.0),
    lambda x: x.where(x > 0, torch.tensor(7.0).double()),
    lambda x: torch.maximum(x, torch.tensor(0.5).double()),
    lambda x: torch.minimum(torch.tensor(0.5).double(), x),
    lambda x: torch.add(x, x, alpha=3),
    lambda x: torch.sub(x, 2, alpha=3),
    lambda x: torch.rsub(x, 2),
    lambda x: torch.div(x, 0.3, rounding_mode="floor"),
    lambda x: torch.div(x, 0.3, rounding_mode="trunc"),
    lambda x: torch.true_divide(x, 3),
    lambda x: torch.floor_divide(x, 0.7),
    lambda x: torch.remainder(x, 0.7),
    lambda x: torch.fmod(x, 0.7),
    lambda x: torch.pow(x, 3),
    lambda x: torch.pow(2.0, x),
    lambda x: x.pow(2),
    lambda x: x**2,
    lambda x: x.abs().sqrt(),
    lambda x: torch.rsqrt(x.abs()),
    lambda x: torch.log1p(x.abs()),
    lambda x: torch.log2(x.abs()),
    lambda x: torch.tensor(2.0) * x,
    lambda x: torch.tensor(2.0) - x,
    lambda x: torch.tensor(2.0) / x,
    lambda x: x / torch.tensor(2),
    lambda x: torch.tensor(3) // x,
    lambda x: torch.tensor(3.0) % x,
    lambda x: (torch.tensor(0.5) < x).to(x.dtype),
    lambda x: (x > torch.tensor(0.5)).float(),
    lambda x: x.float().double(),
    lambda x: x.to(torch.float32),
    lambda x: (x > 0).int() + 1,
    lambda x: torch.logaddexp(x, torch.tensor(0.0).double()),
    lambda x: x.to("cpu", torch.float32),
    lambda x: (x > 0).type_as(x),
    lambda x: torch.logical_and(x > 0, x < 1),
    lambda x: torch.logical_xor(x > 0, x < 1),
    lambda x: x.new_full((), 2.5) + x,
    lambda x: x + torch.tensor(1.0, device=x.device, dtype=x.dtype),
    lambda x: torch.where(x > 0, x, torch.finfo(torch.float32).min),
    lambda x: x.mul(2).add(1).sub(0.5).div(3),
    lambda x: torch.ge(x, 0) | x.lt(-1) | x.eq(0.5),
]


@pytest.mark.parametrize("function", FUNCTIONS, ids=range(len(FUNCTIONS)))
def test_functions_of_torch(function):
    expected = [float(function(s)) for s in torch.from_numpy(SCORES)]
    expr = traced(function, ("score",))
    np.testing.assert_allclose(value_of(expr), expected, rtol=2e-6, atol=1e-6)


INTEGERS = [
    lambda i, j: torch.bitwise_and(i, j),
    lambda i, j: torch.bitwise_or(i, 5),
    lambda i, j: i.bitwise_xor(j),
    lambda i, j: torch.bitwise_not(i),
    lambda i, j: torch.bitwise_left_shift(i, 2),
    lambda i, j: torch.bitwise_right_shift(i, 2),
    lambda i, j: torch.tensor(7) & i,
    lambda i, j: torch.tensor(1) << (i & 7),
    lambda i, j: torch.div(i - j, 4, rounding_mode="trunc"),
    lambda i, j: torch.div(i - j, 4, rounding_mode="floor"),
    lambda i, j: torch.remainder(i - j, 5),
    lambda i, j: torch.abs(i - j).long(),
    lambda i, j: (i - j).clamp(-3, 3),
    lambda i, j: torch.maximum(i, j),
    lambda i, j: torch.tensor(50) - i,
    lambda i, j: torch.tensor(50) // (i + 1),
    lambda i, j: i.to(torch.int64),
    lambda i, j: torch.where(i > j, i, 0),
    lambda i, j: (i >= j).to(torch.int32),
    lambda i, j: torch.fmod(i - j, 4),
    lambda i, j: torch.square(i),
    lambda i, j: torch.sign(i - j),
    lambda i, j: i.max(j),
    lambda i, j: torch.min(i, j),
]


@pytest.mark.parametrize("function", INTEGERS, ids=range(len(INTEGERS)))
def test_integer_functions_of_torch(function):
    i, j = (torch.from_numpy(at.copy()) for at in POINTS[2:])
    expr = traced(function, ("row", "key"))
    assert expr.kind == "integer"
    np.testing.assert_array_equal(value_of(expr), function(i, j).numpy())


def test_torchs_own_combinations():
    masks = published.mask_mods(torch, A)
    causal, prefix = masks["causal_mask"], masks["prefix_lm"]
    leaves = ("batch", "head", "row", "key")
    for combine, operation in ((flex.and_masks, np.logical_and), (flex.or_masks, np.logical_or)):
        expr = traced(combine(causal, prefix), leaves)
        np.testing.assert_array_equal(
            value_of(expr), operation(expected_of(causal, False), expected_of(prefix, False)))
    assert str(traced(flex.noop_mask, leaves)) == "True"
    assert str(traced(flex._identity)) == "s"


def test_attributes_of_a_value():
    assert (score() > 0).dtype == torch.bool and score().dtype == torch.float32
    assert score().device == torch.device("cpu") and score().ndim == score().dim() == 0
    assert score().is_floating_point() and not score().requires_grad and score().size() == ()


def test_tensors_are_shared_and_named():
    bias = torch.zeros(4, 48, 48)
    expr = traced(lambda s, b, h, i, j: s + bias[h, i, j])
    assert str(expr) == "s + bias[head, row, j]"
    before = value_of(expr)
    bias += 1
    np.testing.assert_array_equal(value_of(expr), before + 1)


def test_a_tensor_that_asks_for_a_gradient():
    table, factor = torch.randn(4, requires_grad=True), torch.tensor(0.5, requires_grad=True)
    trace = regard._context.Trace(SIZES)
    expr = regard._trace.trace(lambda s, b, h, i, j: s * factor + table[h] + table[h] * s,
                               ("score", "batch", "head", "row", "key"), "score_mod", trace)
    assert [array.differentiable for array in trace.arrays.values()] == [True, True]
    expected = SCORES * 0.5 + table.detach().numpy()[POINTS[1]] * (1 + SCORES)
    np.testing.assert_allclose(value_of(expr), expected, rtol=1e-6)


@pytest.mark.parametrize("function, words", [
    (lambda s, b, h, i, j: s if s > 0 else 0, "use where"),
    (lambda s, b, h, i, j: torch.erf(s), "torch's erf.. is not one of the functions"),
    (lambda s, b, h, i, j: s.add_(1), "changes a value in place; write add()"),
    (lambda s, b, h, i, j: torch.stack([s, s]), "stack.. is not one|no value"),
    (lambda s, b, h, i, j: s + torch.ones(3), "an array of 3 whole numbers"),
    (lambda s, b, h, i, j: s + A["bias"][b, h], "bias has 4 axes, and 2 of them have an index"),
    (lambda s, b, h, i, j: A["bias"][i > j], "is boolean, not integer"),
    (lambda s, b, h, i, j: torch.exp(s, out=torch.empty(1)), "exp.out=....")])
def test_what_cannot_be_traced(function, words):
    with pytest.raises(TypeError, match=words):
        traced(function)
