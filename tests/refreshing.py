"""Kept answers, counted anew as workers do, before a test asks for them."""

from clickhouse_driver import Client

from pipeline.sinks.refreshed import REFRESHED, due, refresh

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
            names = [part] if part else [each.name for each in due(client, of._replace(every_s=0))]
            for name in names:
                refresh(client, of, name)
