"""The suites with NUMBA_DISABLE_JIT=1: index errors surface, and compiled code means what its text says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from numba import config

HOME = Path(__file__).parents[2]
SUITES = [
    "tests/kernels/test_varint.py", "tests/kernels/test_ddsketch.py", "tests/kernels/test_classify.py",
    "tests/kernels/test_intern.py", "tests/kernels/test_gather.py", "tests/kernels/test_bits.py",
    "tests/kernels/test_duplicates.py", "tests/kernels/test_event_ids.py", "tests/kernels/test_slots.py",
    "tests/kernels/test_counts.py", "tests/kernels/test_longs.py", "tests/kernels/test_fields.py",
    "tests/kernels/test_verdicts.py",
    "tests/kernels/test_slices.py",
    "tests/test_trace_ids.py", "tests/test_ingest.py", "tests/test_events.py", "tests/test_blocks.py",
]  # fmt: skip


@pytest.mark.skipif(config.DISABLE_JIT, reason="this is the run without the JIT")
def test_kernels_pass_their_tests_as_plain_python() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-x", *SUITES]
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    run = subprocess.run(command, cwd=HOME, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
