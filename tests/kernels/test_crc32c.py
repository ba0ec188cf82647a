"""CRC-32C: the instruction and the tables equal the bitwise definition."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.kernels import crc32c as kernel
from tests.naive.record_batches import crc32c as naive_crc32c

WAYS = [kernel.crc32c_by_table] + [kernel.crc32c_by_instruction] * kernel.has_instruction()


def crc_of(way, data: bytes) -> int:  # type: ignore[no-untyped-def]
    return int(way(np.frombuffer(data, np.uint8), 0, len(data)))


@pytest.mark.parametrize("way", WAYS)
def test_the_check_value_is_the_published_one(way) -> None:  # type: ignore[no-untyped-def]
    assert crc_of(way, b"123456789") == 0xE3069283


@pytest.mark.parametrize("way", WAYS)
@given(data=st.binary(max_size=70), start=st.integers(0, 9), cut=st.integers(0, 9))
def test_any_span_has_the_crc_of_its_bits(way, data: bytes, start: int, cut: int) -> None:  # type: ignore[no-untyped-def]
    start, end = min(start, len(data)), max(min(start, len(data)), len(data) - cut)
    assert way(np.frombuffer(data, np.uint8), start, end) == naive_crc32c(data[start:end])


def test_the_chosen_way_is_the_fastest_that_the_processor_has() -> None:
    expected = kernel.crc32c_by_instruction if kernel.has_instruction() else kernel.crc32c_by_table
    assert kernel.crc32c is expected


@pytest.mark.parametrize(
    "environment",
    [
        pytest.param({"NUMBA_DISABLE_JIT": "1"}, id="without the JIT"),
        pytest.param({"NUMBA_CPU_NAME": "generic"}, id="compiled for any processor"),
    ],
)
def test_tables_are_chosen_where_compiled_code_may_not_use_the_instruction(environment) -> None:  # type: ignore[no-untyped-def]
    code = (
        "import numpy as np; from pipeline.kernels import crc32c as k; assert not k.has_instruction();"
        "print(hex(k.crc32c(np.frombuffer(b'123456789', np.uint8), 0, 9)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "0xe3069283", done.stderr
