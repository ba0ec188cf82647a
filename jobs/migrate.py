"""`burnline migrate`: bring topics and tables up to date. Idempotent; --dry-run says what it would do."""

import json
from typing import Annotated, Any

import typer

from pipeline.settings import Settings
from pipeline.topics import TopicsError, create_topics

REMEDY = "is a server running at BURNLINE_CLICKHOUSE_URL, with the password in BURNLINE_CLICKHOUSE_PASSWORD_FILE?"


def bring_up_to_date(settings: Settings, dry_run: bool = False, topics: bool = True) -> dict[str, Any]:
    """Create what is missing; return what was done, or with `dry_run` what would be done.

    Raises: MigrationError, TopicsError, and what clickhouse-driver raises when no server answers.
    """
    from pipeline.sinks.migrations import in_cluster, migrate
    from pipeline.sinks.retention import keep

    files = migrate(settings, dry_run=dry_run)
    done: dict[str, Any] = {"migrations": [each.name for each in files]}
    if dry_run and settings.clickhouse_cluster:
        done["statements"] = in_cluster(settings, files)
    done["kept"] = [each._asdict() for each in keep(settings, dry_run)]
    if topics and not dry_run:
        report = create_topics(settings)
        done["topics"] = list(report.created)
        done["topic_differences"] = [difference._asdict() for difference in report.differences]
    return {**done, "dry_run": dry_run}


def command(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say which migrations would run, run none")] = False,
    topics: Annotated[bool, typer.Option(help="create missing topics too")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON on stdout and nothing else")] = False,
) -> None:
    """Bring the ClickHouse schema and the Kafka topics up to date."""
    from clickhouse_driver.errors import ServerException

    from pipeline.sinks.clickhouse import FAILURES, said
    from pipeline.sinks.migrations import MigrationError

    try:
        done = bring_up_to_date(Settings(), dry_run, topics)
    except (MigrationError, TopicsError) as error:
        typer.echo(f"burnline migrate: {error}", err=True)
        raise typer.Exit(1) from error
    except FAILURES as error:
        hint = "" if isinstance(error, ServerException) else f"; {REMEDY}"
        typer.echo(f"burnline migrate: {said(error)}{hint}", err=True)
        raise typer.Exit(1) from error
    typer.echo(json.dumps(done) if as_json else in_words(done))


def in_words(done: dict[str, Any]) -> str:
    """Say what was done, a line each."""
    verb, keeps = ("would run", "would keep") if done["dry_run"] else ("ran", "keeps")
    lines = [f"{verb} {name}" for name in done["migrations"]] or ["tables are up to date"]
    lines += [f"{statement};" for statement in done.get("statements", ())]
    lines += [
        f"{d['table']} {keeps} rows {d['wanted_d']} days, not {d['found_d'] or 'for ever'}"
        for d in done.get("kept", ())
    ]
    lines += [f"created topic {name}" for name in done.get("topics", ())]
    lines += [
        f"topic {d['topic']}: {d['setting']} is {d['found']}, wanted is {d['wanted']}; not altered"
        for d in done.get("topic_differences", ())
    ]
    return "\n".join(lines)
