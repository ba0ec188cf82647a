"""What `burnline doctor` looks at in ClickHouse: version, tables, grants, clock, disk, what workers say, and what came.

Nothing is changed: tables are compared with what `burnline migrate` would run.
"""

import time
from typing import TYPE_CHECKING, Any

from pipeline.commands.findings import Finding
from pipeline.delivery.words_figures import lasting
from pipeline.settings import Settings

if TYPE_CHECKING:
    from clickhouse_driver import Client

OLDEST, TESTED = (26, 7), "26.9"  #: of ClickHouse: what the views were written for, and what the tests run on
SKEW_S = 2.0  #: between two clocks; past five seconds events of the future are taken as now
REPORTS_S = 60  #: a worker says every few seconds how it is
LITTLE, LITTLE_BYTES = 0.1, 1 << 30  #: free of a disk, as its part and in bytes: with less of either it is soon full
UNCOUNTED_S = 1_800  #: of many SLOs each is counted anew less often
NEVER_S = 10 * 365 * 86_400  #: an age that only what was never counted has
NEEDED = ("SELECT", "INSERT")

LAGGING_SQL = f"""\
SELECT stage, worker, reason, backlog_records, is_lagging
FROM pipeline_health
WHERE startsWith(stage, 'worker ') AND flushed_at > now64(6, 'UTC') - INTERVAL {REPORTS_S} SECOND
ORDER BY is_lagging DESC, stage, worker"""


def _client(settings: Settings) -> "Client":
    from pipeline.sinks.clickhouse import client

    return client(settings)


def check_clickhouse(settings: Settings) -> Finding:
    with _client(settings) as connection:
        version = connection.execute("SELECT version()")[0][0]
    if version_of(version) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        return Finding("clickhouse", False, f"version {version}", f"use {oldest} or newer; tested is {TESTED}")
    return Finding("clickhouse", True, f"version {version}")


def version_of(text: str) -> tuple[int, int]:
    """Read the first two numbers of a version."""
    major, minor, *_ = text.split(".")
    return int(major), int(minor)


def check_tables(settings: Settings) -> Finding:
    from clickhouse_driver.errors import ServerException

    from pipeline.sinks.migrations import ACCESS_DENIED, MigrationError, migrate

    with _client(settings) as connection:
        try:
            pending = migrate(connection, dry_run=True)
        except ServerException as error:
            if error.code != ACCESS_DENIED:
                raise
            told = "this login may not read which files have run"
            return Finding("tables", False, told, "set BURNLINE_CLICKHOUSE_URL to the login of a worker")
        except MigrationError as error:
            return Finding("tables", False, str(error), "use the version that wrote them, or restore the files")
    if pending:
        told = f"{len(pending)} file(s) of infra/clickhouse have not run, the first: {pending[0].name}"
        return Finding("tables", False, told, "run `burnline migrate`")
    return Finding("tables", True, "up to date")


def check_grants(settings: Settings) -> Finding:
    with _client(settings) as connection:
        database, user = connection.execute("SELECT currentDatabase(), currentUser()")[0]
        missing = [each for each in NEEDED if not _has(connection, each, database)]
    if missing:
        wanted = ", ".join(missing)
        return Finding(
            "grants", False, f"{user} lacks {wanted} on {database}",
            f"GRANT {wanted} ON {database}.* TO {user}; see infra/clickhouse-users.md",
        )  # fmt: skip
    return Finding("grants", True, f"{user} may read and write {database}")


def _has(connection: "Client", privilege: str, database: str) -> bool:
    return bool(connection.execute(f"CHECK GRANT {privilege} ON `{database}`.*")[0][0])


def check_clock(settings: Settings) -> Finding:
    """Our clock against ClickHouse's, half of the question's time on the way there."""
    with _client(settings) as connection:
        connection.execute("SELECT 1")  # connected and logged in: that takes longer than the question
        before_s = time.time()
        theirs_us = connection.execute("SELECT toUnixTimestamp64Micro(now64(6))")[0][0]
        after_s = time.time()
    return skew(theirs_us / 1e6 - (before_s + after_s) / 2, (after_s - before_s) / 2)


def skew(theirs_ahead_s: float, uncertain_s: float) -> Finding:
    """Judge how far two clocks are apart; what the question took may be all of it."""
    apart_s = abs(theirs_ahead_s)
    which = "in front of" if theirs_ahead_s > 0 else "behind"
    told = f"ClickHouse's clock is {lasting(apart_s)} {which} this machine's"
    if apart_s - uncertain_s > SKEW_S:
        return Finding("clock", False, told, "set both clocks by NTP: ages, delays and what is too new depend on them")
    return Finding("clock", True, told)


def check_disk(settings: Settings) -> Finding:
    """The disk of ClickHouse, without what it keeps free itself."""
    with _client(settings) as connection:
        free, size = connection.execute("SELECT filesystemAvailable(), filesystemCapacity()")[0]
    return room(free, size)


def room(free_bytes: int, size_bytes: int) -> Finding:
    """Judge how full a disk is."""
    told = f"{free_bytes / 1e9:,.1f} GB of {size_bytes / 1e9:,.1f} GB are free"
    make = "make room on it, or keep rows for fewer days (BURNLINE_TTL_*, then `burnline migrate`)"
    if not free_bytes:
        return Finding("disk", False, f"{told}: ClickHouse takes no insert", make)
    is_little = free_bytes < max(LITTLE * size_bytes, LITTLE_BYTES)
    return Finding("disk", True, told, make if is_little else "")


def check_workers(settings: Settings) -> Finding:
    """What workers say of themselves."""
    with _client(settings) as connection:
        rows: list[tuple[Any, ...]] = connection.execute(LAGGING_SQL)
    if not rows:
        look = "start `burnline worker`; one that runs is silent, or does not reach this ClickHouse"
        return Finding("workers", True, f"none has said anything for {REPORTS_S} s", look)
    workers, lagging = {row[1] for row in rows}, [row for row in rows if row[4]]
    if lagging:
        stage, worker, reason, *_ = lagging[0]
        told = f"{len(lagging)} step(s) of {len(workers)} worker(s) lag, the first: {stage} of {worker}: {reason}"
        return Finding("workers", False, told, "see its log; more workers, up to a partition each, go faster")
    waiting = sum(row[3] or 0 for row in rows)
    return Finding("workers", True, f"{len(workers)} worker(s), none lags, {waiting:,} records wait")


def check_refreshed(settings: Settings) -> Finding:
    """Answers that workers count anew."""
    from pipeline.sinks.refreshed import REFRESHED, due

    with _client(settings) as connection:
        found = [each for of in REFRESHED for each in due(connection, of._replace(every_s=of.every_s + UNCOUNTED_S))]
    old = [part for part in found if part.age_s < NEVER_S]  # of some there is nothing to say
    if not old:
        return Finding("kept answers", True, f"none is more than {lasting(UNCOUNTED_S)} late")
    first = max(old, key=lambda part: part.age_s)
    told = f"{len(old)} part(s) are late, the first: {first.of.table} of {first.name}, {lasting(first.age_s)} ago"
    look = "run a worker with the step store; burnline_refresh_failures and its log say whether it fails"
    return Finding("kept answers", True, told, look)


def check_seen(settings: Settings) -> Finding:
    from pipeline.commands.seen import DAYS, seen
    from pipeline.spec import load
    from pipeline.spec.seen import unseen

    came, found = seen(_client(settings).execute), load([settings.slo_dir])
    if not came.requests and not came.counts:
        return Finding("events of SLOs", True, f"none in the last {DAYS} days")
    warnings = unseen(found, came)
    if warnings:
        told = f"{len(warnings)} warning(s), the first: {warnings[0]}"
        return Finding("events of SLOs", True, told, "run `burnline slo lint --seen`")
    return Finding("events of SLOs", True, f"what SLOs ask for came in the last {DAYS} days")
