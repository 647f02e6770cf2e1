"""Functions become programs that mean what the functions do."""

import functools
import math
import re

import numpy as np
import published
import pytest
import regard
from formula import normal
from regard import program
from regard.program import batch, head, key, query, row, score

A = published.captured(np)
SHAPE = published.BATCH, published.HEADS, published.TOKENS, published.KEYS
SIZES = regard._context.Sizes(*SHAPE)
POINTS = np.random.default_rng(1).integers(0, SHAPE, (500, 4)).T
SCORES = 2 * normal(3, 500).astype(np.float64)


def traced(function, leaves, sizes=SIZES):
    trace = regard._context.Trace(sizes)
    return regard._trace.trace(function, leaves, "score_mod", trace)


def value_of(expr):
    b, h, q, k = POINTS
    return program.evaluate(expr, s=SCORES, batch=b, head=h, i=q, j=k)


@pytest.mark.parametrize("name", published.score_mods(np, A))
def test_published_score_mods(name):
    score_mod = published.score_mods(np, A)[name]
    expr = traced(score_mod, ("score", "batch", "head", "row", "key"))
    expected = [score_mod(*point) for point in zip(SCORES, *POINTS)]
    np.testing.assert_allclose(value_of(expr), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", published.mask_mods(np, A))
def test_published_mask_mods(name):
    mask_mod = published.mask_mods(np, A)[name]
    expr = traced(mask_mod, ("batch", "head", "row", "key"))
    assert expr.kind == "boolean"
    expected = [mask_mod(*point) for point in zip(*POINTS)]
    assert 0 < np.mean(expected) < 1
    np.testing.assert_array_equal(value_of(expr), expected)


OPERATORS = [
    "i + 3",
    "3 + i",
    "i - j",
    "3 - i",
    "i * j",
    "s * i",
    "i / 4",
    "7 / (i + 1)",
    "(i - j) // 3",
    "-7 // (i + 1)",
    "(i - j) % 5",
    "-7 % (i + 2)",
    "s // 0.25",
    "s % 0.3",
    "-i",
    "+s",
    "abs(i - j)",
    "i ** 3",
    "s ** 2",
    "s ** -2",
    "abs(s) ** 0.5",
    "abs(s) ** 1.7",
    "2.0 ** s",
    "i & 6",
    "6 & i",
    "i | 9",
    "i ^ j",
    "~i",
    "i << 2",
    "1 << (i & 7)",
    "i >> 1",
    "(i - j) >> 1",
    "(i < j) & (j < 9)",
    "(i < j) | (j < 3)",
    "(i < j) ^ (j < 9)",
    "~(i < j)",
    "i <= j",
    "i > j",
    "i >= j",
    "i == j",
    "i != j",
    "2 < j",
    "s == s",
    "(i == j) + 1",
    "True & (i < j)",
    "np.float32(2) * s",
    "np.int64(2) + i",
    "s * np.array(0.5)",
    "np.array(2) - i",
]


@pytest.mark.parametrize("text", OPERATORS)
def test_operators_are_pythons(text):
    i, j = np.ogrid[:9, :12]
    s = normal(5, 9, 12).astype(np.float64)
    expected = np.broadcast_to(eval(text, {"np": np, "i": i, "j": j, "s": s}), s.shape)
    expr = eval(text, {"np": np, "i": query(), "j": key(), "s": score()})
    np.testing.assert_allclose(program.evaluate(expr, s=s, i=i, j=j), expected, rtol=1e-12)
    kinds = {"b": "boolean", "i": "integer", "f": "real"}
    assert expr.kind == kinds[expected.dtype.kind]


FUNCTIONS = ["tanh", "exp", "sin", "cos", "floor", "abs", "exp2", "expm1", "square", "tan", "sinh",
             "cosh", "ceil", "trunc", "rint", "sign", "isnan", "isfinite", "isinf", "negative",
             "positive", "reciprocal", "fabs", "logical_not"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_numpy(name):
    s = np.concatenate([normal(5, 90).astype(np.float64), [0.5, 1.5, 2.5, -0.5, -1.5]])
    function = getattr(np, name)
    np.testing.assert_allclose(program.evaluate(function(score()), s=s), function(s),
                               rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", ["log", "log2", "log10", "log1p", "sqrt"])
def test_functions_of_positive_numbers(name):
    s = np.linspace(0.1, 9, 40)
    function = getattr(np, name)
    np.testing.assert_allclose(program.evaluate(function(score()), s=s), function(s), rtol=1e-12)


@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "divide", "minimum", "maximum",
                                  "fmod", "remainder", "floor_divide", "logaddexp", "less",
                                  "greater_equal", "equal", "logical_xor", "logical_and"])
def test_functions_of_two(name):
    s, i = np.linspace(-3, 3, 13)[:, None], np.arange(1, 7)
    function = getattr(np, name)
    np.testing.assert_allclose(program.evaluate(function(score(), query()), s=s, i=i),
                               function(s, i), rtol=1e-12, atol=1e-15)


def test_methods():
    s = np.linspace(-2, 2, 33)
    for expr, expected in [
        (score().clamp(-1, 1), s.clip(-1, 1)),
        (score().clamp(min=0), s.clip(0)),
        (score().clip(max=0.5), s.clip(max=0.5)),
        (score().tanh(), np.tanh(s)),
        (score().masked_fill(score() > 1, -math.inf), np.where(s > 1, -math.inf, s)),
        (score().where(score() > 0, 7), np.where(s > 0, s, 7)),
        (score().to(np.float32), s),
        ((score() > 0).astype(float), s > 0),
        ((score() > 0).int(), s > 0),
        (score().new_zeros(()), 0 * s),
        (score().sub(1, alpha=2), s - 2),
        (score().div(0.3, rounding_mode="trunc"), np.trunc(s / 0.3)),
    ]:
        np.testing.assert_allclose(program.evaluate(expr, s=s), expected)


def test_integer_division_that_truncates():
    i = np.arange(-9, 10)
    expr = query().div(4, rounding_mode="trunc")
    assert expr.kind == "integer"
    np.testing.assert_array_equal(program.evaluate(expr, i=i), np.trunc(i / 4))


def test_leaves_and_printing():
    leaves = {
        "s": score(),
        "batch": batch(),
        "head": head(),
        "i": query(),
        "j": key(),
        "row": row(),
    }
    assert {name: str(leaf) for name, leaf in leaves.items()} == {name: name for name in leaves}
    assert str(program.tanh(score() / 30) * 30) == "tanh(s / 30) * 30"
    assert str(regard.causal() & program.window(8, 0)).startswith("(j <= i) & ")
    bias = np.zeros((2, 3, 3), np.float32)

    def score_mod(s, b, h, i, j):
        return s + bias[h, i, j]

    assert str(traced(score_mod, ("score", "batch", "head", "row", "key"), None)) == \
        "s + bias[head, row, j]"
    assert "tanh" in repr(score().tanh())


# ---- arrays ----

class Table:
    def __init__(self):
        self.table = np.arange(10, dtype=np.float32)

    def __call__(self, i, j):
        return self.table[i - j]

    def method(self, i, j):
        return self.table[i - j]


GLOBAL = np.arange(10, dtype=np.float32)


def of_a_global(i, j):
    return GLOBAL[i - j]


def test_where_numpy_arrays_may_stand():
    table, nested = np.arange(10, dtype=np.float32), {"tables": [np.arange(10, dtype=np.float32)]}

    def helper(at):
        return table[at]

    def of_a_helper(i, j):
        return helper(i - j)

    def of_a_default(i, j, *, table=table):
        return table[i - j]

    def of_a_container(i, j):
        return nested["tables"][0][i - j]

    i, j = np.ogrid[:10, :10]
    expected = np.arange(10)[i - j]
    for function in (
        of_a_global,
        of_a_helper,
        of_a_default,
        of_a_container,
        Table(),
        Table().method,
        functools.partial(lambda t, i, j: t[i - j], table),
        lambda i, j: table[i - j],
    ):
        expr = traced(function, ("query", "key"), None)
        np.testing.assert_array_equal(program.evaluate(expr, i=i, j=j), expected)
    assert type(GLOBAL) is np.ndarray


def test_arrays_are_shared():
    for numbers in (np.arange(6, dtype=np.float32), np.arange(6, dtype=np.int32),
                    np.arange(6) % 2 == 0, np.arange(12, dtype=np.float32)[::-2]):
        expr = regard.array(numbers)[key()]
        before = program.evaluate(expr, j=np.arange(6))
        np.testing.assert_array_equal(before, numbers)
        numbers[:] = numbers[::-1].copy()
        np.testing.assert_array_equal(program.evaluate(expr, j=np.arange(6)), before[::-1])


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "uint64", "float16", "float64"])
def test_other_types_are_converted(dtype):
    numbers = np.arange(6).astype(dtype)
    expr = regard.array(numbers)[key()]
    assert expr.kind == ("real" if "float" in dtype else "integer")
    np.testing.assert_array_equal(program.evaluate(expr, j=np.arange(6)), numbers)


def test_an_expression_keeps_its_array_alive():
    expr = regard.array(np.full(1000, 7, np.float32))[key()]
    filler = [np.zeros(1000, np.float32) for _ in range(50)]
    assert (program.evaluate(expr, j=np.arange(1000)) == 7).all() and filler


def test_indices():
    numbers = normal(1, 3, 4, 5)
    a = regard.array(numbers, "a")
    i, j = np.ogrid[:4, :5]
    for expr in (a[1, query(), key()], a[1][query()][key()], a[-2, query()][key()],
                 a[..., key()][1, query()], a[:, query(), key()][1], a(1, query(), key()),
                 a[1, query() - 4, key() - 5]):
        np.testing.assert_array_equal(program.evaluate(expr, i=i, j=j), numbers[1])
    assert a.shape == (3, 4, 5) and a[1].shape == (4, 5) and a[..., key()].ndim == 2 and len(a) == 3
    assert np.isnan(program.evaluate(a(0, query(), -1), i=2))
    assert np.isnan(program.evaluate(a[0, query() + 4, 0], i=2))


def test_ready_made_programs():
    i, j = np.ogrid[:12, :12]
    ids = np.sort(np.arange(12) % 3)
    for expr, expected in [
            (program.causal_mask(), j <= i), (program.window(2, 1), (j - i >= -2) & (j - i <= 1)),
            (program.prefix(4), j < 4 + 0 * i), (program.documents(ids), ids[i] == ids[j]),
            (program.chunk(5), i // 5 == j // 5), (program.dilated(3), (i - j) % 3 == 0),
            (program.lengths([7]), j < 7 + 0 * i), (program.left_padding([3]), j >= 3 + 0 * i),
            (program.allowed(np.eye(12, dtype=bool)), i == j),
            (program.block_sparse(np.eye(3, dtype=bool), 4, 4), i // 4 == j // 4),
            (program.natten(12, 3), abs(np.clip(i, 1, 10) - j) <= 1)]:
        np.testing.assert_array_equal(program.evaluate(expr, i=i, j=j), expected)
    s = normal(1, 12, 12).astype(np.float64)
    slopes = program.alibi_slopes(4)
    np.testing.assert_array_equal(slopes, np.float32([2**-2, 2**-4, 2**-6, 2**-8]))
    table, bias = normal(2, 23), normal(3, 12, 12)
    buckets = program.t5_buckets(8, 20, True)
    t5 = normal(4, 8, 4)
    for expr, expected in [
        (program.alibi(slopes), s + 2**-2 * (j - i)),
        (program.softcap(3.0), np.tanh(s / 3) * 3),
        (program.relative_position(table), s + table[np.clip(i - j, -11, 11) + 11]),
        (program.additive_bias(bias, score() * 2), 2 * s + bias),
        (program.t5_bias(t5, 8, 20, True), s + t5[buckets[j - i + 20], 0]),
    ]:
        np.testing.assert_allclose(program.evaluate(expr, s=s, i=i, j=j), expected, rtol=1e-6)
    assert str(program.derivative(score() * 3)) == "3.0"


# ---- what is refused ----

BIAS = np.zeros((3, 4), np.float32)
REFUSED = [
    (lambda s, i, j: s if s > 0 else 0, "use where(condition, yes, no)"),
    (lambda s, i, j: s if 0 < s < 1 else 0, "chained comparisons"),
    (lambda s, i, j: s and 0, "if, and, or, not"),
    (lambda s, i, j: math.exp(s), "use functions of regard.program, torch or numpy, not of math"),
    (lambda s, i, j: int(s), "is no Python number"),
    (lambda s, i, j: [1, 2][j], "it cannot index a list or tuple"),
    (lambda s, i, j: sum(s), "has no length and no elements"),
    (lambda s, i, j: np.arctan(s), "numpy's arctan() is not one of the functions"),
    (lambda s, i, j: np.add.reduce(s), "numpy's add.reduce() is not one"),
    (lambda s, i, j: np.add(s, 1, out=np.zeros(1)), "numpy's add(out=...) is not one"),
    (lambda s, i, j: np.linalg.norm(s), "norm() is not one of the functions"),
    (lambda s, i, j: s + BIAS, "an array of 3 x 4 whole numbers, not one of them"),
    (lambda s, i, j: s + BIAS[i], "array has 2 axes, and 1 of them have an index|BIAS has 2 axes"),
    (lambda s, i, j: BIAS[s, j], "BIAS is indexed by s, which is real, not integer"),
    (lambda s, i, j: BIAS[i > j, j], "which is boolean, not integer"),
    (lambda s, i, j: BIAS[1:, j][i], "BIAS is indexed by a slice"),
    (lambda s, i, j: BIAS[i, j, 0], "3 indices for BIAS, which has 2 axes"),
    (lambda s, i, j: s + "1", "unsupported operand"),
    (lambda s, i, j: s.int(), "a real value becomes no integer"),
    (lambda s, i, j: s & 1, "takes? no real|real"),
    (lambda s, i, j: i ** j, "needs a constant exponent"),
    (lambda s, i, j: None, "score_mod returned None, must return a value"),
    (lambda s, i, j: "yes", "'yes' is no value of a program"),
]


@pytest.mark.parametrize("function, words", REFUSED, ids=[words for _, words in REFUSED])
def test_what_cannot_be_traced(function, words):
    pattern = words if "|" in words else re.escape(words)
    with pytest.raises(TypeError, match=pattern) as caught:
        traced(function, ("score", "query", "key"), None)
    assert "\n" not in str(caught.value)


def test_unknown_methods():
    with pytest.raises(AttributeError, match="a traced value has no 'softmax'"):
        score().softmax(-1)
    assert not hasattr(score(), "cuda")


@pytest.mark.parametrize("make, words", [
    (lambda: regard.array(np.float32(1)), "rank 0 is not 1 to 4"),
    (lambda: regard.array(np.zeros((1,) * 5, np.float32)), "rank 5 is not 1 to 4"),
    (lambda: regard.array([2**31]), "holds integers beyond 32 bits"),
    (lambda: regard.array([1, 2], differentiable=True), "only a real array is differentiable"),
    (lambda: regard.array(np.zeros(3))[3], "index 3 of array is not within its 3 elements"),
    (lambda: score() + 2**31, "the constant 2147483648 does not fit 32 bits"),
    (lambda: traced(lambda i, j: BIAS[i, j], ("row", "key")), "BIAS is too short: 3 elements along "
                                                               "axis 0, and row reaches 23")])
def test_values_that_break_a_rule(make, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        make()


@pytest.mark.parametrize("wrong", [np.zeros(3, complex), np.array(["a"]), object(), "text",
                                   np.ma.masked_array(np.zeros(3))])
def test_what_is_no_array(wrong):
    with pytest.raises(TypeError, match="array: bias"):
        regard.array(wrong, "bias")
