"""Law: a policy that can be used is total, and its strictest rules come first; else every problem says what to do."""

import pytest

from pipeline.controls.gate import DAY, Span, Verdict
from pipeline.controls.gate_files import parse, span
from pipeline.spec.problems import Refused, SpecError

GOOD = """\
apiVersion: burnline/v1
kind: GatePolicy
source: us
timeZone: Europe/Berlin
unknown: frozen
rules:
  - {name: spent, verdict: frozen, reason: it is spent, budgetAtMost: 0}
  - {name: night, verdict: caution, reason: at night, during: [Mon-Fri 00:00-06:00, Sun], burnAtLeast: 1.5}
  - {name: otherwise, verdict: open, reason: fine}
"""


def problems(text: str) -> list[str]:
    with pytest.raises(SpecError) as refused:
        parse("gate.yaml", text.encode())
    return str(refused.value).splitlines()


def test_a_policy_is_read_whole() -> None:
    policy = parse("gate.yaml", GOOD.encode())
    assert (policy.time_zone, policy.unknown, policy.source) == ("Europe/Berlin", Verdict.FROZEN, "us")
    spent, night, otherwise = policy.rules
    assert (spent.verdict, spent.budget_at_most, spent.reason) == (Verdict.FROZEN, 0.0, "it is spent")
    assert (night.burn_at_least, night.during[0], night.during[-1]) == (1.5, Span(0, 360), Span(6 * DAY, 7 * DAY))
    assert len(night.during) == 6
    assert not otherwise.is_conditional


@pytest.mark.parametrize(
    ("old", "new", "place", "says"),
    [
        pytest.param("budgetAtMost: 0}", "budgetAtMost: 5%}", "7", "a point, such as 0.99", id="percent"),
        pytest.param("budgetAtMost", "budget", "7", "budgetAtMost", id="an unknown key"),
        pytest.param("unknown: frozen", "unknown: open", "5", "never open", id="unknown is open"),
        pytest.param("Europe/Berlin", "Berlin", "4", "Europe/Berlin", id="a time zone"),
        pytest.param("verdict: frozen", "verdict: closed", "7", "open, caution", id="no verdict"),
        pytest.param(", budgetAtMost: 0", "", "7", "move it to the end", id="a rule that takes all"),
        pytest.param("reason: fine", "reason: fine, burnAtLeast: 1", "9", "last rule without", id="not total"),
        pytest.param("verdict: frozen", "verdict: open", "8", "move the rule above", id="a stricter rule below"),
        pytest.param("name: night", "name: spent", "8", "name of its own", id="a name twice"),
        pytest.param("Sun]", "Someday]", "8", "Fri 15:00-24:00", id="no day"),
        pytest.param("00:00-06:00", "22:00-06:00", "8", "of the next day", id="past midnight"),
        pytest.param("burnAtLeast: 1.5", "burnAtLeast: 2x", "8", "write 2", id="a factor with its x"),
        pytest.param(
            "reason: fine", "reason: fine, changeSpentAtLeast: 0", "9", "last rule without", id="nor by changes"
        ),
        pytest.param("budgetAtMost: 0}", "changeSpentAtLeast: much}", "7", "such as 0.99", id="spent by a change"),
        pytest.param("reason: fine", "reason: ''", "9", "reason", id="no reason"),
        pytest.param(GOOD[GOOD.index("rules") :], "", "1", "rules", id="no rules"),
        pytest.param("kind: GatePolicy", "kind: SLO", "2", "GatePolicy", id="another kind"),
    ],
)
def test_a_problem_names_its_place_and_what_to_do(old: str, new: str, place: str, says: str) -> None:
    assert old in GOOD
    found = problems(GOOD.replace(old, new, 1))
    assert any(line.startswith(f"gate.yaml:{place}:") for line in found), found
    assert says in "\n".join(found)


def test_every_problem_is_told_at_once() -> None:
    found = problems(GOOD.replace("open", "opn").replace("Europe/Berlin", "x").replace("name: night", "name: spent"))
    assert len([line for line in found if line.startswith("gate.yaml:")]) >= 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("Sat", [(5 * DAY, 6 * DAY)], id="a day"),
        pytest.param("fri 15:00-24:00", [(4 * DAY + 900, 5 * DAY)], id="to its end"),
        pytest.param("Sun-Mon", [(6 * DAY, 7 * DAY), (0, DAY)], id="over the end of the week"),
        pytest.param("Tue-Tue 00:00-00:01", [(DAY, DAY + 1)], id="a minute"),
    ],
)
def test_times_of_the_week(text: str, expected: list[tuple[int, int]]) -> None:
    assert list(span(text)) == expected


@pytest.mark.parametrize(
    "text", ["", "Friday", "Fri 15-16", "Fri 15:00", "Fri 24:00-25:00", "Fri 15:60-16:00", "Fri 09:00-09:00"]
)
def test_what_is_no_time_of_the_week_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        span(text)
