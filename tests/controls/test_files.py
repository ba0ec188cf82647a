"""Law: a file of controls is the specs of its sections; else every problem has its place and says what to do."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from pipeline.controls.files import DEFAULT, NOT_WRITTEN, load, parse
from pipeline.controls.sections import sections
from pipeline.controls.table import CONTROLS
from pipeline.spec.problems import Refused, SpecError


@dataclass(frozen=True)
class Level:
    """An item of a list."""

    name: str
    at_ratio: float
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cooling:
    """A mapping in a section."""

    out_s: float = 60.0
    in_s: float = 300.0


@dataclass(frozen=True)
class Plain:
    """A section with a field of every kind."""

    every_s: float = 15.0
    window_s: float = 900.0
    step_us: int = 1_000_000
    target_ratio: float = 0.95
    price_picousd: int = 7
    factor: float = 1.2
    samples: int = 30
    is_on: bool = True
    by: str = "load"
    most: float | None = None
    cooling: Cooling = Cooling()
    levels: tuple[Level, ...] = ()
    elsewhere: str = field(default="ours", metadata=NOT_WRITTEN)

    def __post_init__(self) -> None:
        if self.window_s < self.every_s:
            raise Refused("window must not be shorter than every", "write a longer window")


HEAD = "apiVersion: burnline/v1\nkind: Controls\n"
WHOLE = (
    HEAD
    + """\
plain:
  every: 30s
  window: 1h
  step: 250ms
  target: 0.99
  price: 0.002 USD
  factor: 1.5
  samples: 12
  isOn: false
  by: queue
  most: 2.5
  cooling: {out: 2m}
  levels:
    - {name: low, at: 0.8, classes: [LOW, NO_SLO]}
    - {name: high, at: 0.9}
"""
)
SECTIONS = {"plain": Plain}


def test_what_a_file_leaves_out_has_its_default() -> None:
    assert parse("c.yaml", HEAD.encode(), SECTIONS) == {"plain": Plain()}


def test_a_file_is_read_whole_with_its_units() -> None:
    levels = (Level("low", 0.8, ("LOW", "NO_SLO")), Level("high", 0.9))
    assert parse("c.yaml", WHOLE.encode(), SECTIONS)["plain"] == Plain(
        30, 3600, 250_000, 0.99, 2_000_000_000, 1.5, 12, False, "queue", 2.5, Cooling(120, 300), levels
    )


@pytest.mark.parametrize(
    ("old", "new", "place", "says"),
    [
        pytest.param("every: 30s", "every: 30", "4", "must carry a unit", id="no unit"),
        pytest.param("target: 0.99", "target: 99", "7", "ratio in [0, 1]", id="a percent"),
        pytest.param("price: 0.002 USD", "price: 0.002", "8", "currency", id="no currency"),
        pytest.param("factor: 1.5", "factor: -1", "9", "0 or more", id="negative"),
        pytest.param("samples: 12", "samples: 1.5", "10", "whole number", id="no whole number"),
        pytest.param("isOn: false", "isOn: no", "11", "true or false", id="no boolean"),
        pytest.param("isOn", "is_on", "11", "isOn", id="an unknown key"),
        pytest.param("window: 1h", "window: 1s", "4", "write a longer window", id="fields that defy each other"),
        pytest.param("{name: high, at: 0.9}", "{name: high}", "17", "at", id="an item without what it needs"),
        pytest.param("by: queue", "elsewhere: x", "12", "unknown key", id="what no file holds"),
        pytest.param("plain:", "plane:", "3", "did you mean plain", id="no such control"),
        pytest.param("kind: Controls", "kind: SLO", "2", "Controls", id="another kind"),
    ],
)
def test_a_problem_names_its_place_and_what_to_do(old: str, new: str, place: str, says: str) -> None:
    assert old in WHOLE
    with pytest.raises(SpecError) as refused:
        parse("c.yaml", WHOLE.replace(old, new, 1).encode(), SECTIONS)
    found = str(refused.value).splitlines()
    assert any(line.startswith(f"c.yaml:{place}:") and says in line for line in found), found


def test_every_problem_is_told_at_once() -> None:
    text = WHOLE.replace("30s", "30").replace("0.99", "99").replace("12", "x", 1)
    with pytest.raises(SpecError) as refused:
        parse("c.yaml", text.encode(), SECTIONS)
    assert len([line for line in str(refused.value).splitlines() if line.startswith("c.yaml:")]) == 3


def test_a_file_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="cannot be read"):
        load(tmp_path / "none.yaml", SECTIONS)


def test_the_shipped_file_says_what_stands_in_the_code() -> None:
    """Whoever copies it to change one value must not change others."""
    found = load(DEFAULT, {control.name: control.spec for control in CONTROLS})
    assert found == {control.name: control.spec() for control in CONTROLS}


def test_every_control_has_a_spec_that_says_how_often() -> None:
    found = sections(None, None, 5.0)
    assert set(found) == {control.name for control in CONTROLS}
    assert all(spec.every_s > 0 for spec in found.values())
    assert found["gate"].policy.rules and found["gate"].trailing_s == 5.0
    assert replace(found["gate"], policy=CONTROLS[0].spec().policy, trailing_s=0.0) == CONTROLS[0].spec()
