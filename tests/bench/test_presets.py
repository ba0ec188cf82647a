"""The worth of alert policies: figures that can be had by hand, from few scenarios."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.bench import presets
from tests.bench.__main__ import DOCS
from tests.scenarios.reading import FILES, read

BY_NAME = {path.stem: path for path in FILES}
STRATEGIES = {each.name: each for each in presets.STRATEGIES}


@pytest.mark.parametrize(
    ("name", "detection_s", "reset_s"),
    [
        ("default", 240, 342),  # 36 s of outage at 15 %; 2.7 s are left 282 s after the end, and the hold
        ("workbook (strategy 6)", 346, 335),  # 51.84 s; 3.888 s are left 275 s after, and the hold
        ("error rate over 10 min (strategy 1)", 1, 600),  # 0.6 s of 300 s of outage; 0.6 s are left 600 s after
        ("36x over 1 h (strategy 4)", 130, 3_471),  # 129.6 s, and as much is left 3470.4 s after
        ("error rate over 36 h (strategy 2)", 130, 129_471),  # the same 129.6 s
    ],
)
def test_policies_react_as_the_workbook_reckons(name: str, detection_s: int, reset_s: int) -> None:
    detection, reset = presets.reaction(STRATEGIES[name])
    assert 0 <= detection - detection_s <= 1
    assert 0 <= reset - reset_s <= (300 if "36 h" in name else 10)  # windows are longer by less than a cell


def test_what_a_policy_is_worth_is_counted_by_incident_and_by_alert() -> None:
    """Three alerts in one incident, one in none, and an incident that is heard of too late."""
    chosen = [read(BY_NAME[name]) for name in ("flapping_apart", "boundary_36s", "late_outage")]
    worth = presets.worth_of(STRATEGIES["default"], chosen)
    assert (worth.incidents, worth.detected, worth.alerts, worth.right) == (2, 1, 4, 3)
    assert (worth.recall, worth.precision) == (0.5, 0.75)
    assert worth.detection_s == [pytest.approx(616, abs=1)]
    assert worth.reset_s == [pytest.approx(2_178 - 1_820, abs=1)]


def test_a_stream_counts_once_whatever_its_preset_and_the_trouble_on_the_way() -> None:
    names = {each.name for each in presets.distinct([read(path) for path in FILES])}
    assert "page_default" in names
    assert not {"page_workbook", "restart", "duplicates", "late_within_grace"} & names
    assert {"late_minute", "new_slo"} <= names


def test_the_table_is_drawn(tmp_path: Path) -> None:
    strategies = [STRATEGIES["default"], STRATEGIES["error rate over 5 min"]]
    worths = [presets.worth_of(each, [read(BY_NAME["page_default"])]) for each in strategies]
    result = presets.result_of(worths, ["page_default"])
    assert [len(row) for row in presets.rows(result)] == [8, 8]
    presets.plot(result, tmp_path / "presets.png")
    assert 10_000 < (tmp_path / "presets.png").stat().st_size < 150_000


def published() -> dict[str, Any]:
    told: dict[str, Any] = json.loads((DOCS / "presets.json").read_text())
    return told


def test_the_published_table_is_of_the_scenarios_and_policies_of_now() -> None:
    assert published()["digest"] == presets.digest(), "run python -m tests.bench presets, and look at the README"


def test_the_readme_says_what_the_published_table_says() -> None:
    told, text = published(), " ".join((DOCS.parent / "README.md").read_text().split())
    of = {each["name"]: each for each in told["strategies"]}
    ours, bare = of["default"], of["error rate over 5 min"]
    said = (
        f"On {told['scenarios']} scenarios the preset `default` finds {ours['detected']} of {ours['incidents']} ",
        f"incidents, half of them within {ours['detection_median_s'] / 60:.0f} minutes, ",
        f"and {ours['precision'] * 100:.0f} % of its alerts are right",
    )
    assert "".join(said) in text
    assert ours["detected"] == bare["detected"]
    assert f"finds as many, and {bare['precision'] * 100:.0f} % of its alerts are right" in text


def test_the_table_and_its_plot_are_published_together(tmp_path: Path) -> None:
    worth = presets.worth_of(STRATEGIES["default"], [read(BY_NAME["page_default"])])
    result = presets.result_of([worth], ["page_default"])
    presets.publish(result, tmp_path)
    told = json.loads((tmp_path / "presets.json").read_text())
    assert (told["scenarios"], told["digest"]) == (1, presets.digest())
    assert set(told["strategies"][0]) == set(presets.PUBLISHED)
    assert (tmp_path / "presets.png").stat().st_size > 10_000
