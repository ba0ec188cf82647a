"""What scaling knows is what the rows say, and no more."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.controls.loads import TREND_CELLS, arrivals, greatest, mean, surely, trend
from pipeline.controls.questions import MISSING
from pipeline.controls.scaling_facts import facts_of
from pipeline.controls.signal import Signal

AT = datetime(2026, 11, 26, tzinfo=UTC)


def row(
    variant: str = "", vantage: str = "GATEWAY", loads: tuple[float, ...] = (1.0, 2.0), day: float = 10.0
) -> dict[str, Any]:
    return {
        "service": "chat", "model": "m", "variant": variant, "vantage": vantage, "day_requests": day, "known_at": AT,
        "age_s": 1.0, "loads": loads,
    }  # fmt: skip


def engines(variant: str = "", **more: Any) -> dict[str, Any]:
    found = {
        "service": "chat",
        "model": "m",
        "variant": variant,
        "replicas": 2,
        "ready": 2,
        "waiting": 0,
        "in_flight": [],
    }
    return {**found, **more}


def burn(slo: str, rate: float, service: str = "chat", model: str = "", variant: str = "") -> dict[str, Any]:
    return {"slo": slo, "service": service, "model": model, "variant": variant, "burn_rate": rate, "window_s": 300}


def start(
    source: str, took_s: float, starts: float = 9.0, model: str = "m", accelerator: str = "h100"
) -> dict[str, Any]:
    return {
        "source": source, "model": model, "variant": "", "accelerator": accelerator, "p95_s": took_s, "starts": starts,
    }  # fmt: skip


SLOS = [{"slo": "ttft", "metric": "ttft"}, {"slo": "e2e", "metric": "e2e"}, {"slo": "errors", "metric": "error_rate"}]


def test_of_several_vantages_the_one_counts_that_reported_most() -> None:
    (only,) = facts_of({"scale": [row(loads=(1.0,)), row(vantage="ENGINE", loads=(9.0,), day=99)]}, {})
    assert only.loads == (9,)
    queue = {"service": "chat", "model": "m", "variant": "", "waiting": 4.0}
    (only,) = facts_of(
        {
            "scale": [row()],
            "scale_queue": [{**queue, "vantage": "ENGINE"}, {**queue, "vantage": "GATEWAY", "waiting": 2.0}],
        },
        {},
    )
    assert only.waiting == 2


def test_what_reached_no_variant_is_spread_by_what_they_served() -> None:
    first, second = facts_of(
        {"scale": [row("", loads=(4.0, 0.0)), row("a", loads=(3.0, 0.0)), row("b", loads=(1.0, 0.0))]}, {}
    )
    assert (first.scope, first.share, first.loads) == ("a", 0.75, (6, 0))
    assert (second.scope, second.share, second.loads) == ("b", 0.25, (2, 0))
    idle = facts_of({"scale": [row("a", loads=(0.0,), day=30), row("b", loads=(0.0,), day=10)]}, {})
    assert [each.share for each in idle] == [0.75, 0.25]


@pytest.mark.parametrize(
    ("burns", "rate", "slo"),
    [
        pytest.param([], None, "", id="nothing burns"),
        pytest.param([burn("ttft", 2.0), burn("e2e", 3.0)], 3.0, "e2e", id="the worst"),
        pytest.param([burn("errors", 90.0)], None, "", id="errors ask for no replicas"),
        pytest.param([burn("gone", 90.0)], None, "", id="an SLO that no file has"),
        pytest.param([burn("ttft", 2.0, model="n")], None, "", id="another model's"),
        pytest.param([burn("ttft", 2.0, variant="b")], None, "", id="another variant's"),
        pytest.param([burn("ttft", 2.0, service="search")], None, "", id="another service's"),
        pytest.param([burn("ttft", 2.0, service="search,chat", model="m")], 2.0, "ttft", id="of several services"),
    ],
)
def test_latency_that_burns_is_that_of_the_model(burns: list[dict[str, Any]], rate: float | None, slo: str) -> None:
    (only,) = facts_of({"scale": [row()], "scale_pressure": burns, "slos": SLOS}, {})
    assert (only.burn_rate, only.burn_slo) == (rate, slo)


@pytest.mark.parametrize(
    ("rows", "cold_start_s", "accelerator"),
    [
        pytest.param([], None, "", id="none"),
        pytest.param([start("engines", 90, 1)], 90, "h100", id="one replica that came"),
        pytest.param([start("events", 90, 4)], None, "", id="too few requests that met one"),
        pytest.param([start("events", 9, 50), start("engines", 90, 1, accelerator="l4")], 90, "l4", id="the slowest"),
        pytest.param([start("engines", 90, model="n")], None, "", id="another model's"),
    ],
)
def test_cold_starts_are_those_of_the_model(
    rows: list[dict[str, Any]], cold_start_s: float | None, accelerator: str
) -> None:
    (only,) = facts_of({"scale": [row()], "scale_cold_starts": rows}, {})
    assert (only.cold_start_s, only.accelerator) == (cold_start_s, accelerator)


def test_cold_starts_are_remembered_until_others_are_measured() -> None:
    last = Signal(
        service="chat", model="m", name="scale", scope="", state="steady", value=1.0, unit="", reason="",
        evaluated_at_us=1, expires_at_us=2, details={"cold_start_p95_s": "75", "accelerator": "l4"},
    )  # fmt: skip
    (remembered,) = facts_of({"scale": [row()]}, {last.key: last})
    assert (remembered.cold_start_s, remembered.accelerator) == (75, "l4")
    (measured,) = facts_of({"scale": [row()], "scale_cold_starts": [start("engines", 30)]}, {last.key: last})
    assert (measured.cold_start_s, measured.accelerator) == (30, "h100")


def test_what_engines_do_not_say_is_not_known() -> None:
    (silent,) = facts_of({"scale": [row()], "scale_engines": [engines(waiting=None)]}, {})
    assert (silent.waiting, silent.ready) == (None, 2)
    (gone,) = facts_of({"scale": [row()], "scale_engines": [engines(replicas=0, ready=0)]}, {})
    assert (gone.waiting, gone.ready, gone.loads) == (None, None, (1, 2))
    (day,) = facts_of(
        {"scale": [row()], "scale_day": [{"service": "chat", "model": "m", "variant": "", "replicas": 7}]}, {}
    )
    assert day.day_most == 7


@given(
    st.lists(st.integers(0, 400), min_size=1, max_size=30),
    st.lists(st.integers(0, 3_000), min_size=31, max_size=31),
)
def test_whoever_came_has_ended_or_is_in_flight(ended: list[int], held: list[int]) -> None:
    """Sums agree whenever no cell's own count is less than what left unseen."""
    held = held[: len(ended) + 1]
    came = arrivals([each / 10 for each in ended], [float(each) for each in held])
    exact = [max(each + (end - begin), 0) for each, end, begin in zip(ended, held[:-1], held[1:], strict=True)]
    assert came == pytest.approx([each / 10 for each in exact])
    if all(each + (end - begin) >= 0 for each, end, begin in zip(ended, held[:-1], held[1:], strict=True)):
        assert sum(came) * 10 == pytest.approx(sum(ended) + held[0] - held[-1])


def test_where_nobody_looked_nothing_is_added() -> None:
    assert arrivals([1.0, 2.0], [None, 5.0, 3.0]) == (1, pytest.approx(2.2))
    assert arrivals([1.0, 2.0], []) == (1, 2)
    assert arrivals([], [1.0]) == ()


@given(st.floats(-2, 2), st.floats(100, 900))
def test_the_trend_of_a_line_is_its_slope(slope: float, level: float) -> None:
    line = [level + slope * (300 - 10 * n) for n in range(30)]
    assert trend(line) == pytest.approx(slope, abs=1e-6)


@pytest.mark.parametrize(
    ("loads", "most"),
    [
        pytest.param([10.0] * 30, 0.0, id="level"),
        pytest.param([10.0] * 29, 0.0, id="too short a time"),
        pytest.param([*[30.0] * 3, *[10.0] * 27], 0.02, id="a step is no line"),
        pytest.param([10.0, 12.0] * 15, 0.001, id="noise"),
    ],
)
def test_what_is_no_line_has_hardly_a_trend(loads: list[float], most: float) -> None:
    assert 0 <= trend(loads) <= most
    assert len(loads) // 3 <= TREND_CELLS


@given(st.lists(st.floats(0, 1e4), max_size=40), st.integers(1, 10))
def test_the_greatest_mean_is_of_some_stretch(loads: list[float], cells: int) -> None:
    stretches = [loads[n : n + cells] for n in range(max(len(loads) - cells, 0) + 1)]
    assert greatest(loads, cells) == pytest.approx(max(sum(each) / len(each) if each else 0.0 for each in stretches))
    assert surely(loads[:2]) <= mean(loads[:2])


def test_what_had_no_answer_is_missing_unless_an_earlier_answer_stands_for_it() -> None:
    missing = [{"question": name, "part": ""} for name in ("scale_queue", "scale_shared", "scale_pressure")]
    (only,) = facts_of({"scale": [row()], MISSING: missing}, {})
    assert (only.missing, only.waiting, only.burn_rate) == (("queues", "burn rates"), None, None)
