"""Delivers a scenario's counts to the real judge, as its worker would, and keeps what it told."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.alerts import AlertPolicy
from pipeline.slo import Ratio
from tests.judging import Driver, counts, spec
from tests.scenarios.reading import Scenario, Stream

BLOCK_S = 10  #: between blocks where it matters when something arrives
Told = tuple[int, str, str]  # second of the scenario, event, severity


def told(scenario: Scenario, policy: AlertPolicy | None = None, **settings: Any) -> list[Told]:
    """Return every event of the burn-rate alert, by the second at which its windows end."""
    return told_of(driven(scenario, policy, **settings), "BURN_RATE", scenario)


def told_of(driver: Driver, kind: str, scenario: Scenario) -> list[Told]:
    """Every event of one kind of alert, by the scenario's seconds."""
    return [(second - scenario.begins_s, event, severity) for second, event, severity in driver.told_of(kind)]


def driven(scenario: Scenario, policy: AlertPolicy | None = None, **settings: Any) -> Driver:
    """Let the judge take the whole scenario."""
    driver = Driver(spec(replace(scenario.watched, policy=policy or scenario.policy), **settings))
    restarts = list(scenario.restarts)
    for at, columns in blocks(scenario):
        if restarts and at >= restarts[0]:
            restarts.pop(0)
            driver.crash()
        elif scenario.is_redelivered:
            driver.position = max(driver.position - 2, 0)
        driver.feed(columns)
    return driver


def blocks(scenario: Scenario) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield blocks of slo.counts with the second at which they are complete: small ones while something hangs on it."""
    stream = scenario.stream
    start = stream.first
    for end in (*range(0, _eventful_until(scenario), BLOCK_S), stream.end):
        if end > start:
            yield end, block(scenario, start, end)
            start = end


def _eventful_until(scenario: Scenario) -> int:
    """Return the second from which on nothing is late, unheard, read again or interrupted."""
    stream = scenario.stream
    if scenario.is_redelivered:
        return stream.end
    unheard, late = stream.seconds[~stream.is_heard], stream.heard_at[stream.heard_at > stream.seconds]
    last = max((int(each.max(initial=stream.first)) for each in (unheard, late)), default=0)
    until = max(last, *scenario.restarts, 0)
    return min(until + 2 * BLOCK_S, stream.end) if until else 0


def block(scenario: Scenario, start: int, end: int) -> dict[str, Any]:
    """Make the block of what was heard in [start, end)."""
    stream, begins_s, objective = scenario.stream, scenario.begins_s, scenario.watched.objective
    chosen = (stream.heard_at >= start) & (stream.heard_at < end)
    chosen &= (stream.good + stream.bad + stream.excluded) > 0
    at = stream.seconds
    heard = at[stream.is_heard & (at < end)]
    newly = heard[heard >= start]
    newest, idle = (begins_s + newly[-1] + 0.5, 0) if len(newly) else (None, end - int(heard[-1]) if len(heard) else 0)
    slices = np.unique((begins_s + np.concatenate([newly, at[chosen]])) // 10)
    columns = counts((), newest=newest, idle=idle, flushed=begins_s + end, slices=slices)
    names: dict[str, Any] = {
        "slos": [objective.name], "revisions": [objective.indicator_revision], "instances": [""],
    }  # fmt: skip
    numbers: dict[str, NDArray[np.int64]] = {
        "slice_start_s": begins_s + at[chosen], "good": stream.good[chosen], "bad": stream.bad[chosen],
        "excluded": stream.excluded[chosen],
    }  # fmt: skip
    return {**columns, **names, **numbers, "instance_index": np.zeros(chosen.sum(), np.int64)}


def episodes(events: list[Told], levels: tuple[str, ...], end: int) -> list[tuple[int, int]]:
    """(from, to) of every time in which the alert had one of the severities; `end`: still open."""
    found: list[tuple[int, int]] = []
    since: int | None = None
    for second, event, severity in events:
        is_in = event != "RESOLVED" and severity in levels
        if is_in and since is None:
            since = second
        elif not is_in and since is not None:
            found.append((since, second))
            since = None
    return found if since is None else [*found, (since, end)]


def as_heard(scenario: Scenario) -> Scenario:
    """Return the scenario as somebody sees it who takes everything to happen when it is heard of."""
    stream = scenario.stream
    at, length = stream.heard_at - stream.first, len(stream.good)
    inside = at < length
    columns = (stream.good, stream.bad, stream.excluded)
    sums = [np.bincount(at[inside], column[inside], length).astype(np.int64) for column in columns]
    return replace(scenario, stream=Stream(stream.first, *sums, stream.seconds, stream.is_heard))


def known_before(scenario: Scenario) -> Scenario:
    """Return the scenario with an instance that was known, without requests, as long before as its windows reach."""
    length = max(pair.long_us for pair in scenario.policy.pairs) // 1_000_000 + 10
    none = np.zeros(length, np.int64)
    first = scenario.stream.first - length
    excluded = none.copy()
    excluded[0] = 1
    before = Stream(first, none, none, excluded, np.arange(first, first + length), np.ones(length, np.bool_))
    return replace(scenario, stream=before.then(scenario.stream))


def as_counted(scenario: Scenario) -> Scenario:
    """Return the scenario with what its budget counts in place of requests: verdicts of slices, as each ends.

    A ratio is a million parts, as pipeline.timeslices has it: whole numbers are what Prometheus' counters take.
    """
    slices, stream = scenario.watched.objective.timeslices, scenario.stream
    if slices is None:
        return scenario
    length = slices.slice_us // 1_000_000
    number = (scenario.begins_s + stream.seconds) // length
    first = int(number[0])
    good, bad = (np.bincount(number - first, column).astype(np.int64) for column in (stream.good, stream.bad))
    columns = np.zeros((2, len(stream.good)), np.int64)
    for n, (own_good, own_bad) in enumerate(zip(good.tolist(), bad.tolist(), strict=True)):
        last = (first + n) * length + length - 1 - scenario.begins_s - stream.first
        if own_good + own_bad and last < len(stream.good):
            columns[:, last] = verdict(own_good, own_bad, slices.target)
    none = np.zeros(len(stream.good), np.int64)
    return replace(scenario, stream=Stream(stream.first, *columns, none, stream.heard_at, stream.is_heard))


def verdict(good: int, bad: int, target: Ratio | None) -> tuple[int, int]:
    """What a slice counts for."""
    if target is None:
        parts = (good * 1_000_000 * 2 + good + bad) // (2 * (good + bad))
        return parts, 1_000_000 - parts
    is_good = good * target.scale >= (good + bad) * target.numerator
    return int(is_good), int(not is_good)
