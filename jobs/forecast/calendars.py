"""The site's calendar: its holidays as regressors, and its clock, by which days and weeks repeat themselves.

    UTC    ..|22|23|00|01|02|03|04|..      in the night when clocks go forward, from 2:00 to 3:00 in Berlin
    clock  ..|23|00|01| ?|03|04|05|06|..   the hour that is skipped was not measured; one that comes twice is its mean

Law: where clocks do not change between the first step and the last one, forecasts are those of UTC. What a clock shows
is mapped back step by step, so a forecast has as many steps as were asked for. Pure, but for the tables of time zones
and holidays.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from jobs.forecast.regressors import Change
from pipeline.controls.forecast import Floats

QUARTER_S = 900  #: clocks change at its multiples
Places = NDArray[np.int64]


class UnknownCountry(ValueError):
    """No holidays are known of it; the message says what to write."""


class Calendar(NamedTuple):
    """Where a site is, in time."""

    zone: str = "UTC"
    holidays: tuple[Change, ...] = ()


SIMPLE = Calendar()


class Clock(NamedTuple):
    """What a clock shows over steps of the past, and of the future: numbers of steps since the epoch."""

    past: Places
    future: Places
    values: Floats  # of the past, by UTC

    @property
    def first(self) -> int:
        """Of all: what comes again may begin before the first of the past."""
        return min(int(self.past.min()), int(self.future.min()))

    @property
    def steps(self) -> int:
        """Steps to be forecast on the clock."""
        return max(int(self.future.max()) - int(self.past.max()), 1)

    def shown(self, values: Floats) -> Floats:
        """Lay columns of the past out on the clock; nan: skipped. Shapes: (step, ..) -> (place, ..)."""
        return _means(self.past - self.first, values, int(self.past.max()) - self.first + 1)

    def ahead(self, values: Floats) -> Floats:
        """The same of the future; what it shows of the past again is left out."""
        places = self.future - int(self.past.max()) - 1
        return _means(places[places >= 0], values[places >= 0], self.steps)

    def back(self, shown: Floats, path: Floats) -> Floats:
        """Return a path over the steps of the future, which may show again what the past has shown."""
        return np.concatenate([shown, path])[self.future - self.first]


def clock_of(zone: str, start_us: int, step_us: int, values: Floats, ahead: int) -> Clock | None:
    """Return what a zone's clock shows; None: it shows UTC."""
    if zone == "UTC":
        return None
    starts_s = (start_us + np.arange(len(values) + ahead, dtype=np.int64) * step_us) // 1_000_000
    quarters, places = np.unique(starts_s // QUARTER_S, return_inverse=True)
    offsets_s = np.array([_offset_s(zone, int(each)) for each in quarters], np.int64)[places]
    shown = (starts_s + offsets_s) * 1_000_000 // step_us
    return Clock(shown[: len(values)], shown[len(values) :], values)


@lru_cache(maxsize=1 << 16)
def _offset_s(zone: str, quarter: int) -> int:
    offset = datetime.fromtimestamp(quarter * QUARTER_S, ZoneInfo(zone)).utcoffset()
    return 0 if offset is None else round(offset.total_seconds())


def _means(places: Places, values: Floats, length: int) -> Floats:
    """The mean of what was measured at each place; nan: nothing was."""
    is_known = np.isfinite(values)
    sums, counts = np.zeros((length, *values.shape[1:])), np.zeros((length, *values.shape[1:]))
    np.add.at(sums, places, np.where(is_known, values, 0.0))
    np.add.at(counts, places, is_known)
    return np.asarray(np.where(counts > 0, sums / np.maximum(counts, 1), np.nan), np.float64)


def calendar_of(zone: str, country: str, first: date, last: date) -> Calendar:
    """Return a site's calendar; `country`: as ISO 3166 has it, DE, or with a part of it, DE-BW; empty: no holidays.

    Raises: UnknownCountry, ModuleNotFoundError.
    """
    if not country:
        return Calendar(zone)
    import holidays

    name, _, part = country.partition("-")
    years = range(first.year, last.year + 1)
    try:
        known: Sequence[date] = sorted(holidays.country_holidays(name, subdiv=part or None, years=years))
    except NotImplementedError as error:
        raise UnknownCountry(f"BURNLINE_SITE_COUNTRY is {country!r}: {error}; write DE, or DE-BW") from error
    return Calendar(zone, tuple(_holiday(day, zone, country) for day in known if first <= day <= last))


def _holiday(day: date, zone: str, country: str) -> Change:
    """A day from midnight to midnight, which was always known."""
    starts = (datetime.combine(each, time(), ZoneInfo(zone)) for each in (day, day + timedelta(days=1)))
    at_us, until_us = (round(each.astimezone(UTC).timestamp() * 1e6) for each in starts)
    return Change("HOLIDAY", country, at_us, until_us, 0)
