"""Rows through a mapping into columns. Each row stands or falls alone, with line, column and reason.

Event ids are UUIDs of the file's name and the line, so a repeated replay is recognisable as one.
"""

import uuid
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from jobs.traces.fields import FIELDS, CellError, convert
from jobs.traces.mapping import Linear, Mapping, MappingError, Source, load_mapping
from jobs.traces.rows import Reject, Row, read_rows
from jobs.traces.times import TimeError, read_time_us
from pipeline.encoding import NULL, EventColumns, Identifiers, Words

NAMESPACE = uuid.UUID("8d5c3c58-7b0e-5d2c-9f6c-0a2f1f2b7c11")  #: of event ids of replayed traces


REQUIRED = ("e2e_us", "outcome", "service", "request_model")  #: of every event, besides ids and times


class RowError(ValueError):
    """A row that cannot become an event: which column, and why."""

    def __init__(self, column: str, reason: str) -> None:
        """Name the column."""
        super().__init__(reason)
        self.column, self.reason = column, reason


def read_events(
    path: Path | str, mapping: Mapping | Path | str, limit: int | None = None
) -> tuple[EventColumns, list[Reject]]:
    """Read a trace: its events in the order of the file, and what did not become one.

    Raises: TraceError, MappingError.
    """
    path = Path(path)
    known = mapping if isinstance(mapping, Mapping) else load_mapping(mapping)
    rejects: list[Reject] = []
    events = list(islice(_events(path, known, rejects), limit))
    return _columns(events, known, _name(path)), rejects


def _name(path: Path) -> str:
    return path.name.removesuffix(".gz")


def _events(path: Path, mapping: Mapping, rejects: list[Reject]) -> Iterator[dict[str, Any]]:
    translate = _Translation(mapping, _name(path))
    for row in read_rows(path, mapping.columns, mapping.fewest):
        if isinstance(row, Reject):
            rejects.append(row)
            continue
        try:
            yield translate(row)
        except RowError as error:
            rejects.append(Reject(row.line, error.column, error.reason))


class _Translation:
    """A mapping at work on one file; keeps the sessions met so far."""

    def __init__(self, mapping: Mapping, file_name: str) -> None:
        self._mapping = mapping
        self._sessions: dict[Any, int] = {}
        self._constants: dict[str, Any] = {}
        self._sources: list[tuple[str, Source]] = []
        for name, source in mapping.fields.items():
            if source.constant is not None:
                self._constants[name] = convert(FIELDS[name], source.constant)
            elif source.file is not None:
                self._constants[name] = convert(FIELDS[name], _by_file(source.file, file_name, name))
            else:
                self._sources.append((name, source))

    def __call__(self, row: Row) -> dict[str, Any]:
        event = {"line": row.line, **self._constants}
        for name, source in self._sources:
            value = _linear(source.linear, event, row) if source.linear else _cell(source, name, row)
            if value is not None:
                event[name] = value
        event.update(self._ruled(row))
        for name in REQUIRED:
            if name not in event:
                raise RowError(_column_of(self._mapping.fields.get(name), name), f"missing, and {name} is required")
        self._place(event, row)
        return event

    def _ruled(self, row: Row) -> dict[str, Any]:
        rules = self._mapping.outcomes
        for rule in rules:
            if all(_holds(row.cells.get(column), test, operand) for column, test, operand in rule.when):
                return dict(rule.set)
        if rules:
            raise RowError("", "no outcome rule holds")
        return {}

    def _place(self, event: dict[str, Any], row: Row) -> None:
        """Put the event in time: the rule gives one end, e2e_us the other."""
        rule = self._mapping.time
        cell = row.cells.get(rule.column)
        if cell is None:
            raise RowError(rule.column, "missing, and every event has a time")
        try:
            at = read_time_us(cell, rule.format)
        except TimeError as error:
            raise RowError(rule.column, str(error)) from None
        if rule.session is not None:
            session = row.cells.get(rule.session)
            number = self._sessions.setdefault(session, len(self._sessions))
            at += rule.start_us + number * rule.every_us
        received = at if rule.field == "received_at" else at - event["e2e_us"]
        if received < 0:
            raise RowError(rule.column, f"{cell!r} is before 1970")
        event["received_at"], event["completed_at"] = received, received + event["e2e_us"]


def _column_of(source: Source | None, name: str) -> str:
    return (source.column if source else None) or name


def _by_file(parts: Any, file_name: str, name: str) -> Any:
    for part, value in parts.items():
        if part in file_name:
            return value
    raise MappingError(f"{name}: the mapping knows no {name} for a file named {file_name}")


def _cell(source: Source, name: str, row: Row) -> Any:
    value = row.cells.get(source.column or "")
    if value is None or value == "":
        value = source.missing
        return value if value is None else convert(FIELDS[name], value)
    if source.map is not None:
        if value not in source.map:
            raise RowError(source.column or "", f"{value!r} is none of {', '.join(map(str, source.map))}")
        value = source.map[value]
        if value is None:
            return None
    try:
        return convert(FIELDS[name], value, source.unit)
    except CellError as error:
        raise RowError(source.column or "", str(error)) from None


def _linear(rule: Linear, event: dict[str, Any], row: Row) -> int | None:
    """constant + sum of terms; absent when a term is, and never below 0."""
    total = rule.constant
    for name, coefficient in rule.terms:
        value = event.get(name, row.cells.get(name))
        if value is None or value == "":
            return None
        try:
            total += coefficient * float(value)
        except ValueError:
            raise RowError(name, f"{value!r} is no number") from None
    return max(round(total), 0)


def _holds(cell: Any, test: str, operand: Any) -> bool:
    """Test one condition; an empty cell meets only `empty: true`."""
    if test == "empty":
        return (cell is None or cell == "") is bool(operand)
    if cell is None or cell == "":
        return False
    if test == "equals":
        return bool(str(cell) == str(operand))
    if test == "one_of":
        return str(cell) in {str(o) for o in operand}
    if test == "contains":
        return str(operand) in str(cell)
    try:
        number = float(cell)
    except (TypeError, ValueError):
        return False
    met = number >= operand if test == "at_least" else number < operand
    return bool(met)


def _columns(events: list[dict[str, Any]], mapping: Mapping, file_name: str) -> EventColumns:
    """Turn rows into columns; a field that no row has is left to its default."""
    lines = [event["line"] for event in events]
    columns: dict[str, Any] = {
        "event_id": _event_ids(file_name, lines),
        "request_id": Words([f"{file_name}:{line}" for line in lines], np.arange(len(lines), dtype=np.int32)),
        "emitted_at": np.array([event["completed_at"] for event in events], np.int64),
    }
    given = {name for event in events for name in event} - {"line"}
    for name in sorted(given | {"received_at", "completed_at", *REQUIRED}):
        columns[name] = _column(name, [event.get(name) for event in events])
    if mapping.attributes:
        columns["attributes"] = Words([dict(mapping.attributes)], np.zeros(len(events), np.int32))
    return EventColumns(columns)


def _column(name: str, values: list[Any]) -> Any:
    kind = FIELDS[name]
    if not kind.nullable and kind.has_default:
        values = [kind.default if value is None else value for value in values]
    if kind.symbols:
        return np.array([kind.symbols.index(value) for value in values], np.int32)
    if kind.type == "boolean":
        return np.array(values, np.bool_)
    if kind.type in {"int", "long"}:
        return np.array([NULL if value is None else value for value in values], np.int64)
    if kind.type in {"float", "double"}:
        return np.array([np.nan if value is None else value for value in values], np.float64)
    return _words(values)


def _words(values: Iterable[Any]) -> Words:
    known: dict[Any, int] = {}
    codes = [-1 if value is None else known.setdefault(value, len(known)) for value in values]
    return Words(list(known), np.array(codes, np.int32))


def _event_ids(file_name: str, lines: list[int]) -> Identifiers:
    numbers = [uuid.uuid5(NAMESPACE, f"{file_name}:{line}").int for line in lines]
    high = np.array([number >> 64 for number in numbers], np.uint64)
    return Identifiers(high, np.array([number & ((1 << 64) - 1) for number in numbers], np.uint64))
