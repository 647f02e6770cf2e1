"""Compares a golden file with a fresh one: numbers to a tolerance, everything else exactly.

    compare.py STORED.json FRESH.json TOLERANCE
"""

import json
import sys


def differences(stored, fresh, tolerance, where=""):
    if isinstance(stored, float) or isinstance(fresh, float):
        if abs(stored - fresh) > tolerance:
            yield f"{where}: {fresh} is not {stored}"
    elif isinstance(stored, list) and isinstance(fresh, list) and len(stored) == len(fresh):
        for i, (a, b) in enumerate(zip(stored, fresh)):
            yield from differences(a, b, tolerance, f"{where}[{i}]")
    elif isinstance(stored, dict) and isinstance(fresh, dict) and stored.keys() == fresh.keys():
        for key in stored:
            yield from differences(stored[key], fresh[key], tolerance, f"{where}.{key}")
    elif stored != fresh:
        yield f"{where}: {str(fresh)[:80]} is not {str(stored)[:80]}"


if __name__ == "__main__":
    with open(sys.argv[1]) as stored, open(sys.argv[2]) as fresh:
        found = list(differences(json.load(stored), json.load(fresh), float(sys.argv[3])))
    for line in found[:20]:
        print(line)
    print(f"{len(found)} differences")
    sys.exit(1 if found else 0)
