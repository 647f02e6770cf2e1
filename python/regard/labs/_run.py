"""Runs a lab and writes what came of it: NAME.svg, NAME.png and numbers.json."""

import json
import sys
from pathlib import Path
from typing import Any

from regard.labs import _plot
from regard.labs._lab import Context, Lab, text


def run(lab: Lab, folder: Path, *, seed: int = 0, quick: bool = False,
        png: bool = True) -> dict[str, Any]:
    """What numbers.json says. Raises OSError where folder cannot be written."""
    assert lab.run is not None, f"{lab.name} has no function"
    folder.mkdir(parents=True, exist_ok=True)
    context = Context(lab, seed, quick)
    lab.run(context)
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    files = _plot.save(context.drawn, folder, lab.name, png=png)
    files.append(folder / "numbers.json")
    result = {
        "name": lab.name, "pass": context.passed,
        "checks": [check.as_json() for check in context.checks],
        "files": [str(file) for file in files],
        "seed": seed, "seeds": list(context.seeds), "quick": quick, "kind": lab.kind,
        "items": list(lab.items),
        "reported": [{"what": what, "value": value} for what, value in context.reports],
        "numbers": context.numbers,
    }
    # A file of its own folder: names alone, so that it says the same wherever it lies.
    written = {**result, "files": [file.name for file in files]}
    files[-1].write_text(json.dumps(written, ensure_ascii=False, indent=1) + "\n")
    return result


def lines(result: dict[str, Any]) -> list[str]:
    """A line for each acceptance and each reported value."""
    told = [f"{'pass' if check['pass'] else 'FAIL'}  {result['name']}: {check['what']}: "
            f"{text(check['measured'])} (wanted {check['wanted']})" for check in result["checks"]]
    return told + [f"note  {result['name']}: {report['what']}: {text(report['value'])}"
                   for report in result["reported"]]
