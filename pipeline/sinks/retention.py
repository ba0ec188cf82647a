"""How long each table keeps its rows: settings into ALTER TABLE .. MODIFY TTL, where the server's differ.

Law: behind `keep`, `differences` finds nothing. Whole parts are dropped, so rows stay up to one partition longer.
"""

import re
from typing import TYPE_CHECKING, NamedTuple

from clickhouse_driver import Client, errors

from pipeline.cluster import local
from pipeline.sinks.clickhouse import client
from pipeline.sinks.clusters import cluster_of, formed

if TYPE_CHECKING:
    from pipeline.settings import Settings

#: table -> the column its age is told by, and the setting
KEPT = {
    "slices_10s": ("slice_start", "ttl_slices_10s_d"), "slices_1m": ("slice_start", "ttl_slices_1m_d"),
    "slices_1h": ("slice_start", "ttl_slices_1h_d"), "counts_10s": ("slice_start", "ttl_counts_10s_d"),
    "counts_1m": ("slice_start", "ttl_counts_1m_d"), "counts_1h": ("slice_start", "ttl_counts_1h_d"),
    "event_records": ("counted_at", "ttl_events_d"), "alert_events": ("window_end", "ttl_alerts_d"),
    "change_records": ("at", "ttl_changes_d"), "dead_letter_records": ("dead_at", "ttl_dead_letters_d"),
    "signal_history": ("evaluated_at", "ttl_signals_d"), "snapshot_records": ("snapshot_at", "ttl_snapshots_d"),
}  # fmt: skip
_TTL = re.compile(r" TTL toDateTime\((\w+)\) \+ toIntervalDay\((\d+)\)")


class Difference(NamedTuple):
    """A table that keeps its rows longer, or shorter, than it is to."""

    table: str
    found_d: int | None  # None: for ever, or by a rule of somebody's own
    wanted_d: int

    @property
    def statement(self) -> str:
        return (
            f"ALTER TABLE `{self.table}` MODIFY TTL toDateTime({KEPT[self.table][0]}) + toIntervalDay({self.wanted_d})"
        )


def keep(settings: "Settings", dry_run: bool = False) -> list[Difference]:
    """Have a database's tables keep their rows as long as the settings say; return which did not, or do not yet.

    Raises: what clickhouse-driver raises; a database that is not there has no tables.
    """
    with client(settings, is_admin=True) as connection:
        try:
            found = differences(connection, settings)
        except errors.ServerException as error:
            if error.code == errors.ErrorCodes.UNKNOWN_DATABASE:
                return []
            raise
        cluster = cluster_of(settings) if found and not dry_run else None
        for statement in () if dry_run else (each.statement for each in found):
            for each in formed(statement, cluster):
                connection.execute(each)  # the server looks at old parts in its own time
    return found


def differences(connection: Client, settings: "Settings") -> list[Difference]:
    """Compare what the server keeps with the settings; tables that are not there yet are as migrations make them."""
    sql = "SELECT name, engine_full FROM system.tables WHERE database = currentDatabase() AND name IN %(names)s"
    kept_by = {table: local(table) if settings.clickhouse_cluster else table for table in KEPT}
    found = dict(connection.execute(sql, {"names": tuple(kept_by.values())}))
    compared = []
    for table, (column, name) in KEPT.items():
        if kept_by[table] in found:
            matched = _TTL.search(found[kept_by[table]])
            days = int(matched[2]) if matched and matched[1] == column else None
            compared.append(Difference(table, days, getattr(settings, name)))
    return [each for each in compared if each.found_d != each.wanted_d]
