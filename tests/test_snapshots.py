"""Law: what anybody writes to inference.snapshots or slo.signals becomes a row, or a dead letter that says why."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import blocks, snapshots
from pipeline.controls.signal import Signal, unknown
from pipeline.foreign import AHEAD_US, BEHIND_US
from pipeline.records import UnitFacts
from pipeline.rows import Rows
from pipeline.sinks.tables import TABLES
from pipeline.store import STORED, CutSpec
from tests.controls.test_signal import NOW_US, signal
from tests.recorded import Recorded, block_of

SNAPSHOTS, SIGNALS = "inference.snapshots", "slo.signals"
MINIMAL = {"snapshot_at": NOW_US, "endpoint_id": "pod-1", "service": "chat"}
WHOLE = {
    **MINIMAL, "model": "llama", "engine": "vllm", "region": "eu", "variant": "h100", "accelerator": "h100",
    "ready": False, "running": 7, "waiting": 3, "kv_usage": 0.5, "oldest_inflight_ms": 900, "gpu_count": 2,
    "gpu_hour_picousd": 5, "started_at": NOW_US - 9, "finished": 70, "output_tokens": 900, "error": "timed out",
}  # fmt: skip


def snapshot(**changes: Any) -> bytes:
    return blocks.encode("engine_snapshot", {**MINIMAL, **changes})


def published(**changes: Any) -> bytes:
    return blocks.encode("control_signal", {**signal().columns, **changes})


def rows_of(topic: str, *values: bytes | None, appended_us: int = NOW_US) -> dict[str, Rows]:
    records = [Recorded(i, each, b"k", (), appended_us // 1000) for i, each in enumerate(values)]
    unit = STORED[topic](CutSpec()).fold([block_of(topic, 0, records)], UnitFacts(topic, 0, 1, 0, 0, 0))
    (batch,) = unit.batches
    return {rows.table: rows for rows in batch.rows}


def first(rows: Rows) -> dict[str, Any]:
    return {name: column[0] for name, column in rows.columns.items()}


def test_a_snapshot_is_a_row_and_what_it_does_not_say_is_not_known() -> None:
    found = first(rows_of(SNAPSHOTS, snapshot())["snapshot_records"])
    assert found == {
        **dict.fromkeys(TABLES["snapshot_records"]), **MINIMAL, "model": "", "engine": "", "error": "", "ready": True,
        "appended_at": NOW_US,
    }  # fmt: skip
    assert first(rows_of(SNAPSHOTS, snapshot(**WHOLE))["snapshot_records"]) == {**WHOLE, "appended_at": NOW_US}


def test_a_signal_is_kept_as_the_newest_and_for_ever() -> None:
    found = rows_of(SIGNALS, published(), None, published(state="hold", value=None))
    assert found["signal_records"].columns == found["signal_history"].columns
    assert set(found["signal_records"].columns) == set(TABLES["signal_records"])
    assert found["signal_records"].columns["state"] == ["out", "hold"]
    kept = first(found["signal_records"])
    assert kept.pop("appended_at") == NOW_US
    assert Signal.read(kept) == signal()
    assert set(rows_of(SIGNALS, None)) == {"marks"}


UNUSABLE = [
    pytest.param(SNAPSHOTS, b"no snapshot", "unframed", id="unframed"),
    pytest.param(SNAPSHOTS, published(), "unknown_schema", id="another schema"),
    pytest.param(SNAPSHOTS, snapshot()[:-3], "malformed", id="cut"),
    pytest.param(SNAPSHOTS, snapshot(error="x" * 70_000), "too_large", id="too large"),
    pytest.param(SNAPSHOTS, snapshot(error="x" * 2_000), "too_long", id="a long text"),
    pytest.param(SNAPSHOTS, snapshot(endpoint_id=" "), "empty_field", id="no endpoint"),
    pytest.param(SNAPSHOTS, snapshot(running=-1), "negative", id="less than nothing runs"),
    pytest.param(SNAPSHOTS, snapshot(kv_usage=float("nan")), "not_finite", id="not a number"),
    pytest.param(SNAPSHOTS, snapshot(snapshot_at=NOW_US // 1000), "far_away", id="in milliseconds"),
    pytest.param(SNAPSHOTS, snapshot(snapshot_at=NOW_US + AHEAD_US + 1), "far_away", id="ahead"),
    pytest.param(SNAPSHOTS, snapshot(snapshot_at=NOW_US - BEHIND_US - 1), "far_away", id="long ago"),
    pytest.param(SNAPSHOTS, snapshot(started_at=-1), "no_time", id="started before 1970"),
    pytest.param(SIGNALS, published(evaluated_at=NOW_US + AHEAD_US + 1), "far_away", id="decided by a clock ahead"),
    pytest.param(SIGNALS, published(value=float("inf")), "not_finite", id="infinite"),
    pytest.param(SIGNALS, published(inputs={"x": float("nan")}), "not_finite", id="an input"),
    pytest.param(SIGNALS, published(inputs=dict.fromkeys(map(str, range(101)), 1.0)), "too_many", id="many inputs"),
    pytest.param(SIGNALS, published(name=""), "empty_field", id="of no name"),
    pytest.param(SIGNALS, published(state=" "), "empty_field", id="it says nothing"),
    pytest.param(SIGNALS, published(expires_at=NOW_US), "no_time", id="expired when it comes"),
    pytest.param(SIGNALS, published(watermark=1 << 62), "no_time", id="a watermark that is none"),
]


@pytest.mark.parametrize(("topic", "value", "reason"), UNUSABLE)
def test_what_cannot_be_used_is_a_dead_letter_that_says_why(topic: str, value: bytes, reason: str) -> None:
    found = rows_of(topic, value)
    assert set(found) == {"dead_letter_records", "marks"}
    letter = first(found["dead_letter_records"])
    assert (letter["reason"], letter["topic"], letter["value"]) == (reason.encode(), topic.encode(), value)


@given(value=st.binary(max_size=60), cut=st.integers(0, 200), topic=st.sampled_from((SNAPSHOTS, SIGNALS)))
def test_whatever_comes_is_stored_somehow(value: bytes, cut: int, topic: str) -> None:
    whole = snapshot(**WHOLE) if topic == SNAPSHOTS else published()
    for each in (value, whole[:10] + value, whole[:cut] + value + whole[cut:]):
        assert "marks" in rows_of(topic, each)


def test_a_quota_of_all_services_together_is_a_row_and_is_read_back() -> None:
    quota = signal(service="", model="", name="quota", scope="tokens-a-day/acme")
    value = blocks.encode("control_signal", quota.columns)
    kept = first(rows_of(SIGNALS, value)["signal_records"])
    assert (kept["service"], kept["scope"]) == ("", "tokens-a-day/acme")
    assert Signal.read(snapshots.read(snapshots.SIGNAL, value, NOW_US)) == quota


def test_what_nothing_is_known_of_is_a_row_too() -> None:
    nothing = unknown("gate", "chat", "", "no SLO of it has ever been judged", NOW_US, 60)
    kept = first(rows_of(SIGNALS, blocks.encode("control_signal", nothing.columns))["signal_records"])
    assert (kept["value"], kept["state"]) == (None, "unknown")
