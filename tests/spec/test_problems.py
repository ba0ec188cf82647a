"""What is wrong with a file, to the letter: place, path, value, rule, remedy."""

import pytest

from pipeline.series import LABELS
from pipeline.sli import METRICS
from pipeline.spec import Problem, SpecError
from pipeline.spec.language import SLO
from pipeline.spec.problems import shown
from tests.spec.samples import GOOD, SHORT, load_text, places, problems, spoiled

ALL_METRICS = ", ".join(METRICS)
ALL_LABELS = ", ".join(LABELS)
ANEW = "write it as burnline/v1; `burnline slo new NAME` writes a template"

#: id, what is replaced by what in GOOD, the one problem that follows
ONE_FAULT = [
    ("a percent as a target", "target: 0.99", "target: 99",
     "18:11  spec.target  99  must be a ratio in (0, 1)  -> write 0.99"),
    ("a percent with decimals", "target: 0.99", "target: 99.95",
     "18:11  spec.target  99.95  must be a ratio in (0, 1)  -> write 0.9995"),
    ("a percent with its sign", "target: 0.99", "target: 99.9 %",
     "18:11  spec.target  99.9 %  must be a ratio in (0, 1)  -> write 0.999"),
    ("a target of everything", "target: 0.99", "target: 1",
     "18:11  spec.target  1  must be a ratio in (0, 1)  -> leave a budget: write 0.999 or less"),
    ("a hundred percent", "target: 0.99", "target: 100",
     "18:11  spec.target  100  must be a ratio in (0, 1)  -> leave a budget: write 0.999 or less"),
    ("a target of nothing", "target: 0.99", "target: 0",
     "18:11  spec.target  0  must be a ratio in (0, 1)  -> write a share such as 0.99"),
    ("a negative target", "target: 0.99", "target: -0.5",
     "18:11  spec.target  -0.5  must be a ratio in (0, 1)  -> write a share such as 0.99"),
    ("a target in words", "target: 0.99", "target: three nines",
     "18:11  spec.target  three nines  must be a ratio in (0, 1)  -> write digits and a point, such as 0.99"),
    ("an exponent without end", "target: 0.99", "target: 1e-999999999",
     "18:11  spec.target  1e-999999999  must be a ratio in (0, 1)"
     "  -> write digits and a point, such as 0.99"),
    ("too many nines", "target: 0.99", "target: 0.9999999991",
     "18:11  spec.target  0.9999999991  must have at most 7 decimals  -> write 0.9999999"),
    ("a threshold without unit", "threshold: 1s", "threshold: 1",
     "13:16  spec.indicator.threshold  1  must carry a unit  -> write 1ms or 1s"),
    ("a unit in full", "threshold: 1s", "threshold: 1sec",
     "13:16  spec.indicator.threshold  1sec  must have a unit of us, ms, s, m, h, d, w  -> write 1s"),
    ("half a microsecond", "threshold: 1s", "threshold: 1.5us",
     "13:16  spec.indicator.threshold  1.5us  must be a whole number of microseconds  -> write 1us"),
    ("a threshold of nothing", "threshold: 1s", "threshold: 0s",
     "13:16  spec.indicator.threshold  0s  must be longer than 0  -> write a duration such as 5m"),
    ("a threshold of two days", "threshold: 1s", "threshold: 2d",
     "13:16  spec.indicator.threshold  2d  must be at most 1d for ttft  -> lower it"),
    ("a window without unit", "duration: 30d", "duration: 30",
     "20:26  spec.timeWindow.duration  30  must carry a unit  -> write 30m or 30h or 30d"),
    ("a month", "duration: 30d", "duration: 1M",
     "20:26  spec.timeWindow.duration  1M  months differ in length"
     "  -> write days, such as 30d, or calendar: {startTime: 2026-01-01, timeZone: UTC}"),
    ("a window of parts of a second", "duration: 30d", "duration: 100500ms",
     "20:26  spec.timeWindow.duration  100500ms"
     "  must be whole seconds, as counts are kept by the second  -> write 100s"),
    ("a window of two years", "duration: 30d", "duration: 730d",
     "20:26  spec.timeWindow.duration  730d  must be at most 366d  -> write 366d or less"),
    ("a window shorter than a pair's long one", "duration: 30d", "duration: 6h",
     "24:46  spec.alerting.pairs[1].long  1d  must not be longer than the time window, 6h"
     "  -> write 6h or less"),
    ("a window that does not roll", "isRolling: true", "isRolling: false",
     "20:42  spec.timeWindow.isRolling  false  needs a calendar"
     "  -> write calendar: {startTime: 2026-01-01, timeZone: UTC}, or isRolling: true"),
    ("a boolean of another language", "isRolling: true", "isRolling: yes",
     "20:42  spec.timeWindow.isRolling  yes  must be true or false  -> write true or false"),
    ("guards that slices cannot meet", "Occurrences", "Timeslices\n  timeSliceWindow: 2m\n  timeSliceTarget: 0.9",
     "28:23  spec.guards.minEvents  50  can never be met: 1h holds 30 slices of 2m  -> write 30 or less"),
    ("a time slice window", "  guards:", "  timeSliceWindow: 1m\n  guards:",
     "26:20  spec.timeSliceWindow  1m  must not be given: Occurrences takes none"
     "  -> remove it, or write budgetingMethod: Timeslices or RatioTimeslices"),
    ("an unknown budgeting method", "Occurrences", "occurences",
     "19:20  spec.budgetingMethod  occurences  must be one of Occurrences, Timeslices, RatioTimeslices"
     "  -> did you mean Occurrences?"),
    ("an unknown metric", "metric: ttft", "metric: latency_p99",
     f"11:13  spec.indicator.metric  latency_p99  must be one of {ALL_METRICS}  -> write one of them"),
    ("a misspelt metric", "metric: ttft", "metric: tttf",
     f"11:13  spec.indicator.metric  tttf  must be one of {ALL_METRICS}  -> did you mean ttft?"),
    ("an unknown op", "op: lte", "op: '<'",
     "12:9  spec.indicator.op  <  must be one of lte, lt, gte, gt  -> write one of them"),
    ("a latency metric without op", "    op: lte\n", "",
     "11:13  spec.indicator.op  is missing: ttft compares a value  -> write op: lte"),
    ("a latency metric without threshold", "    threshold: 1s\n", "",
     "11:13  spec.indicator.threshold  is missing: ttft compares a value  -> "
     "write threshold: with a unit; typical is 99 % < 1 s"),
    ("an op that tpot cannot keep exactly", "metric: ttft\n    op: lte", "metric: tpot\n    op: lt",
     "12:9  spec.indicator.op  lt  is not supported yet for tpot  -> write op: lte"),
    ("an unknown label in where", "operation: chat", "tenant: chat",
     f"14:13  spec.indicator.where.tenant  tenant  must be one of {ALL_LABELS}  -> did you mean tenant_id?"),
    ("an unknown label in groupBy", "[request_model, region]", "[model, region]",
     f"15:15  spec.indicator.groupBy[0]  model  must be one of {ALL_LABELS}  -> did you mean request_model?"),
    ("a label to group by twice", "[request_model, region]", "[region, region]",
     "15:23  spec.indicator.groupBy[1]  region  is given twice  -> remove one of them"),
    ("nothing to group by", "[request_model, region]", "[]",
     "15:14  spec.indicator.groupBy  […]  must be 1 to 1000 values  -> write [one, two]"),
    ("a label without a value", "operation: chat", "operation: ",
     "14:13  spec.indicator.where.operation  (empty)  must have a value  -> write one, or remove the key"),
    ("a value that a label never has", "operation: chat", "stream: yes",
     "14:21  spec.indicator.where.stream  yes  must be one of true, false  -> write one of them"),
    ("a class that does not exist", "operation: chat", "priority_class: [standard, vip]",
     "14:40  spec.indicator.where.priority_class[1]  vip"
     "  must be one of sheddable, standard, critical  -> write one of them"),
    ("the service selected twice", "operation: chat", "service: chat",
     "14:22  spec.indicator.where.service  chat  is already said by spec.service  -> remove one of them"),
    ("the vantage selected twice", "operation: chat", "vantage: ENGINE",
     "14:22  spec.indicator.where.vantage  ENGINE  is already said by spec.indicator.vantage"
     "  -> remove one of them"),
    ("an unknown vantage", "vantage: GATEWAY", "vantage: gateway",
     "16:14  spec.indicator.vantage  gateway  must be one of UNKNOWN, GATEWAY, ENGINE, CLIENT"
     "  -> did you mean GATEWAY?"),
    ("unknown attempts", "attempts: all", "attempts: first",
     "17:15  spec.indicator.attempts  first  must be one of final, all  -> write one of them"),
    ("a name with spaces", "name: chat-ttft", "name: Chat TTFT",
     "4:9  metadata.name  Chat TTFT  must be 1 to 100 of a-z, 0-9, dot and dash, with a letter or"
     " digit at both ends"
     "  -> write chat-ttft"),
    ("no name", "  name: chat-ttft\n", "",
     "4:3  metadata.name  is missing  -> write name: chat-ttft"),
    ("a name that is null", "name: chat-ttft", "name:",
     "4:3  metadata.name  is missing  -> write name: chat-ttft"),
    ("an unknown key", "  labels:", "  lables:",
     "5:3  metadata.lables  {…}  is an unknown key  -> did you mean labels?"),
    ("a key of another style", "groupBy", "group_by",
     "15:5  spec.indicator.group_by  […]  is an unknown key  -> did you mean groupBy?"),
    ("a key in the wrong place", "  guards:", "  preset: default\n  guards:",
     "26:3  spec.preset  default  is an unknown key  -> move it to spec.indicator or spec.alerting"),
    ("a key nobody knows", "  guards:", "  zzz: 1\n  guards:",
     "26:3  spec.zzz  1  is an unknown key  -> known keys are description, service, indicator, target, "
     "budgetingMethod, timeSliceWindow, timeSliceTarget, timeWindow, alerting, guards, sla"),
    ("a list for a mapping", "timeWindow: {duration: 30d, isRolling: true}", "timeWindow: [{duration: 30d}]",
     "20:15  spec.timeWindow  […]  must be a mapping  -> write keys of duration, isRolling, calendar"),
    ("a mapping for a value", "target: 0.99", "target: {is: 0.99}",
     "18:11  spec.target  {…}  must be a single value  -> write it on one line, without brackets"),
    ("a factor that can never fire", "factor: 14.4", "factor: 100.5",
     "23:38  spec.alerting.pairs[0].factor  100.5  can never fire: a total outage burns 100x at target 0.99"
     "  -> write 100 or less"),
    ("a factor with its x", "factor: 14.4", "factor: 14.4x",
     "23:38  spec.alerting.pairs[0].factor  14.4x  must be a number without a unit  -> write 14.4"),
    ("a factor of nothing", "factor: 14.4", "factor: 0",
     "23:38  spec.alerting.pairs[0].factor  0  must be greater than 0  -> write a factor such as 10"),
    ("a factor too fine", "factor: 14.4", "factor: 14.4444",
     "23:38  spec.alerting.pairs[0].factor  14.4444  must have at most 2 decimals  -> write 14.44"),
    ("a short window as long as the long", "short: 5m", "short: 60m",
     "23:61  spec.alerting.pairs[0].short  60m"
     "  equals long, 1h: the short window must end the alert sooner  -> write 5m, a twelfth of long"),
    ("a long window shorter than the short", "long: 1h, short: 5m", "long: 5m, short: 1h",
     "23:61  spec.alerting.pairs[0].short  1h  must be shorter than long, 5m"
     "  -> exchange them, or write 25s, a twelfth of long"),
    ("a severity nobody knows", "severity: critical", "severity: page",
     "23:20  spec.alerting.pairs[0].severity  page  must be one of info, warning, critical"
     "  -> write one of them"),
    ("a pair without a factor", "factor: 14.4, ", "",
     "23:9  spec.alerting.pairs[0].factor  is missing  -> write factor: 10"),
    ("a preset beside pairs", "    clear:", "    preset: default\n    clear:",
     "25:13  spec.alerting.preset  default  must not be given beside pairs  -> remove one of them"),
    ("a margin of everything", "margin: 0.2", "margin: 1",
     "25:21  spec.alerting.clear.margin  1  must be a ratio in [0, 1), with at most 2 decimals"
     "  -> write 0.1"),
    ("a count that is no number", "minEvents: 50", "minEvents: many",
     "26:23  spec.guards.minEvents  many  must be a whole number, 0 or more"
     "  -> write digits only, such as 30"),
    ("a coverage in percent", "minCoverage: 0.25", "minCoverage: 25",
     "26:51  spec.guards.minCoverage  25  must be a ratio in [0, 1]  -> write a share such as 0.5"),
    ("an SLA stricter than the SLO", "target: 0.95", "target: 0.999",
     "27:17  spec.sla.target  0.999  must not be stricter than the SLO's target, 0.99"
     "  -> write 0.99 or less, or raise spec.target"),
    ("an SLA without consequence", ", consequence: 10 % credit", "",
     "27:8  spec.sla.consequence  is missing  -> write consequence: and what happens when it is missed"),
    ("another language", "burnline/v1", "openslo/v1alpha",
     f"1:13  apiVersion  openslo/v1alpha  is not supported yet  -> {ANEW}"),
    ("another version", "burnline/v1", "burnline/v2",
     "1:13  apiVersion  burnline/v2  must be one of burnline/v1, openslo/v1  -> did you mean burnline/v1?"),
    ("a kind nearly right", "kind: SLO", "kind: Corection",
     "2:7  kind  Corection  must be one of SLO, Correction  -> did you mean Correction?"),
    ("no kind", "kind: SLO\n", "",
     "1:1  kind  is missing  -> write kind: SLO, or Correction"),
    ("an alias", "target: 0.99", "target: *it",
     "18:11  *it  aliases are not supported  -> write the value out"),
    ("an anchor", "target: 0.99", "target: &it 0.99",
     "18:11  &it  anchors are not supported  -> remove it and write values out"),
    ("a tag", "target: 0.99", "target: !!float 0.99",
     "18:11  tag:yaml.org,2002:float  tags are not supported  -> remove it"),
    ("a key given twice", "  guards:", "  target: 0.5\n  guards:",
     "26:3  target  must be given once; the first is at 18:3  -> remove one of them"),
    ("a list as a key", "  guards:", "  ? [a]\n  : 1\n  guards:",
     "26:5  a key must be plain text  -> write `name: value`"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "expected"), [pytest.param(*row[1:], id=row[0]) for row in ONE_FAULT])
def test_one_fault_is_one_problem_at_its_place(old: str, new: str, expected: str) -> None:
    text = spoiled((old, new)) if GOOD.count(old) == 1 else GOOD.replace(old, new, 1)
    assert problems(text) == [f"f.yaml:{expected}"]


def test_the_good_file_has_no_problem() -> None:
    assert problems(GOOD) == []
    assert problems(SHORT) == []


@pytest.mark.parametrize("path", SLO.later)
def test_every_key_of_a_later_version_is_refused_by_name(path: str) -> None:
    branch, _, key = path.rpartition(".")
    head = {
        "metadata": "  labels:",
        "spec": "  guards:",
        "spec.timeWindow": "  guards:",
        "spec.indicator": "    op:",
    }[branch]
    found = load_text(
        spoiled(("{duration: 30d,", f"{{{key}: 1, duration: 30d,"))
        if branch == "spec.timeWindow"
        else spoiled((head, f"{' ' * (len(head) - len(head.lstrip()))}{key}: 1\n{head}"))
    )
    assert [(problem.path, problem.rule) for problem in found.problems] == [(path, "is not supported yet")]


@pytest.mark.parametrize("metric", ["error_rate", "availability"])
def test_a_ratio_metric_takes_no_op_and_no_threshold(metric: str) -> None:
    assert problems(spoiled(("metric: ttft", f"metric: {metric}"))) == [
        f"f.yaml:12:9  spec.indicator.op  lte  must not be given: {metric} compares nothing  -> remove it",
        f"f.yaml:13:16  spec.indicator.threshold  1s  must not be given: {metric} compares nothing  -> remove it",
    ]


def test_five_faults_are_five_problems_at_once() -> None:
    text = spoiled(
        ("name: chat-ttft", "name: Chat"),
        ("threshold: 1s", "threshold: 1"),
        ("target: 0.99", "target: 99"),
        ("severity: warning", "severity: ticket"),
        ("minBad: 5", "minBad: few"),
    )
    assert places(list(load_text(text).problems)) == [
        (4, 9, "metadata.name"),
        (13, 16, "spec.indicator.threshold"),
        (18, 11, "spec.target"),
        (24, 20, "spec.alerting.pairs[1].severity"),
        (26, 35, "spec.guards.minBad"),
    ]


def test_every_document_of_a_file_is_looked_at() -> None:
    text = f"---\n{GOOD}---\n# nothing here\n---\n{spoiled(('target: 0.99', 'target: 99'))}"
    found = load_text(text.replace("chat-ttft", "other", 1))
    assert [slo.name for slo in found.slos] == ["other"]
    assert places(list(found.problems)) == [(49, 11, "spec.target")]


def test_a_syntax_error_spoils_its_own_document_only() -> None:
    broken = 'kind: SLO\nmetadata: {name: "x}\n'
    found = load_text(f"{SHORT}---\n{broken}---\n{GOOD}")
    assert [slo.name for slo in found.slos] == ["short", "chat-ttft"]
    (problem,) = found.problems
    assert (problem.line, problem.rule.split(":")[0]) == (12, "cannot be read as YAML")


def test_a_preset_that_can_never_fire_is_refused_with_the_greatest_factor() -> None:
    assert problems(spoiled(("0.999", "0.85"), text=SHORT)) == [
        "f.yaml:7:11  spec.alerting.preset  default"
        "  10x of critical can never fire: a total outage burns 6.66x at "
        "target 0.85  -> write alerting: {pairs: [...]} with factors of 6.66 or less"
    ]


def test_a_factor_that_only_a_total_outage_reaches_is_accepted() -> None:
    assert problems(spoiled(("0.999", "0.9"), text=SHORT)) == []
    assert problems(spoiled(("factor: 14.4", "factor: 100"))) == []


def test_a_window_shorter_than_the_preset_is_refused() -> None:
    assert problems(spoiled(("30d", "12h"), text=SHORT)) == [
        "f.yaml:8:26  spec.timeWindow.duration  12h"
        "  must not be shorter than the longest window of preset default, "
        "1d  -> write 1d or more, or alerting: {pairs: [...]} of your own"
    ]


def test_an_unknown_preset_is_refused_with_the_list() -> None:
    assert problems(SHORT + "  alerting: {preset: workbok}\n") == [
        "f.yaml:9:22  spec.alerting.preset  workbok  must be one of default, workbook  -> did you mean workbook?"
    ]


def test_a_name_is_taken_once_and_both_places_are_named() -> None:
    both = f"{SHORT}---\n{SHORT}"
    assert problems(both) == [
        "f.yaml:12:18  metadata.name  short  must be unique; f.yaml:1 has this name too  -> rename one of them"
    ]


def test_a_taken_name_is_reported_although_the_first_document_has_faults() -> None:
    found = load_text(f"{spoiled(('0.999', '99'), text=SHORT)}---\n{SHORT}")
    assert places(list(found.problems)) == [(7, 11, "spec.target"), (12, 18, "metadata.name")]
    assert found.slos == ()


def test_spec_error_holds_every_problem() -> None:
    found = load_text(spoiled(("target: 0.99", "target: 99"), ("minBad: 5", "minBad: few")))
    with pytest.raises(SpecError) as raised:
        found.checked()
    assert raised.value.problems == found.problems
    assert str(raised.value).count("\n") == 1
    assert load_text(GOOD).checked().problems == ()


def test_a_problem_is_frozen_and_ordered_by_place() -> None:
    first, second = Problem("a", 2, 9, "p", "v", "r", "m"), Problem("a", 10, 1, "", "", "r", "m")
    assert sorted([second, first]) == [first, second]
    assert first.as_dict() == {
        "file": "a", "line": 2, "column": 9, "path": "p", "value": "v", "rule": "r", "remedy": "m",
    }  # fmt: skip
    with pytest.raises(AttributeError):
        first.line = 3  # type: ignore[misc]


def test_a_value_is_shown_on_one_short_line() -> None:
    assert shown("") == "(empty)"
    assert shown("a\nb\x1b[31m\u202e") == r"a\nb\x1b[31m\u202e"
    assert shown("x" * 10_000) == "x" * 60 + "…"
