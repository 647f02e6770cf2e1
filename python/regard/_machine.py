"""What this machine and this build offer."""

from typing import Any

from regard import _core


def doctor() -> dict[str, Any]:
    """Facts of this machine that need no measuring; `regard doctor` measures the others.

    Returns a dict:
        version   of regard
        cpu       the processor's name
        threads   logical processors that this process may use: what threads=0 stands for
        targets   instruction sets that this build holds and this machine runs, plainest first
        target    the one in use; the environment variable REGARD_TARGET chooses another

    Raises ValueError when REGARD_TARGET names none of the targets.
    """
    return {"version": _core.version, **_core.machine()}
