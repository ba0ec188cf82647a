"""The benchmark of forecasts: its series are what it says they are, and its table and plot are drawn."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from jobs.forecast.calendars import SIMPLE
from jobs.forecast.trying import FIRST_MINUTES, Series, tried
from tests.bench import forecast as bench

needs_data = pytest.mark.skipif(not bench.DATA.is_dir(), reason="the recorded traces of ../shared/data are not here")


@needs_data
@pytest.mark.parametrize(("kind", "requests"), [("conv", 19_366), ("code", 8_819)])
def test_the_trace_is_counted_whole_but_for_the_steps_that_it_begins_and_ends_in(kind: str, requests: int) -> None:
    by_minute, by_tens = (bench.azure(kind, step_s) for step_s in (60, 10))
    assert by_minute is not None and by_tens is not None
    assert by_tens.values.sum() * 10 == pytest.approx(requests, rel=0.02)
    wide = by_tens.values[(by_minute.start_s - by_tens.start_s) // 10 :]
    assert wide[: 6 * len(by_minute.values)].reshape(-1, 6).mean(axis=1) == pytest.approx(by_minute.values)


def test_what_is_told_of_sales_changes_nothing_of_what_comes() -> None:
    told, untold = (bench.sales(4, is_told=each) for each in (True, False))
    assert told.values.tolist() == untold.values.tolist()
    assert (len(told.changes), untold.changes) == (8, ())
    ratio = told.values / bench.week(3_600, len(told.values), bench.HOURS.steps, bench.HOURS, 4).values
    assert np.median(ratio[60:72]) == pytest.approx(1.5, rel=0.05)
    assert np.median(ratio[-24:]) == pytest.approx(1.2, rel=0.05)


def test_what_is_told_of_clocks_and_holidays_changes_nothing_of_what_comes_either() -> None:
    made = {each: bench.berlin("spring", date(2026, 3, 23), 6, each) for each in (True, False)}
    assert made[True].values.tolist() == made[False].values.tolist()
    assert (len(made[True].calendar.holidays), made[False].calendar) == (5, SIMPLE)
    day = made[False].values.reshape(-1, 24)  # of UTC
    winter, summer = (np.roll(day[days].mean(axis=0), shift) for days, shift in ((slice(0, 5), 0), (slice(7, 11), 1)))
    assert np.abs(winter - summer).mean() < np.abs(winter - np.roll(summer, -1)).mean()
    friday, good_friday = made[False].values[4 * 24 : 5 * 24].mean(), made[False].values[11 * 24 : 12 * 24].mean()
    assert good_friday < 0.7 * friday


def test_the_table_and_the_plot_are_drawn(tmp_path: Path) -> None:
    case = bench.walk(5)._replace(grid=FIRST_MINUTES, values=bench.walk(5).values[:120])
    made = tried(Series("", case.name, "load", "requests/s", 0, case.values), case.grid, (), ("trend",))
    found = [bench._told(case, made, each) for each in made.outlooks]
    result = {"forecasts": found, "drawn": bench._drawn(case, made)}
    table = bench.rows(result)
    assert [len(row) for row in table] == [len(bench.COLUMNS)] * 2
    assert [row[1] for row in table] == ["5m", "15m"]
    assert bench.wrong(result) == ""
    assert bench.wrong({"forecasts": [{**found[0], "is_fallback": False, "proved": 1.01}]}).startswith("used without")
    bench.plot(result, tmp_path / "forecast.png")
    assert (tmp_path / "forecast.png").stat().st_size > 10_000
