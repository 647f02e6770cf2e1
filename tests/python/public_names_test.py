"""Every public name explains itself, to people and to type checkers."""

import importlib.metadata
import importlib.resources
import inspect
import pathlib
import re

import pytest
import regard
from regard import _core

CALLABLE = [name for name in regard.__all__ if callable(getattr(regard, name))]
FUNCTIONS = [name for name in CALLABLE if not inspect.isclass(getattr(regard, name))]


def test_all_is_what_is_public():
    public = {name for name in vars(regard) if not name.startswith("_")}
    by_themselves = {"torch", "nn", "ops", "train", "labs"}  # modules that others import
    assert public - by_themselves | {"__version__"} == set(regard.__all__)
    assert {"attention", "causal", "doctor", "explain", "flex_attention", "full"} < set(FUNCTIONS)
    assert inspect.getdoc(regard)


@pytest.mark.parametrize("name", CALLABLE)
def test_has_a_docstring(name):
    assert len(inspect.getdoc(getattr(regard, name))) > 25


@pytest.mark.parametrize("name", FUNCTIONS)
def test_signature_is_typed_and_documented(name):
    function = getattr(regard, name)
    signature = inspect.signature(function)
    assert signature.return_annotation is not inspect.Signature.empty
    doc = inspect.getdoc(function)
    for parameter in signature.parameters.values():
        assert parameter.annotation is not inspect.Parameter.empty, parameter
        assert name == "explain" or re.search(rf"\b{parameter.name}\b", doc, re.IGNORECASE), (
            parameter
        )


@pytest.mark.parametrize(
    "name, words",
    [
        (
            "attention",
            [
                "[tokens, heads, dim]",
                "[keys, kv_heads, dim_v]",
                "float32",
                "Raises",
                "TypeError",
                "ValueError",
                "MemoryError",
                "Source",
                "eq. 1",
                "logarithm",
            ],
        ),
        ("flex_attention", ["[batch, heads, tokens, dim]", "Raises", "TypeError", "Source"]),
        ("array", ["Raises"]),
        ("explain", ["Raises", "Source"]),
        ("causal", ["Raises", "Source"]),
        ("doctor", ["Raises"]),
    ],
)
def test_contract_names(name, words):
    doc = inspect.getdoc(getattr(regard, name))
    assert [word for word in words if word not in doc] == []


@pytest.mark.parametrize("name", regard.program.__all__)
def test_programs_explain_themselves(name):
    value = getattr(regard.program, name)
    assert inspect.getdoc(value), name
    if not inspect.isclass(value):
        assert inspect.signature(value).return_annotation is not inspect.Signature.empty


def test_version_is_one():
    assert regard.__version__ == importlib.metadata.version("regard")
    project = pathlib.Path(__file__).parents[2] / "CMakeLists.txt"
    assert f"project(regard VERSION {regard.__version__} " in project.read_text()


def test_types_are_shipped():
    files = importlib.resources.files(regard)
    assert (files / "py.typed").is_file()
    stub = (files / "_core.pyi").read_text()
    for name, value in vars(_core).items():
        if not name.startswith("_") and not inspect.ismodule(value):  # regard.ops types its own
            assert re.search(rf"^((def|class) )?{name}\b", stub, re.MULTILINE), name


def test_doctor():
    facts = regard.doctor()
    assert set(facts) == {"version", "cpu", "threads", "targets", "target"}
    assert facts["target"] in facts["targets"] and facts["threads"] >= 1


def test_explain():
    shapes = (2048, 12, 64), (2048, 4, 64), (2048, 4, 64)
    text = regard.explain(*shapes, mask="causal", threads=3)
    assert (
        "mask: a run of keys" in text and regard.doctor()["target"] in text and "workspace" in text
    )
    assert text == regard.explain(*(regard._arrays.np.zeros(s, "f") for s in shapes),
                                  mask=regard.causal(), threads=3)
    assert "scale 0.5" in regard.explain(*shapes, scale=0.5)
    many = regard.explain((8, 12, 20, 64), (8, 4, 20, 64), (8, 4, 20, 64), layout="bhtd")
    assert many.startswith("batch of 8 sequences, each:\n")
