"""The events of the benchmarks: what the simulated fleet sends, cut to a known number of series.

Law: same arguments, same bytes. Event time is in the past, so that nothing is clamped to the append time.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jobs.fleet import Fleet, FleetSpec
from jobs.fleet.catalogue import MODELS
from pipeline.encoding import EventColumns, EventEncoder, texts

START_US = 1_763_164_805_000_000  #: in the middle of a 10 s slice: a stretch of 10 s has two of them
DRAWN_S = 10
TENANTS = 40
#: what a gateway sends without tracing and placement: about 300 bytes an event are left
LEFT_OUT = ("trace_id", "endpoint_id")
LABELS = ("service", "request_model", "tenant_id", "region", "operation", "variant")
SERVICES = ("chat", "assist", "search", "batch")
METRICS = {"errors": "error_rate", "e2e": "e2e, op: lte, threshold: 2s", "ttft": "ttft, op: lte, threshold: 1s"}

SLO = """\
apiVersion: burnline/v1
kind: SLO
metadata: {{name: {service}-{name}}}
spec:
  service: {service}
  indicator: {{metric: {metric}, attempts: all, groupBy: [request_model, region]}}
  target: 0.99
  timeWindow: {{duration: 30d, isRolling: true}}
  alerting: {{preset: default}}
"""


@dataclass(frozen=True)
class Base:
    """Distinct events that a topic repeats."""

    columns: EventColumns
    values: list[bytes]
    series: int

    @property
    def mean_bytes(self) -> float:
        return sum(map(len, self.values)) / len(self.values)


def fleet_columns(events: int, series: int, seed: int = 0) -> EventColumns:
    """Draw so many events of so many series, in the order of their completion."""
    drawn_rate = events / DRAWN_S * max(2.0, 1000 / series)  # the fewer series, the fewer of the events are theirs
    spec = FleetSpec(rate=drawn_rate, models=tuple(m.name for m in MODELS), tenants=TENANTS)
    drawn = Fleet(spec, seed).events(START_US, START_US + DRAWN_S * 1_000_000)
    number_of, sizes = series_of(drawn)
    busiest = np.argsort(-sizes, kind="stable")[:series]
    inside = np.flatnonzero(np.isin(number_of, busiest))
    if len(inside) < events:
        raise ValueError(f"the fleet has {len(inside)} events of {series} series in {DRAWN_S} s, not {events}")
    picked = np.sort(np.random.default_rng(seed).choice(inside, events, replace=False))
    chosen = drawn.take(picked)
    return EventColumns({name: column for name, column in chosen.columns.items() if name not in LEFT_OUT})


def series_of(columns: EventColumns) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number of each event's series, and how many events each series has."""
    keys = list(zip(*(texts(columns[name]) for name in LABELS), columns["priority"].tolist(), strict=True))
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    number_of = np.array([numbers[key] for key in keys], np.int64)
    return number_of, np.bincount(number_of)


def make_base(events: int, series: int) -> Base:
    """Draw and encode a base."""
    columns = fleet_columns(events, series)
    return Base(columns, EventEncoder().encode(columns).records(), len(series_of(columns)[1]))


def write_slos(directory: Path) -> Path:
    """Write three objectives for every service: each event is judged by three."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, metric in METRICS.items():
        documents = [SLO.format(service=service, name=name, metric=metric) for service in SERVICES]
        (directory / f"{name}.yaml").write_text("---\n".join(documents))
    return directory
