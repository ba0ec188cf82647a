"""Kept answers, counted anew as workers do, before a test asks for them."""

from clickhouse_driver import Client

from pipeline.sinks.refreshed import REFRESHED, Refreshed, refresh

VIEWS = {
    "compliance_corrected": "corrected_windows",
    "error_budget_corrected": "corrected_windows",
    "config_frontier": "frontier_configs",
}


def refresh_for(client: Client, sql: str, part: str | None = None) -> None:
    """Count what a question reads, one part or all of them, whatever is due."""
    tables = {table for view, table in VIEWS.items() if view in sql}
    for of in REFRESHED:
        if of.table in tables:
            for each in [part] if part else _parts(client, of):
                refresh(client, of, each)


def _parts(client: Client, of: Refreshed) -> list[str]:
    kept = f"SELECT {of.part} AS part FROM {of.table} FINAL"
    return [part for (part,) in client.execute(f"SELECT DISTINCT toString(part) FROM ({of.parts} UNION ALL {kept})")]
