"""Rehearsal files: what is read, and what is wrong with them, to the letter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.rehearsal import Suite, read
from pipeline.spec import SloSet, parse, presets
from tests.spec.samples import SHORT, load_text

GOOD = """\
tests:
  - name: errors page
    slo: {target: "0.999", preset: default, guards: {minBad: 5}}
    history: 1h
    stream: [{for: 10m, rate: 100, bad: 15}, {for: 5m, rate: 0..100, late: 1m}]
    expect: [{event: FIRED, severity: CRITICAL, at: 240s}]
  - slo: short
    interval: 10s
    good: 100x5 _x2 100
    bad: 0x5 _x2 1
    expect: []
    status: [{at: 30s, state: OK, complianceRatio: 1.0, burnRate: {1h: 0}}]
"""


def suite(text: str, slos: str = SHORT) -> Suite:
    return read("t.yaml", text.encode(), presets(), lambda names: load_text(slos))


def faults(text: str) -> list[str]:
    return [f"{p.line}:{p.column}  {p.path}  {p.value}  {p.rule}" for p in suite(text).problems]


def test_a_file_is_read() -> None:
    found = suite(GOOD)
    assert found.problems == ()
    first, second = found.rehearsals
    assert (first.name, first.watched.objective.name, first.watched.policy.guards.min_bad) == ("errors page", "slo", 5)
    assert (first.stream.first, first.stream.end) == (-3600, 900)
    assert first.stream.good[:3600].sum() == 360_000  # history at the first rate, quiet
    assert first.stream.bad.sum() == 9_000
    assert first.stream.good[-300:].sum() == 15_000
    assert (first.stream.heard_at - first.stream.seconds)[-301:].tolist() == [0] + [60] * 300
    assert (second.name, second.watched.objective.name) == ("short 2", "short")
    assert second.stream.is_heard.tolist() == [True] * 60 + [False] * 30 + [True] * 10
    assert second.expected == ()


def test_a_file_may_be_one_test() -> None:
    found = suite('slo: {target: "0.99"}\nstream: [{for: 1m, rate: 1}]\nexpect: []\n')
    assert [each.watched.policy for each in found.rehearsals] == [presets().windows["default"]]


def test_slo_files_are_asked_for_by_the_names_in_the_file() -> None:
    asked: list[tuple[str, ...]] = []

    def find(names: tuple[str, ...]) -> SloSet:
        asked.append(names)
        return load_text(SHORT)

    read("t.yaml", f"slos: [a.yaml, b]\n{GOOD}".encode(), presets(), find)
    assert asked == [("a.yaml", "b")]


def test_what_is_wrong_with_the_slo_files_is_said() -> None:
    found = suite(GOOD, SHORT.replace("0.999", "99"))
    assert [(problem.file, problem.path) for problem in found.problems] == [("f.yaml", "spec.target")]
    assert found.rehearsals == ()


def test_keys_that_are_somebody_elses_business_are_left_out() -> None:
    text = 'slo: {target: "0.99"}\nstream: [{for: 1m, rate: 1}]\nexpect: []\nincidents: [{from: 0s}]\n'
    assert suite(text).problems[0].rule == "is an unknown key"
    assert read("t", text.encode(), presets(), lambda names: SloSet(), ("incidents",)).problems == ()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("slo: short", "slo: shrt", "7:10  tests[1].slo  shrt  is the name of no SLO of these files"),
        ("  - slo: short\n    interval", "  - interval", "7:5  tests[1].slo    is missing"),
        ('"0.999"', '"99"', "3:19  tests[0].slo.target  99  must be a ratio in (0, 1)"),
        ('"0.999"', '"0.8"', "3:19  tests[0].slo.target  0.8  10x of preset default can never fire: a total outage "
         "burns 5x at target 0.8"),
        ("preset: default", "preset: nothing", "3:36  tests[0].slo.preset  nothing  must be one of default, workbook"),
        ("bad: 15", "bad: 150", "5:31  tests[0].stream[0].rate  100  must be at least bad and excluded together, "
         "which it includes"),
        ("rate: 0..100, late: 1m", "rate: 1, silent: true", "5:73  tests[0].stream[1].silent  true  leaves no room for "
         "a rate: nobody reports"),
        ("bad: 0x5 _x2 1", "bad: 0x5", "9:11  tests[1].good  100x5 _x2 100  must all have as many samples: they have "
         "6, 10"),
        ("good: 100x5 _x2 100", "good: 100x5 yes", "9:11  tests[1].good  100x5 yes  must be counts such as 100x59, "
         "0+10x5, 100-10x5, 7 or _x3, with blanks between them; yes is none"),
        ("at: 30s", "at: 1h", "12:19  tests[1].status[0].at  1h  must be after 0s and within the stream, 1m40s"),
        ("{1h: 0}", "{3h: 0}", "12:67  tests[1].status[0].burnRate  3h  is no window of this SLO's alerts: they are "
         "5m, 1h, 2h, 1d"),
        ("event: FIRED", "event: fired", "6:22  tests[0].expect[0].event  fired  must be one of FIRED, UPDATED, "
         "RESOLVED"),
        ("history: 1h", "history: 90d", "5:13  tests[0].stream    must be 1s to 62d long with history and repeats, "
         "and is 90d15m"),
        ("    expect: [{event: FIRED, severity: CRITICAL, at: 240s}]\n", "", "2:5  tests[0].expect    is missing"),
        ("for: 10m", "during: 10m", "5:15  tests[0].stream[0].during  10m  is an unknown key"),
    ],
)  # fmt: skip
def test_faults_at_their_place(old: str, new: str, expected: str) -> None:
    assert GOOD.count(old) == 1
    assert expected in faults(GOOD.replace(old, new))


def test_a_file_without_tests_is_a_problem() -> None:
    assert [problem.rule for problem in suite("# nothing\n").problems] == ["holds no test"]


@given(st.data())
def test_a_damaged_file_never_raises(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(GOOD)))
    end = data.draw(st.integers(start, min(len(GOOD), start + 30)))
    junk = data.draw(st.text(alphabet="{}[]:,-?&*!|>'\"%@` \n#ab01x_+", max_size=8))
    found = suite(GOOD[:start] + junk + GOOD[end:])
    assert found.rehearsals or found.problems


@given(st.binary(max_size=200))
def test_any_bytes_are_problems(data: bytes) -> None:
    assert read("t", data, presets(), lambda names: parse({}, presets())).problems != ()
