"""Composites: members, rule, weights, window. Read with the rejection lifted, refused with it."""

import pytest

from pipeline.slo import Ratio
from pipeline.spec import SloSet, parse, presets
from pipeline.spec.slos import Composite, Member
from tests.spec.samples import SHORT

MEMBERS = f"{SHORT}---\n{SHORT.replace('short', 'other').replace('error_rate', 'availability')}---\n"
JOURNEY = """\
apiVersion: burnline/v1
kind: SLO
metadata: {name: journey}
spec:
  composite:
    rule: weightedMean
    objectives:
      - {ref: short, weight: 2.5}
      - {ref: other}
  target: 0.99
  timeWindow: {duration: 30d}
"""
LINES = MEMBERS.count("\n")


def everything(text: str) -> SloSet:
    return parse({"f.yaml": text.encode()}, presets(), ())


def test_a_composite_is_read_and_is_no_slo() -> None:
    found = everything(MEMBERS + JOURNEY).checked()
    (made,) = found.composites
    assert [slo.name for slo in found.slos] == ["short", "other"]
    assert (made.name, made.rule, made.target) == ("journey", "weightedMean", Ratio(99, 100))
    assert made.members == (Member("short", Ratio(25, 10)), Member("other", Ratio(1, 1)))


def test_members_may_come_later_and_in_other_files() -> None:
    files = {"a.yaml": JOURNEY.encode(), "b.yaml": MEMBERS.encode()}
    assert [each.name for each in parse(files, presets(), ()).checked().composites] == ["journey"]


def test_a_composite_is_refused_as_long_as_nothing_judges_it() -> None:
    found = parse({"f.yaml": (MEMBERS + JOURNEY).encode()}, presets())
    assert found.composites == ()
    assert [(problem.path, problem.rule) for problem in found.problems] == [
        ("spec.composite", "is not supported yet: no SLO is judged from others")
    ]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("{ref: other}", "{ref: othr}", "ref  othr  is the name of no SLO  -> did you mean other?"),
        ("{ref: other}", "{ref: short}", "ref  short  is given twice  -> remove one of them, or raise the weight"),
        ("{ref: other}", "{ref: journey}",
         f"ref  journey  is no SLO that can be used  -> mend f.yaml:{LINES + 1}; composites do not nest"),
        ("{ref: other}", "{ref: other, weight: 0}",
         "weight  0  must be greater than 0, with at most 2 decimals  -> write 1"),
        ("      - {ref: other}\n", "", "objectives  […]  must be a list of 2 to 25 items  -> add a member"),
        ("duration: 30d", "duration: 28d",
         "ref  short  has another window than this composite (f.yaml:1)  -> give both the same timeWindow"),
        ("rule: weightedMean", "rule: mean",
         "rule  mean  must be one of weightedMean, worstOf  -> did you mean weightedMean?"),
        ("rule: weightedMean", "rule: worstOf",
         "budgetingMethod  must be Timeslices for worstOf  -> write budgetingMethod: Timeslices"),
        ("target: 0.99", "target: 99", "target  99  must be a ratio in (0, 1)  -> write 0.99"),
        ("  target", "  indicator: {metric: e2e}\n  target",
         "indicator  {…}  is an unknown key  -> known keys are description, composite, target, budgetingMethod, "
         "timeSliceWindow, timeSliceTarget, timeWindow, alerting, guards, sla"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_composite(old: str, new: str, expected: str) -> None:
    found = everything(MEMBERS + JOURNEY.replace(old, new))
    assert expected in str(found.problems[0]).replace("spec.", "")
    assert found.composites == ()
    assert [slo.name for slo in found.slos] == ["short", "other"]


def test_the_worst_of_slices_weighs_nothing() -> None:
    slices = "  budgetingMethod: Timeslices\n  timeSliceWindow: 1m\n  timeSliceTarget: 0.95\n"
    worst = JOURNEY.replace("weightedMean", "worstOf") + slices
    (problem,) = everything(MEMBERS + worst).problems
    assert (problem.path, problem.rule) == (
        "spec.composite.objectives[0].weight", "must not be given: worstOf weighs nothing",
    )  # fmt: skip
    (made,) = everything(MEMBERS + worst.replace(", weight: 2.5", "")).checked().composites
    assert isinstance(made, Composite)
    assert made.timeslices is not None
