"""Scenarios: a stream in a file, and when its alerts fire and clear, by the arithmetic the file states."""

from itertools import chain, repeat
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.judging import T0, Driver, counts, preset, seconds, spec, steady, watched

FILES = sorted((Path(__file__).parent / "scenarios").glob("*.yaml"))


def entries_of(scenario):
    """History before T0, then the stream's stretches, one after another."""
    first = scenario["stream"][0]
    history = seconds(scenario["history"])
    yield from steady(T0 - history, T0, first["rate"])
    at = T0
    for part in chain.from_iterable(repeat(scenario["stream"], scenario.get("repeat", 1))):
        end, bad = at + seconds(part["for"]), part.get("bad", 0)
        yield from steady(at, end, part["rate"] - bad, bad)[:: part.get("every", 1)]
        at = end


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_alerts_come_when_the_scenario_says(path):
    scenario = YAML(typ="safe").load(path.read_text())
    slo = scenario["slo"]
    driver = Driver(spec(watched(target=slo["target"], policy=preset(slo["preset"]))))
    driver.feed(counts(list(entries_of(scenario))))
    expected = scenario["expect"]
    assert [each[1:] for each in driver.told] == [(each["event"], each["severity"]) for each in expected]
    for (second, *_), each in zip(driver.told, expected, strict=True):
        assert 0 <= second - T0 - seconds(each["at"]) <= seconds(each.get("within", "10s")), driver.told


def test_there_are_scenarios():
    assert len(FILES) >= 7
