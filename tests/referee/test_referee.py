"""The judge and Prometheus agree on every scenario, or a rule of ours says why not.

What is compared: the times at which the alert is at least critical, and at least a warning. Theirs begin and end
within an evaluation after the second that the scenario's arithmetic gives, and so do ours within what it allows. The
rules carry the policy's margin and hold (tests/referee/rules.py); sloth's own, without, fire at the same evaluations
and clear within the same alerts.

A scenario on full history in which both have the same rules must agree. Where one says `differs`, it lists what
Prometheus does; and the judge, with just the rules lifted that the scenario names, does the same.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest

from pipeline.alerts import AlertPolicy, Guards
from pipeline.slo import Ratio
from pipeline.windows import cell_s
from tests.referee.promtool import PROMTOOL, Firing, firing
from tests.referee.rules import LEVELS, spans_s, step_s
from tests.scenarios.delivery import Told, as_heard, episodes, known_before, told
from tests.scenarios.reading import FILES, Scenario, read

SCENARIOS = [read(path) for path in FILES]
NAMES = {"CRITICAL": ("CRITICAL",), "WARNING": ("CRITICAL", "WARNING")}
Interval = tuple[int, int | None]

pytestmark = pytest.mark.skipif(PROMTOOL is None, reason="there is no promtool: make promtool, on Debian")
agreeing = pytest.mark.parametrize("scenario", [s for s in SCENARIOS if not s.because], ids=lambda s: s.name)
differing = pytest.mark.parametrize("scenario", [s for s in SCENARIOS if s.because], ids=lambda s: s.name)


@pytest.fixture(scope="session")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Scenario], Firing]:
    """Answer for a scenario out of the run of all that share its policy and step."""
    known: dict[tuple[str, int], Firing] = {}

    def ask(scenario: Scenario) -> Firing:
        key = scenario.preset, step_s(scenario)
        if key not in known:
            alike = [each for each in SCENARIOS if (each.preset, step_s(each)) == key]
            known[key] = firing(alike, tmp_path_factory.mktemp("promtool"))
        return known[key]

    return ask


def ours(events: list[Told], level: str, end: int) -> list[Interval]:
    """The alert's times at a level or above, None where it is open at the end."""
    open_since = bool(events) and events[-1][1] != "RESOLVED" and events[-1][2] in NAMES[level]
    found: list[Interval] = list(episodes(events, NAMES[level], end))
    return [*found[:-1], (found[-1][0], None)] if open_since else found


def agree(theirs: list[Interval], mine: list[Interval], step: int, slack: tuple[int, int]) -> bool:
    """Whether they are the same alerts, each end within an evaluation after ours, less what our cells may be late."""
    if len(theirs) != len(mine):
        return False
    ends = [
        (a, b, late)
        for their, own in zip(theirs, mine, strict=True)
        for a, b, late in zip(their, own, slack, strict=True)
    ]
    return all(a == b if a is None or b is None else -late <= a - b <= step for a, b, late in ends)


@pytest.mark.slow
@agreeing
def test_prometheus_fires_and_clears_when_the_arithmetic_says(scenario, prometheus):
    stated = [(at, event, severity) for at, event, severity, _ in scenario.expected]
    late = max((within for *_, within in scenario.expected), default=0)
    events, step, end = told(scenario), step_s(scenario), scenario.stream.end
    for level in NAMES:
        theirs = prometheus(scenario).get((f"held_{level}", scenario.name), [])
        assert agree(theirs, ours(events, level, end), step, (late, late))
        if scenario.has_full_history:
            assert agree(theirs, ours(stated, level, end), step, (0, 0))


@pytest.mark.slow
@differing
def test_what_differs_is_what_the_named_rules_make_of_it(scenario, prometheus):
    step, end = step_s(scenario), scenario.stream.end
    lifted, listed = lifted_told(scenario), []
    for level in LEVELS:
        theirs = prometheus(scenario).get((f"held_{level.name}", scenario.name), [])
        listed += [(level.name, *each) for each in theirs]
        pairs = [pair for pair in scenario.policy.pairs if pair.severity >= level]
        slack = max(cell_s(p.long_us // 1_000_000) for p in pairs), max(cell_s(p.short_us // 1_000_000) for p in pairs)
        assert agree(theirs, ours(lifted, level.name, end), step, slack), (theirs, lifted)
    assert tuple(listed) == scenario.prometheus
    assert not all(
        agree([each[1:] for each in listed if each[0] == level], ours(told(scenario), level, end), step, (10, 10))
        for level in NAMES
    ), "nothing differs"


def lifted_told(scenario: Scenario) -> list[Told]:
    """What the judge tells without the rules that the scenario names."""
    policy, settings = scenario.policy, {}
    for rule in scenario.because:
        match rule:
            case "guards":
                policy = replace(policy, guards=replace(policy.guards, min_events=0, min_bad=0))
            case "coverage":
                settings["source_silence_us"] = 10**13
            case "at the factor":
                policy = over_the_factor(policy)
            case "late":
                scenario = as_heard(scenario)
            case "expected traffic":
                scenario = known_before(scenario)
            case _:
                raise ValueError(f"{rule} is no rule")
    return told(scenario, policy, **settings)


def over_the_factor(policy: AlertPolicy) -> AlertPolicy:
    """Return the policy with thresholds that are just not reached at the factor itself."""
    pairs = (
        replace(p, factor=Ratio(p.factor.numerator * 1_000_000 + 1, p.factor.scale * 1_000_000)) for p in policy.pairs
    )
    return replace(policy, pairs=tuple(pairs))


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
def test_rules_without_margin_and_hold_fire_at_the_same_evaluations(scenario, prometheus):
    end = scenario.stream.end + 1
    for level in NAMES:
        plain, held = (prometheus(scenario).get((f"{kind}_{level}", scenario.name), []) for kind in ("plain", "held"))
        assert {start for start, _ in held} <= {start for start, _ in plain}
        for start, stop in plain:
            assert any(a <= start and (stop or end) <= (b or end) for a, b in held)


def test_a_difference_on_full_history_has_a_reason_that_is_no_matter_of_history():
    full = [each for each in SCENARIOS if each.has_full_history]
    assert len(full) >= 30
    assert {reason for each in full for reason in each.because} <= {"guards", "at the factor"}


@pytest.mark.slow
def test_scrapes_that_are_left_out_change_nothing(tmp_path):
    names = ("night_outage", "maintenance_goes_wrong", "relapse", "flapping_apart")
    hourly = [replace(each, policy=replace(each.policy, pairs=each.policy.pairs[:1])) for each in SCENARIOS]
    chosen = [each for each in hourly if each.name in names]
    sparse = firing(chosen, tmp_path)
    assert sparse
    assert sparse == firing(chosen, tmp_path, is_dense=True)


def test_guards_of_the_default_policy_are_those_of_the_presets():
    assert {each.policy.guards for each in SCENARIOS if each.is_plain} == {Guards()}
    assert all(set(spans_s(each.policy)) >= {300, 3_600} for each in SCENARIOS)
