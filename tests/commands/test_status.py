"""What `burnline status` shows of rows of compliance and error_budget."""

from typing import Any

from rich.console import Console

from pipeline.commands.status import exhausted_in, status_table


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
