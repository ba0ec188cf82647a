"""Windows of calendars, budgets of slices, SLAs: what a file promises beyond a share of events is read and kept."""

from datetime import datetime

from pipeline.alerts import Guards
from pipeline.periods import Calendar
from pipeline.slo import Ratio, Timeslices
from tests.spec.samples import GOOD, SHORT, load_text, spoiled

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
  composite: {{rule: worstOf, objectives: [{{ref: short}}, {{ref: other}}]}}
  budgetingMethod: Timeslices
  timeSliceWindow: 1m
  timeSliceTarget: 0.95
  target: 0.99
  timeWindow: {{duration: 30d}}
"""


def test_a_calendar_window_is_read() -> None:
    (slo,) = load_text(CALENDAR).objectives
    assert slo.calendar == Calendar(1, "M", datetime.fromisoformat("2026-01-01"), "Europe/Berlin")
    assert slo.window_us == slo.calendar.longest_us
    assert slo.revision != load_text(SHORT).objectives[0].revision
    assert slo.indicator_revision == load_text(SHORT).objectives[0].indicator_revision


def test_slices_are_read() -> None:
    (fixed,), (ratio,) = load_text(SLICES).objectives, load_text(RATIOS).objectives
    assert fixed.timeslices == Timeslices(60_000_000, Ratio(95, 100))
    assert ratio.timeslices == Timeslices(300_000_000)
    assert len({fixed.revision, ratio.revision, load_text(SHORT).objectives[0].revision}) == 3


def test_slices_ask_for_evidence_that_their_windows_can_hold() -> None:
    (fixed,), (ratio,) = load_text(SLICES).slos, load_text(RATIOS).slos
    assert fixed.policy.guards == Guards(30, 1)
    assert ratio.policy.guards == Guards(6, 0)
    own = RATIOS.replace("  timeSliceWindow: 5m\n", "  timeSliceWindow: 5m\n  guards: {minEvents: 12, minBad: 2}\n")
    assert load_text(own).checked().slos[0].policy.guards == Guards(12, 2)


def test_a_presets_windows_must_hold_a_slice() -> None:
    (problem,) = load_text(RATIOS.replace("5m", "10m")).problems
    assert (problem.path, problem.rule) == (
        "spec.timeSliceWindow", "must not be longer than the shortest window of preset default, 5m",
    )  # fmt: skip


def test_a_composite_of_events_has_no_member_of_slices() -> None:
    mean = COMPOSITE.replace("worstOf", "weightedMean").replace("  budgetingMethod: Timeslices\n", "")
    mean = mean.replace("  timeSliceWindow: 1m\n  timeSliceTarget: 0.95\n", "")
    sliced = mean.replace(
        "target: 0.999\n", "target: 0.999\n  budgetingMethod: RatioTimeslices\n  timeSliceWindow: 1m\n", 1
    )
    assert load_text(mean).problems == ()
    (problem,) = load_text(sliced).problems
    assert problem.rule == "counts slices, and this composite counts events (f.yaml:1)"


def test_an_sla_is_exported_with_its_own_target() -> None:
    assert load_text(GOOD).objectives[0].sla_target == Ratio(95, 100)
    assert load_text(SHORT).objectives[0].sla_target is None
