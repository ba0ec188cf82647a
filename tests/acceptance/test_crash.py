"""kill -9 of the worker under load, twice: ClickHouse and a read_committed reader sum exactly to what was produced.

Every event is kept whole, too: each is one row.
"""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from jobs.event_sink import KafkaEventSink
from jobs.fleet import FleetSpec, Truth
from jobs.simulation import SimulationReport, SimulationSpec, run
from pipeline.embedded.site import Site
from pipeline.spec import load as load_slos
from pipeline.topics import topic_name
from schemas import HOME
from tests.acceptance.harness import Pipeline, pipeline_on

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(300)]

RATE, KILLS = 2_000.0, 2
OUTCOMES = ("success", "error", "timeout", "cancelled", "shed", "rate_limited", "rejected", "unknown")


@pytest.fixture
def crashing(site: Site) -> Any:
    with pipeline_on(site, "crash", HOME / "demo", session_timeout_s=6, events_archive="all") as running:
        yield running


@contextmanager
def load(pipeline: Pipeline, truth: Truth) -> Iterator[list[SimulationReport]]:
    """Produce in real time while the block runs, in a thread of its own; its report is there behind the block."""
    start_us = time.time_ns() // 1000
    spec = SimulationSpec(FleetSpec(rate=RATE, tenants=3, zero_us=start_us), 11, start_us)
    reports: list[SimulationReport] = []
    stop = threading.Event()

    def produce() -> None:
        with KafkaEventSink(pipeline.settings) as sink:
            reports.append(run(spec, sink, truth, stop=stop))

    thread = threading.Thread(target=produce)
    thread.start()
    try:
        yield reports
    finally:
        stop.set()
        thread.join()


def counted(pipeline: Pipeline) -> dict[tuple[str, str], tuple[int, ...]]:
    """(slo, instance) -> good, bad, excluded, by a reader of committed records."""
    sums: dict[tuple[str, str], Counter[str]] = {}
    for unit in pipeline.columns("slo.counts", "slo_counts"):
        for i, which in enumerate(unit["instance_index"].tolist()):
            key = unit["slos"][which], unit["instances"][which]
            sums.setdefault(key, Counter()).update({name: int(unit[name][i]) for name in ("good", "bad", "excluded")})
    return {key: (total["good"], total["bad"], total["excluded"]) for key, total in sums.items()}


def expected(truth: Truth) -> dict[tuple[str, str], tuple[int, ...]]:
    return {
        (slo, labels): tuple(sums.values()) for slo, found in truth.totals().items() for labels, sums in found.items()
    }


def stored(pipeline: Pipeline, view: str) -> dict[tuple[str, str], tuple[int, ...]]:
    rows = pipeline.ask(
        f"SELECT slo, instance, sum(good), sum(bad), sum(excluded) FROM {view} WHERE revision IN "
        f"({', '.join(repr(o.indicator_revision) for o in objectives())}) GROUP BY slo, instance"
    )
    return {(slo, instance): tuple(map(int, rest)) for slo, instance, *rest in rows}


def objectives() -> Any:
    return load_slos([HOME / "demo"]).checked().objectives


def test_two_kills_under_load_lose_nothing_and_count_nothing_twice(crashing: Pipeline) -> None:
    truth = Truth(objectives())
    crashing.start_worker()
    with load(crashing, truth) as reports:
        for _ in range(KILLS):
            wait_for_more(crashing)
            crashing.workers[-1].kill()
            crashing.workers[-1].process.wait()
            crashing.begin_worker()
        wait_for_more(crashing)
    assert reports[0].failed == 0

    requests, truths = reports[0].events, expected(truth)

    def all_counted() -> bool:
        return total(counted(crashing)) >= total(truths)

    crashing.wait_until(all_counted, f"{requests} events counted")
    assert counted(crashing) == truths
    assert sliced(crashing) == requests
    for view in ("slo_counts", "slo_counts_1m", "slo_counts_1h"):
        crashing.becomes(lambda view=view: stored(crashing, view), truths)
    crashing.becomes(lambda: whole(crashing), (requests, requests, requests))


def whole(pipeline: Pipeline) -> tuple[int, ...]:
    """How many events are kept whole, how many places in the log they come from, and how many they say they are."""
    (found,) = pipeline.ask(
        "SELECT count(), uniqExact(source_partition, source_offset), uniqExact(event_id) FROM events "
        f"WHERE source_topic = '{topic_name(pipeline.settings, 'inference.events')}'"
    )
    return tuple(map(int, found))


def wait_for_more(pipeline: Pipeline) -> None:
    """Wait until the worker of now has written a few units of every partition: a kill meets the next half way."""
    before = len(list(pipeline.records("slo.counts")))
    pipeline.wait_until(lambda: len(list(pipeline.records("slo.counts"))) >= before + 12, "more counts")


def total(found: dict[tuple[str, str], tuple[int, ...]]) -> int:
    return sum(map(sum, found.values()))


def sliced(pipeline: Pipeline) -> int:
    """Requests in slo.slices, of every outcome."""
    units = pipeline.columns("slo.slices", "slo_slice")
    return sum(int(unit[outcome].sum()) for unit in units for outcome in OUTCOMES)
