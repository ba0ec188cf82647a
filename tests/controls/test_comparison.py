"""Law: what changes nothing is called nothing; more bad events never make it better; a verdict needs all baselines."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.controls.comparison import (
    BEFORE,
    WEEK,
    Comparison,
    ComparisonSpec,
    Effect,
    Verdict,
    blames,
    compared,
    worst_first,
)
from pipeline.controls.sequential import Sample
from pipeline.spec.problems import Refused

AT = datetime(2026, 11, 24, 10, tzinfo=UTC)
SPEC = ComparisonSpec()
RANK = {Verdict.BETTER: 0, Verdict.NO_DIFFERENCE: 1, Verdict.NOT_YET: 1, Verdict.WORSE: 2}
SIDES = st.builds(Sample, st.integers(1, 100_000), st.integers(0, 3_000)) | st.builds(
    Sample, st.integers(0, 40), st.integers(1, 10)
)


def effect(before: tuple[int, int], after: tuple[int, int], margin: float = 0.001, spread: float = 1.0) -> Effect:
    return Effect(BEFORE, Sample(*before), Sample(*after), 0.01, margin, 0.01, spread)


def row(after: tuple[int, int], before: tuple[int, int], week: tuple[int, int] = (0, 0), **more: Any) -> dict[str, Any]:
    """As infra/clickhouse/page/comparison.sql has it; one minute a side, so that nothing is known of bursts."""
    sides = {"after": after, "before": before, "week": week}
    counts = {f"{name}_{word}": side[n] for name, side in sides.items() for n, word in enumerate(("good", "bad"))}
    return {
        "service": "chat", "change_id": "c1", "at": AT, "kind": "deploy", "title": "vllm 0.9.1", "request_model": "",
        "variant": "", "region": "", "before_start": AT, "after_start": AT, "after_end": AT, "ended_at": None,
        "instances": 1, "slo": "errors", "instance": "region=eu", "target": 0.99, "window_eligible": 1_000_000,
        "before_minutes": 1, "before_squares": 0.0, "week_minutes": 1, "week_squares": 0.0,
        "steps": ((-1, 0), (9, 8), (1, 2)), **counts, **more,
    }  # fmt: skip


def one(after: tuple[int, int], before: tuple[int, int], week: tuple[int, int] = (0, 0), **more: Any) -> Comparison:
    (found,) = compared(SPEC, [row(after, before, week, **more)])
    return found


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        pytest.param((59_700, 300), (19_000, 1_000), Verdict.WORSE, id="ten times as bad"),
        pytest.param((19_000, 1_000), (59_700, 300), Verdict.BETTER, id="a tenth of it"),
        pytest.param((99_500, 500), (99_490, 510), Verdict.NOT_YET, id="a little more, of too few for the margin"),
        pytest.param((9_950_000, 50_000), (9_949_900, 50_100), Verdict.NO_DIFFERENCE, id="a little more, of many"),
        pytest.param((9_950_000, 50_000), (9_945_000, 55_000), Verdict.NO_DIFFERENCE, id="surely more, by too little"),
        pytest.param((9_950_000, 50_000), (9_930_000, 70_000), Verdict.WORSE, id="surely more, by more than that"),
        pytest.param((1_000, 0), (9, 1), Verdict.NOT_YET, id="one bad of ten"),
    ],
)
def test_verdicts_on_known_counts(before: tuple[int, int], after: tuple[int, int], verdict: Verdict) -> None:
    assert effect(before, after).verdict is verdict


@given(SIDES, SIDES, st.integers(1, 2_000), st.booleans(), st.sampled_from((0.0, 0.001, 0.05)))
def test_more_bad_events_never_make_it_better(
    before: Sample, after: Sample, more: int, is_turned: bool, margin: float
) -> None:
    """Some that were good are bad, or more have come that are bad."""
    turned = min(more, after.good) if is_turned else 0
    later = Sample(after.good - turned, after.bad + (turned or more))
    assert RANK[effect(before, after, margin).verdict] <= RANK[effect(before, later, margin).verdict]


@given(SIDES, SIDES, st.sampled_from((0.0, 0.001, 0.05)))
def test_what_is_worse_one_way_round_is_better_the_other(before: Sample, after: Sample, margin: float) -> None:
    swapped = {Verdict.WORSE: Verdict.BETTER, Verdict.BETTER: Verdict.WORSE}
    found = effect(before, after, margin).verdict
    assert effect(after, before, margin).verdict is swapped.get(found, found)


@given(SIDES, SIDES, st.sampled_from((0.001, 0.02)))
def test_a_verdict_says_what_the_bounds_say(before: Sample, after: Sample, margin: float) -> None:
    found = effect(before, after, margin)
    least, most = found.difference_within
    is_inside = -margin <= least and most <= margin
    wanted = (
        Verdict.NO_DIFFERENCE if is_inside else Verdict.WORSE if least >= 0 and found.difference > 0
        else Verdict.BETTER if most <= 0 and found.difference < 0 else Verdict.NOT_YET
    )  # fmt: skip
    assert found.verdict is wanted
    assert found.excess == pytest.approx(after.bad - before.bad * after.eligible / before.eligible)


def test_bursts_before_a_change_make_it_slower_to_be_called_worse() -> None:
    assert effect((99_000, 1_000), (98_700, 1_300)).verdict is Verdict.WORSE
    assert effect((99_000, 1_000), (98_700, 1_300), spread=5.0).verdict is Verdict.NOT_YET


# -- both baselines
def test_a_verdict_needs_all_baselines_and_the_nearer_one_says_what_it_cost() -> None:
    found = one((19_000, 1_000), (59_700, 300), (19_500, 500))
    assert [each.verdict for each in found.effects] == [Verdict.WORSE, Verdict.WORSE]
    assert found.verdict is Verdict.WORSE and found.is_worse
    assert found.effect is not None and found.effect.baseline == WEEK
    assert found.budget_excess_ratio == pytest.approx(500 / 10_000)
    assert found.budget_excess_within is not None and found.budget_excess_within[0] > 0.02
    hour = one((19_000, 1_000), (59_700, 300), (19_000, 1_000))
    assert (hour.verdict, hour.is_worse) == (Verdict.NOT_YET, False)
    assert "worse than just before it, not to be told from a week earlier" in hour.reason


@pytest.mark.parametrize(
    ("week", "baselines"),
    [
        pytest.param((19_400, 600), [BEFORE, WEEK], id="as much"),
        pytest.param((9_999, 1), [BEFORE, WEEK], id="half as much"),
        pytest.param((9_998, 1), [BEFORE], id="less than half"),
        pytest.param((0, 0), [BEFORE], id="nothing"),
    ],
)
def test_a_week_with_far_fewer_events_holds_up_nobody(week: tuple[int, int], baselines: list[str]) -> None:
    assert [each.baseline for each in one((19_000, 1_000), (59_700, 300), week).effects] == baselines


@pytest.mark.parametrize(
    ("after", "before", "says"),
    [
        pytest.param((0, 0), (100, 1), "nothing was counted after it", id="nothing after it"),
        pytest.param((100, 1), (0, 0), "nothing was counted to compare with", id="nothing before it"),
        pytest.param((100, 1), (100, 1), "too little to tell", id="little"),
    ],
)
def test_what_is_not_known_is_said(after: tuple[int, int], before: tuple[int, int], says: str) -> None:
    found = one(after, before)
    assert found.verdict is Verdict.NOT_YET and not found.is_worse and says in found.reason


def test_all_of_it_can_be_told_as_json() -> None:
    told = [one((19_000, 1_000), (1_000, 0)).told, one((0, 0), (0, 0)).told]
    full, empty = json.loads(json.dumps(told, default=str))
    assert full["baselines"][0]["ratio"] is None and full["baselines"][0]["ratio_within"][1] is None
    assert (empty["bad_ratio"], empty["budget_excess_ratio"], empty["baselines"]) == (None, None, [])


# -- many instances
def test_the_instances_of_a_change_share_its_alpha() -> None:
    four = [row((99, 1), (99, 1), instance=f"region={n}", instances=4) for n in range(4)]
    rows = [*four, row((99, 1), (99, 1), change_id="c2")]
    assert [each.alpha for each in compared(SPEC, rows)] == [0.0025] * 4 + [0.01]
    assert compared(SPEC, four[2:3])[0].told == compared(SPEC, four)[2].told, "though it alone is asked for"


def test_the_newest_change_is_first_and_in_it_the_worst() -> None:
    bad, same = ((19_000, 1_000), (59_700, 300)), ((99, 1), (99, 1))
    rows = [row(*same, instance="a"), row(*bad, instance="b"), row(*same, change_id="new", at=AT + timedelta(hours=1))]
    found = worst_first(compared(SPEC, rows))
    assert [(each.change.change_id, each.instance) for each in found] == [
        ("new", "region=eu"), ("c1", "b"), ("c1", "a"),
    ]  # fmt: skip


def test_who_is_to_blame_is_in_force_and_cost_most() -> None:
    bad, worse = ((19_000, 1_000), (59_700, 300)), ((18_000, 2_000), (59_700, 300))
    rows = [
        row(*bad, change_id="a", title="small"), row(*worse, change_id="b", title="great\nnews"),
        row(*worse, change_id="c", instance="gone", ended_at=AT), row((99, 1), (99, 1), change_id="d", instance="well"),
    ]  # fmt: skip
    found = blames(compared(SPEC, rows))
    assert set(found) == {("errors", "region=eu")}
    assert found["errors", "region=eu"].title == "great?news"
    assert found["errors", "region=eu"].spent_ratio == pytest.approx((2_000 - 100) / 10_000)


@pytest.mark.parametrize("wrong", [{"alpha": 0.0}, {"alpha": 1.0}, {"margin_ratio": -0.1}, {"window_s": 30.0}])
def test_a_spec_that_means_nothing_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(Refused):
        replace(SPEC, **wrong)  # type: ignore[arg-type]
