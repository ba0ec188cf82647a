"""What is wrong with OpenSLO, to the letter, at its own place and path."""

import pytest

from tests.spec.openslo_samples import CONDITION, DATA_SOURCE, ELSEWHERE, POLICY, RATIO, SLI, TARGET, THRESHOLD, joined
from tests.spec.samples import problems, spoiled

ALL = joined(THRESHOLD + "  alertPolicies: [policy]\n", POLICY, CONDITION, TARGET, SLI, DATA_SOURCE)
METRIC = "spec.indicator.spec.thresholdMetric.metricSource"
NAMES = "must be 1 to 255 of a-z, 0-9, dash, dot, |, / and \\, and start and end with a-z or 0-9"

#: id, text, what is replaced by what, the problem that follows
ONE_FAULT = [
    ("a percent as a target", ALL, "target: 0.99", "target: 99",
     "19:35  spec.objectives[0].target  99  must be a ratio in [0, 1)  -> write 0.99"),
    ("a target of nothing, which OpenSLO allows", ALL, "target: 0.99", "target: 0",
     "19:35  spec.objectives[0].target  0  must be a ratio in (0, 1)  -> write a share such as 0.99"),
    ("a targetPercent of everything", ALL, "target: 0.99", "targetPercent: 100",
     "19:42  spec.objectives[0].targetPercent  100  must be a percentage in [0, 100)"
     "  -> write a percentage such as 99.9"),
    ("both targets", ALL, "target: 0.99", "target: 0.99, targetPercent: 99",
     "19:56  spec.objectives[0].targetPercent  99  must not be given beside target  -> remove one of them"),
    ("no target", ALL, ", target: 0.99", "",
     "19:7  spec.objectives[0]  must have target or targetPercent  -> write target: 0.99"),
    ("a misspelt key", ALL, "budgetingMethod", "budgettingMethod",
     "17:3  spec.budgettingMethod  Occurrences  is an unknown key  -> did you mean budgetingMethod?"),
    ("an unknown kind", ALL, "kind: AlertCondition", "kind: AlertCondtion",
     "31:7  kind  AlertCondtion  must be one of SLO, SLI, Service, AlertPolicy, AlertCondition, DataSource, "
     "AlertNotificationTarget  -> did you mean AlertCondition?"),
    ("a name of two words", ALL, "name: ttft", "name: ChatTtft",
     f"11:22  spec.indicator.metadata.name  ChatTtft  {NAMES}  -> write chat-ttft"),
    ("a value without a unit", ALL, ", unit: s", "",
     "19:24  spec.objectives[0].value  1  has no unit  -> write unit: ms, or another, beside metric: ttft"),
    ("a value in a unit nobody knows", ALL, "unit: s", "unit: sec",
     "19:24  spec.objectives[0].value  1sec  must have a unit of us, ms, s, m, h, d, w  -> write 1s"),
    ("a threshold said twice", ALL, "unit: s", "unit: s, threshold: 2s",
     f"19:24  spec.objectives[0].value  1  is already said by {METRIC}.spec.threshold  -> remove one of them"),
    ("an unknown metric in the metric source", ALL, "metric: ttft, unit: s", "metric: tttf, unit: s",
     f"14:55  {METRIC}.spec.metric  tttf  "),
    ("an unknown label in the metric source", ALL, "operation: chat", "oper: chat",
     f"14:78  {METRIC}.spec.where.oper  oper  "),
    ("a key that no indicator has", ALL, "unit: s", "units: s",
     f"14:61  {METRIC}.spec.units  s  is an unknown key  -> "),
    ("a metric source of nothing", ELSEWHERE, "good: {metricSource: {type: Prometheus, spec: {query: sum(up)}}}",
     "good: {metricSource: {type: Prometheus, spec: {}}}",
     "11:55  spec.indicator.spec.ratioMetric.good.metricSource.spec  {…}  must be a mapping with at least one key"
     "  -> write spec: {metric: error_rate}"),
    ("a metric source of no type", ALL, "{type: burnline, spec: {metric: ttft, unit", "{spec: {metric: ttft, unit",
     f"14:23  {METRIC}  must have type or metricSourceRef  -> write type: burnline"),
    ("a total of other events", RATIO, "total: {metricSource: {type: burnline, spec: {metric: availability",
     "total: {metricSource: {type: burnline, spec: {metric: error_rate",
     "12:54  spec.indicator.spec.ratioMetric.total.metricSource.spec  {…}  must have the same metric as the numerator: "
     "one selection of events is counted  -> write metric in both, or in none"),
    ("a total of another type", RATIO, "total: {metricSource: {type: burnline", "total: {metricSource: {type: Datadog",
     "12:38  spec.indicator.spec.ratioMetric.total.metricSource.type  Datadog  "
     "must be burnline, as another source of this SLI is  -> write type: burnline"),
    ("good beside bad", ELSEWHERE, "counter: true", "bad: {metricSource: {type: X, spec: {q: x}}}",
     "10:14  spec.indicator.spec.ratioMetric.bad  must not be given beside good  -> remove one of them"),
    ("raw without its type", ELSEWHERE, "total:", "raw:",
     "10:9  spec.indicator.spec.ratioMetric.rawType  is missing  -> write rawType: success, or failure"),
    ("a value for a ratio", RATIO, "{target: 0.999}", "{target: 0.999, value: 3}",
     "15:39  spec.objectives[0].value  3  must not be given: a ratioMetric compares nothing"
     "  -> remove it, and write op and threshold beside the metric"),
    ("no time window", RATIO, "  timeWindow: [{duration: 30d, isRolling: true}]\n", "",
     "5:3  spec.timeWindow  is missing: Burnline judges over a window"
     "  -> write timeWindow: [{duration: 30d, isRolling: true}]"),
    ("a window that neither rolls nor has a calendar", RATIO, ", isRolling: true", "",
     "13:16  spec.timeWindow[0]  must roll or have a calendar"
     "  -> write isRolling: true, or calendar: {startTime, timeZone}"),
    ("a window of months that rolls", RATIO, "30d", "1M",
     "13:27  spec.timeWindow[0].duration  1M  months differ in length  -> write days, such as 30d"),
    ("a duration in two units", RATIO, "30d", "1d12h",
     "13:27  spec.timeWindow[0].duration  1d12h  must be a whole number and one of m, h, d, w, M, Q, Y  -> write 36h"),
    ("time slices without a length", ELSEWHERE, "Occurrences", "RatioTimeslices",
     "15:16  spec.objectives[0].timeSliceWindow  is missing: RatioTimeslices needs it  -> write timeSliceWindow: 1m"),
    ("a policy that is nowhere", ALL, "alertPolicies: [policy]", "alertPolicies: [polcy]",
     "20:19  spec.alertPolicies[0]  polcy  names no AlertPolicy of these files  -> did you mean policy?"),
    ("a policy of nothing", ALL, "alertPolicies: [policy]", "alertPolicies: [{}]",
     "20:19  spec.alertPolicies[0]  must have alertPolicyRef or spec  -> write alertPolicyRef: and its name"),
    ("a condition that is nowhere", ALL, "conditionRef: condition", "conditionRef: night",
     "27:31  spec.conditions[0].conditionRef  night  names no AlertCondition of these files"
     "  -> add the file that holds AlertCondition night"),
    ("a target that is nowhere", ALL, "targetRef: target", "targetRef: tarot",
     "28:37  spec.notificationTargets[0].targetRef  tarot  names no AlertNotificationTarget of these files"
     "  -> did you mean target?"),
    ("a data source that is nowhere", ALL, "metricSourceRef: source", "metricSourceRef: sauce",
     "47:37  spec.thresholdMetric.metricSource.metricSourceRef  sauce  names no DataSource of these files"
     "  -> did you mean source?"),
    ("a severity that nobody ranks", ALL, "severity: page", "severity: blue",
     "34:13  spec.severity  blue  must mean critical, warning or info, as "),
    ("an alert on low burn", ALL, "op: gte", "op: lte",
     "35:35  spec.condition.op  lte  fires when the burn is low; Burnline alerts on high burn  -> write op: gte"),
    ("a threshold that can never fire", ALL, "threshold: 10", "threshold: 101",
     "35:51  spec.condition.threshold  101  can never fire: a total outage burns 100x at target 0.99"
     "  -> write 100 or less"),
    ("a lookback longer than the window", ALL, "lookbackWindow: 1h", "lookbackWindow: 31d",
     "35:71  spec.condition.lookbackWindow  31d  must not be longer than the time window, 30d  -> write 30d or less"),
    ("a policy that alerts on nothing", ALL, "alertWhenBreaching: true", "alertWhenBreaching: false",
     "20:18  spec.alertPolicies  alert on nothing that burns"
     "  -> write alertWhenBreaching: true, or remove alertPolicies to alert by preset default"),
    ("a policy with two conditions", ALL, "{conditionRef: condition}", "{conditionRef: condition}, {}",
     "27:15  spec.conditions  […]  must be a list of "),
    ("an annotation that nobody knows", ALL, 'runbook: "https://x"', "burnline.dev/guard: x",
     "6:37  metadata.annotations.burnline.dev/guard  x  is no annotation that Burnline knows on SLO"
     "  -> did you mean burnline.dev/guards?"),
    ("an annotation that is no text", ALL, 'runbook: "https://x"', "burnline.dev/guards: {minBad: 3}",
     "6:38  metadata.annotations.burnline.dev/guards  {…}  must be text  -> put it between quotes"),
    ("an annotation that is no YAML", ALL, 'runbook: "https://x"', 'burnline.dev/guards: "{minBad: 3"',
     "6:38  metadata.annotations.burnline.dev/guards  "),
    ("a guard that is no number", ALL, 'runbook: "https://x"', 'burnline.dev/guards: "{minBad: few}"',
     "6:38  metadata.annotations.burnline.dev/guards.minBad  few  must be a whole number, 0 or more"
     "  -> write digits only, such as 30"),
    ("pairs beside policies", ALL, 'runbook: "https://x"', 'burnline.dev/alerting: "{preset: workbook}"',
     "20:18  spec.alertPolicies  is said twice: alerting has it too  -> remove one of them"),
    ("where said twice", ALL, 'runbook: "https://x"', 'burnline.dev/where: "{region: eu}"',
     "6:37  metadata.annotations.burnline.dev/where  {region: eu}  is said twice: indicator has it too"
     "  -> remove one of them"),
    ("two objects of one name", ALL, "name: target", "name: target}\nspec: {target: a}\n---\n"
     "apiVersion: openslo/v1\nkind: AlertNotificationTarget\nmetadata: {name: target",
     "44:18  metadata.name  target  must be unique; f.yaml:37 has this name too  -> rename one of them"),
    ("an objective with an indicator of its own", THRESHOLD, "{op: lte, value: 1, target: 0.99}",
     "{op: lte, value: 1, target: 0.99, indicatorRef: sli}",
     "11:5  spec.indicator  must not be given beside indicators of objectives  -> remove one of them"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "old", "new", "expected"), [pytest.param(*row[1:], id=row[0]) for row in ONE_FAULT])
def test_one_fault_is_told_at_its_place(text: str, old: str, new: str, expected: str) -> None:
    found = problems(spoiled((old, new), text=text))
    assert any(problem.startswith(f"f.yaml:{expected}") for problem in found), found


def test_the_samples_have_no_fault() -> None:
    assert problems(ALL) == []


def test_faults_of_all_documents_come_at_once() -> None:
    text = spoiled(
        ("target: 0.99", "target: 99"),
        ("metric: ttft, unit: s", "metric: tttf, unit: s"),
        ("conditionRef: condition", "conditionRef: conditions"),
        ("spec: {target: email}", "spec: {}"),
        text=ALL,
    )
    assert [problem.split("  ")[1] for problem in problems(text)] == [
        f"{METRIC}.spec.metric",
        "spec.objectives[0].target",
        "spec.conditions[0].conditionRef",
        "spec.target",
    ]


def test_a_fault_of_a_shared_condition_is_told_once_in_its_own_file() -> None:
    several = spoiled(
        ("- {op: lte, value: 1, target: 0.99}", "- {op: lte, value: 1, target: 0.99}\n    " * 2), text=ALL
    )
    found = problems(spoiled(("threshold: 10", "threshold: 101"), text=several))
    assert len([problem for problem in found if "can never fire" in problem]) == 1


def test_a_composite_is_valid_elsewhere_and_not_judged_here() -> None:
    inline = THRESHOLD[THRESHOLD.index("  indicator:") : THRESHOLD.index("  timeWindow:")]
    change = (inline, ""), ("value: 1, target: 0.99", "value: 1, target: 0.99, indicatorRef: sli")
    (problem,) = problems(joined(spoiled(*change, text=THRESHOLD), SLI, DATA_SOURCE))
    assert "have indicators of their own, which is not judged from OpenSLO" in problem
    elsewhere = DATA_SOURCE.replace("burnline", "Datadog")
    assert problems(joined(spoiled(*change, text=THRESHOLD), SLI, elsewhere)) == []
