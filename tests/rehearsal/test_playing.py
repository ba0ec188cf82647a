"""Playing: every scenario of the repository through the shipped engine, and statuses against sums by hand."""

from pathlib import Path

import pytest

from pipeline.rehearsal import Played, failures, play, read
from pipeline.spec import SloSet, load, parse, presets

SCENARIOS = sorted((Path(__file__).parent.parent / "scenarios").glob("*.yaml"))
#: of the referee, and of how blocks reach a worker: they change no alert
NOT_OURS = ("incidents", "differs", "restart", "redelivered")


def slos_of(names: tuple[str, ...]) -> SloSet:
    return load([SCENARIOS[0].parent / name for name in names]) if names else SloSet()


def played(text: str) -> tuple[Played, list[str]]:
    found = read("t.yaml", text.encode(), presets(), slos_of, NOT_OURS)
    assert found.problems == ()
    (rehearsal,) = found.rehearsals
    result = play(rehearsal)
    return result, failures(rehearsal, result)


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_every_scenario_comes_out_as_it_says(path: Path) -> None:
    assert played(path.read_text(encoding="utf-8"))[1] == []


def test_there_are_scenarios() -> None:
    assert len(SCENARIOS) >= 30


STREAM = """\
slo: {target: "0.999", preset: default}
history: 2h
good: 6000x9 5100x9 6000x9
bad: 0x9 900x9 0x9
"""


def test_a_series_is_the_same_as_its_stretches() -> None:
    stretches = STREAM.partition("good:")[0] + (
        "stream: [{for: 10m, rate: 100}, {for: 10m, rate: 100, bad: 15}, {for: 10m, rate: 100}]\n"
    )
    assert played(f"{STREAM}expect: []")[0].told == played(f"{stretches}expect: []")[0].told != ()


def test_a_status_holds_all_that_happened_before_its_second_and_nothing_after() -> None:
    moments = "status: [{at: 10m}, {at: 15m}, {at: 901s}, {at: 30m}]"
    result, _ = played(f"{STREAM}{moments}")
    history = 7_200 * 100
    expected = [(history + 60_000, 0), (history + 60_000 + 85 * 300, 15 * 300), None, (history + 171_000, 9_000)]
    assert [(each.good, each.bad) for each in result.seen if each.at_s != 901] == [each for each in expected if each]
    assert result.seen[2].bad == 15 * 301
    assert result.seen[3].compliance_ratio == (history + 171_000) / (history + 180_000)


def test_asking_for_statuses_changes_no_alert() -> None:
    plain = played(f"{STREAM}expect: []")[0].told
    asked = ", ".join(f"{{at: {second}s}}" for second in range(7, 1_800, 61))
    assert played(f"{STREAM}status: [{asked}]")[0].told == plain


def test_burn_rates_and_budget_are_those_of_the_formulas() -> None:
    result, _ = played(f"{STREAM}status: [{{at: 20m}}]")
    (seen,) = result.seen
    assert dict(seen.burn_rates)[300] == pytest.approx(150)
    assert dict(seen.burn_rates)[3_600] == pytest.approx(10 * 60 * 15 / 360_000 / 0.001)
    assert seen.state == "FIRING"
    assert seen.severity == "CRITICAL"
    assert seen.budget_remaining_ratio == pytest.approx(1 - 9_000 / (840_000 * 0.001))


def test_before_anything_is_heard_there_is_no_data() -> None:
    result, wrong = played('slo: {target: "0.99"}\ngood: _x9 60x9\nstatus: [{at: 5m, state: OK, complianceRatio: 1}]\n')
    assert result.seen[0].compliance_ratio is None
    assert wrong == ["at 5m complianceRatio is no data, not 1"]


MONTHS = """\
apiVersion: burnline/v1
kind: SLO
metadata: {name: months}
spec:
  service: chat
  indicator: {metric: error_rate}
  target: 0.999
  timeWindow: {duration: 1M, calendar: {startTime: 2026-01-01, timeZone: Europe/Berlin}}
"""
TURN = """\
slo: months
begins: 2026-03-31 20:00
history: 1d
stream: [{for: 2h, rate: 100, bad: 15}, {for: 2h, rate: 100}]
expect: [{event: FIRED, severity: CRITICAL, at: 240s}, {event: UPDATED, severity: WARNING, at: 7542s},
  {event: RESOLVED, severity: WARNING, at: 14374s}]
status:
  - {at: 7199s, bad: 107985, state: FIRING}
  - {at: 7201s, good: 100, bad: 0, budgetRemainingRatio: 1.0, state: FIRING}
  - {at: 4h, good: 720000, bad: 0, coverageRatio: 1.0}
"""


def test_a_calendars_budget_begins_anew_at_midnight_there_and_its_alerts_do_not() -> None:
    found = read("t.yaml", TURN.encode(), presets(), lambda names: parse({"f": MONTHS.encode()}, presets()))
    assert found.problems == ()
    (rehearsal,) = found.rehearsals
    assert failures(rehearsal, play(rehearsal)) == []


SLICED = """\
tests:
  - name: whole slices
    slo: slices
    begins: 2026-03-31 20:00
    history: 1d
    stream: [{for: 10m, rate: 100, bad: 4}, {for: 1m, rate: 100, bad: 15}, {for: 9m, rate: 100}]
    expect: [{event: FIRED, severity: CRITICAL, at: 11m}, {event: RESOLVED, severity: CRITICAL, at: 17m}]
    status:
      - {at: 10m, good: 1450, bad: 0}
      - {at: 659s, good: 1450, bad: 0}
      - {at: 11m, good: 1450, bad: 1, complianceRatio: 0.99931, burnRate: {5m: 200, 1h: 16.7}}
  - name: ratios
    slo: ratios
    begins: 2026-03-31 20:00
    history: 1d
    stream: [{for: 10m, rate: 100, bad: 1}, {for: 10m, rate: 1, every: 60}, {for: 10m, rate: 0}]
    expect: []
    status: [{at: 30m, bad: 100000, excluded: 10000000, complianceRatio: 0.999932, coverageRatio: 0.034}]
"""


def test_slices_are_judged_when_they_end() -> None:
    calendar = "{duration: 1M, calendar: {startTime: 2026-01-01, timeZone: Europe/Berlin}}"
    whole = MONTHS.replace("months", "slices").replace(calendar, "{duration: 30d}")
    ratios = whole.replace("slices", "ratios") + "  budgetingMethod: RatioTimeslices\n  timeSliceWindow: 1m\n"
    whole += "  budgetingMethod: Timeslices\n  timeSliceWindow: 1m\n  timeSliceTarget: 0.95\n"
    slos = parse({"f": f"{whole}---\n{ratios}".encode()}, presets())
    found = read("t.yaml", SLICED.encode(), presets(), lambda names: slos)
    assert (slos.problems, found.problems) == ((), ())
    assert [failures(rehearsal, play(rehearsal)) for rehearsal in found.rehearsals] == [[], []]


@pytest.mark.parametrize(
    ("expect", "sentence"),
    [
        ("[]", "FIRED CRITICAL at 14m was not expected"),
        ("[{event: FIRED, severity: CRITICAL, at: 800s}]",
         "expected FIRED CRITICAL at 13m20s, up to 10s later, but it came at 14m"),
        ("[{event: FIRED, severity: WARNING, at: 840s}]",
         "expected FIRED WARNING at 14m, but FIRED CRITICAL at 14m came"),
        ("[{event: FIRED, severity: CRITICAL, at: 840s}, {event: RESOLVED, severity: CRITICAL, at: 1542s},"
         " {event: FIRED, severity: INFO, at: 1600s}]", "FIRED INFO at 26m40s did not come"),
    ],
)  # fmt: skip
def test_what_differs_is_said_in_words(expect: str, sentence: str) -> None:
    assert sentence in played(f"{STREAM}expect: {expect}")[1]


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        ("state: OK", "at 20m state is FIRING, not OK"),
        ("bad: 8999", "at 20m bad is 9000, not 8999"),
        ("complianceRatio: 0.9892", "at 20m complianceRatio is 0.989285714, not 0.9892"),
        ("burnRate: {5m: 149.9}", "at 20m the burn rate over 5m is 150, not 149.9"),
    ],
)
def test_figures_are_compared_to_the_decimals_that_are_written(status: str, sentence: str) -> None:
    assert played(f"{STREAM}status: [{{at: 20m, {status}}}]")[1] == [sentence]
    assert played(f"{STREAM}status: [{{at: 20m, complianceRatio: 0.9893, burnRate: {{5m: 150.0}}}}]")[1] == []
