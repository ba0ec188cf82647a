"""ClickHouse over the native protocol: a client out of Settings, and the sink that inserts rows exactly once.

Blocking: callers run it in threads; each thread has a connection of its own. Law: rows inserted any number
of times with one token count once. Errors
are named by what the caller does next: `Unavailable` = try again, `Refused` = somebody must mend something
first.
"""

import threading
from typing import TYPE_CHECKING, Any

from clickhouse_driver import Client, errors
from clickhouse_driver.util.helpers import parse_url

from pipeline.cluster import is_replicated, local
from pipeline.sinks.tables import HIGH_MARK_SQL, TABLES, insert_sql

if TYPE_CHECKING:
    from pipeline.rows import Rows
    from pipeline.settings import Settings

CONNECT_S = 5
ANSWER_S = 120  #: shorter than the server keeps a dead connection's insert, much longer than any insert takes

MOST_ROWS = 1 << 24  #: of one insert; batches are far smaller

#: One insert is one block: a crash could leave half of what is split.
INSERT_SETTINGS = {
    "insert_deduplicate": 1,
    "max_insert_threads": 1,
    "max_threads": 1,
    "max_block_size": MOST_ROWS,
    "min_insert_block_size_rows": MOST_ROWS,
    "min_insert_block_size_bytes": 0,
    "optimize_on_insert": 0,  # the store has merged already; merging again costs a fifth of the insert
}

#: Server errors that waiting cannot mend: what we send, who we are, or what is there is wrong.
FINAL_CODES = frozenset({
    16,  # NO_SUCH_COLUMN_IN_TABLE
    43,  # ILLEGAL_TYPE_OF_ARGUMENT
    46,  # UNKNOWN_FUNCTION
    47,  # UNKNOWN_IDENTIFIER
    53,  # TYPE_MISMATCH
    60,  # UNKNOWN_TABLE
    62,  # SYNTAX_ERROR
    81,  # UNKNOWN_DATABASE
    115,  # UNKNOWN_SETTING
    117,  # INCORRECT_DATA
    192,  # UNKNOWN_USER
    193,  # WRONG_PASSWORD
    497,  # ACCESS_DENIED
    516,  # AUTHENTICATION_FAILED
})  # fmt: skip


class Unavailable(RuntimeError):
    """ClickHouse does not answer, or is too busy or too full to take an insert now."""


class Refused(RuntimeError):
    """ClickHouse will not take this, now or later, until somebody mends what the message names."""


def client(settings: "Settings", is_admin: bool = False, **options: Any) -> Client:
    """Return a new client for BURNLINE_CLICKHOUSE_URL, its password from file or environment.

    `is_admin`: as the user who may change tables, when there is one beside the writer.
    """
    host, found = parse_url(settings.clickhouse_url)
    is_admin = is_admin and settings.clickhouse_admin_username is not None
    password = settings.secret("clickhouse_admin_password" if is_admin else "clickhouse_password")
    if is_admin:
        found["user"] = settings.clickhouse_admin_username
    if password:
        found["password"] = password
    limits = {
        "connect_timeout": CONNECT_S,
        "send_receive_timeout": ANSWER_S,
        "settings": {
            "insert_block_size": MOST_ROWS,  # the driver's own cut
            "distributed_foreground_insert": 1,  # on a cluster: done when the shards say so, by the insert's own token
        },
    }
    return Client(host, **{**limits, **found, **options})


def said(error: Exception) -> str:
    """An error's own words on one line, without the server's stack trace."""
    return " ".join(str(error).partition("Stack trace:")[0].split())


def translated(error: Exception) -> Exception:
    """Name a driver's error by what the caller does next."""
    if isinstance(error, errors.ServerException) and error.code in FINAL_CODES:
        return Refused(f"ClickHouse refuses (code {error.code}): {said(error)}")
    return Unavailable(f"ClickHouse cannot now: {said(error) or type(error).__name__}")


#: what the driver and its sockets raise when a server goes away in the middle of something
FAILURES = (errors.Error, OSError, EOFError)


class ClickHouse:
    """Inserts and high marks, one connection a thread."""

    def __init__(self, settings: "Settings") -> None:
        """Remember where the server is; connect at the first question."""
        self._settings = settings
        self._local = threading.local()
        self._clients: list[Client] = []
        self._has_keeper: bool | None = None  # None: not asked yet

    def insert(self, rows: "Rows", token: str | None) -> None:
        """Insert rows of one table and day as one block; token None: they are one by their identity, however often.

        Raises: Unavailable, Refused. After Unavailable the rows may be there, or only their token: see repeating.py.
        """
        columns = [rows.columns[name] for name in TABLES[rows.table]]
        once: dict[str, Any] = {"insert_deduplicate": 0}
        if token is not None:
            once = {"insert_deduplication_token": f"{token}/{rows.table}/{rows.day}/{rows.piece}"}
        self._ask(insert_sql(rows.table), columns, columnar=True, settings={**INSERT_SETTINGS, **once})

    def high_mark(self, topic: str, partition: int) -> int | None:
        """Return the last offset of a partition that is stored in every table; None: nothing is.

        Raises: Unavailable, Refused.
        """
        ((count, last_offset),) = self._ask(HIGH_MARK_SQL, {"topic": topic, "partition": partition})
        return int(last_offset) if count else None

    def select(self, *arguments: Any, **options: Any) -> Any:
        """Ask; arguments as clickhouse-driver's `execute` has them.

        Raises: Unavailable, Refused.
        """
        return self._ask(*arguments, **options)

    def has_keeper(self) -> bool:
        """Tell whether the tables are replicated, so that a token is there when its part is, and no sooner.

        Raises: Unavailable, Refused.
        """
        if self._has_keeper is None:
            ((made,),) = self._ask("SHOW CREATE TABLE marks")
            if "ENGINE = Distributed(" in made:
                ((made,),) = self._ask(f"SHOW CREATE TABLE {local('marks')}")
            self._has_keeper = is_replicated(made)
        return self._has_keeper

    def kept_d(self, table: str) -> int:
        """Return for how many days a tier keeps its rows."""
        return int(getattr(self._settings, f"ttl_{table}_d"))

    def close(self) -> None:
        """Close every connection. Call it when no thread is at work."""
        for connection in self._clients:
            connection.disconnect()

    def _ask(self, *arguments: Any, **options: Any) -> Any:
        connection = getattr(self._local, "client", None)
        if connection is None:
            connection = self._local.client = client(self._settings)
            self._clients.append(connection)
        try:
            return connection.execute(*arguments, **options)
        except FAILURES as error:
            connection.disconnect()
            raise translated(error) from error
