"""What is not judged yet is refused by name, one row a feature; without its row it is read and kept."""

from datetime import datetime

import pytest

from pipeline.periods import Calendar
from pipeline.sli import Case, Verdict
from pipeline.slo import Ratio, Timeslices
from pipeline.spec import SloSet, parse, presets
from pipeline.spec.classification import CASES
from pipeline.spec.unsupported import LATER
from tests.spec.samples import GOOD, SHORT, load_text, problems, spoiled

POLICY = ("    attempts: all\n", "    attempts: all\n    policy: {shed: excluded, cancelled: bad}\n")
ERRORS = spoiled(
    ("{metric: error_rate}", "{metric: error_rate, policy: {shed: excluded, rateLimited: bad}}"), text=SHORT
)
CALENDAR = spoiled(
    ("{duration: 30d}", "{duration: 1M, calendar: {startTime: 2026-01-01, timeZone: Europe/Berlin}}"), text=SHORT
)
SLICES = SHORT + "  budgetingMethod: Timeslices\n  timeSliceWindow: 1m\n  timeSliceTarget: 0.95\n"
RATIOS = SHORT + "  budgetingMethod: RatioTimeslices\n  timeSliceWindow: 5m\n"
COMPOSITE = f"""{SHORT}---
{SHORT.replace("short", "other").replace("error_rate", "availability")}---
apiVersion: burnline/v1
kind: SLO
metadata: {{name: journey}}
spec:
  composite: {{rule: weightedMean, objectives: [{{ref: short, weight: 2}}, {{ref: other}}]}}
  target: 0.99
  timeWindow: {{duration: 30d}}
"""


def everything(text: str) -> SloSet:
    return parse({"f.yaml": text.encode()}, presets(), ())


@pytest.mark.parametrize(
    ("text", "path"),
    [
        pytest.param(ERRORS, "spec.indicator.policy", id="a policy of its own"),
        pytest.param(CALENDAR, "spec.timeWindow.calendar", id="a calendar window"),
        pytest.param(SLICES, "spec.budgetingMethod", id="timeslices"),
        pytest.param(RATIOS, "spec.budgetingMethod", id="ratio timeslices"),
        pytest.param(COMPOSITE, "spec.composite", id="a composite"),
    ],
)
def test_a_promise_that_is_not_measured_is_refused_by_name_and_nothing_else_is_wrong(text: str, path: str) -> None:
    (problem,) = load_text(text).problems
    assert (problem.path, problem.rule.split(":")[0]) == (path, "is not supported yet")
    assert problem.remedy
    assert everything(text).problems == ()


def test_every_row_has_an_example() -> None:
    asked = {load_text(text).problems[0].path for text in (ERRORS, CALENDAR, SLICES, RATIOS, COMPOSITE)}
    assert asked == {feature.path for feature in LATER}


def test_lifting_one_row_lifts_one_rejection() -> None:
    kept = tuple(feature for feature in LATER if feature.path != "spec.budgetingMethod")
    assert parse({"f": SLICES.encode()}, presets(), kept).problems == ()
    assert parse({"f": CALENDAR.encode()}, presets(), kept).problems != ()


def test_a_policy_moves_cases_and_keeps_those_that_it_repeats() -> None:
    (slo,) = everything(ERRORS).objectives
    assert slo.indicator.verdicts == ((Case.SHED, Verdict.EXCLUDED), (Case.RATE_LIMITED, Verdict.BAD))
    (slow,) = everything(spoiled(POLICY)).objectives
    assert slow.indicator.verdicts == ((Case.CANCELLED, Verdict.BAD),)  # shed is excluded from ttft anyway


def test_a_policy_that_repeats_the_table_is_no_policy_and_makes_no_revision() -> None:
    text = spoiled(
        ("{metric: error_rate}", "{metric: error_rate, policy: {shed: bad, rejected: excluded}}"), text=SHORT
    )
    assert load_text(text).checked().objectives == load_text(SHORT).objectives


def test_a_policy_makes_a_revision_of_counts() -> None:
    (own,), (usual,) = everything(ERRORS).objectives, load_text(SHORT).objectives
    assert own.indicator_revision != usual.indicator_revision


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("{shed: good}", "shed  good  must be one of bad, excluded  -> write one of them"),
        ("{sheded: bad}", f"sheded  sheded  must be one of {', '.join(CASES)}  -> did you mean shed?"),
        ("{error: excluded}", f"error  error  must be one of {', '.join(CASES)}  -> write one of them"),
    ],
)
def test_what_failed_cannot_be_made_good(policy: str, expected: str) -> None:
    (problem,) = problems(spoiled(("{metric: error_rate}", f"{{metric: error_rate, policy: {policy}}}"), text=SHORT))
    assert problem.partition("spec.indicator.policy.")[2] == expected


def test_a_calendar_window_is_read() -> None:
    (slo,) = everything(CALENDAR).objectives
    assert slo.calendar == Calendar(1, "M", datetime.fromisoformat("2026-01-01"), "Europe/Berlin")
    assert slo.window_us == slo.calendar.longest_us
    assert slo.revision != load_text(SHORT).objectives[0].revision
    assert slo.indicator_revision == load_text(SHORT).objectives[0].indicator_revision


def test_slices_are_read() -> None:
    (fixed,), (ratio,) = everything(SLICES).objectives, everything(RATIOS).objectives
    assert fixed.timeslices == Timeslices(60_000_000, Ratio(95, 100))
    assert ratio.timeslices == Timeslices(300_000_000)
    assert len({fixed.revision, ratio.revision, load_text(SHORT).objectives[0].revision}) == 3


def test_an_sla_is_exported_with_its_own_target() -> None:
    assert load_text(GOOD).objectives[0].sla_target == Ratio(95, 100)
    assert load_text(SHORT).objectives[0].sla_target is None
