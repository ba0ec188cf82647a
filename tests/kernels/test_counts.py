"""The fold's quick look at a row against the thorough one; what it counts is tested in tests/test_ingest.py."""

from typing import Any

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from numba import njit

from pipeline.events import COLUMNS
from pipeline.kernels import counts as k
from pipeline.kernels.bits import address_of
from pipeline.kernels.classify import NULL
from pipeline.kernels.verdicts import ROW_BYTES
from tests.naive.events import refused

NAMES = [column.name for column in COLUMNS]
AMOUNTS = ("ttft_us", "decode_us", "input_tokens", "output_tokens", "cost_picousd", "gpu_us")
EDGES = [0, -1, NULL + 1, (1 << 31) - 1, 1 << 31, 1 << 50, (1 << 50) + 1, 1 << 53, (1 << 53) + 2, (1 << 63) - 1]
NUMBER = st.one_of(st.sampled_from(EDGES), st.integers(0, 1 << 20))
ROWS = st.fixed_dictionaries(
    {"e2e_us": NUMBER, "sample_weight": st.sampled_from([1, 1, 1, 0, 2, 1 << 31])}
    | {name: st.one_of(st.none(), NUMBER) for name in AMOUNTS}
)
PLAIN: dict[str, Any] = dict.fromkeys(AMOUNTS, 5) | {"e2e_us": 7, "sample_weight": 1}


@njit
def _looks(row):  # type: ignore[no-untyped-def]
    return k._oddities(row) == 0, np.int64(k._why_refused(row, np.int64(9), np.int64(0), np.int64(0)))


def looks(event: dict[str, Any]) -> tuple[bool, bool]:
    """Whether the quick look finds nothing, and whether the thorough one refuses."""
    row = np.zeros(ROW_BYTES // 8, np.int64)
    for name, value in (event | {"received_at": 3, "completed_at": 9}).items():
        row[NAMES.index(name)] = NULL if value is None else value
    plain, why = _looks(address_of(row))
    return bool(plain), bool(why)


@given(ROWS)
@example(PLAIN)
@example(PLAIN | {"sample_weight": 2})
@example({**dict.fromkeys(AMOUNTS), "e2e_us": 0, "sample_weight": 1})
@example(PLAIN | {"cost_picousd": NULL + 1})
def test_a_row_that_looks_plain_is_never_refused(event: dict[str, Any]) -> None:
    plain, is_refused = looks(event)
    limits = (event["input_tokens"] or 0, event["output_tokens"] or 0, event["sample_weight"])
    within = max(limits) < 1 << 31  # what an event's int cannot hold is refused too
    assert is_refused == (refused(event | {"received_at": 3, "completed_at": 9}) is not None or not within)
    assert not (plain and is_refused)


def test_what_is_common_looks_plain() -> None:
    """Or every row would take the slow way."""
    assert looks(PLAIN)[0] and looks(PLAIN | dict.fromkeys(AMOUNTS))[0]
