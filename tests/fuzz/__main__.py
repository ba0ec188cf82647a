"""`python -m tests.fuzz TARGET HOME --seconds S --seed N`: fuzz in a process that may die of it.

What is tried is in HOME/trying before it is tried. Prints how many inputs were run; ends with 1 when a law is broken.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from random import Random

from tests.fuzz.mutating import mutated
from tests.fuzz.native import NATIVE, Target
from tests.fuzz.text import TEXTS

TARGETS = NATIVE | TEXTS


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("home", type=Path)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--again", type=Path, nargs="*", help="files to try instead of mutations")
    chosen = parser.parse_args()
    chosen.home.mkdir(parents=True, exist_ok=True)
    target = TARGETS[chosen.target](chosen.home)
    if chosen.again is not None:
        for path in chosen.again:
            target.check([path.read_bytes()])
        sys.stdout.write(f"{len(chosen.again)}\n")
        return 0
    sys.stdout.write(f"{fuzz(target, chosen.home / 'trying', chosen.seconds, chosen.seed)}\n")
    return 0


def fuzz(target: Target, trying: Path, seconds: float, seed: int) -> int:
    """Try mutations for so long; return how many."""
    random, tried = Random(seed), 0
    target.check(target.corpus)  # compiles what it calls, outside of the time
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        inputs = [target.repair(random, mutated(random, target.corpus)) for _ in range(target.at_once)]
        trying.write_text(json.dumps([data.hex() for data in inputs]))
        target.check(inputs)
        tried += len(inputs)
    trying.unlink()
    return tried


if __name__ == "__main__":
    sys.exit(main())
