"""python -m regard.labs NAME: the command line of the labs, which `regard lab` runs.

Exit codes: 0 all acceptances hold, 1 one does not, 2 usage, 3 a file cannot be read or written,
130 interrupted.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

OK, FAILED, USAGE, UNREADABLE, INTERRUPTED = 0, 1, 2, 3, 130


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SystemExit(complain(USAGE, f"{message}; python -m regard.labs --help"))


def complain(code: int, message: str) -> int:
    print("regard: " + message.replace("\n", " "), file=sys.stderr)
    return code


def parse(words: list[str]) -> argparse.Namespace:
    parser = _Parser(prog="python -m regard.labs", allow_abbrev=False,
                     description="Measures what is said about attention, and draws it.")
    parser.add_argument("name", nargs="?", help="a lab, or all")
    parser.add_argument("--list", action="store_true", help="the names, one a line")
    parser.add_argument("--quick", action="store_true", help="less of everything, in seconds")
    parser.add_argument("--out", type=Path, help="where the files go [regard-labs/NAME]")
    parser.add_argument("--seed", type=int, default=0, help="the first of three seeds [0]")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--docs", type=Path, help="write the gallery's pages into this folder")
    wanted = parser.parse_args(words)
    if not wanted.list and wanted.name is None:
        parser.error("name a lab, or all, or give --list")
    if wanted.docs is not None and (wanted.out is not None or wanted.quick):
        parser.error("--docs writes full runs into its own folder: leave out --out and --quick")
    if not 0 <= wanted.seed < 2**32:
        parser.error(f"--seed is {wanted.seed}, must be in 0 .. 4294967295")
    return wanted


def chosen(name: str, quick: bool) -> list[str]:
    """The labs that a name stands for. All that are quick leave out the timings: they depend on
    what else the machine does, and take minutes."""
    from regard.labs import find, names
    if name != "all":
        return [find(name).name]
    every = names()
    if not quick:
        return every
    left = [one for one in every if find(one).kind == "timing"]
    if left:
        print(f"left out, because they time the machine: {', '.join(left)}", file=sys.stderr)
    return [one for one in every if one not in left]


def of_all(results: list[dict[str, Any]]) -> dict[str, Any]:
    """One object for several labs; an acceptance begins with its lab's name."""
    return {"name": "all", "pass": all(result["pass"] for result in results),
            "checks": [{**check, "what": f"{result['name']}: {check['what']}"}
                       for result in results for check in result["checks"]],
            "files": [file for result in results for file in result["files"]],
            "labs": results}


def main(words: list[str] | None = None) -> int:
    wanted = parse(sys.argv[1:] if words is None else words)
    try:
        from regard.labs import find, names
        from regard.labs._gallery import write_index, write_page
        from regard.labs._run import lines, run
    except ModuleNotFoundError as error:
        if error.name not in ("matplotlib", "cycler"):
            raise
        return complain(FAILED, f"labs draw with matplotlib, which {sys.executable} has not; "
                                f"install it: {sys.executable} -m pip install 'regard[labs]'")
    if wanted.list:
        print("\n".join(names()))
        return OK
    try:
        every = chosen(wanted.name, wanted.quick)
    except KeyError as error:
        return complain(USAGE, error.args[0])
    results = []
    for name in every:
        folder = wanted.docs / name if wanted.docs else (wanted.out or Path("regard-labs", name))
        if wanted.name == "all" and wanted.out:
            folder = wanted.out / name
        try:
            results.append(run(find(name), folder, seed=wanted.seed, quick=wanted.quick,
                               png=wanted.docs is None))
            if wanted.docs:
                write_page(find(name), results[-1], folder)
        except OSError as error:
            return complain(UNREADABLE, f"lab {name}: {error.filename or folder}: "
                                        f"{error.strerror or error}")
        if not wanted.json:
            print("\n".join(lines(results[-1])), flush=True)
    if wanted.docs:
        write_index(wanted.docs)
    result = results[0] if wanted.name != "all" else of_all(results)
    if wanted.json:
        print(json.dumps(result, ensure_ascii=False))
    else:
        where = sorted({str(Path(file).parent) for file in result["files"]})
        print(f"{'pass' if result['pass'] else 'FAIL'}  {wanted.name}: files are in "
              f"{where[0] if len(where) == 1 else Path(where[0]).parent}")
    return OK if result["pass"] else FAILED


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(complain(INTERRUPTED, "interrupted"))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing left to flush
        sys.exit(complain(FAILED, "cannot write to standard output: Broken pipe"))
