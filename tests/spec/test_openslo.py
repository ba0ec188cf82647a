"""OpenSLO v1 comes to the same SLOs as burnline/v1 does."""

from dataclasses import replace

import pytest

from pipeline.alerts import Severity, WindowPair
from pipeline.sli import Case, Verdict
from pipeline.slo import Ratio
from pipeline.spec import Slo, SloSet, SpecError, load, parse, presets
from pipeline.spec.lint import lint
from tests.spec.openslo_samples import (
    BY_KIND,
    CONDITION,
    DATA_SOURCE,
    ELSEWHERE,
    EXAMPLES,
    POLICY,
    RATIO,
    SERVICE,
    SLI,
    TARGET,
    THRESHOLD,
    joined,
)
from tests.spec.samples import GOOD, load_text, spoiled

S = 1_000_000
OURS = """\
apiVersion: burnline/v1
kind: SLO
metadata: {name: chat, labels: {team: serving}, annotations: {runbook: "https://x"}}
spec:
  service: chat
  description: Quick
  indicator: {metric: ttft, op: lte, threshold: 1s, where: {operation: chat}}
  target: 0.99
  timeWindow: {duration: 30d, isRolling: true}
"""
OBJECTIVE = "{op: lte, value: 1, target: 0.99}"


def only(found: SloSet) -> Slo:
    assert found.problems == ()
    (slo,) = found.slos
    return slo


def ours(*changes: tuple[str, str]) -> Slo:
    return only(load_text(spoiled(*changes, text=OURS)))


def theirs(*changes: tuple[str, str], text: str = THRESHOLD) -> Slo:
    return only(load_text(spoiled(*changes, text=text)))


def same(one: Slo, other: Slo) -> bool:
    """Tell whether two SLOs are alike in all but where they are written."""
    return replace(one, source=other.source) == other


def test_one_model_is_behind_both_languages() -> None:
    assert same(theirs(), ours())
    assert not same(theirs(("target: 0.99", "target: 0.95")), ours())


@pytest.mark.parametrize(
    ("change", "ours_change"),
    [
        pytest.param(("target: 0.99", "targetPercent: 99.95"), ("target: 0.99", "target: 0.9995"), id="targetPercent"),
        pytest.param(("value: 1,", "value: 0.5,"), ("1s", "500ms"), id="a part of a unit"),
        pytest.param(("unit: s", "unit: ms"), ("1s", "1ms"), id="another unit"),
        pytest.param(("op: lte", "op: lt"), ("op: lte", "op: lt"), id="another op"),
        pytest.param(
            (", unit: s,", ", op: lte, threshold: 2s,"), ("1s", "2s"), id="a whole indicator in the metric source"
        ),
    ],
)
def test_an_objective_is_the_condition(change: tuple[str, str], ours_change: tuple[str, str]) -> None:
    changes = [change]
    if "threshold" in change[1]:
        changes.append((OBJECTIVE, "{target: 0.99}"))
    assert same(theirs(*changes), ours(ours_change))


@pytest.mark.parametrize(
    ("part", "threshold_us"),
    [
        pytest.param("good: {metricSource: {type: burnline, spec: {metric: e2e, op: lte, %s}}}", 2 * S, id="good"),
        pytest.param("bad: {metricSource: {type: burnline, spec: {metric: e2e, op: gt, %s}}}", 2 * S, id="bad"),
        pytest.param("bad: {metricSource: {type: burnline, spec: {metric: e2e, op: gte, %s}}}", 2 * S - 1, id="at"),
    ],
)
def test_bad_events_are_those_that_its_op_selects(part: str, threshold_us: int) -> None:
    good = "good: {metricSource: {type: burnline, spec: {metric: availability}}}"
    total = "total: {metricSource: {type: burnline, spec: {metric: availability}}}"
    changes = (good, part % "threshold: 2s"), (total, total.replace("availability", "e2e"))
    indicator = theirs(*changes, text=RATIO).objective.indicator
    assert (indicator.at_most, indicator.threshold) == (True, threshold_us)


@pytest.mark.parametrize(
    ("raw_type", "at_most", "threshold_us"), [("success", True, 2 * S), ("failure", False, 2 * S + 1)]
)
def test_a_raw_ratio_is_an_indicator_or_its_opposite(raw_type: str, at_most: bool, threshold_us: int) -> None:
    good = "good: {metricSource: {type: burnline, spec: {metric: availability}}}"
    total = "total: {metricSource: {type: burnline, spec: {metric: availability}}}"
    raw = "raw: {metricSource: {type: burnline, spec: {metric: e2e, op: lte, threshold: 2s}}}"
    indicator = theirs((good, raw), (total, f"rawType: {raw_type}"), text=RATIO).objective.indicator
    assert (indicator.at_most, indicator.threshold) == (at_most, threshold_us)


def test_each_objective_is_an_slo_named_after_it() -> None:
    several = f"{OBJECTIVE}\n    - {{displayName: Bearable at Night, op: lte, value: 5, target: 0.999}}"
    found = load_text(spoiled((OBJECTIVE, several), text=THRESHOLD))
    assert found.problems == ()
    assert [(slo.name, slo.objective.indicator.threshold) for slo in found.slos] == [
        ("chat-0", S),
        ("chat-bearable-at-night", 5 * S),
    ]
    assert [slo.source.line for slo in found.slos] == [19, 20]


def test_references_are_resolved_across_files_in_any_order() -> None:
    inline = THRESHOLD[THRESHOLD.index("  indicator:") : THRESHOLD.index("  timeWindow:")]
    slo = spoiled((inline, "  indicatorRef: sli\n"), text=THRESHOLD) + "  alertPolicies: [policy]\n"
    files = {
        "slo": slo,
        "a": joined(POLICY, SLI),
        "b": joined(CONDITION, DATA_SOURCE),
        "c": joined(TARGET, SERVICE.replace("tier: gold", "tier: gold, team: x")),
    }
    expected = WindowPair(Severity.CRITICAL, Ratio(10, 1), 3600 * S, 300 * S)
    for order in (list(files), sorted(files)):
        slo_found = only(parse({file: files[file].encode() for file in order}, presets()))
        assert slo_found.objective.indicator.threshold == 1_000  # the unit of the SLI is ms
        assert slo_found.policy.pairs == (expected,)
        assert slo_found.labels == (("team", "serving"), ("tier", "gold"))  # the Service's too, after its own
        assert slo_found.source.file == "slo"


INLINE = """\
  alertPolicies:
    - kind: AlertPolicy
      metadata: {name: p, annotations: {burnline.dev/short-window: 10m}}
      spec:
        conditions:
          - kind: AlertCondition
            metadata: {name: c}
            spec: {severity: Ticket, condition: {op: gt, threshold: 2.5, lookbackWindow: 1d, alertAfter: 5m}}
        notificationTargets:
          - {kind: AlertNotificationTarget, metadata: {name: t}, spec: {target: email}}
"""


def test_an_inline_policy_is_a_window_pair() -> None:
    found = theirs(text=THRESHOLD + INLINE)
    assert found.policy.pairs == (WindowPair(Severity.WARNING, Ratio(25, 10), 86_400 * S, 600 * S),)
    assert found.preset is None


def warnings(text: str) -> list[tuple[int, str, str]]:
    found = load_text(text)
    assert found.problems == ()
    return [(problem.line, problem.path, problem.rule) for problem in lint(found)]


def test_lint_says_what_had_to_be_assumed() -> None:
    policies = "spec.alertPolicies[0].spec.conditions[0].spec.condition"
    assert warnings(THRESHOLD + INLINE.replace("burnline.dev/short-window: 10m", "a: b")) == [
        (27, f"{policies}.op", "is judged as gte: a burn of exactly it fires"),
        (27, f"{policies}.alertAfter", "is not kept: the short window takes its place"),
        (27, f"{policies}.lookbackWindow", "has no short window; a twelfth of it is taken, 2h"),
    ]


def test_lint_speaks_the_words_of_the_file() -> None:
    assert warnings(joined(RATIO, SERVICE.replace("name: chat", "name: other"))) == [
        (5, "spec.service", "names no Service of these files"),
        (3, "metadata.labels", "names no owner"),
        (3, "metadata.annotations", "names no runbook"),
        (5, "spec.description", "is missing"),
    ]
    slow = spoiled(("op: lte", "op: gte"), text=THRESHOLD)
    assert warnings(slow) == [(19, "spec.objectives[0].op", "counts slow requests as good")]


ANNOTATED = [
    ("alerting", "{preset: workbook}", "alerting: {preset: workbook}"),
    ("alerting", "{pairs: [{severity: info, factor: 3, long: 2h, short: 5m}], clear: {margin: 0.5}}", None),
    ("guards", "{minEvents: 7}", "guards: {minEvents: 7}"),
    ("sla", "{target: 0.9, consequence: x}", "sla: {target: 0.9, consequence: x}"),
]


@pytest.mark.parametrize(("key", "text", "said"), ANNOTATED)
def test_annotations_say_what_openslo_cannot(key: str, text: str, said: str | None) -> None:
    found = theirs(('"https://x"', f'"https://x", burnline.dev/{key}: "{text}"'))
    assert same(found, only(load_text(f"{OURS}  {said or f'{key}: {text}'}\n")))


def test_annotations_add_to_a_shared_indicator() -> None:
    said = 'burnline.dev/group-by: "[region]", burnline.dev/vantage: GATEWAY, burnline.dev/attempts: all'
    said += ', burnline.dev/policy: "{truncated: excluded}"'
    indicator = theirs(('"https://x"', f'"https://x", {said}')).objective.indicator
    assert (indicator.group_by, indicator.vantage, indicator.final_attempts_only) == (("region",), "GATEWAY", False)
    assert indicator.verdicts == ((Case.TRUNCATED, Verdict.EXCLUDED),)


def test_time_slices_and_calendars_are_read_as_our_own_are() -> None:
    rolls = "{duration: 30d, isRolling: true}"
    calendar = "{duration: 1M, calendar: {startTime: 2026-01-01 00:00:00, timeZone: UTC}}"
    sliced = ("target: 0.99}", "target: 0.99, timeSliceTarget: 0.95, timeSliceWindow: 5}")
    text = spoiled(("Occurrences", "Timeslices"), sliced, (rolls, calendar), text=THRESHOLD)
    said = "  budgetingMethod: Timeslices\n  timeSliceTarget: 0.95\n  timeSliceWindow: 5m\n"
    other = spoiled((rolls, calendar), text=OURS) + said
    one, two = (only(parse({"f": each.encode()}, presets())) for each in (text, other))
    assert same(one, two)
    assert one.objective.timeslices is not None
    assert one.objective.calendar is not None


def test_what_others_measure_is_valid_and_not_judged() -> None:
    found = load_text(ELSEWHERE)
    assert (found.slos, found.problems) == ((), ())
    assert list(map(str, found.unmeasured)) == [
        "f.yaml:3:18  metadata.name  errors  is valid OpenSLO, and not measured by Burnline: its metric source is "
        "Prometheus  -> to have Burnline judge it, write metricSource: {type: burnline, spec: {metric: ...}}"
    ]
    with pytest.raises(SpecError, match="not measured by Burnline"):
        found.checked()
    mixed = load_text(joined(ELSEWHERE, THRESHOLD, GOOD))
    assert [slo.name for slo in mixed.checked().slos] == ["chat", "chat-ttft"]
    assert len(mixed.unmeasured) == 1


def test_an_sli_that_no_file_holds_is_measured_elsewhere_unless_slis_are_here() -> None:
    inline = ELSEWHERE[ELSEWHERE.index("  indicator:") : ELSEWHERE.index("  timeWindow:")]
    text = spoiled((inline, "  indicatorRef: sly\n"), text=ELSEWHERE)
    alone = load_text(text)
    assert alone.problems == ()
    assert "none of these files holds its SLI" in alone.unmeasured[0].rule
    (problem,) = load_text(joined(text, SLI, DATA_SOURCE)).problems
    assert (problem.path, problem.value, problem.remedy) == ("spec.indicatorRef", "sly", "did you mean sli?")


@pytest.mark.parametrize("kind", BY_KIND)
def test_every_kind_stands_alone(kind: str) -> None:
    found = load_text(BY_KIND[kind])
    assert found.problems == ()
    assert len(found.slos) + found.others == 1


def test_the_examples_are_good_and_need_no_lint() -> None:
    found = load([EXAMPLES])
    assert found.problems == ()
    assert lint(found) == []
    assert [slo.name for slo in found.slos] == [
        "openslo-chat-errors",
        "openslo-chat-ttft-quick",
        "openslo-chat-ttft-bearable",
    ]
    assert found.others == 6


MINE, THEIRS = "metric: ttft, op: lte, threshold: 1s", "metric: ttft, unit: s"
SLICED = "budgetingMethod: Timeslices", "timeSliceWindow: 1m"


@pytest.mark.parametrize(
    ("unit", "condition", "indicator"),
    [
        pytest.param("metric: concurrency", "op: lte, value: 64", "metric: concurrency, op: lte, threshold: 64",
                     id="a number of requests"),
        pytest.param("metric: throughput_rps, unit: /s", "op: gte, value: 10",
                     "metric: throughput_rps, op: gte, threshold: 10/s", id="a rate"),
        pytest.param("metric: throughput_tps, unit: /m, offered: 5/s", "op: gte, value: 600",
                     "metric: throughput_tps, op: gte, threshold: 10/s, offered: 5/s", id="a rate of tokens"),
        pytest.param("metric: cost_per_1k_tokens, unit: USD", "op: lte, value: 0.002",
                     "metric: cost_per_1k_tokens, op: lte, threshold: 0.002 USD", id="money"),
    ],
)  # fmt: skip
def test_a_value_has_the_unit_of_its_metric(unit: str, condition: str, indicator: str) -> None:
    is_sliced = "concurrency" not in unit
    method, window = SLICED
    mine, its = [(MINE, indicator)], [(THEIRS, unit), (OBJECTIVE, f"{{{condition}, target: 0.99}}")]
    if is_sliced:
        mine.append(("  target: 0.99", f"  {method}\n  {window}\n  target: 0.99"))
        its[1] = (OBJECTIVE, f"{{{condition}, target: 0.99, timeSliceTarget: 1, {window}}}")
        its.append(("budgetingMethod: Occurrences", method))
    assert same(theirs(*its), ours(*mine))


def test_goodput_is_a_ratio_whose_numerator_has_the_objectives() -> None:
    good = "good: {metricSource: {type: burnline, spec: {metric: availability}}}"
    wanted = "metric: goodput, strict: true, objectives: {ttft: 1s, tpot: perRequest}"
    total = "total: {metricSource: {type: burnline, spec: {metric: availability}}}"
    changes = (good, good.replace("metric: availability", wanted)), (total, total.replace("availability", "goodput"))
    indicator = theirs(*changes, text=RATIO).objective.indicator
    assert (dict(indicator.objectives), indicator.is_strict) == ({"ttft": S, "tpot": None}, True)


def test_a_rate_without_its_unit_is_refused() -> None:
    found = load_text(spoiled((THEIRS, "metric: throughput_rps"), text=THRESHOLD))
    assert ("has no unit", "write unit: /s beside metric: throughput_rps") in [
        (problem.rule, problem.remedy) for problem in found.problems
    ]
