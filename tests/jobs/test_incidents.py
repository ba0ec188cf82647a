"""Scenario files: what they say, and what is wrong with them."""

from pathlib import Path

import pytest

from jobs.fleet import Incident, ScenarioError, load_scenario
from jobs.fleet.incidents import duration_us
from schemas import HOME

GOOD = """
kind: Scenario
metadata: {name: one, description: two}
spec:
  fleet: {rate: 50, tenants: 3, models: [embed-large]}
  duration: 1h30m
  incidents:
    - {name: a, kind: errors, starts: 90s, lasts: 10m, ratio: 0.15,
       where: {region: us-east, service: [chat, batch]}}
    - {name: b, kind: outage, starts: 0s, lasts: 250ms, ratio: 1, recovers: 2m}
"""


def test_a_scenario_says_what_goes_wrong_where_and_when(tmp_path: Path) -> None:
    (path := tmp_path / "s.yaml").write_text(GOOD)
    found = load_scenario(path)
    where = (("region", ("us-east",)), ("service", ("chat", "batch")))
    assert found.incidents == (
        Incident("a", "errors", 90_000_000, 690_000_000, 0.15, where),
        Incident("b", "outage", 0, 250_000, 1.0, recovers_us=120_000_000),
    )
    assert (found.name, found.duration_us) == ("one", 5_400_000_000)
    assert found.fleet == {"rate": 50, "tenants": 3, "models": ["embed-large"]}


@pytest.mark.parametrize(
    ("good", "bad", "message"),
    [
        pytest.param("kind: Scenario", "kind: SLO", "kind: expected", id="another kind"),
        pytest.param("duration: 1h30m", "duration: 90", "'?90'? is no duration", id="no unit"),
        pytest.param("ratio: 0.15", "ratio: 15", r"incidents\[0\].ratio: 15; expected 0 to 1", id="a percentage"),
        pytest.param("ratio: 0.15", "factor: 2", r"incidents\[0\].factor: unknown", id="another kind's number"),
        pytest.param("kind: errors", "kind: fire", r"incidents\[0\].kind: 'fire'; expected", id="unknown kind"),
        pytest.param("region:", "planet:", r"incidents\[0\].where.planet: unknown", id="unknown label"),
        pytest.param("lasts: 10m, ", "", r"incidents\[0\].lasts: missing", id="no end"),
        pytest.param("tenants:", "users:", "spec.fleet.users: unknown", id="unknown option of the fleet"),
        pytest.param("spec:", "spec: [", "s.yaml", id="no YAML"),
        pytest.param("ratio: 0.15", "ratio: 0.1, failure_kind: FIRE", "failure_kind: 'FIRE'", id="failure kind"),
    ],
)
def test_a_scenario_that_cannot_be_used_says_where(tmp_path: Path, good: str, bad: str, message: str) -> None:
    (path := tmp_path / "s.yaml").write_text(GOOD.replace(good, bad, 1))
    with pytest.raises(ScenarioError, match=message):
        load_scenario(path)


@pytest.mark.parametrize("path", sorted((HOME / "scenarios").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_shipped_scenario_loads_under_its_own_name(path: Path) -> None:
    found = load_scenario(path)
    assert found.name == path.stem and found.description


@pytest.mark.parametrize("text", ["", "10", "m", "10 m", "1h30", "-1m"])
def test_durations_need_a_unit(text: str) -> None:
    with pytest.raises(ScenarioError):
        duration_us(text)
