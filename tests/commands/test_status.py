"""What `burnline alerts` shows of rows of alert_log."""

from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from pipeline.commands.status import alerts_table, exhausted_in, status_table

FIRED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def printed(**changes: Any) -> str:
    row = {
        "slo": "chat-ttft", "instance": "m=a", "kind": "BURN_RATE", "severity": "CRITICAL", "fired_at": FIRED,
        "resolved_at": None, "peak_burn_rate": 14.25, "detection_delay_ms": 1234.5,
        "exemplar_trace_ids": ["trace-1", "trace-2", "trace-3"],
    }  # fmt: skip
    console = Console(width=200)
    with console.capture() as captured:
        console.print(alerts_table([row | changes]))
    return captured.get()


def test_an_alert_is_shown_with_its_kind_and_the_newest_trace() -> None:
    text = printed()
    for part in ("burn rate", "still firing", "2026-01-02 03:04:05", "14.2x", "1,234 ms", "trace-1 +2"):
        assert part in text


def test_what_a_no_data_alert_does_not_have_looks_unknown() -> None:
    text = printed(kind="NO_DATA", instance="", peak_burn_rate=None, exemplar_trace_ids=[], resolved_at=FIRED)
    cells = [cell.strip() for cell in text.splitlines()[-2].split("│")]
    fired = "2026-01-02 03:04:05"
    assert cells[1:-1] == ["chat-ttft", "-", "no data", "CRITICAL", fired, fired, "no data", "1,234 ms", "-"]


def budget(rest: float | None, rate: float | None) -> dict[str, Any]:
    return {"time_to_exhaustion_s": rest, "exhaustion_burn_rate": rate}


def test_a_time_to_exhaustion_comes_with_the_rate_it_assumes() -> None:
    assert exhausted_in(budget(2.5 * 86_400, 1.43)) == "2.5 d at 1.4x"
    assert exhausted_in(budget(None, 0.0)) == "-"
    assert exhausted_in(budget(7_200, None)) == "2.0 h", "of a judgement from before the rate was kept"


def test_the_status_shows_how_long_the_budget_lasts() -> None:
    row = {
        "slo": "chat", "instance": "", "compliance_ratio": 0.995, "target": 0.99, "coverage_ratio": 1.0, "good": 995,
        "bad": 5, "budget_remaining_ratio": 0.5, **budget(86_400, 0.5),
    }  # fmt: skip
    console = Console(width=200)
    with console.capture() as captured:
        console.print(status_table([row]))
    assert "1.0 d at 0.5x" in captured.get()
