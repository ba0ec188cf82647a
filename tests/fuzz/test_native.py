"""Compiled readers against hostile bytes, in a process of their own: a crash is a failure here, not the end of the run.

BURNLINE_FUZZ_SECONDS makes it longer, BURNLINE_FUZZ_SEED another; what was found is kept as found/TARGET-*.bin.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOUND = Path(__file__).parent / "found"
SECONDS, SEED = os.environ.get("BURNLINE_FUZZ_SECONDS", "4"), os.environ.get("BURNLINE_FUZZ_SEED", "0")
TARGETS = ("batches", "events")


def fuzz(target: str, home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-X", "faulthandler", "-m", "tests.fuzz", target, str(home), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("target", TARGETS)
def test_hostile_bytes_break_no_law(target: str, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    home = Path(pytestconfig.cache.mkdir("fuzz"))  # compiled decoders outlive the run
    done = fuzz(target, home, "--seconds", SECONDS, "--seed", SEED)
    tried = home / "trying"
    kept = tmp_path / "trying.json"
    if done.returncode and tried.exists():
        kept.write_bytes(tried.read_bytes())
    assert done.returncode == 0, f"seed {SEED}; the inputs are in {kept}, as hex\n{done.stderr[-3000:]}"
    assert int(done.stdout) > 20


@pytest.mark.parametrize("target", TARGETS)
def test_what_was_found_is_read_well_ever_after(target: str, pytestconfig: pytest.Config) -> None:
    files = sorted(FOUND.glob(f"{target}-*.bin"))
    home = Path(pytestconfig.cache.mkdir("fuzz"))
    done = fuzz(target, home, "--again", *map(str, files))
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout) == len(files)


def test_a_seed_gives_the_same_inputs_again() -> None:
    from random import Random

    from tests.fuzz.mutating import mutated

    corpus = [b"abc" * 9, bytes(40)]
    one, two = ([mutated(random, corpus) for _ in range(200)] for random in (Random(5), Random(5)))
    assert one == two and len(set(one)) > 150
