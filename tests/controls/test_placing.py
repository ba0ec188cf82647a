"""Signals of cost and of the frontier: of what runs, what is known of it, and nothing where nothing is."""

from datetime import UTC, datetime
from typing import Any

import pytest

from pipeline.controls import costing, placing
from pipeline.controls.frontier import LEVELS, FrontierSpec
from pipeline.controls.signal import Signal

NOW_US = 1_764_000_000_000_000
USD = 10**12


def row(variant: str, cost: float, p99_ms: float, epoch: str = "", first: int = 0, **more: Any) -> dict[str, Any]:
    """A configuration as frontier.sql tells it: five steady hours, `cost` USD for a thousand tokens."""
    hours = [
        (3600 * hour, more.get("requests", 1_000), more.get("bad", 0), 10_000, round(cost * 10 * USD), 10**9, None,
         p99_ms * 1000)
        for hour in range(first, first + 5)
    ]  # fmt: skip
    return {
        "service": "chat", "model": "m", "priority_class": "critical", "variant": variant, "epoch": epoch,
        "hours": hours[::-1], "quantiles_us": [p99_ms * 1000 for _ in LEVELS],
    }  # fmt: skip


def placed(*rows: dict[str, Any]) -> dict[str, Signal]:
    found = placing.step(FrontierSpec(), {}, {"frontier": rows}, NOW_US)
    return {signal.scope: signal for signal in found}


def test_what_runs_is_told_with_who_beats_it_and_the_next_steps() -> None:
    found = placed(row("fast", 4, 50), row("old", 3, 200), row("new", 2, 100), row("slow", 1, 400))
    assert {scope: signal.state for scope, signal in found.items()} == {
        "critical/fast": "on_frontier", "critical/new": "on_frontier", "critical/slow": "on_frontier",
        "critical/old": "dominated",
    }  # fmt: skip
    old, new = found["critical/old"], found["critical/new"]
    assert (old.value, old.details["beaten_by"]) == (pytest.approx(1 / 3), "new")
    assert old.inputs["saving_usd_a_month"] == pytest.approx(old.inputs["usd_an_hour"] * 730 / 3)
    assert (new.value, new.details["stricter"], new.details["looser"]) == (0.0, "fast", "slow")
    assert (new.inputs["stricter_usd_per_1k_tokens"], new.inputs["looser_p99_us"]) == (4.0, 400_000.0)
    assert "the next faster is fast at 2.00 times its cost" in new.reason
    assert new.samples == 5_000 and new.expires_at_us > NOW_US


def test_an_epoch_that_is_over_beats_but_is_not_told() -> None:
    found = placed(row("v", 1, 50, "good-old-days"), row("v", 2, 100, "now", first=20), row("w", 9, 10, first=20))
    assert set(found) == {"critical/v", "critical/w"}
    assert (found["critical/v"].details["epoch"], found["critical/v"].details["beaten_by"]) == (
        "now",
        "v@good-old-days",
    )


def test_what_had_too_little_traffic_is_unknown_and_has_no_value() -> None:
    (signal,) = placed(row("v", 1, 50, requests=10)).values()
    assert (signal.state, signal.value, signal.confidence) == ("unknown", None, None)
    assert "too little is known: 50 requests in 5 hours" in signal.reason
    (nameless,) = placed({**row("", 1, 50), "quantiles_us": [-1.0] * len(LEVELS)}).values()
    assert (nameless.state, nameless.scope) == ("unknown", "critical")


SPENT = {
    "service": "chat", "model": "m", "until": datetime(2026, 11, 26, tzinfo=UTC), "requests": 10,
    "output_tokens": 4_000, "cost_picousd": 2 * USD, "good_cost_picousd": 2 * USD, "good_tokens": 1_000,
    "paid_picousd": 8 * USD, "paid_tokens": 4_000, "idle_picousd": 6 * USD, "split_picousd": 8 * USD, "hours": 2,
    "paid_hours": 2,
}  # fmt: skip
NO_SNAPSHOT = {"paid_picousd": 0, "split_picousd": 0}


def test_what_is_known_does_not_end_behind_now_though_its_last_hour_goes_on() -> None:
    hour_us, this_hour = 3_600_000_000, NOW_US // 3_600_000_000
    assert placed(row("v", 1, 50, first=this_hour - 4))["critical/v"].watermark_us == NOW_US
    assert placed(row("v", 1, 50, first=this_hour - 6))["critical/v"].watermark_us == (this_hour - 1) * hour_us
    ends = {at: costing.step(costing.CostSpec(), {}, {"cost": [{**SPENT, "until": at}]}, NOW_US)[0].watermark_us
            for at in (datetime(2025, 11, 24, 15, tzinfo=UTC), SPENT["until"])}  # fmt: skip
    assert list(ends.values()) == [(this_hour - 1) * hour_us, NOW_US]


@pytest.mark.parametrize(
    ("changes", "state", "value", "told"),
    [
        pytest.param({}, "idle", 0.5, {"usd_per_1k_good_tokens": 2.0, "paid_usd_per_1k_tokens": 2.0,
                     "idle_ratio": 0.75}, id="all is known"),
        pytest.param({"idle_picousd": 0}, "spent", 0.5, {"idle_ratio": 0.0}, id="nothing stands idle"),
        pytest.param({"cost_picousd": 0}, "idle", 2.0, {"cost_usd": None}, id="nobody metered it"),
        pytest.param({"idle_picousd": 0, "split_picousd": 0}, "spent", 0.5, {"idle_ratio": None, "paid_usd": 8.0},
                     id="nobody says how long requests used replicas"),
        pytest.param({"split_picousd": 7 * USD}, "spent", 0.5, {"idle_ratio": None}, id="of an eighth nobody does"),
        pytest.param({"good_tokens": 0}, "idle", 0.5, {"usd_per_1k_good_tokens": None}, id="no event is kept"),
        pytest.param(NO_SNAPSHOT, "spent", 0.5, {"idle_ratio": None, "paid_usd": None}, id="no snapshot says"),
        pytest.param({"cost_picousd": 0, **NO_SNAPSHOT}, "unknown", None, {"output_tokens": 4_000.0}, id="nothing"),
        pytest.param({"output_tokens": 0, "paid_tokens": 0}, "unknown", None, {"cost_usd": 2.0}, id="no tokens"),
    ],
)  # fmt: skip
def test_what_a_model_costs(
    changes: dict[str, Any], state: str, value: float | None, told: dict[str, float | None]
) -> None:
    (signal,) = costing.step(costing.CostSpec(), {}, {"cost": [SPENT | changes]}, NOW_US)
    assert (signal.state, signal.value) == (state, value)
    assert {name: signal.inputs.get(name) for name in told} == told
