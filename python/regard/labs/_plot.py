"""The one plotting helper: readable axes, colours that the colour-blind tell apart, files that are
the same whenever the numbers are."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from cycler import cycler

matplotlib.use("agg")
from matplotlib import pyplot  # noqa: E402  (the backend comes first)

# Okabe and Ito 2008, without yellow, which white paper swallows.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GREY = "#777777"  # reference lines: theory, bounds
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1)), (0, (3, 1)), (0, (1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
MAP = "cividis"  # made for colour-blind eyes

_STYLE = {
    "axes.prop_cycle": (cycler(color=COLOURS) + cycler(linestyle=LINES) + cycler(marker=MARKERS)),
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.labelsize": 10,
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "font.family": "DejaVu Sans",  # matplotlib brings it
    "font.size": 9.5,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "path.simplify": True,
    "savefig.dpi": 150,
    "svg.fonttype": "none",  # text stays text: small, searchable, read aloud
    "svg.hashsalt": "regard",
}


def figure(columns: int = 1, rows: int = 1, *, width: float = 4.3, height: float = 3.3,
           **options: Any) -> tuple[Any, Any]:
    """(figure, axes) of columns x rows panels, width x height inches each."""
    with pyplot.rc_context(_STYLE):
        made, axes = pyplot.subplots(rows, columns, figsize=(width * columns, height * rows),
                                     **options)
    pyplot.close(made)  # pyplot need not keep it alive
    return made, axes


def label(axes: Any, title: str, *, x: str, y: str, legend: bool | str = True) -> None:
    """Title and axes with their units; a legend where lines are named, at legend or where it fits."""
    axes.set_title(title, loc="left")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if legend and axes.get_legend_handles_labels()[0]:
        axes.legend(loc=legend if isinstance(legend, str) else "best",
                    **{key.split(".")[1]: _STYLE[key]
                       for key in ("legend.frameon", "legend.fontsize")})


def heat(axes: Any, matrix: Any, *, unit: str, low: float | None = None,
         high: float | None = None) -> None:
    """A matrix as colours, rows downwards, with its scale beside it."""
    matrix = np.asarray(matrix)
    shown = axes.imshow(matrix, cmap=MAP, vmin=low, vmax=high, aspect="auto",
                        interpolation="nearest")
    axes.grid(False)
    axes.figure.colorbar(shown, ax=axes).set_label(unit)


def unlabelled(made: Any) -> list[str]:
    """Axes of a figure that do not say what they show."""
    problems = []
    for number, axes in enumerate(made.axes):
        if not axes.axison:
            continue
        bar = axes.get_label() == "<colorbar>"
        if not (axes.get_ylabel() and (bar or axes.get_xlabel())):
            problems.append(f"panel {number} ({axes.get_title(loc='left') or 'no title'})")
    return problems


def save(made: Any, folder: Path, name: str, *, png: bool = True) -> list[Path]:
    """Writes name.svg and name.png; without dates or versions, so that equal figures are equal
    files."""
    bare = unlabelled(made)
    if bare:
        raise ValueError(f"{name}: axes without a label: {', '.join(bare)}")
    files = [folder / f"{name}.svg"]
    with pyplot.rc_context(_STYLE):
        made.savefig(files[0], metadata={"Date": None, "Creator": None, "Format": None,
                                         "Type": None})
        if png:
            files.append(folder / f"{name}.png")
            made.savefig(files[1], metadata={"Software": None})
    return files
