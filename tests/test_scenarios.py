"""Scenarios: a stream in a file, and when its alerts fire, escalate and clear, by the arithmetic the file states."""

from decimal import Decimal

import numpy as np
import pytest

from pipeline.spec.scalars import fraction
from tests.judging import seconds
from tests.scenarios.delivery import as_heard, driven, told_of
from tests.scenarios.reading import FILES, read

every_scenario = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
MONTH_S = seconds("30d")


@every_scenario
def test_alerts_come_when_the_scenario_says(path):
    scenario = read(path)
    driver = driven(scenario)
    events = told_of(driver, "BURN_RATE", scenario)
    assert [each[1:] for each in events] == [each[1:3] for each in scenario.expected], events
    for (second, *_), (at, *_, within) in zip(events, scenario.expected, strict=True):
        assert 0 <= second - at <= within, events
    if scenario.expected_of_budget:
        assert told_of(driver, "BUDGET", scenario) == list(scenario.expected_of_budget)


@pytest.mark.parametrize("path", [path for path in FILES if read(path).is_plain], ids=lambda path: path.stem)
def test_incidents_are_what_spends_a_fiftieth_of_the_months_budget(path):
    """2 % is the least that the SRE Workbook would page for; a failure or two are no incident, whatever they spend."""
    scenario = read(path)
    stream = scenario.stream
    rate = (stream.good + stream.bad).sum() / len(stream.good)
    budget = float(1 - Decimal(scenario.target)) * rate * MONTH_S
    rest = stream.bad.copy()
    for start, end in scenario.incidents:
        inside = slice(start - stream.first, end - stream.first)
        assert stream.bad[inside].sum() >= max(budget / 50, 3)
        assert stream.bad[inside][[0, -1]].all(), "it begins with the first failure and ends with the last"
        rest[inside] = 0
    assert rest[-stream.first :].sum() < max(budget / 50, 3)


def test_there_are_scenarios_of_every_kind():
    assert len(FILES) >= 30
    scenarios = [read(path) for path in FILES]
    assert {each.preset for each in scenarios} == {"default", "workbook"}
    assert len({each.target for each in scenarios}) >= 4
    assert sum(bool(each.incidents) for each in scenarios) >= 15
    assert sum(not each.expected for each in scenarios) >= 8
    slices = [each.watched.objective.timeslices for each in scenarios]
    assert sum(each is not None and each.target is not None for each in slices) >= 4
    assert sum(each is not None and each.target is None for each in slices) >= 2
    assert sum(each.watched.objective.calendar is not None for each in scenarios) >= 2


def test_what_is_late_is_seen_when_it_is_heard(tmp_path):
    (tmp_path / "late.yaml").write_text(
        'slo: {target: "0.999", preset: default}\nhistory: 0s\nexpect: []\n'
        "stream: [{for: 2s, rate: 10, bad: 1, late: 3s}, {for: 3s, rate: 0..10}]\n"
    )
    scenario = read(tmp_path / "late.yaml")
    heard = as_heard(scenario).stream
    assert scenario.stream.good.tolist() == [9, 9, 1, 5, 9]
    assert (heard.good.tolist(), heard.bad.tolist()) == ([0, 0, 1, 14, 18], [0, 0, 0, 1, 1])
    assert np.array_equal(heard.heard_at, heard.seconds)


def test_pairs_of_a_preset_are_those_of_its_file():
    policy = read(FILES[0]).policy
    assert [(each.severity.name, fraction(each.factor)) for each in policy.pairs] == [("CRITICAL", 10), ("WARNING", 2)]
