"""The SQL of a replay: what is stored against what was recomputed, row by row, and the swap. Pure text.

Counts are compared for the revisions that are in force: rows of older revisions of an SLO stay readable and are never
touched. Sketches are compared by the quantiles they show, everything else by its exact sums.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.rows import COUNTERS, SKETCHES, TALLIES, TIERS_S
from pipeline.series import BASE_LABELS
from pipeline.sinks.tables import LEVELS, STATE_TYPE

ALPHA = STATE_TYPE.partition("quantilesDD(")[2].partition(",")[0]
EXAMPLES_MOST = 10


@dataclass(frozen=True)
class Kind:
    """One kind of table."""

    name: str
    keys: tuple[str, ...]
    sums: tuple[str, ...]
    states: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.keys, "slice_start", *self.sums, *self.states)


KINDS = (
    Kind("counts", ("slo", "revision", "instance"), TALLIES),
    Kind("slices", BASE_LABELS, COUNTERS, tuple(f"{name}_state" for name in SKETCHES)),
)
TABLES = [(kind, tier) for kind in KINDS for tier in TIERS_S]


HOUR = "toUnixTimestamp(toStartOfHour(slice_start))"


def within(kind: Kind) -> str:
    """The rows of a stored table that a replay answers for."""
    known = " AND (slo, revision) IN %(known)s" if kind.name == "counts" else ""
    begin, end = (f"toDateTime64(%({name})s, 6, 'UTC')" for name in ("from_s", "to_s"))
    return f"slice_start >= {begin} AND slice_start < {end}{known}"


def _side(kind: Kind, side: str, is_new: int) -> Iterator[str]:
    for name in kind.sums:
        yield f"sumIf({name}, is_new = {is_new}) AS {side}_{name}"
    for name in kind.states:
        yield f"toString(quantilesDDMergeIf({ALPHA}, {LEVELS})({name}, is_new = {is_new})) AS {side}_{name}"


def _sides(kind: Kind, tier: str) -> str:
    """Both sides summed per slice: columns `old_*` of what is stored, `new_*` of what was recomputed."""
    keys, columns = ", ".join((*kind.keys, "slice_start")), ", ".join(kind.columns)
    picked = ", ".join((*_side(kind, "old", 0), *_side(kind, "new", 1)))
    return (
        f"SELECT {keys}, countIf(is_new = 0) AS old_rows, countIf(is_new = 1) AS new_rows, {picked} FROM ("
        f"SELECT {columns}, 0 AS is_new FROM {kind.name}_{tier} WHERE {within(kind)} UNION ALL "
        f"SELECT {columns}, 1 AS is_new FROM {kind.name}_shadow WHERE run = %(run)s AND tier = '{tier}'"
        f") GROUP BY {keys}"
    )


def _differs(kind: Kind) -> str:
    return " OR ".join(f"old_{name} != new_{name}" for name in (*kind.sums, *kind.states))


def summary_sql(kind: Kind, tier: str) -> str:
    """One row: how many slices there are, how many differ and how, in which hours, and the sums of both sides."""
    sums = ", ".join(f"sum(old_{name}), sum(new_{name})" for name in kind.sums)
    return (
        f"SELECT count(), countIf(differs), countIf(differs AND old_rows = 0), countIf(differs AND new_rows = 0), "
        f"groupUniqArrayIf({HOUR}, differs), {sums} FROM (SELECT *, {_differs(kind)} AS differs FROM "
        f"({_sides(kind, tier)}))"
    )


def examples_sql(kind: Kind, tier: str) -> str:
    """Some slices that differ, the first ones."""
    sums = (f"{side}_{name}" for name in kind.sums for side in ("old", "new"))
    return (
        f"SELECT {', '.join((*kind.keys, 'slice_start', *sums))} FROM ({_sides(kind, tier)}) "
        f"WHERE {_differs(kind)} ORDER BY slice_start, {', '.join(kind.keys)} LIMIT {EXAMPLES_MOST}"
    )


def delete_sql(kind: Kind, tier: str) -> str:
    """Take out the stored rows of some hours."""
    return f"DELETE FROM {kind.name}_{tier} WHERE {within(kind)} AND {HOUR} IN %(hours)s"


def insert_sql(kind: Kind, tier: str) -> str:
    """Put in the recomputed rows of the same hours."""
    columns = ", ".join(kind.columns)
    return (
        f"INSERT INTO {kind.name}_{tier} ({columns}) SELECT {columns} FROM {kind.name}_shadow FINAL "
        f"WHERE run = %(run)s AND tier = '{tier}' AND {HOUR} IN %(hours)s"
    )


MARKS_SQL = """\
SELECT source_partition, topic, partition, max(source_next_offset) FROM marks FINAL
WHERE source_topic = %(source_topic)s GROUP BY source_partition, topic, partition"""
