"""Charts against adding everything up anew."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.web import charts
from pipeline.web.charts import COLUMNS, NOT_A_SUM, POINTS, Counted, Grid, grid_of
from pipeline.web.parameters import Span
from tests.naive import charts as naive

DAY_S = 86_400
CELLS = st.dictionaries(st.integers(0, 90), st.tuples(st.integers(0, 50), st.integers(0, 9)), max_size=60)


def counted(cells: dict[int, tuple[int, int]], unit_s: int) -> Counted:
    at = sorted(cells)
    return Counted(
        [each * unit_s for each in at], [cells[each][0] for each in at], [cells[each][1] for each in at], [0] * len(at)
    )


@given(CELLS, st.sampled_from([60, 300]), st.sampled_from([60, 300, 3_600]))
def test_a_burn_rate_is_that_of_the_counts_in_its_window(cells: Any, step_s: int, window_s: int) -> None:
    grid, found = Grid(1_800, 6_000, step_s), counted(cells, 60)
    (line,) = charts.burn(grid, found, 60, [window_s], 0.99)
    by_time = {at * 60: counts for at, counts in cells.items()}
    last = max(by_time, default=-60) + 60
    for end, rate in zip([start + step_s for start in grid.starts], line.burn_rate, strict=True):
        if end <= last + step_s:
            assert rate == pytest.approx(naive.burn_rate(by_time, 60, end, window_s, 0.99), abs=1e-6)
        else:
            assert rate is None  # what has not come yet is unknown


@given(st.integers(15, 29), st.sets(st.integers(0, 200), max_size=60))
def test_a_burn_rate_of_whole_hours_knows_nothing_of_the_hour_to_come(days: int, hours: set[int]) -> None:
    """Of a cell that is not over at the end of a step, nothing is in it."""
    now_s = 400 * DAY_S
    grid = grid_of(Span(now_s - days * DAY_S, now_s))
    unit = charts.burn_unit(grid, DAY_S, now_s)
    assert unit == 3_600
    grid = charts.coarse(grid, unit)
    cells = {grid.since // unit + hour: (hour % 7, hour % 3) for hour in hours}
    (line,) = charts.burn(grid, counted(cells, unit), unit, [DAY_S], 0.99)
    for end, rate in zip([start + grid.step_s for start in grid.starts], line.burn_rate, strict=True):
        over = {at * unit: counts for at, counts in cells.items() if (at + 1) * unit <= end}
        assert rate is None or rate == pytest.approx(naive.burn_rate(over, unit, end, DAY_S, 0.99), abs=1e-6)


def test_a_window_shorter_than_its_cells_is_unknown() -> None:
    (line,) = charts.burn(Grid(0, 7_200, 3_600), counted({0: (1, 1), 1: (1, 1)}, 3_600), 3_600, [300], 0.99)
    assert line.burn_rate == [None, None]


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 9)), min_size=1, max_size=30))
def test_a_budget_burns_down_to_what_was_judged(cells: list[tuple[int, int]]) -> None:
    found = counted(dict(enumerate(cells)), 60)
    judged = sum(found.good), sum(found.bad)
    end = len(cells) * 60
    line = charts.budget(found, 60, 0.01 * sum(judged), judged, end)
    assert line.t == [at + 60 for at in found.at]
    assert line.values == pytest.approx(naive.remaining(cells, 0.99), abs=1e-6)


NO_LINES = [
    pytest.param({}, (0, 0), "unknown", id="nothing eligible"),
    pytest.param({0: (1000, 0)}, (60, 0), NOT_A_SUM, id="slices are judged, and requests stored"),
    pytest.param({}, (60, 3), NOT_A_SUM, id="nothing stored of a composite"),
]


@pytest.mark.parametrize(("cells", "judged", "note"), NO_LINES)
def test_a_budget_that_stored_counts_do_not_add_up_to_has_no_line(cells: Any, judged: Any, note: str) -> None:
    line = charts.budget(counted(cells, 60), 60, 0.01 * sum(judged), judged, 3_600)
    assert line.t == [] and line.note is not None and note in line.note


@given(st.integers(1, 2_000_000_000), st.integers(1, 400 * DAY_S), st.sampled_from([120, 720]))
def test_a_grid_covers_its_span_in_few_steps(since: int, length: int, points: int) -> None:
    grid = grid_of(Span(since, since + length), points)
    assert grid.since <= since and grid.until >= since + length
    assert grid.since % grid.step_s == grid.until % grid.step_s == 0
    assert len(grid.starts) <= points + 1
    assert since - grid.since < grid.step_s and grid.until - since - length < grid.step_s


@given(st.integers(0, 2_000_000_000), st.integers(1, 800 * DAY_S))
def test_columns_of_a_heat_map_are_made_of_whole_steps_of_lines(since: int, length: int) -> None:
    fine, wide = (grid_of(Span(since, since + length), points) for points in (POINTS, COLUMNS))
    assert wide.step_s % fine.step_s == 0
    assert set(fine.starts) <= set(range(wide.since, wide.until, fine.step_s))


def test_minutes_are_read_where_they_are_kept_and_fine_enough() -> None:
    now_s = 200 * DAY_S
    assert charts.tier(Grid(199 * DAY_S, now_s, 120), now_s) == "1m"
    assert charts.tier(Grid(170 * DAY_S, now_s, 3_600), now_s) == "1h"
    assert charts.tier(Grid(50 * DAY_S, 51 * DAY_S, 120), now_s) == "1h"
    assert charts.burn_unit(Grid(199 * DAY_S, now_s, 120), DAY_S, now_s) == 60
    assert charts.burn_unit(Grid(190 * DAY_S, now_s, 1_800), 10 * DAY_S, now_s) == 3_600


def test_a_step_nobody_reported_is_a_gap() -> None:
    found = charts.counts(Grid(0, 240, 60), Counted([60, 180], [1, 0], [0, 2], [3, 4]))
    assert found == {"good": [None, 1, None, 0], "bad": [None, 0, None, 2], "excluded": [None, 3, None, 4]}


def test_percentiles_of_nothing_are_unknown() -> None:
    nan = float("nan")
    found = charts.percentiles(Grid(0, 240, 60), [0, 60, 120], [[1.0, 2.0, 3.0], [nan, nan, nan], []])
    assert found == {
        "p50_us": [1.0, None, None, None],
        "p95_us": [2.0, None, None, None],
        "p99_us": [3.0, None, None, None],
    }


def test_sketches_are_narrowed_as_far_as_they_can_be() -> None:
    where = (("endpoint_id", ("a",)), ("operation", ("chat",)), ("service", ("x",)), ("tenant_id", object()))
    chosen, beyond = charts.narrowed({"region": "eu", "accelerator": "h100"}, where, "GATEWAY")
    assert {name: values for name, values in chosen.items() if values} == {
        "operation": ["chat"], "region": ["eu"], "vantage": ["GATEWAY"],
    }  # fmt: skip
    assert beyond == ["accelerator", "endpoint_id", "tenant_id"]
    chosen, beyond = charts.narrowed({"region": "eu", "tenant_id": "acme"}, where, None, charts.OF_REQUESTS)
    assert {name: values for name, values in chosen.items() if values} == {
        "operation": ["chat"], "region": ["eu"], "endpoint_id": ["a"], "tenant_id": ["acme"],
    }  # fmt: skip
    assert beyond == []
    assert charts.narrowed({}, where, None, charts.OF_REQUESTS)[1] == ["tenant_id"]
