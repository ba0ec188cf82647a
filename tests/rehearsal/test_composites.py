"""Rehearsals of composites: streams of several members through the real judge."""

from pathlib import Path

import pytest

from pipeline.rehearsal import Suite, failures, play, read
from pipeline.spec import load, presets
from schemas import HOME
from tests.spec.samples import load_text

FILE = HOME / "slo_tests" / "chat_journey.yaml"
WORST = (
    (Path(HOME) / "slo" / "chat_journey.yaml")
    .read_text()
    .replace("rule: weightedMean ", "rule: worstOf ")
    .replace(", weight: 3", "")
    .replace("  target: 0.995\n", "  target: 0.995\n  budgetingMethod: Timeslices\n  timeSliceWindow: 1m\n"
             "  timeSliceTarget: 0.9\n")
)  # fmt: skip
MEMBERS = "\n---\n".join((HOME / "slo" / f"{name}.yaml").read_text() for name in ("chat_errors", "chat_latency"))


def suite(text: str, slos: str = WORST) -> Suite:
    return read("t.yaml", text.encode(), presets(), lambda names: load_text(f"{slos}\n---\n{MEMBERS}"))


def shipped(text: str) -> Suite:
    return read(str(FILE), text.encode(), presets(), lambda names: load([FILE.parent / name for name in names]))


def test_the_shipped_composite_comes_out_as_its_arithmetic_says() -> None:
    found = shipped(FILE.read_text())
    assert found.problems == ()
    assert [failures(each, play(each)) for each in found.rehearsals] == [[], [], []]


def test_the_worst_of_slices_is_judged_of_its_members() -> None:
    """Of ten minutes four are under nine tenths, of one member or of the other."""
    found = suite(
        "slo: chat-journey\nbegins: 2026-03-31 20:00\nhistory: 1h\nmembers:\n"
        "  chat-errors: {good: 60x9 50 60x9, bad: 0x9 10 0x9}\n"
        "  chat-ttft: {good: 60x12 53x2 60x4, bad: 0x12 7x2 0x4}\n"
        "status: [{at: 1200s, good: 76, bad: 4, complianceRatio: 0.95}]\n"
    )
    assert found.problems == ()
    (rehearsal,) = found.rehearsals
    assert failures(rehearsal, play(rehearsal)) == []
    (seen,) = play(rehearsal).seen
    assert (seen.good, seen.bad) == (76, 4)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("stream: [{for: 1m, rate: 1}]", "stream is of one SLO, and this is a composite -> move it to members"),
        ("members: {chat-tft: {stream: [{for: 1m, rate: 1}]}}",
         "members.chat-tft is no member of chat-journey -> did you mean chat-ttft?"),
        ("members: {chat-ttft: {stream: [{for: 1m, rate: 1}]}, chat-errors: {stream: [{for: 2m, rate: 1}]}}",
         "members must all be as long: chat-ttft is 1m, chat-errors is 2m -> lengthen the shorter ones"),
        ("members: {chat-ttft: {stream: [{for: 1m, rate: 1, bad: 2}]}}",
         "members.chat-ttft.stream[0].rate must be at least bad and excluded together, which it includes -> raise it"),
        ("history: 1h", "members are missing: this is a composite "
         "-> write members: {chat-errors: {stream: [...]}}"),
    ],
    ids=["a stream", "unknown", "unequal", "too little", "none"],
)  # fmt: skip
def test_members_that_do_not_fit_are_said_in_words(text: str, fault: str) -> None:
    found = suite(f"slo: chat-journey\n{text}\nexpect: []\n")
    assert fault in [f"{each.path} {each.rule} -> {each.remedy}" for each in found.problems]
    assert found.rehearsals == ()


def test_one_slo_has_no_members() -> None:
    found = suite("slo: chat-errors\nmembers: {a: {stream: [{for: 1m, rate: 1}]}}\nexpect: []\n")
    assert ("members", "are of a composite, and this is one SLO") in [(each.path, each.rule) for each in found.problems]
