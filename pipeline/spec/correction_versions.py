"""Versions of corrections: what files say against what is recorded, and the rows that follow from the difference.

Pure: time is an argument. The law of a record: a version is never changed but for how far ahead a recurring one is
written out; a document that says something new, and a withdrawal, are versions more; the same document again changes
nothing, and does not bring back what somebody withdrew; what was withdrawn since no file had it comes back with a file.

    AHEAD of now ranges are written out, and PAST of it: views know no rule of recurrence
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from pipeline.slo import Accepted
from pipeline.spec.corrections import ALL, Correction, conditions, said
from pipeline.spec.explanation import chosen_values
from pipeline.spec.recurrence import FIRST, LAST

APPLIED, WITHDRAWN = "APPLIED", "WITHDRAWN"
PAST = timedelta(days=800)  #: as long as counts by the hour are kept
AHEAD = timedelta(days=400)
RENEWED = timedelta(days=370)  #: what is known for less than this is written out again
PRUNED = "no file has it any more"

Texts = tuple[str, ...]


class Version(NamedTuple):
    """One row of correction_versions; its columns, in their order."""

    correction: str
    version: int
    state: str
    reason: str
    who: str
    recorded_at: datetime
    digest: str
    source: str
    times: str
    selects: str
    where_labels: Texts
    where_values: tuple[Texts, ...]
    where_none_of: tuple[Texts, ...]
    where_prefixes: tuple[Texts, ...]
    starts: tuple[datetime, ...]
    ends: tuple[datetime, ...]
    known_until: datetime | None
    stored_at: datetime

    @property
    def is_in_force(self) -> bool:
        """Of the latest version of a correction."""
        return self.state == APPLIED

    def says(self, other: "Version") -> bool:
        """Whether another writer's row, in the same place, says the same."""
        return (self.digest, self.state, self.reason, self.who) == (other.digest, other.state, other.reason, other.who)


class Step(NamedTuple):
    """What becomes of one correction; `row` is what there is to record, None: nothing."""

    correction: str
    what: str  # of WHAT
    row: Version | None

    @property
    def text(self) -> str:
        return WHAT[self.what]


WHAT = {
    "applied": "is in force",
    "changed": "is in force as it is written now; its former version is kept",
    "extended": "is in force as before, and written out further ahead",
    "unchanged": "is in force as before",
    "left withdrawn": "stays withdrawn: change its document to apply it again",
    "withdrawn": "is withdrawn, and keeps its trace",
}


def steps(
    corrections: Iterable[Correction], latest: Mapping[str, Version], now: datetime, prune: bool = False
) -> list[Step]:
    """Say what becomes of the corrections of files, and with `prune` of those in force that no file has.

    `latest`: name -> the latest version that is recorded.
    """
    found = {each.name: _step(each, latest.get(each.name), now) for each in corrections}
    gone = [each for name, each in latest.items() if name not in found and each.is_in_force] if prune else []
    return [*found.values(), *(withdrawn(each, "burnline slo correct --prune", PRUNED, now) for each in gone)]


def _step(correction: Correction, last: Version | None, now: datetime) -> Step:
    if last is None or last.digest != correction.digest:
        row = applied(correction, last.version + 1 if last else 1, now)
        return Step(correction.name, "changed" if last and last.is_in_force else "applied", row)
    if last.state == WITHDRAWN and last.reason == PRUNED:
        return Step(correction.name, "applied", applied(correction, last.version + 1, now))
    if not last.is_in_force:
        return Step(correction.name, "left withdrawn", None)
    if last.known_until is None or last.known_until >= now + RENEWED:
        return Step(correction.name, "unchanged", None)
    fresh = applied(correction, last.version, now)
    return Step(correction.name, "extended", fresh._replace(recorded_at=last.recorded_at))


def applied(correction: Correction, version: int, now: datetime) -> Version:
    """Write a correction as a row."""
    until = now + AHEAD if correction.span.rule else None
    ranges = correction.span.ranges(now - PAST if until else FIRST, until or LAST)
    said_of_labels = [conditions(accepted) for _, accepted in correction.where]
    only, none_of, prefixes = (tuple(each[part] for each in said_of_labels) for part in range(3))
    return Version(
        correction.name, version, APPLIED, correction.reason, correction.who, now, correction.digest,
        str(correction.source), said(correction), selection(correction.where),
        tuple(label for label, _ in correction.where), only, none_of, prefixes,
        tuple(start for start, _ in ranges), tuple(end for _, end in ranges), until, now,
    )  # fmt: skip


def selection(where: tuple[tuple[str, Accepted], ...]) -> str:
    """Write which instances are meant, for people."""
    return " and ".join(f"{label} {chosen_values(accepted)}" for label, accepted in where) or ALL


def withdrawn(last: Version, who: str, reason: str, now: datetime) -> Step:
    """Withdraw the latest version of a correction."""
    row = last._replace(
        version=last.version + 1, state=WITHDRAWN, who=who, reason=reason, recorded_at=now, stored_at=now
    )
    return Step(last.correction, "withdrawn", row)
