"""What `burnline alerts` shows of rows of alert_log, and what silences say."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import typer
from rich.console import Console

from pipeline.commands.alerts import alerts_table
from pipeline.commands.alerts_silence import Condition, conditions, said, span

FIRED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def printed(**changes: Any) -> str:
    row = {
        "slo": "chat-ttft", "instance": "m=a", "kind": "BURN_RATE", "severity": "CRITICAL", "fired_at": FIRED,
        "resolved_at": None, "peak_burn_rate": 14.25, "detection_delay_ms": 1234.5,
        "exemplar_trace_ids": ["trace-1", "trace-2", "trace-3"], "acknowledged_by": "", "notes": [],
    }  # fmt: skip
    console = Console(width=200)
    with console.capture() as captured:
        console.print(alerts_table([row | changes]))
    return captured.get()


def test_an_alert_is_shown_with_its_kind_and_the_newest_trace() -> None:
    text = printed()
    for part in ("burn rate", "still firing", "2026-01-02 03:04:05", "14.2x", "1 s", "trace-1 +2"):
        assert part in text


def test_what_a_no_data_alert_does_not_have_looks_unknown() -> None:
    text = printed(kind="NO_DATA", instance="", peak_burn_rate=None, exemplar_trace_ids=[], resolved_at=FIRED)
    cells = [cell.strip() for cell in text.splitlines()[-2].split("│")]
    fired = "2026-01-02 03:04:05"
    assert cells[1:-1] == ["chat-ttft", "-", "no data", "critical", fired, fired, "no data", "1 s", "-", "-"]


def test_who_takes_care_of_it_is_shown() -> None:
    assert "anna (2 notes)" in printed(acknowledged_by="anna", notes=["anna: looking", "zoe: rolled back"])


@pytest.mark.parametrize(
    ("matchers", "expected"),
    [
        pytest.param(["slo=chat"], {"slo": Condition(("chat",))}, id="one value"),
        pytest.param(["a=x", "b=", "a=y=z"], {"a": Condition(("x", "y=z")), "b": Condition(("",))}, id="any of some"),
        pytest.param(["a!=x", "a!=y"], {"a": Condition((), ("x", "y"))}, id="none of some"),
        pytest.param(["a=x*", "a!=xx"], {"a": Condition((), ("xx",), ("x",))}, id="of a prefix, but not"),
    ],
)
def test_matchers_are_read_and_written(matchers: list[str], expected: dict[str, Condition]) -> None:
    assert conditions(matchers) == expected
    assert conditions(said(expected).split(" ")) == expected


@pytest.mark.parametrize("matchers", [["chat"], ["=x"], ["a b=x"], ["a=x", "a=y*"], ["a=x", "a!=y"]], ids=" ".join)
def test_what_is_no_matcher_is_refused(matchers: list[str]) -> None:
    with pytest.raises(typer.BadParameter):
        conditions(matchers)


def test_a_silence_ends_after_a_while_or_at_a_time() -> None:
    assert span(FIRED, "", "1h30m", "") == (FIRED, FIRED + timedelta(minutes=90))
    assert span(FIRED, "2026-01-02T04:00Z", "", "2026-01-02 06:00")[1] == datetime(2026, 1, 2, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    ("start", "lasting", "until"),
    [
        ("", "", ""), ("", "1h", "2026-01-03"), ("", "soon", ""), ("", "", "2026-01-01"), ("", "32d", ""),
        ("x", "1h", ""),
    ],
)  # fmt: skip
def test_a_silence_without_an_end_or_too_long_is_refused(start: str, lasting: str, until: str) -> None:
    with pytest.raises(typer.BadParameter):
        span(FIRED, start, lasting, until)
