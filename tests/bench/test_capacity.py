"""The benchmark of capacity on little input: every knee that it passes is compared with the true one."""

from pathlib import Path

from tests.bench import capacity


def test_every_metric_and_share_has_its_line_and_the_plot_is_drawn(tmp_path: Path) -> None:
    result = capacity.measure([1], rate=200.0, count=24, length_s=5.0)
    found = result["knees"]
    assert {(each["metric"], each["ratio"]) for each in found} == {
        (metric, ratio) for metric in capacity.METHODS for ratio in capacity.RATIOS
    }
    assert all(each["capacity"] is None or each["capacity"] > 0 for each in found)
    tpot = [each for each in found if (each["metric"], each["state"]) == ("tpot", "measured")]
    assert len(tpot) > 5 and sum(each["capacity"] <= each["knee"] + 1 for each in tpot) >= 0.9 * len(tpot)
    assert [line[:2] for line in capacity.table(result)][:2] == [["tpot", "100%"], ["tpot", "10%"]]
    capacity.plot(result, tmp_path / "capacity.png")
    assert (tmp_path / "capacity.png").stat().st_size > 10_000
