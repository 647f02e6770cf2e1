"""The labs: all but the timings hold in quick runs, its files are whole, and its page's code runs."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from regard.labs import Context, Lab, find, names  # noqa: E402
from regard.labs import _plot, _story  # noqa: E402
from regard.labs.__main__ import main  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
QUICK = [name for name in names() if find(name).kind != "timing"]


def a_lab(run=None):
    return Lab(name="made-up", items=("S0.1",), kind="arithmetic", title="t", question="q",
               formula="f", says="s", code="", more=(), run=run)


@pytest.mark.parametrize("name", QUICK)
def test_holds_and_writes_its_files(name, tmp_path, capsys):
    assert main([name, "--quick", "--json", "--out", str(tmp_path / "a")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["name"] == name and told["pass"] is True
    assert all(check.keys() == {"what", "measured", "wanted", "pass"} for check in told["checks"])
    assert [pathlib.Path(file).name for file in told["files"]] == [
        f"{name}.svg", f"{name}.png", "numbers.json"]
    svg = (tmp_path / "a" / f"{name}.svg").read_text()
    assert 1_000 < len(svg.encode()) < 60_000 and "<dc:date>" not in svg
    assert (tmp_path / "a" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "a/numbers.json").read_text())["checks"] == told["checks"]


@pytest.mark.parametrize("name", names())
def test_what_a_lab_says_of_itself(name):
    lab = find(name)
    assert lab.kind in ("arithmetic", "timing", "training") and lab.items and lab.more
    for text in (lab.title, lab.question, lab.formula, lab.says, lab.code):
        assert text.strip()


@pytest.mark.parametrize("name", QUICK)
def test_the_pages_code_runs(name, capsys):
    exec(compile(find(name).code, f"code of {name}", "exec"), {})
    assert capsys.readouterr().out.strip()


def test_equal_numbers_give_equal_files(tmp_path):
    for folder in ("a", "b"):
        main(["lookup", "--quick", "--out", str(tmp_path / folder)])
    for file in ("lookup.svg", "lookup.png", "numbers.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    main(["lookup", "--quick", "--seed", "7", "--out", str(tmp_path / "c")])
    assert (tmp_path / "a/numbers.json").read_bytes() != (tmp_path / "c/numbers.json").read_bytes()


def test_every_lab_has_its_place_in_the_story():
    told = [name for chapter in _story.CHAPTERS for name in chapter.labs]
    assert len(told) == len(set(told)) and set(names()) <= set(told)
    assert all(find(name).name == name and find(name).run for name in names())


def test_the_gallery_has_a_page_for_each():
    for name in QUICK:
        folder = ROOT / "docs/labs" / name
        assert (folder / "README.md").is_file(), f"regard lab {name} --docs docs/labs writes it"
        assert (folder / f"{name}.svg").stat().st_size < 60_000
        result = json.loads((folder / "numbers.json").read_text())
        assert result["quick"] is False and result["items"] == list(find(name).items)
        assert f"]({name}/README.md)" in (ROOT / "docs/labs/README.md").read_text()


def test_a_failed_acceptance_is_exit_code_1(tmp_path, monkeypatch, capsys):
    def run(lab):
        lab.at_most("too large", 2.0, 1.0)
        lab.label(lab.figure(), "t", x="x", y="y")

    monkeypatch.setattr("regard.labs.find", lambda name: a_lab(run))
    assert main(["made-up", "--out", str(tmp_path)]) == 1
    assert "FAIL  made-up: too large: 2 (wanted ≤ 1)" in capsys.readouterr().out


def test_an_effect_needs_three_times_the_spread():
    lab = Context(a_lab())
    assert lab.effect("clear", [3, 3.1, 3.2], [1, 1, 1])
    assert not lab.effect("noisy", [3, 1, 2], [1, 1, 1])
    assert not lab.effect("backwards", [1, 1, 1], [2, 2, 2])
    assert not lab.effect("small", [1.1, 1.1, 1.1], [1, 1, 1], at_least=0.5)
    assert "not shown" in lab.checks[1].measured
    with pytest.raises(ValueError, match="three seeds"):
        lab.effect("two", [1, 2], [0, 0])


def test_axes_without_units_are_refused(tmp_path):
    figure, axes = _plot.figure()
    axes.set_xlabel("x")
    with pytest.raises(ValueError, match="axes without a label"):
        _plot.save(figure, tmp_path, "bare")


def test_random_numbers_depend_on_seed_and_lab():
    draw = Context(a_lab()).rng(1).random(4)
    np.testing.assert_array_equal(draw, Context(a_lab()).rng(1).random(4))
    assert (draw != Context(a_lab()).rng(2).random(4)).all()


@pytest.mark.parametrize("words,code,said", [
    (["varance"], 2, "did you mean 'variance'?"),
    (["variance", "--seed", "-1"], 2, "--seed"),
    ([], 2, "--list"),
    (["variance", "--docs", "x", "--quick"], 2, "--docs"),
    (["lookup", "--quick", "--out", "/proc/none"], 3, "/proc/none"),
])
def test_a_mistake_is_one_line(words, code, said):
    done = subprocess.run([sys.executable, "-P", "-m", "regard.labs", *words], text=True,
                          capture_output=True, timeout=120)
    assert done.returncode == code and done.stdout == ""
    assert done.stderr.startswith("regard: ") and done.stderr.count("\n") == 1
    assert said in done.stderr
