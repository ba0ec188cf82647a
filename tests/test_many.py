"""Many records at once are the same bytes as one after another."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.blocks import encode
from pipeline.framing import Framing
from pipeline.many import encode_many
from tests.test_blocks import NAMES, records_of


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=20)
@given(data=st.data())
def test_many_records_are_written_as_each_alone(name: str, data: st.DataObject) -> None:
    rows = data.draw(st.lists(records_of(name), min_size=1, max_size=4))
    assert encode_many(name, rows) == [encode(name, row) for row in rows]
    assert encode_many(name, [rows[0]] * 3) == [encode(name, rows[0])] * 3


def status(**changes: Any) -> dict[str, Any]:
    return {
        "slo": "chat", "revision": "r1", "instance": "a=b", "service": "chat", "labels": {"a": "b"}, "target": 0.999,
        "window_us": 1, "watermark": 2, "window_start": 1, "window_end": 2, "judged_at": 3, "state": "OK",
        "severity": "NONE", "good": 1 << 62, "bad": -1, "excluded": 0, "compliance_ratio": None, "coverage_ratio": 1,
        "budget_events": 0.1, "budget_minutes": -0.0, "windows_s": [300, 3600], "windows_good": [1, 2],
        "windows_bad": [0, 0], "windows_coverage_ratio": [1.0, 0.5], "windows_burn_rate": [None, 2.5],
        "budget_remaining_ratio": float("-inf"), "time_to_exhaustion_s": None, "exhaustion_window_s": 3600, **changes,
    }  # fmt: skip


def test_statuses_with_windows_of_several_lengths_and_with_none_are_written_as_each_alone() -> None:
    none = {name: [] for name in status() if name.startswith("windows_")}
    rows = [status(), status(windows_good=[1 << 40, 7], compliance_ratio=0.5, instance="ü=ö"), status(**none)]
    framing = Framing({"slo_status": 7})
    for some in (rows, rows[:2], rows[2:], rows * 50):
        assert encode_many("slo_status", some, framing) == [encode("slo_status", row, framing) for row in some]


def test_no_records_are_no_bytes_and_a_number_that_is_none_is_null() -> None:
    assert encode_many("slo_status", []) == []
    assert encode_many("slo_status", [status(compliance_ratio=np.nan)]) == [encode("slo_status", status())]


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        ([status(typo=1)], KeyError),
        ([status(), status(sla_target=1.0)], KeyError),
        ([status(sla_target=1.0), status()], KeyError),
        ([{"slo": "chat"}], KeyError),
        ([status(good=1 << 63)], OverflowError),
    ],
    ids=["unknown", "one more", "one less", "missing", "too large"],
)
def test_rows_that_cannot_be_written_are_refused(rows: list[dict[str, Any]], error: type[Exception]) -> None:
    with pytest.raises(error):
        encode_many("slo_status", rows)
