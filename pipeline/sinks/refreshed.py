"""Tables that hold answers which take too long to be counted whenever somebody asks: what is due, and counting it anew.

A table of REFRESHED is counted a part at a time (an SLO, a service) by infra/clickhouse/refreshed/<table>.sql.
Blocking. Law: counting a part again replaces its rows by the same ones; of two who count at once the later start stays;
a reader finds the answer of before or the new one, and never neither.
"""

from functools import cache
from typing import NamedTuple

from clickhouse_driver import Client

import infra

HOME = infra.HOME / "clickhouse" / "refreshed"
NEVER = "toDateTime64(0, 6, 'UTC')"
#: one thread of the server
LIMITS = {"max_threads": 1, "max_execution_time": 60, "max_memory_usage": 1 << 30, "server_side_params": 1}


class Refreshed(NamedTuple):
    """One table. Its first column of `key` names the part."""

    table: str
    key: tuple[str, ...]
    parts: str  # a query of all parts that there is something to say of, as `part`
    every_s: int
    changed: str = f"SELECT {NEVER}"  # when that changed last which all parts are counted by
    pieces: str = "SELECT 1"  # in how many pieces a part is counted, so that none takes too much memory

    @property
    def part(self) -> str:
        return self.key[0]


REFRESHED = (
    Refreshed(
        "corrected_windows",
        ("slo", "instance"),
        "SELECT DISTINCT slo AS part FROM statuses FINAL WHERE is_deleted = 0 "
        "AND (counts_revision IS NOT NULL OR notEmpty(parts)) AND intDiv(ifNull(slice_us, 0), 1000000) % 60 = 0",
        60,
        "SELECT max(stored_at) FROM correction_versions",
        "SELECT intDiv(count(), 2500) + 1 FROM statuses FINAL WHERE is_deleted = 0 AND slo = {part:String}",
    ),
    Refreshed(
        "frontier_configs",
        ("service", "request_model", "priority_class", "variant", "config_epoch"),
        "SELECT DISTINCT service AS part FROM slices_1h WHERE slice_start >= now('UTC') - toIntervalDay(14)",
        900,
    ),
)


class Part(NamedTuple):
    """A part of a table, and how its answer is."""

    of: Refreshed
    name: str
    age_s: float  # of what is there; since 1970 where nothing is
    is_outdated: bool  # what it was counted by has changed since

    @property
    def lateness(self) -> float:
        """How many times as old as it may be."""
        return self.age_s / self.of.every_s


def due(connection: Client, of: Refreshed) -> list[Part]:
    """Return the parts whose answers are older than they may be, the oldest first. Raises: the driver's."""
    return [Part(of, name, age_s, bool(is_outdated)) for name, age_s, is_outdated in connection.execute(_due_sql(of))]


@cache
def _due_sql(of: Refreshed) -> str:
    """Ask which parts are due."""
    # a change by a clock that is ahead of the server's would outdate whatever is counted until then
    outdated = "refreshed < changed_at AND changed_at <= now64(6) AS is_outdated"
    parts = f"SELECT part, {NEVER} AS at FROM ({of.parts})"
    counted = f"SELECT {of.part} AS part, refreshed_at AS at FROM {of.table} FINAL"
    age = "dateDiff('millisecond', max(at) AS refreshed, now64(6)) / 1000 AS age_s"
    return (
        f"WITH ({of.changed}) AS changed_at SELECT toString(part) AS name, {age}, {outdated} "
        f"FROM ({parts} UNION ALL {counted}) GROUP BY part "
        f"HAVING is_outdated OR age_s >= {of.every_s} ORDER BY is_outdated DESC, age_s DESC, name"
    )


def refresh(connection: Client, of: Refreshed, part: str) -> None:
    """Count one part anew. Raises: the driver's."""
    ((at,),) = connection.execute("SELECT toString(now64(6, 'UTC'))")
    values = {"part": part, "at": at}
    ((pieces,),) = connection.execute(of.pieces, values, settings=LIMITS)
    for piece in range(pieces):
        connection.execute(_insert_sql(of), {**values, "pieces": pieces, "piece": piece}, settings=LIMITS)
    connection.execute(_delete_sql(of), values, settings=LIMITS)


@cache
def _insert_sql(of: Refreshed) -> str:
    question = (HOME / f"{of.table}.sql").read_text("utf-8").strip()
    at = "toDateTime64({at:String}, 6, 'UTC') AS refreshed_at"
    return f"INSERT INTO {of.table} SELECT *, {at}, 0 AS is_deleted FROM (\n{question}\n)"


@cache
def _delete_sql(of: Refreshed) -> str:
    """Mark what was not counted again: nothing says it any more."""
    key = ", ".join(of.key)
    at = "toDateTime64({at:String}, 6, 'UTC')"
    return (
        f"INSERT INTO {of.table} ({key}, refreshed_at, is_deleted) SELECT {key}, {at}, 1 FROM {of.table} FINAL "
        f"WHERE {of.part} = {{part:String}} AND refreshed_at < {at}"
    )
