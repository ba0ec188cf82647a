"""The judge's benchmark runs, and keeps to the memory that is promised."""

from pathlib import Path

from tests.bench.judge import GOALS, measure, plot, rows


def test_a_small_run_fills_every_column(tmp_path: Path) -> None:
    result = measure((20, 40), 4)
    assert [cost["instances"] for cost in result["costs"]] == [20, 40] * 2
    for cost in result["costs"]:
        assert all(value for value in cost.values())
        assert cost["rings_bytes"] + cost["objects_bytes"] <= GOALS["bytes"]
    assert all(len(row) == 8 for row in rows(result))
    plot(result, tmp_path / "judge.png")
    assert (tmp_path / "judge.png").stat().st_size > 0
