"""Alerts on Burnline itself, and on quotas: what may be wrong, who says so, and when that is an event of an alert.

    a worker's steps ─► Concern, one a thing ─► Concerns: what is open, by what the topic says ─► columns of an event

Pure. They are told by the clock, not judged of events, so replaying input tells none of them again; what is open is
kept beside what receivers were told, and whoever takes over goes on from there. A concern is named by its kind and
labels, and at any time one worker is responsible for it: the owner of the partition, or of the receiver's lane.
Laws: an alert fires when its concern says something, and is over when it has said for `hold_us` that all is well; who
cannot say changes nothing. Sequences of an alert rise, whoever's clock is behind; so its last event is known for a day.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from pipeline.alerts import Kind, Notice, Severity
from pipeline.notices import KINDS, instance_key
from pipeline.series import label_text

NAME = "burnline"  #: in the place of SLO and service
HOLD_US = 60_000_000
EXPIRES_S = 86_400  #: an event that nothing follows is stale after a day

SEVERITIES = {
    Kind.LAGGING: Severity.WARNING,
    Kind.STALE_SOURCE: Severity.WARNING,
    Kind.RECEIVER_DOWN: Severity.CRITICAL,
    Kind.QUOTA: Severity.WARNING,  # the tenant is turned away, or pays for it: nobody here has to get up
}


class Concern(NamedTuple):
    """One thing that may be wrong, as the worker sees it that is responsible for it."""

    kind: Kind
    labels: tuple[tuple[str, str], ...]
    says: str | None  # what is wrong, in words; empty: nothing; None: it cannot say
    well: str = "all is well again"  # why it is over, in words
    name: str = NAME  # in the place of an SLO
    figures: Mapping[str, Any] = MappingProxyType({})  # columns of its events, where it is about somebody else

    @property
    def instance(self) -> str:
        return label_text(*zip(*self.labels, strict=True))

    @property
    def key(self) -> str:
        """The alert's dedup key."""
        return instance_key(self.name, self.instance) + KINDS[self.kind].suffix


@dataclass
class Concerns:
    """What was told last, and since when all is well."""

    hold_us: int = HOLD_US
    _last: dict[str, Mapping[str, Any]] = field(default_factory=dict)  # key -> columns of its last event
    _well_us: dict[str, int] = field(default_factory=dict)

    @property
    def open(self) -> dict[str, Mapping[str, Any]]:
        """Key -> columns of the last event, of alerts that are not over."""
        return {key: last for key, last in self._last.items() if last["event"] != Notice.RESOLVED.name}

    def clear(self) -> None:
        """Know nothing of what was told."""
        self._last.clear()

    def note(self, key: str, last: Mapping[str, Any] | None) -> None:
        """Take what the topic says of an alert: its last event; None: nothing any more."""
        if last is None:
            self._last.pop(key, None)
        elif last["sequence"] >= self._last.get(key, last)["sequence"]:
            self._last[key] = last

    def due(self, found: Iterable[Concern], now_us: int) -> list[dict[str, Any]]:
        """Return the events that are to be told; they count once `note` has taken them."""
        events, open_now = [], self.open
        for each in found:
            last = open_now.get(each.key)
            if each.says != "" or last is None:
                self._well_us.pop(each.key, None)
            if each.says and last is None:
                events.append(fired(each, now_us, self._last.get(each.key)))
            elif each.says == "" and last is not None:
                since_us = self._well_us.setdefault(each.key, now_us)
                if now_us - since_us >= self.hold_us:
                    events.append(over(each, last, now_us))
        return events

    def forgettable(self, found: Iterable[Concern], now_us: int) -> list[str]:
        """Return the keys of alerts that have been over for so long that no clock is behind their last event."""
        lasts = ((each.key, self._last.get(each.key)) for each in found if not each.says)
        return [
            key for key, last in lasts
            if last and last["event"] == Notice.RESOLVED.name and now_us - last["window_end"] >= EXPIRES_S * 1_000_000
        ]  # fmt: skip


def _sequence(now_us: int, last: Mapping[str, Any] | None) -> int:
    """Seconds now, or behind the last event's."""
    return max(now_us // 1_000_000, last["sequence"] + 1 if last else 0)


def fired(concern: Concern, now_us: int, last: Mapping[str, Any] | None) -> dict[str, Any]:
    """Columns of the event with which an alert begins; `last`: of its last event, long over."""
    severity, numbers = SEVERITIES[concern.kind], dict.fromkeys(COUNTS, 0)
    return {
        "dedup_key": concern.key, "sequence": _sequence(now_us, last), "kind": concern.kind.name, "slo": concern.name,
        "revision": "", "instance": concern.instance, "service": NAME, "labels": dict(concern.labels),
        "event": Notice.FIRED.name, "severity": severity.name, "metric": "", "target": 0.0, "burn_rate_factor": 0.0,
        "long_window_s": EXPIRES_S, "short_window_s": 0, **numbers, **dict.fromkeys(RATES), "started_at": now_us,
        "window_end": now_us, "watermark": now_us, "evaluated_at": now_us, "late_ratio": 0.0, "provisional": False,
        "exemplar_trace_ids": [], "runbook": None, "reason": f"{severity.name.lower()}: {concern.says}",
        **concern.figures,
    }  # fmt: skip


def over(concern: Concern, last: Mapping[str, Any], now_us: int) -> dict[str, Any]:
    """Columns of the event with which it ends."""
    return {
        **last, **concern.figures, "event": Notice.RESOLVED.name, "sequence": _sequence(now_us, last),
        "window_end": now_us, "watermark": now_us, "evaluated_at": now_us,
        "reason": f"{last['severity'].lower()} is over: {concern.well}",
    }  # fmt: skip


COUNTS = ("long_good", "long_bad", "short_good", "short_bad")
RATES = (
    "long_burn_rate", "short_burn_rate", "budget_remaining_ratio", "time_to_exhaustion_s", "exhaustion_burn_rate",
)  # fmt: skip
