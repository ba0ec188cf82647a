"""Corrections: time that does not count against some SLOs, once or again and again, with a reason and a name.

    kind: Correction
    spec: {reason: database moved, who: anna, from: 2026-11-20 02:00, to: 2026-11-20 04:00, where: {region: eu}}

Pure. A correction changes no count and silences no alert: it is a record, and views say compliance and budgets with
and without it (definition 5.1). Stored counts are by the minute, so are its ends. `where` selects SLO instances: by
the SLO's name, its service, and the labels it is grouped by; an SLO that is not grouped by a label cannot be cut by
it, and is left alone.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from pipeline.series import LABELS
from pipeline.slo import Accepted, Selector
from pipeline.spec import calendars, recurrence, scalars, selectors
from pipeline.spec.document import Mapping as Tree
from pipeline.spec.document import Node
from pipeline.spec.problems import Refused
from pipeline.spec.reading import Field, Language, Reading
from pipeline.spec.recurrence import FIRST_WITHIN, Span
from pipeline.spec.scalars import duration_text, listed, nearest, one_of
from pipeline.spec.slos import REVISION_CHARS, Slo, Source

KIND = "Correction"
WHERE = "spec.where"
ALL = "all"
#: what a correction selects by, beside labels
NAMES = ("slo", *LABELS)
LONGEST = timedelta(days=31)  # of a span: what is longer is no maintenance, and hides an SLO's whole window
MINUTE = timedelta(minutes=1)

_OFFSET = re.compile(r"(Z|[+-]\d\d:?\d\d)$", re.ASCII)


def moment(value: str) -> datetime:
    """Read a time of the wall clock, or with an offset an instant; whole minutes.

    Raises: Refused.
    """
    match = _OFFSET.search(value, 11)
    read = calendars.local_time(value[: match.start()] if match else value)
    if read.second:
        rule = "must be whole minutes, as counts are kept by the minute"
        raise Refused(rule, f"write {read.isoformat(sep=' ', timespec='minutes')}{match[1] if match else ''}")
    try:
        return datetime.fromisoformat(f"{read.isoformat()}{match[1]}") if match else read
    except ValueError as error:
        raise Refused(f"has an offset that does not exist: {error}", "write Z, for UTC") from error


def sentence(value: str) -> str:
    if not value.strip():
        raise Refused("must not be empty", "write a sentence")
    return scalars.text(value)


LANGUAGE = Language(
    fields={
        "apiVersion": Field(scalars.word),
        "kind": Field(scalars.word),
        "metadata.name": Field(scalars.name, "write name: move-of-the-database"),
        "metadata.labels.*": Field(scalars.word),
        "metadata.annotations.*": Field(scalars.text),
        "spec.reason": Field(sentence, "write reason: and why this time does not count"),
        "spec.who": Field(scalars.word, "write who: and who says so"),
        "spec.from": Field(moment, "write from: 2026-11-20 02:00"),
        "spec.to": Field(moment, "write to: 2026-11-20 04:00"),
        "spec.timeZone": Field(calendars.zone),
        "spec.rrule": Field(recurrence.rule),
        "spec.except": Field(calendars.local_time, many=True),
        WHERE: Field(one_of((ALL,)), "write where: {slo: NAME}, labels such as {region: eu}, or where: all"),
        f"{WHERE}.*": Field(scalars.label_value, many=True),
        f"{WHERE}.*.in": Field(scalars.label_value, many=True),
        f"{WHERE}.*.not": Field(scalars.label_value, many=True),
        f"{WHERE}.*.notIn": Field(scalars.label_value, many=True),
        f"{WHERE}.*.prefix": Field(scalars.prefix, many=True),
    },
    required={
        "metadata": "write metadata: {name: move-of-the-database}",
        "spec": "write spec: with reason, who, from, to and where",
    },
    keys={"metadata.labels": scalars.word, "metadata.annotations": scalars.word, WHERE: one_of(NAMES)},
    later={
        "spec.duration": "write to: and when it ends",
        "spec.target": "remove it: time is left out as a whole",
        "spec.withdrawn": "`burnline slo withdraw NAME` withdraws it, and keeps its trace",
    },
)


@dataclass(frozen=True)
class Correction:
    """One correction of a file."""

    name: str
    reason: str
    who: str
    span: Span
    where: tuple[tuple[str, Accepted], ...]  # label -> accepted; empty: every instance
    source: Source

    @property
    def digest(self) -> str:
        """Name its content: the same document, however it is written, is no new version."""
        span = self.span
        parts = (
            self.reason, self.who, span.start.isoformat(), span.end.isoformat(), span.zone, str(span.rule or ""),
            sorted(each.isoformat() for each in span.exceptions),
            [(label, conditions(accepted)) for label, accepted in self.where],
        )  # fmt: skip
        return sha256(json.dumps(parts).encode()).hexdigest()[:REVISION_CHARS]

    def selects(self, slo: str, service: str, labels: Mapping[str, str]) -> bool:
        """Tell whether it is about an SLO instance."""
        named = {**labels, "slo": slo, "service": service}
        return all(label in named and named[label] in accepted for label, accepted in self.where)


def conditions(accepted: Accepted) -> tuple[tuple[str, ...], ...]:
    """Return the three parts of a condition: values, values left out, prefixes; an empty one says nothing."""
    if isinstance(accepted, Selector):
        return (), accepted.none_of, accepted.prefixes
    return tuple(sorted(accepted)), (), ()


def is_correction(node: Node) -> bool:
    kind = node.get("kind") if isinstance(node, Tree) else None
    return getattr(kind, "text", None) == KIND


def check(reading: Reading) -> None:
    """Report what is wrong between the fields of one correction."""
    _check_zone(reading)
    selectors.check_values_exist(reading, WHERE)
    selectors.check_operators(reading, WHERE)
    span = _span(reading)
    if span is None:
        return
    length = span.end - span.start
    if length < MINUTE:
        reading.refuse("spec.to", "must be after from", "exchange them, or write when it ends")
    elif length > LONGEST:
        reading.refuse("spec.to", f"must be at most {LONGEST.days}d after from", "write several corrections")
    else:
        _check_rule(reading, span)


def _check_zone(reading: Reading) -> None:
    """An offset says what a zone says; a recurring time needs a zone."""
    for path in ("spec.from", "spec.to"):
        found = reading.get(path)
        if found is None or found.tzinfo is None:
            continue
        for other in ("spec.timeZone", "spec.rrule"):
            if reading.is_given(other):
                rule = f"must have no offset beside {other.rpartition('.')[2]}"
                reading.refuse(path, rule, "write the time on the wall clock, and timeZone")
                return


def _check_rule(reading: Reading, span: Span) -> None:
    if span.rule is None:
        if reading.is_given("spec.except"):
            reading.refuse("spec.except", "must not be given without rrule", "remove it")
        return
    first = next(span.rule.starts(span.start, span.start + FIRST_WITHIN), None)
    if first is None:
        reading.refuse("spec.rrule", "never comes, from `from` on", "write a rule that from is the first day of")
    elif first != span.start:
        rule = f"must be the first time of rrule, {first.isoformat(sep=' ', timespec='minutes')}"
        reading.refuse("spec.from", rule, "write that, and to accordingly")
    else:
        _check_exceptions(reading, span)


def _check_exceptions(reading: Reading, span: Span) -> None:
    if not span.exceptions or span.rule is None:
        return
    known = set(span.rule.starts(span.start, max(span.exceptions)))
    items = reading.values["spec.except"].items
    for item, start in zip(items, span.exceptions, strict=True):
        if start not in known:
            near = min(known, key=lambda each: abs(each - start), default=span.start)
            remedy = f"the nearest is {near.isoformat(sep=' ', timespec='minutes')}"
            reading.refuse(item.path, "is no time of rrule", remedy, item.place, item.text)


def _span(reading: Reading) -> Span | None:
    """Return the span as it is written; None when a part of it is missing or was refused."""
    start, end, rule = (reading.get(f"spec.{key}") for key in ("from", "to", "rrule"))
    named = ("spec.timeZone", "spec.rrule", "spec.except")
    if start is None or end is None or any(reading.is_given(p) and reading.get(p) is None for p in named):
        return None
    zone = reading.get("spec.timeZone", "UTC")
    start, end = _local(start), _local(end)
    exceptions = tuple(_at(each, start) for each in reading.get("spec.except", ()))
    return Span(start, end, zone, rule, exceptions)


def _local(read: datetime) -> datetime:
    return read if read.tzinfo is None else read.astimezone(UTC).replace(tzinfo=None)


def _at(day: datetime, start: datetime) -> datetime:
    """A date alone means the span that begins on that day."""
    return datetime.combine(day.date(), start.time()) if day.time() == datetime.min.time() else day


def build(reading: Reading, source: Source) -> Correction:
    """Make a correction of what was read without a problem."""
    span = _span(reading)
    if span is None:
        raise ValueError("a correction without a span was not refused")
    reason, who = reading.get("spec.reason").strip(), reading.get("spec.who")
    where = selectors.selected(reading, WHERE)
    return Correction(reading.get("metadata.name"), reason, who, span, where, source)


def check_names(
    corrections: Iterable[tuple[Correction, Reading]], slos: Iterable[Slo], names: set[str]
) -> Iterator[Correction]:
    """Report what selects none of the SLOs of these files; yield the others. Without SLO files nothing can be said.

    `names`: of SLOs and composites.
    """
    objectives = [slo.objective for slo in slos]
    services = {objective.service for objective in objectives}
    grouped = {label for objective in objectives for label in objective.indicator.group_by}
    for correction, reading in corrections:
        before = reading.report.refusals
        if objectives:
            _check_known(reading, "slo", names, "name")
            _check_known(reading, "service", services, "service")
            for label in {label for label, _ in correction.where} - grouped - {"slo", "service"}:
                remedy = f"write one of {listed(sorted(grouped))}, or slo: NAME" if grouped else "write slo: NAME"
                reading.refuse(f"{WHERE}.{label}", "is no label that an SLO is grouped by", remedy)
        if reading.report.refusals == before:
            yield correction


def _check_known(reading: Reading, label: str, known: set[str], what: str) -> None:
    for item in selectors.values(reading, label, WHERE):
        if item.text not in known:
            meant = nearest(item.text, known)
            remedy = f"did you mean {meant}?" if meant else f"known are {listed(sorted(known))}"
            reading.refuse(item.path, f"is the {what} of no SLO", remedy, item.place, item.text)


def said(correction: Correction) -> str:
    """Write when a correction is, for people."""
    span = correction.span
    length = duration_text((span.end - span.start) // timedelta(microseconds=1))
    text = f"{span.start:%Y-%m-%d %H:%M} {span.zone} for {length}"
    return f"{text}, {span.rule}" if span.rule else text
