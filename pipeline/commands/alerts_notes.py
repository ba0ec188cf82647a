"""`burnline alerts ack` and `burnline alerts note`: who takes care of an alert, and what was found out about it.

Both are rows beside the alert, and columns of alert_log: what is written stays, with its time and who wrote it.
"""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from pipeline.commands.alerts_silence import Who, word
from pipeline.commands.screen import harmless
from pipeline.commands.status import Json, print_json, rows, shown, write

#: the newest alert of each key, those that fire first
FOUND_SQL = """\
SELECT slo, instance, kind, dedup_key, fired_at, resolved_at, acknowledged_by
FROM alert_log WHERE slo = {key:String} OR dedup_key = {key:String}
ORDER BY isNull(resolved_at) DESC, fired_at DESC LIMIT 1 BY dedup_key"""

Key = Annotated[str, typer.Argument(help="SLO, or the key of one alert as --json shows it (dedup_key)")]
Instance = Annotated[str, typer.Option(help="of which instance, such as region=eu, where several fire")]


def ack(
    key: Key,
    who: Who,
    note: Annotated[str, typer.Option(help="what is being done")] = "",
    instance: Instance = "",
    as_json: Json = False,
) -> None:
    """Say who takes care of an alert that fires."""
    found = _chosen(key, instance, is_open=True)
    _record(found, "ACK", word("--who", who), word("--note", note) if note else "", as_json)


def note(
    key: Key,
    text: Annotated[str, typer.Argument(help="what was found out")],
    who: Who,
    instance: Instance = "",
    as_json: Json = False,
) -> None:
    """Write a note to an alert: to one that fires, or else to the last one."""
    _record(_chosen(key, instance, is_open=False), "NOTE", word("--who", who), word("TEXT", text), as_json)


def _chosen(key: str, instance: str, is_open: bool) -> dict[str, Any]:
    """Find the one alert that is meant.

    Raises: typer.Exit with 1, after saying which there are.
    """
    every = rows(FOUND_SQL, key=key)
    found = [row for row in every if not instance or row["instance"] == instance]
    firing = [row for row in found if row["resolved_at"] is None]
    chosen = firing or ([] if is_open else found[:1])
    if len(chosen) == 1:
        return chosen[0]
    known = "".join(f"\n  {row['dedup_key']}, fired {shown(row['fired_at'])}" for row in chosen or every)
    said = f"several alerts of {key} fire; say which" if chosen else f"no alert of {key}{' fires' if every else ''}"
    typer.echo(f"{said}{':' if known else ''}{known}", err=True)
    raise typer.Exit(1)


def _record(alert: dict[str, Any], what: str, who: str, text: str, as_json: bool) -> None:
    row = {
        "slo": alert["slo"], "dedup_key": alert["dedup_key"], "started_at": alert["fired_at"], "what": what,
        "who": who, "text": text, "written_at": datetime.now(UTC),
    }  # fmt: skip
    write("alert_remarks", row)
    if as_json:
        print_json([row])
        return
    before = f", acknowledged by {alert['acknowledged_by']} before" if alert["acknowledged_by"] else ""
    done = "is acknowledged" if what == "ACK" else "has a note more"
    typer.echo(harmless(f"{alert['dedup_key']}, fired {shown(alert['fired_at'])}, {done}{before}"))
