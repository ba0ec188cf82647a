"""Corrections in ClickHouse: the latest version of each, and new versions. Counts are not touched.

Blocking, one question a call. Law: recording a version again replaces it by the same.
"""

from collections.abc import Iterable

from clickhouse_driver import Client

from pipeline.spec.correction_versions import Version

COLUMNS = ", ".join(Version._fields)
LATEST_SQL = f"SELECT {COLUMNS} FROM correction_versions FINAL ORDER BY correction, version DESC LIMIT 1 BY correction"
RECORD_SQL = f"INSERT INTO correction_versions ({COLUMNS}) VALUES"


def latest(connection: Client) -> dict[str, Version]:
    """Return name -> the latest version that is recorded, withdrawn ones too."""
    return {row[0]: Version(*row) for row in connection.execute(LATEST_SQL)}


def record(connection: Client, versions: Iterable[Version]) -> None:
    """Add versions."""
    rows = list(versions)
    if rows:
        connection.execute(RECORD_SQL, rows)
