"""Forward-only migrations of the ClickHouse schema: infra/clickhouse/NNNN_name.sql, by their numbers; then views.

Views that changed more than once stand in infra/clickhouse/views, each whole: a file runs when its content is not what
ran last, and after any migration, which may have replaced what it says.

Law: migrate() twice changes nothing the second time. Each file's checksum is recorded once all its statements have run;
a migration that has changed since is refused, since nobody can say which of the two the server has. Every statement
must bear repetition (IF NOT EXISTS), because a crash may come between a statement and its record.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clickhouse_driver import Client, errors

import infra
from pipeline.cluster import Cluster, ClusterError
from pipeline.sinks.clickhouse import client, said
from pipeline.sinks.clusters import cluster_of, formed

if TYPE_CHECKING:
    from pipeline.settings import Settings

HOME = infra.HOME / "clickhouse"
FILE_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
VIEW = re.compile(r"(CREATE|DROP) (?:OR REPLACE )?VIEW (?:IF (?:NOT )?EXISTS )?`?(\w+)", re.IGNORECASE)
# A statement ends at a semicolon outside strings, quoted names and comments.
TOKEN = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^'\\]|\\.|'')*'|`[^`]*`|;|[^-/'`;]+|.", re.DOTALL)
# What stands between a view's name and its query: parentheses, and what they and AS may be hidden in.
BEFORE_AS = re.compile(r"'(?:[^'\\]|\\.|'')*'|`[^`]*`|[()]|\bAS\b", re.IGNORECASE)
OPEN = "DEFINER = CURRENT_USER SQL SECURITY DEFINER "

ACCESS_DENIED = 497
ADMIN_HINT = (
    " Set BURNLINE_CLICKHOUSE_ADMIN_USERNAME and BURNLINE_CLICKHOUSE_ADMIN_PASSWORD_FILE to one who may change tables"
)
JOURNAL = """\
CREATE TABLE IF NOT EXISTS migrations (
    number UInt32, name String, checksum String, applied_at DateTime64(6, 'UTC') DEFAULT now64(6)
) ENGINE = ReplacingMergeTree ORDER BY number
COMMENT 'Which files of infra/clickhouse have run, and their SHA-256'"""


class MigrationError(RuntimeError):
    """The schema cannot be brought up to date; the message says what to do."""


@dataclass(frozen=True)
class Migration:
    """One file."""

    number: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def statements(self) -> list[str]:
        return statements(self.text)


@dataclass(frozen=True)
class ViewFile:
    """One file of views; `after`: the last migration, on which it stands."""

    name: str
    text: str
    after: int

    @property
    def checksum(self) -> str:
        return hashlib.sha256(f"{self.after}\n{self.text}".encode()).hexdigest()

    @property
    def statements(self) -> list[str]:
        return statements(self.text)


def statements(text: str) -> list[str]:
    """Split SQL at semicolons; comments stay out."""
    found = [""]
    for token in TOKEN.findall(text):
        if token == ";":
            found.append("")
        elif not token.startswith(("--", "/*")):
            found[-1] += token
    return [statement.strip() for statement in found if statement.strip()]


def load(home: Path = HOME) -> list[Migration]:
    """Read the files of a directory.

    Raises: MigrationError for a name that is no migration's, and unless the numbers are 1, 2, 3 ..
    """
    migrations = []
    for path in sorted(home.glob("*.sql")):
        matched = FILE_NAME.fullmatch(path.name)
        if matched is None:
            raise MigrationError(f"{path}: name it NNNN_what_it_does.sql")
        migrations.append(Migration(int(matched[1]), path.name, path.read_text(encoding="utf-8")))
    numbers = [migration.number for migration in migrations]
    if numbers != list(range(1, len(numbers) + 1)):
        raise MigrationError(f"{home}: number the files 1, 2, 3 .. without holes; found {numbers}")
    return migrations


def load_views(home: Path = HOME) -> list[ViewFile]:
    """Read the files of views beside a directory's migrations."""
    after = len(load(home))
    return [ViewFile(each.name, each.read_text("utf-8"), after) for each in sorted((home / "views").glob("*.sql"))]


def views(migrations: Sequence[Migration], home: Path = HOME) -> tuple[str, ...]:
    """Return the names of the views that are there once all of them have run: what a reader may read."""
    found: dict[str, None] = {}
    files: list[Migration | ViewFile] = [*migrations, *load_views(home)]
    for statement in (statement for each in files for statement in each.statements):
        for verb, name in VIEW.findall(statement):
            if verb.upper() == "CREATE":
                found[name] = None
            else:
                found.pop(name, None)
    return tuple(found)


def pending(migrations: Sequence[Migration], applied: Mapping[int, str]) -> list[Migration]:
    """Return what is still to run; `applied` maps numbers to recorded checksums.

    Raises: MigrationError when a recorded file has changed, or the server is ahead of these files.
    """
    known = {migration.number: migration for migration in migrations}
    for number, checksum in sorted(applied.items()):
        if number not in known:
            raise MigrationError(
                f"the server has migration {number}, which this version does not know: use the newer version"
            )
        if known[number].checksum != checksum:
            raise MigrationError(
                f"{known[number].name} has changed since it ran: restore it, put the change into a new file"
            )
    return [migration for migration in migrations if migration.number not in applied]


def migrate(target: "Client | Settings", home: Path = HOME, dry_run: bool = False) -> list[Migration | ViewFile]:
    """Bring a database up to date; return what ran, or with `dry_run` what would run.

    `target`: Settings, whose database is created when it is missing, or a client of an existing database.
    Raises: MigrationError; nothing is undone, and the next run goes on where this one ended.
    """
    if isinstance(target, Client):
        return _migrate(target, home, dry_run, None)
    cluster = _cluster_of(target)
    with client(target, is_admin=True) as connection:
        if not dry_run and not _has_database(connection):
            _create_database(target, connection.connection.database, cluster)
        return _migrate(connection, home, dry_run, cluster)


def in_cluster(settings: "Settings", files: Sequence[Migration | ViewFile]) -> list[str]:
    """Return what the statements of some files are on the cluster that the settings name; nothing without one.

    Raises: MigrationError for a statement that has no such form.
    """
    cluster = _cluster_of(settings)
    found = [] if cluster is None else [opened(each) for file in files for each in file.statements]
    try:
        return [each for statement in found for each in formed(statement, cluster)]
    except ClusterError as error:
        raise MigrationError(str(error)) from error


def _cluster_of(settings: "Settings") -> Cluster | None:
    try:
        return cluster_of(settings)
    except ClusterError as error:
        raise MigrationError(str(error)) from error


def _migrate(connection: Client, home: Path, dry_run: bool, cluster: Cluster | None) -> list[Migration | ViewFile]:
    todo = pending(load(home), _applied(connection))
    recorded = dict(_rows(connection, "SELECT name, checksum FROM view_files FINAL"))
    changed = [each for each in load_views(home) if recorded.get(each.name) != each.checksum]
    if dry_run:
        return [*todo, *changed]
    _run(connection, "the journal", JOURNAL, cluster)
    for migration in todo:
        _run_all(connection, migration, cluster)
        row = (migration.number, migration.name, migration.checksum)
        connection.execute("INSERT INTO migrations (number, name, checksum) VALUES", [row])
    for each in changed:
        _run_all(connection, each, cluster)
        connection.execute("INSERT INTO view_files (name, checksum) VALUES", [(each.name, each.checksum)])
    _open_views(connection, cluster)
    return [*todo, *changed]


def _run_all(connection: Client, file: Migration | ViewFile, cluster: Cluster | None) -> None:
    for number, statement in enumerate(file.statements, 1):
        _run(connection, f"{file.name}, statement {number}", opened(statement), cluster)


def opened(statement: str) -> str:
    """Let a view that a statement makes read its tables as us, from its first moment; other statements are as before.

    Readers are granted views, and no table behind them.
    """
    made, depth = VIEW.match(statement), 0
    for found in BEFORE_AS.finditer(statement) if made and made[1].upper() == "CREATE" else ():
        depth += {"(": 1, ")": -1}.get(found[0], 0)
        if depth == 0 and found[0].upper() == "AS":
            return f"{statement[: found.start()]}{OPEN}{statement[found.start() :]}"
    return statement


def _open_views(connection: Client, cluster: Cluster | None) -> None:
    """Let views that were made before `opened` was, or by somebody else, read their tables as us."""
    closed = connection.execute(
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine = 'View' "
        "AND create_table_query NOT LIKE concat('%DEFINER = ', currentUser(), ' SQL SECURITY DEFINER%')"
    )
    for (name,) in closed:
        statement = f"ALTER TABLE `{name}` MODIFY SQL SECURITY DEFINER DEFINER = CURRENT_USER"
        _run(connection, f"view {name}", statement, cluster)


def _run(connection: Client, what: str, statement: str, cluster: Cluster | None) -> None:
    try:
        for each in formed(statement, cluster):
            connection.execute(each)
    except ClusterError as error:
        raise MigrationError(f"{what}: {error}") from error
    except errors.ServerException as error:
        hint = ADMIN_HINT if error.code == ACCESS_DENIED else ""
        raise MigrationError(f"{what}: {said(error)}{hint}") from error


def _has_database(connection: Client) -> bool:
    try:
        connection.execute("SELECT 1")
    except errors.ServerException as error:
        if error.code == errors.ErrorCodes.UNKNOWN_DATABASE:
            return False
        raise
    return True


def _create_database(settings: "Settings", name: str, cluster: Cluster | None) -> None:
    with client(settings, is_admin=True, database="system") as connection:
        _run(connection, f"database {name}", f"CREATE DATABASE IF NOT EXISTS `{name}`", cluster)


def _applied(connection: Client) -> dict[int, str]:
    """What the server has recorded; nothing when there is no journal yet."""
    return dict(_rows(connection, "SELECT number, checksum FROM migrations FINAL"))


def _rows(connection: Client, sql: str) -> list[tuple[Any, ...]]:
    """Ask a journal; it has no rows before it is there."""
    try:
        found: list[tuple[Any, ...]] = connection.execute(sql)
    except errors.ServerException as error:
        if error.code in {errors.ErrorCodes.UNKNOWN_TABLE, errors.ErrorCodes.UNKNOWN_DATABASE}:
            return []
        raise
    return found
