"""`burnline doctor`: what is wrong with the set-up, and how to mend it."""

import json
from collections.abc import Callable
from typing import Annotated, NamedTuple

import typer
from rich.table import Table

from pipeline.commands.screen import screen
from pipeline.settings import Settings, SettingsError, documented
from pipeline.topics import TopicsError

WAIT_S = 5.0  #: for a broker
OK = "[green]ok[/green]    "
TIMESTAMP_TYPE, APPEND_TIME = "message.timestamp.type", "LogAppendTime"


class Finding(NamedTuple):
    """One thing looked at."""

    check: str
    ok: bool
    detail: str
    remedy: str = ""


def check_kafka(settings: Settings) -> Finding:
    from pipeline.topics import cluster

    found = cluster(settings, WAIT_S)[1]
    return Finding(
        "kafka",
        True,
        f"{len(found.brokers)} broker(s) at {settings.kafka_brokers}, {len(found.topics)} topics",
    )


def check_topics(settings: Settings) -> Finding:
    from pipeline.topics import cluster, topic_name, topics

    present = cluster(settings, WAIT_S)[1].topics
    missing = [name for name in (topic_name(settings, base) for base in topics()) if name not in present]
    if missing:
        return Finding(
            "topics", False, f"not there, or not shown to us: {', '.join(missing)}", "run `burnline migrate`"
        )
    return Finding("topics", True, "all present")


def check_permissions(settings: Settings) -> Finding:
    from pipeline import grants
    from pipeline.topics import cluster

    refused = grants.missing(cluster(settings, WAIT_S)[0], grants.worker(settings))
    if refused:
        return Finding(
            "permissions", False, f"a worker would need: {'; '.join(map(str, refused))}", f"see {grants.DOCUMENT}"
        )
    return Finding("permissions", True, "this user may do what a worker does")


def check_duplicates(settings: Settings) -> Finding:
    from confluent_kafka import KafkaException

    from pipeline.topics import EVENTS, cluster, configurations, topic_name

    if not settings.duplicates_window_s:
        return Finding("duplicates", True, "no window is set: producers are trusted to be idempotent")
    name = topic_name(settings, EVENTS)
    try:
        kind = configurations(cluster(settings, WAIT_S)[0], (name,))[name].get(TIMESTAMP_TYPE)
    except KafkaException as error:
        look = f"see that {TIMESTAMP_TYPE} of {name} is {APPEND_TIME}"
        return Finding("duplicates", True, f"{name} cannot be looked at: {error.args[0].str()}", look)
    told = f"{settings.duplicates_window_s} s of event ids, by the times of {name}"
    if kind == APPEND_TIME:
        return Finding("duplicates", True, f"{told}, which are the broker's")
    return Finding(
        "duplicates", True, f"{told}, which are the producers' ({kind}): one wrong clock makes retries count, or not",
        f"set {TIMESTAMP_TYPE}={APPEND_TIME} on {name}",
    )  # fmt: skip


def check_clickhouse(settings: Settings) -> Finding:
    from pipeline.sinks.clickhouse import client

    connection = client(settings)
    version = connection.execute("SELECT version()")[0][0]
    return Finding("clickhouse", True, f"version {version}")


def check_slos(settings: Settings) -> Finding:
    from pipeline.spec import load

    found = load([settings.slo_dir])
    if found.problems:
        first = found.problems[0]
        return Finding(
            "SLO files",
            False,
            f"{len(found.problems)} problem(s), the first: {first}",
            "run `burnline slo validate`",
        )
    return Finding("SLO files", True, f"{len(found.slos)} SLO(s) in {settings.slo_dir}")


def check_seen(settings: Settings) -> Finding:
    from pipeline.commands.seen import DAYS, seen
    from pipeline.sinks.clickhouse import client
    from pipeline.spec import load
    from pipeline.spec.seen import unseen

    came, found = seen(client(settings).execute), load([settings.slo_dir])
    if not came.requests and not came.counts:
        return Finding("events of SLOs", True, f"none in the last {DAYS} days")
    warnings = unseen(found, came)
    if warnings:
        told = f"{len(warnings)} warning(s), the first: {warnings[0]}"
        return Finding("events of SLOs", True, told, "run `burnline slo lint --seen`")
    return Finding("events of SLOs", True, f"what SLOs ask for came in the last {DAYS} days")


REMEDIES = {
    "kafka": "is a broker running at BURNLINE_KAFKA_BROKERS? `burnline up` starts one",
    "topics": "see the check of kafka",
    "permissions": "see the check of kafka",
    "duplicates": "see the check of kafka",
    "clickhouse": "is a server at BURNLINE_CLICKHOUSE_URL, its password in BURNLINE_CLICKHOUSE_PASSWORD_FILE?",
    "SLO files": "set BURNLINE_SLO_DIR to a directory of SLO files; `burnline slo new NAME` writes one",
    "events of SLOs": "run `burnline migrate`",
}

NEEDS = {
    "topics": ("kafka",),
    "permissions": ("kafka",),
    "duplicates": ("kafka", "topics"),
    "events of SLOs": ("clickhouse", "SLO files"),
}
CHECKS: dict[str, Callable[[Settings], Finding]] = {
    "kafka": check_kafka,
    "topics": check_topics,
    "permissions": check_permissions,
    "duplicates": check_duplicates,
    "clickhouse": check_clickhouse,
    "SLO files": check_slos,
    "events of SLOs": check_seen,
}


def findings(settings: Settings) -> list[Finding]:
    """Run every check; a check that fails is a finding, not an end."""
    found: list[Finding] = []
    for name, check in CHECKS.items():
        wrong = [each.check for each in found if not each.ok and each.check in NEEDS.get(name, ())]
        if wrong:
            found.append(Finding(name, False, "not looked at", f"see the check of {wrong[0]}"))
            continue
        try:
            found.append(check(settings))
        except (SettingsError, TopicsError) as error:  # these say themselves what to do
            found.append(Finding(name, False, str(error)))
        except Exception as error:  # whatever a client library raises
            found.append(Finding(name, False, f"{type(error).__name__}: {error}".splitlines()[0][:300], REMEDIES[name]))
    return found


def doctor(
    settings_wanted: Annotated[
        bool, typer.Option("--settings", help="print every setting, its default and meaning")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON on stdout and nothing else")] = False,
) -> None:
    """Say what is wrong with the set-up and how to mend it; exit 1 if anything is."""
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
