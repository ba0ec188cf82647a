"""The shedding control in the loop: what ClickHouse would answer is made of the plant's history, the step is its own.

    Seen ──► rows as of infra/clickhouse/controls/shed_*.sql ──► pipeline.controls.shedding.step ──► signals ──► Orders

Law: only what a router could know goes in; an advice that has expired sheds nobody.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jobs.loop.plant import ClassSpec, PlantSpec
from jobs.loop.seen import Orders, Seen
from pipeline.controls import class_facts, shedding
from pipeline.controls.classes import ClassRule
from pipeline.controls.signal import Signal, key_of

PLACE = ("loop", "m")
US = 1_000_000
#: a class of the plant is an objective of the same name
TABLE = tuple(ClassRule(name, objective=(name,)) for name in ("CRITICAL", "HIGH_FAST", "HIGH_SLOW", "LOW", "NO_SLO"))


@dataclass
class Shedder:
    """A controller that obeys the advice."""

    plant: PlantSpec
    spec: shedding.SheddingSpec = shedding.SheddingSpec(classes=TABLE)  # noqa: RUF009 - frozen
    capacity: Signal | None = None  # as the capacity control measured it; None: it has not
    published: dict[str, Signal] = field(default_factory=dict)
    told: list[tuple[int, dict[str, Signal]]] = field(default_factory=list)  # every answer

    @property
    def every_s(self) -> int:
        return round(self.spec.every_s)

    def __call__(self, seen: Seen) -> Orders:
        now_us = seen.at_s * US
        if self.capacity is not None:
            self.published[self.capacity.key] = self.capacity
        rows = self._rows(seen)
        signals = shedding.step(self.spec, self.published, rows, now_us) if seen.known_s else []
        self.published |= {each.key: each for each in signals}
        self.told.append((seen.at_s, {each.scope: each for each in signals}))
        return Orders(shed={each.name: self._share(each.name, now_us) for each in self.plant.classes})

    def _share(self, name: str, now_us: int) -> float:
        advice = self.published.get(key_of(*PLACE, shedding.NAME, name))
        return 0.0 if advice is None or advice.is_expired(now_us) else advice.value or 0.0

    def _rows(self, seen: Seen) -> dict[str, list[Mapping[str, Any]]]:
        window_s = round(self.spec.window_s)
        loads: dict[str, dict[str, Any]] = {}
        for each in self.plant.classes:
            load = loads.setdefault(_sign(each), _load(_sign(each)))
            requests, shed, served = _offered(seen, each, window_s)
            load["requests"] += requests
            load["shed"] += shed
            load["served"] += served
            load["work"] += served
        return {
            class_facts.PROMISES: [_promise(seen, each, window_s) for each in self.plant.classes if each.has_slo],
            class_facts.LOAD: list(loads.values()),
            class_facts.ENDPOINTS: [
                {"service": PLACE[0], "model": PLACE[1], "variant": "", "endpoints": seen.ready},
            ],
            class_facts.SPLIT: [_split(seen, each, round(self.spec.split_s)) for each in self.plant.classes],
        }


def _sign(each: ClassSpec) -> str:
    return "sheddable" if each.priority < 0 else "critical" if each.priority else "standard"


def _offered(seen: Seen, each: ClassSpec, window_s: int) -> tuple[int, int, int]:
    """Requests, shed and served of a class."""
    column, span = seen.history.names.index(each.name), seen.last(window_s)
    good, bad, shed = seen.counts(each.name, window_s)
    gave_up = int(seen.history.gave_up[span, column].sum())
    return int(seen.history.offered[span, column].sum()), shed, good + bad - gave_up


def _promise(seen: Seen, each: ClassSpec, window_s: int) -> dict[str, Any]:
    """What is shed is bad unless the class is sheddable, as definitions have it."""
    good, bad, shed = seen.counts(each.name, window_s)
    all_good, all_bad, all_shed = seen.counts(each.name, seen.known_s)
    counts = 1 if each.priority >= 0 else 0
    return {
        "service": PLACE[0], "slo": each.name.lower(), "target": each.target, "severity": "NONE",
        "labels": {"objective": each.name, "request_model": PLACE[1]}, "known_until_us": seen.known_s * US,
        "good": good, "bad": bad + counts * shed, "window_good": all_good, "window_bad": all_bad + counts * all_shed,
        "pinned_priority_class": "", "pinned_objective": "", "pinned_request_model": "",
    }  # fmt: skip


def _load(sign: str) -> dict[str, Any]:
    counts = dict.fromkeys(("requests", "shed", "served", "work"), 0)
    return {
        "service": PLACE[0],
        "model": PLACE[1],
        "vantage": "GATEWAY",
        "tenant_id": "t",
        "priority_class": sign,
    } | counts


def _split(seen: Seen, each: ClassSpec, window_s: int) -> dict[str, Any]:
    requests, shed, served = _offered(seen, each, window_s)
    return {
        "service": PLACE[0], "model": PLACE[1], "priority_class": _sign(each), "objective": each.name,
        "requests": requests, "shed": shed, "served": served, "queued_s": (), "request_work": (),
    }  # fmt: skip
