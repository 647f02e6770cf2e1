"""The gallery: a page for each lab from what it says and what it measured, and the story's index."""

import json
from pathlib import Path
from typing import Any

from regard.labs._lab import Lab, text
from regard.labs._story import CHAPTERS, find, names

_KINDS = {"arithmetic": "arithmetic, seconds", "timing": "a timing of this machine, minutes",
          "training": "training, minutes"}


def write_page(lab: Lab, result: dict[str, Any], folder: Path) -> None:
    """folder/README.md, beside the figure and the numbers."""
    checks = [[check["what"], text(check["measured"]), check["wanted"],
               "pass" if check["pass"] else "**no**"] for check in result["checks"]]
    parts = [
        f"# {lab.title}",
        f"`regard lab {lab.name}` · {', '.join(lab.items)} · {_KINDS[lab.kind]} · "
        "[all labs](../README.md)",
        lab.question,
        f"![{lab.title}]({lab.name}.svg)",
        f"```text\n{lab.formula}\n```",
        f"**What is said.** {lab.says}",
    ]
    if lab.holds:
        parts.append(f"⚠ **What holds.** {lab.holds}")
    parts += [
        "## In Python", f"```python\n{lab.code.strip()}\n```",
        f"## Numbers\n\nSeeds {', '.join(map(str, result['seeds']))}. All of them, and the "
        "figure's data, are in [numbers.json](numbers.json).",
        _table(["acceptance", "measured", "wanted", ""], checks),
    ]
    if result["reported"]:
        parts.append(_table(["measured besides", "value"],
                            [[report["what"], text(report["value"])]
                             for report in result["reported"]]))
    parts.append("## To see more\n\n" + "\n".join(f"- {line}" for line in lab.more))
    source = f"python/regard/labs/{lab.name.replace('-', '_')}.py"
    parts.append(f"The lab is [`{source}`](../../../{source}).")
    (folder / "README.md").write_text("\n\n".join(parts) + "\n")


def write_index(folder: Path) -> None:
    """folder/README.md: the labs that have a page there, in the story's order."""
    parts = [
        "# Labs",
        "What is said about attention, measured. Each lab computes with regard, draws a figure and "
        "holds its numbers against a threshold:",
        "```sh\nregard lab variance            # figure (SVG, PNG), numbers.json, pass or fail\n"
        "regard lab --list\nregard lab all --quick         # all but the timings\n"
        "regard lab all --docs docs/labs   # writes these pages\n```",
        "The labs are Python: `pip install 'regard[labs]'` brings what they need besides regard, "
        "which is matplotlib. They obey four rules. regard computes; NumPy makes inputs and "
        "independent references. Thresholds that were calibrated rest on three seeds. An effect "
        "counts as shown when its mean is at least three times the spread between seeds (the "
        "standard deviation of the differences); otherwise the page says *not shown*. And where a "
        "common wording is loose, the page marks it ⚠ and says what holds.",
    ]
    there = set(names())
    for number, chapter in enumerate(CHAPTERS, 1):
        rows = [_row(folder, name) for name in chapter.labs
                if name in there and (folder / name / "numbers.json").is_file()]
        if rows:
            parts += [f"## {number}. {chapter.title}", chapter.story,
                      _table(["lab", "what it shows", "items", "acceptances"], rows)]
    (folder / "README.md").write_text("\n\n".join(parts) + "\n")


def _row(folder: Path, name: str) -> list[str]:
    lab, result = find(name), json.loads((folder / name / "numbers.json").read_text())
    passed = sum(check["pass"] for check in result["checks"])
    return [f"[{name}]({name}/README.md)", lab.title, ", ".join(lab.items),
            f"{passed} of {len(result['checks'])} hold"]


def _table(head: list[str], rows: list[list[str]]) -> str:
    def line(cells: list[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    return "\n".join([line(head), line(["---"] * len(head)), *map(line, rows)])
