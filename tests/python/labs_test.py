"""Labs: every one that computes in seconds passes, and leaves the files that it names."""

import json
import subprocess
import sys

import pytest

from regard.labs import Context, Lab, find, names
from regard.labs.__main__ import main
from regard.labs._lab import effect_and_spread

QUICK = [name for name in names() if find(name).kind != "timing"]


@pytest.mark.parametrize("name", QUICK)
def test_lab(name, tmp_path, capsys):
    code = main([name, "--quick", "--json", "--out", str(tmp_path)])
    result = json.loads(capsys.readouterr().out)
    failed = [check for check in result["checks"] if not check["pass"]]
    assert code == 0 and result["pass"] and not failed, failed
    assert result["name"] == name and result["checks"]
    for key in ("what", "measured", "wanted", "pass"):
        assert all(key in check for check in result["checks"])
    assert {f"{name}.svg", f"{name}.png", "numbers.json"} == {p.name for p in tmp_path.iterdir()}
    assert (tmp_path / f"{name}.svg").read_text().lstrip().startswith("<?xml")
    assert json.loads((tmp_path / "numbers.json").read_text())["checks"] == result["checks"]


@pytest.mark.parametrize("name", names())
def test_what_a_lab_says_of_itself(name):
    lab = find(name)
    assert lab.kind in ("arithmetic", "timing", "training") and lab.items
    for text in (lab.title, lab.question, lab.formula, lab.says, lab.code):
        assert text.strip()
    compile(lab.code, name, "exec")


def test_the_same_seed_draws_the_same_figure(tmp_path):
    for folder in ("a", "b"):
        main(["lookup", "--quick", "--out", str(tmp_path / folder)])
    assert (tmp_path / "a/lookup.svg").read_bytes() == (tmp_path / "b/lookup.svg").read_bytes()


def test_a_failed_acceptance_is_exit_code_1(tmp_path, monkeypatch, capsys):
    def run(lab: Context) -> None:
        axes = lab.figure()
        axes.plot([0, 1], [0, 1])
        lab.label(axes, "A line", x="x", y="y")
        lab.at_most("two", 2, 1)

    monkeypatch.setattr(find("lookup"), "run", run)
    assert main(["lookup", "--out", str(tmp_path)]) == 1
    assert "FAIL  lookup: two: 2 (wanted ≤ 1)" in capsys.readouterr().out


def test_effects_are_held_against_their_spread():
    assert effect_and_spread([3, 3, 3], [1, 1, 1]) == (2, 0)
    lab = Context(Lab("x", (), "arithmetic", "", "", "", "", "", ()))
    assert lab.effect("clear", [3, 3.1, 2.9], [1, 1, 1])
    assert not lab.effect("drowned", [3, 1, 2], [1, 1, 1])
    with pytest.raises(ValueError, match="three seeds"):
        effect_and_spread([1], [0])


def test_the_command_line_refuses_in_one_line(tmp_path):
    def refused(*words):
        done = subprocess.run([sys.executable, "-P", "-m", "regard.labs", *words],
                              capture_output=True, text=True)
        assert done.stderr.count("\n") == 1 and done.stderr.startswith("regard: "), done.stderr
        return done.returncode, done.stderr

    code, line = refused("varience")
    assert code == 2 and "did you mean 'variance'" in line
    assert refused()[0] == 2 and refused("lookup", "--seed", "-1")[0] == 2
    (tmp_path / "file").write_text("")
    assert refused("lookup", "--quick", "--out", str(tmp_path / "file"))[0] == 3
