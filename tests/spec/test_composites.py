"""Composites: members, rule, weights, window; and what the judge and ingest are told of them."""

import pytest

from pipeline.bindings import Bindings, labels_needed
from pipeline.slo import Ratio, Timeslices
from pipeline.spec import SloSet, parse, presets
from pipeline.spec.difference import differences
from pipeline.spec.explanation import explained, story
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
    return parse({"f.yaml": text.encode()}, presets())


def test_a_composite_is_read_and_is_no_slo() -> None:
    found = everything(MEMBERS + JOURNEY).checked()
    (made,) = found.composites
    assert [slo.name for slo in found.slos] == ["short", "other"]
    assert (made.name, made.rule, made.target) == ("journey", "weightedMean", Ratio(99, 100))
    assert made.members == (Member("short", Ratio(25, 10)), Member("other", Ratio(1, 1)))


def test_members_may_come_later_and_in_other_files() -> None:
    files = {"a.yaml": JOURNEY.encode(), "b.yaml": MEMBERS.encode()}
    assert [each.name for each in parse(files, presets()).checked().composites] == ["journey"]


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


def test_each_member_is_counted_once_more_without_group_by() -> None:
    grouped = MEMBERS.replace("{metric: availability}", "{metric: availability, groupBy: [region]}")
    found = everything(grouped + JOURNEY).checked()
    (made,) = found.composed
    assert [part.name for part in made.parts] == ["journey>short", "journey>other"]
    assert [objective.name for objective in found.objectives] == ["short", "other", "journey>short", "journey>other"]
    assert all(part.indicator.group_by == () for part in made.parts)
    short, other = (found.by_name[name].objective for name in ("short", "other"))
    assert made.parts[0].indicator_revision == short.indicator_revision
    assert made.parts[1].indicator_revision != other.indicator_revision, "what is counted is another thing"
    assert made.weights == (25, 10)
    assert (made.watched.objective.indicator.metric, made.watched.objective.service) == ("weightedMean", "chat")


def test_the_order_of_members_changes_no_revision_and_a_weight_does() -> None:
    turned = JOURNEY.replace("      - {ref: short, weight: 2.5}\n", "").replace(
        "      - {ref: other}\n", "      - {ref: other}\n      - {ref: short, weight: 2.50}\n"
    )
    one, same, other = (
        everything(MEMBERS + text).checked().composed[0].watched.objective
        for text in (JOURNEY, turned, JOURNEY.replace("2.5", "2"))
    )
    assert (one.revision, one.indicator_revision) == (same.revision, same.indicator_revision)
    assert one.revision != other.revision
    (differing,) = differences(everything(MEMBERS + JOURNEY), everything(MEMBERS + JOURNEY.replace("2.5", "2")))
    assert [str(change) for change in differing.changes] == [
        "members: the weighted mean of short x2.5, other x1 -> the weighted mean of short x2, other x1"
    ]


def test_the_worst_of_slices_is_judged_as_slices_of_which_all_must_be_good() -> None:
    worst = JOURNEY.replace("weightedMean", "worstOf").replace(", weight: 2.5", "")
    worst += "  budgetingMethod: Timeslices\n  timeSliceWindow: 1m\n  timeSliceTarget: 0.95\n"
    (made,) = everything(MEMBERS + worst).checked().composed
    assert made.watched.objective.timeslices == Timeslices(60_000_000, Ratio(1, 1))
    assert {part.timeslices for part in made.parts} == {Timeslices(60_000_000, Ratio(95, 100))}


def test_an_alert_policy_an_sla_and_a_runbook_are_those_of_the_composite() -> None:
    text = JOURNEY.replace("{name: journey}", "{name: journey, annotations: {runbook: https://r.example}}")
    text += "  alerting: {pairs: [{severity: info, factor: 3, long: 2h, short: 10m}]}\n"
    text += "  sla: {target: 0.9, consequence: x}\n"
    found = everything(MEMBERS + text).checked()
    (made,) = found.composed
    assert [(pair.severity.name, pair.long_us) for pair in made.watched.policy.pairs] == [("INFO", 7_200_000_000)]
    assert (made.watched.objective.sla_target, made.watched.runbook) == (Ratio(9, 10), "https://r.example")
    told = explained(found.told["journey"])
    assert told["sentence"] == "99 % of the weighted mean of short x2.5, other x1, over 30d"
    assert told["members"] == [{"ref": "short", "weight": 2.5}, {"ref": "other", "weight": 1.0}]
    assert "SLA: 90 %, or x" in "".join(story(found.told["journey"]))


def test_a_part_is_bound_to_the_series_of_its_member() -> None:
    objectives = everything(MEMBERS + JOURNEY).checked().objectives
    names = labels_needed(objectives)
    bindings = Bindings(objectives, names, 100)
    for service in ("chat", "batch"):
        bindings.series_of(tuple({"service": service}.get(name, "x") for name in names))
    bound = [
        [bindings.instances[i] for i in bindings.bound[start : start + count].tolist()]
        for start, count in zip(bindings.starts[1:3].tolist(), bindings.counts[1:3].tolist(), strict=True)
    ]
    assert sorted(instance.slo for instance in bound[0]) == ["journey>other", "journey>short", "other", "short"]
    assert bound[1] == []
