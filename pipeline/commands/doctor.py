"""`burnline doctor`: what is wrong with the set-up, and how to mend it."""

import json
from typing import Annotated

import typer

from pipeline.commands.doctor_clickhouse import (
    check_clickhouse,
    check_clock,
    check_disk,
    check_grants,
    check_refreshed,
    check_seen,
    check_tables,
    check_workers,
)
from pipeline.commands.doctor_files import check_cache, check_controls, check_registry, check_slos
from pipeline.commands.doctor_kafka import (
    check_duplicates,
    check_events,
    check_kafka,
    check_lag,
    check_partitions,
    check_permissions,
    check_topics,
)
from pipeline.commands.doctor_receivers import check_receivers
from pipeline.commands.findings import Check, Finding
from pipeline.commands.screen import screen
from pipeline.commands.tables import Table
from pipeline.settings import Settings, SettingsError, documented
from pipeline.topics import TopicsError

OK = "[green]ok[/green]    "
SEE_KAFKA, SEE_CLICKHOUSE = "see the check of kafka", "see the check of clickhouse"

#: in the order that they are looked at and told
CHECKS = (
    Check("kafka", check_kafka, "is a broker running at BURNLINE_KAFKA_BROKERS? `burnline up` starts one"),
    Check("topics", check_topics, SEE_KAFKA, ("kafka",)),
    Check("partitions", check_partitions, SEE_KAFKA, ("kafka", "topics")),
    Check("permissions", check_permissions, SEE_KAFKA, ("kafka",)),
    Check("duplicates", check_duplicates, SEE_KAFKA, ("kafka", "topics")),
    Check("events", check_events, SEE_KAFKA, ("kafka", "topics")),
    Check("lag", check_lag, SEE_KAFKA, ("kafka", "topics", "permissions")),
    Check("schema registry", check_registry, "is a registry at BURNLINE_SCHEMA_REGISTRY_URL?"),
    Check(
        "clickhouse",
        check_clickhouse,
        "is a server at BURNLINE_CLICKHOUSE_URL, its password in BURNLINE_CLICKHOUSE_PASSWORD_FILE? "
        "An embedded one stands still while its disk is full",
    ),
    Check("tables", check_tables, "run `burnline migrate`", ("clickhouse",)),
    Check("grants", check_grants, "see infra/clickhouse-users.md", ("clickhouse",)),
    Check("clock", check_clock, SEE_CLICKHOUSE, ("clickhouse",)),
    Check("disk", check_disk, SEE_CLICKHOUSE, ("clickhouse",)),
    Check("workers", check_workers, "run `burnline migrate`", ("clickhouse", "tables")),
    Check("kept answers", check_refreshed, "run `burnline migrate`", ("clickhouse", "tables")),
    Check("kernels", check_cache, "set BURNLINE_KERNEL_CACHE to a directory of your own"),
    Check(
        "SLO files",
        check_slos,
        "set BURNLINE_SLO_DIR to a directory of SLO files; `burnline slo new NAME` writes one",
    ),
    Check("controls", check_controls, "set BURNLINE_CONTROLS_FILE to a file such as schemas/controls/default.yaml"),
    Check("receivers", check_receivers, SEE_KAFKA),
    Check("events of SLOs", check_seen, "run `burnline migrate`", ("clickhouse", "SLO files")),
)


def findings(settings: Settings, checks: tuple[Check, ...] = CHECKS) -> list[Finding]:
    """Run every check; a check that fails is a finding, not an end."""
    found: list[Finding] = []
    for check in checks:
        wrong = [each.check for each in found if not each.ok and each.check in check.needs]
        if wrong:
            found.append(Finding(check.name, False, "not looked at", f"see the check of {wrong[0]}"))
            continue
        try:
            found.append(check.look(settings))
        except (SettingsError, TopicsError) as error:  # these say themselves what to do
            found.append(Finding(check.name, False, str(error)))
        except Exception as error:  # whatever a client library raises
            words = " ".join(str(error).partition("Stack trace:")[0].split())
            said = f"{type(error).__name__}: {words}"[:300]
            found.append(Finding(check.name, False, said, check.remedy))
    return found


def doctor(
    settings_wanted: Annotated[
        bool, typer.Option("--settings", help="print every setting, its default and meaning")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON on stdout and nothing else")] = False,
) -> None:
    """Say what is wrong with the set-up and how to mend it; exit 1 if anything is.

    Looks at brokers, topics, partitions, permissions, schemas, ClickHouse, its tables, grants and disk, clocks, lag,
    compiled kernels, SLO files and receivers of alerts, and changes nothing. `look` is something to see to, and no
    failure.

    \b
    burnline doctor
    burnline doctor --json | jq '.[] | select(.ok | not) | .remedy'
    burnline doctor --settings
    """
    if settings_wanted:
        _print_settings(as_json)
        return
    found = findings(Settings())
    if as_json:
        typer.echo(json.dumps([finding._asdict() for finding in found]))
    else:
        console = screen()
        for finding in found:
            mark = "[red]wrong[/red] " if not finding.ok else "[yellow]look[/yellow]  " if finding.remedy else OK
            console.print(f"{mark} {finding.check}: {finding.detail}")
            if finding.remedy:
                console.print(f"       -> {finding.remedy}")
    if not all(finding.ok for finding in found):
        raise typer.Exit(1)


def _print_settings(as_json: bool) -> None:
    lines = documented()
    if as_json:
        typer.echo(json.dumps([line._asdict() for line in lines]))
        return
    table = Table("variable", "default", "meaning")
    for line in lines:
        table.add_row(line.variable, line.default, line.description)
    screen().print(table)
