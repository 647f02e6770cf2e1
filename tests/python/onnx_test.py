"""ONNX's node cases of attention, generated in this process: all 118 of onnx 1.23.2."""

import importlib

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, numpy_helper  # noqa: E402
from onnx.backend.test.case.node import _NodeTestCases  # noqa: E402
from onnx_backend import OPERATORS, RegardBackend  # noqa: E402

COUNTS = {"Attention": 93, "FlexAttention": 11, "LinearAttention": 14}
# Two units in the last place of the type that results are rounded to; float32's is the contract's.
RELATIVE = {"bfloat16": 2**-6, "float16": 2**-9}


def cases():
    for module in ("attention", "flexattention", "linear_attention"):
        importlib.import_module(f"onnx.backend.test.case.node.{module}")
    return {case.name: case for case in _NodeTestCases
            if "expanded" not in case.name and len(case.model.graph.node) == 1
            and case.model.graph.node[0].op_type in OPERATORS}


CASES = cases()


def test_no_case_is_missing():
    assert onnx.__version__ == "1.23.2"
    kinds = [case.model.graph.node[0].op_type for case in CASES.values()]
    assert {kind: kinds.count(kind) for kind in COUNTS} == COUNTS


def array(item):
    return numpy_helper.to_array(item) if isinstance(item, TensorProto) else np.asarray(item)


@pytest.mark.parametrize("name", CASES)
def test_case(name):
    case = CASES[name]
    (inputs, expected), = case.data_sets
    results = RegardBackend.prepare(case.model).run([array(item) for item in inputs])
    assert len(results) == len(expected)
    for result, wanted in zip(results, map(array, expected)):
        assert result.shape == wanted.shape and result.dtype == wanted.dtype
        np.testing.assert_allclose(result.astype(np.float64), wanted.astype(np.float64),
                                   rtol=RELATIVE.get(result.dtype.name, 1e-3), atol=1e-5)
