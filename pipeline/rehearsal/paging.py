"""Paging: the alerts of a definition as episodes, weighed against incidents that people marked.

Pure. An episode is a burn-rate alert of one instance from fired to resolved; it pages when it reaches a severity. An
incident is found when a page is open in it, or within AFTERWARDS_S of its end; a page is right when it finds an
incident. Minutes to detect are counted from the begin of the incident that people wrote down.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from pipeline.alerts import Severity
from pipeline.periods import in_zone
from pipeline.rehearsal.playing import Told
from pipeline.spec.plain import plain_document

AFTERWARDS_S = 900  #: a page that comes so late still belongs to the incident
MOST = 10_000  #: incidents of a file
COLUMNS = ("start", "end", "name", "slo")


class Page(NamedTuple):
    """One alert that would have paged."""

    instance: str
    severity: str  # the gravest it had
    fired_s: int  # since the epoch; when it reached the severity that pages
    resolved_s: int | None  # None: still open at the end


class Incident(NamedTuple):
    """What people marked: over [start_s, end_s), since the epoch."""

    name: str
    start_s: int
    end_s: int
    slo: str = ""  # empty: of every SLO

    def has(self, page: Page) -> bool:
        ended = page.resolved_s is None or page.resolved_s > self.start_s
        return page.fired_s < self.end_s + AFTERWARDS_S and ended


class Found(NamedTuple):
    """An incident, and how long after its begin the first page came; None: none did."""

    incident: Incident
    after_s: int | None


@dataclass(frozen=True)
class Weighed:
    """Pages against incidents."""

    pages: tuple[Page, ...]
    right: tuple[Page, ...]
    found: tuple[Found, ...]

    @property
    def precision(self) -> float | None:
        """Share of pages that are right; None: nobody was paged, or nothing was marked."""
        return len(self.right) / len(self.pages) if self.pages and self.found else None

    @property
    def recall(self) -> float | None:
        """Share of incidents that somebody was paged for; None: nothing was marked."""
        return sum(each.after_s is not None for each in self.found) / len(self.found) if self.found else None

    @property
    def detection_s(self) -> list[int]:
        """Of the incidents that were found, ascending."""
        return sorted(each.after_s for each in self.found if each.after_s is not None)


def pages_of(instance: str, told: Iterable[Told], least: Severity) -> list[Page]:
    """Join the events of one instance to alerts, and choose those that become severe enough."""
    pages: list[Page] = []
    worst, fired_s = Severity.NONE, None
    for each in told:
        if each.event == "RESOLVED":
            if fired_s is not None:
                pages.append(Page(instance, worst.name, fired_s, each.at_s))
            worst, fired_s = Severity.NONE, None
            continue
        worst = max(worst, Severity[each.severity])
        if fired_s is None and worst >= least:
            fired_s = each.at_s
    return pages if fired_s is None else [*pages, Page(instance, worst.name, fired_s, None)]


def weigh(pages: Sequence[Page], incidents: Sequence[Incident]) -> Weighed:
    """Tell which pages were right, and which incidents were found."""
    ordered = sorted(pages, key=lambda page: (page.fired_s, page.instance))
    right = tuple(page for page in ordered if any(incident.has(page) for incident in incidents))
    return Weighed(tuple(ordered), right, tuple(_found(incident, ordered) for incident in incidents))


def _found(incident: Incident, pages: Sequence[Page]) -> Found:
    first = next((page for page in pages if incident.has(page)), None)
    return Found(incident, None if first is None else max(first.fired_s - incident.start_s, 0))


def incidents_of(text: str, is_csv: bool) -> list[Incident]:
    """Read incidents: CSV with a head, or a YAML list of mappings; start and end, perhaps a name and an SLO.

    Raises: ValueError, which names the entry and what is wrong.
    """
    entries = list(csv.DictReader(io.StringIO(text))) if is_csv else _yaml(text)
    if len(entries) > MOST:
        raise ValueError(f"there are {len(entries):,} incidents, and at most {MOST:,} are taken")
    return [_incident(number, entry) for number, entry in enumerate(entries, 1)]


def _yaml(text: str) -> list[Any]:
    try:
        found = plain_document(text.encode(), nodes_max=10 * MOST)
    except ValueError as error:
        raise ValueError(f"it cannot be read: {error}") from error
    if not isinstance(found, list):
        raise ValueError("it must be a list: - {start: 2026-11-20T02:00Z, end: 2026-11-20T02:25Z, name: power}")
    return found


def _incident(number: int, entry: Any) -> Incident:
    if not isinstance(entry, dict) or set(entry) - set(COLUMNS) or not {"start", "end"} <= set(entry):
        raise ValueError(f"incident {number} must have start and end, and may have name and slo")
    start_s, end_s = (_second(number, name, entry[name]) for name in ("start", "end"))
    if start_s >= end_s:
        raise ValueError(f"incident {number} ends before it starts")
    return Incident(str(entry.get("name") or f"incident {number}"), start_s, end_s, str(entry.get("slo") or ""))


def _second(number: int, name: str, value: Any) -> int:
    try:
        at = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).strip())
    except ValueError:
        raise ValueError(
            f"incident {number} has a {name} that is no time: {value!r}; write 2026-11-20T02:00Z"
        ) from None
    return int(in_zone(at).timestamp())
