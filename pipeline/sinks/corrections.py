"""Corrections in ClickHouse: the latest version of each, and new versions. Counts are not touched.

Blocking. Law: recording a version again replaces it by the same. Nobody holds a lock: of two writers that choose one
number for different versions the later one stays, and `settle` of the other looks again and takes the next number.
"""

from collections.abc import Callable, Iterable, Mapping

from clickhouse_driver import Client

from pipeline.spec.correction_versions import Step, Version

COLUMNS = ", ".join(Version._fields)
LATEST_SQL = f"SELECT {COLUMNS} FROM correction_versions FINAL ORDER BY correction, version DESC LIMIT 1 BY correction"
PLACES_SQL = f"SELECT {COLUMNS} FROM correction_versions FINAL WHERE (correction, version) IN %(places)s"
RECORD_SQL = f"INSERT INTO correction_versions ({COLUMNS}) VALUES"


class Overtaken(RuntimeError):
    """Other writers were quicker, again and again; the message names the corrections."""


def latest(connection: Client) -> dict[str, Version]:
    """Return name -> the latest version that is recorded, withdrawn ones too."""
    return {row[0]: Version(*row) for row in connection.execute(LATEST_SQL)}


def record(connection: Client, versions: Iterable[Version]) -> None:
    """Add versions."""
    rows = list(versions)
    if rows:
        connection.execute(RECORD_SQL, rows)


def overtaken(connection: Client, versions: Iterable[Version]) -> list[str]:
    """Return the corrections of which something else is recorded than these versions, in their place."""
    rows = list(versions)
    places = tuple((row.correction, row.version) for row in rows)
    found = {row[0]: Version(*row) for row in connection.execute(PLACES_SQL, {"places": places})} if rows else {}
    return [row.correction for row in rows if row.correction not in found or not row.says(found[row.correction])]


def settle(connection: Client, decide: Callable[[Mapping[str, Version]], list[Step]]) -> list[Step]:
    """Record what is decided upon the latest versions; where another writer was quicker, decide once more.

    Raises: Overtaken; what `decide` and the driver raise.
    """
    settled: dict[str, Step] = {}
    lost: list[str] = []
    for _ in range(2):
        fresh = [each for each in decide(latest(connection)) if each.correction not in settled]
        rows = [each.row for each in fresh if each.row]
        record(connection, rows)
        lost = overtaken(connection, rows)
        settled |= {each.correction: each for each in fresh if each.correction not in lost}
        if not lost:
            return list(settled.values())
    raise Overtaken(f"others record versions of {', '.join(lost)} at this moment: try again")
