"""A batch whose inserts may have been cut off is inserted again, until all of it is there, once.

A token alone does not say that. A server without Keeper writes a token down before its part appears: killed in between,
it drops every repetition of rows that it never had. So what should be there is looked for. Marks and kept events have
names of their own. Counts and slices are only sums, but every tier holds the same of a series and an hour: where a tier
lacks exactly what a piece adds, it lacks that piece. Rows that are one by their identity are simply written again.
Keeper takes a token and its part at once, so there nothing is looked for: another replica may not have it yet.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce
from operator import or_
from typing import TYPE_CHECKING, Any

import structlog

from pipeline.rows import COUNTERS, TALLIES, TIERS_S
from pipeline.series import BASE_LABELS

if TYPE_CHECKING:
    from pipeline.rows import Rows
    from pipeline.sinks.clickhouse import ClickHouse
    from pipeline.store import Batch

LOOKS_MOST, LOOK_AGAIN_S = 10, 0.5  # another writer's insert that has its token appears within milliseconds
HOUR_US, DAY_H = 3_600_000_000, 24
NAMES = {"counts": ("slo", "instance", "revision"), "slices": BASE_LABELS}
COLUMNS = {"counts": TALLIES, "slices": COUNTERS}
EVENTS = "event_records"
HAS_EVENT_SQL = (
    f"SELECT count() FROM {EVENTS} WHERE counted_at = fromUnixTimestamp64Micro(%(counted_at)s, 'UTC') AND "
    "source_topic = %(source_topic)s AND source_partition = %(source_partition)s AND source_offset = %(source_offset)s"
)

Sums = Counter[tuple[Any, ...]]  #: by names, hour and column

log = structlog.get_logger()


def insert_again(sink: "ClickHouse", batch: "Batch") -> None:
    """Insert a batch of which any inserts may have been done, begun or cut off; its mark last.

    Raises: Unavailable, Refused.
    """
    *pieces, mark = batch.rows
    if sink.has_keeper():
        for rows in (*pieces, mark):
            sink.insert(rows, batch.token)
        return
    for kind in NAMES:
        tiers = {f"{kind}_{tier}": [rows for rows in pieces if rows.table == f"{kind}_{tier}"] for tier in TIERS_S}
        of_kind = [rows for tier in tiers.values() for rows in tier]
        _until_there(sink, batch, of_kind, partial(_lacking_pieces, sink, kind, tiers))
    events = [rows for rows in pieces if rows.table == EVENTS]
    _until_there(sink, batch, events, lambda: [rows for rows in events if not _has_first(sink, rows)])
    for rows in pieces:
        if rows.table != EVENTS and rows.table.partition("_")[0] not in NAMES:
            sink.insert(rows, None)
    _until_there(sink, batch, [mark], lambda: [] if _is_marked(sink, batch) else [mark])


def _until_there(
    sink: "ClickHouse", batch: "Batch", pieces: Sequence["Rows"], look: Callable[[], list["Rows"] | None]
) -> None:
    """Insert pieces; then what two looks miss, under the next token, which is the same for every writer.

    Nothing behind the batch's mark: another writer is done with it, and what a tier lacks now is of its next batch.
    """
    token = batch.token
    for rows in pieces:
        sink.insert(rows, token)
    if not pieces:
        return
    missed: list[Rows] = []
    for number in range(LOOKS_MOST):
        found = look()
        if found == [] or _is_marked(sink, batch):
            return
        for rows in found or ():
            if any(rows is each for each in missed):
                log.warning("a server kept a token without its rows", table=rows.table, day=rows.day, token=token)
                sink.insert(rows, f"{token}/again-{number}")
        missed = found or []
        time.sleep(LOOK_AGAIN_S)
    log.error("what is stored does not add up: compare it by burnline replay",
              tables=sorted({rows.table for rows in pieces}), token=token)  # fmt: skip


def _is_marked(sink: "ClickHouse", batch: "Batch") -> bool:
    mark = sink.high_mark(batch.topic, batch.partition)
    return mark is not None and mark >= batch.last_offset


def _has_first(sink: "ClickHouse", rows: "Rows") -> bool:
    ((count,),) = sink.select(HAS_EVENT_SQL, {name: column[0] for name, column in rows.columns.items()})
    return bool(count)


# -- counts and slices
def _lacking_pieces(sink: "ClickHouse", kind: str, tiers: Mapping[str, Sequence["Rows"]]) -> list["Rows"] | None:
    hour = time.time_ns() // 1000 // HOUR_US
    since = {table: hour - DAY_H * (sink.kept_d(table) - 1) for table in tiers}
    added = {table: [(rows, sums(rows, kind, since[table])) for rows in pieces] for table, pieces in tiers.items()}
    names = sorted({key[:-1] for pieces in added.values() for _, adds in pieces for key in adds})
    return lacking(added, {table: _stored(sink, kind, table, names) for table in tiers}, since) if names else []


def sums(rows: "Rows", kind: str, since: int = 0) -> Sums:
    """What rows of a tier add up to, by name and hour, from an hour on."""
    hours = [start // HOUR_US for start in rows.columns["slice_start"]]
    total: Sums = Counter()
    for column in COLUMNS[kind]:
        keys = zip(*(rows.columns[name] for name in NAMES[kind]), hours, strict=True)
        for key, value in zip(keys, rows.columns[column], strict=True):
            if key[-1] >= since:
                total[(*key, column)] += value
    return +total


def lacking(
    added: Mapping[str, Sequence[tuple["Rows", Sums]]], stored: Mapping[str, Sums], since: Mapping[str, int]
) -> list["Rows"] | None:
    """The pieces that tiers lack; None: they differ by something else, as what others are about to write.

    `added`: each tier's pieces, and what they add up to; `stored`: what each tier has of those names and hours;
    `since`: the first hour of which a tier has dropped nothing yet because of its age.
    """
    found = []
    most = reduce(or_, stored.values())
    for table, pieces in added.items():
        short = Counter({key: value for key, value in (most - stored[table]).items() if key[-2] >= since[table]})
        for rows, adds in pieces:
            if adds and adds <= short:
                short -= adds
                found.append(rows)
        if short:
            return None
    return found


def _stored(sink: "ClickHouse", kind: str, table: str, names: Sequence[tuple[Any, ...]]) -> Sums:
    columns = COLUMNS[kind]
    rows = sink.select(
        stored_sql(kind, table),
        external_tables=[{
            "name": "wanted",
            "structure": [*((name, "String") for name in NAMES[kind]), ("hour", "Int64")],
            "data": [dict(zip((*NAMES[kind], "hour"), name, strict=True)) for name in names],
        }],
    )  # fmt: skip
    split = len(NAMES[kind]) + 1
    return +Counter(
        {(*row[:split], name): value for row in rows for name, value in zip(columns, row[split:], strict=True)}
    )


def stored_sql(kind: str, table: str) -> str:
    """Ask what a tier has of the names and hours in the table `wanted`."""
    names, hour = ", ".join(NAMES[kind]), f"intDiv(toUnixTimestamp64Micro(slice_start), {HOUR_US})"
    return (
        f"SELECT {names}, {hour} AS hour, {', '.join(f'sum({name})' for name in COLUMNS[kind])} FROM {table} "
        f"WHERE ({names}) IN (SELECT {names} FROM wanted) AND ({names}, hour) IN (SELECT {names}, hour FROM wanted) "
        # once more, as the order and the parts of tables have it: one late event made it read all hours in between
        "AND toStartOfHour(slice_start) IN (SELECT toDateTime(hour * 3600, 'UTC') FROM wanted) "
        "AND slice_start >= (SELECT fromUnixTimestamp64Micro(min(hour) * 3600000000, 'UTC') FROM wanted) "
        "AND slice_start < (SELECT fromUnixTimestamp64Micro((max(hour) + 1) * 3600000000, 'UTC') FROM wanted) "
        f"GROUP BY {names}, hour"
    )
