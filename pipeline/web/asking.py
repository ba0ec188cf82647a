"""Questions to ClickHouse: files of infra/clickhouse/page, asked read only, by few threads, each answer kept a while.

Law: values are bound by the server and never written into SQL that runs; who asks what somebody else asks, or asked
within the second, gets the same answer; no more questions run than threads and QUEUE wait, all others are told to come
again. While the server is away nobody waits for it: it is tried again every REST_S. Raises `NoAnswer` alone.
"""

import asyncio
import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from string import Template
from typing import TYPE_CHECKING, Any

from clickhouse_driver import errors

import infra
from pipeline.controls.predicates import literal as text_literal
from pipeline.settings import SettingsError
from pipeline.sinks.clickhouse import FAILURES, client, translated

if TYPE_CHECKING:
    from clickhouse_driver import Client

    from pipeline.settings import Settings

HOME = infra.HOME / "clickhouse" / "page"
THREADS = 4
NOTHING: Mapping[str, Any] = {}
QUEUE = 64  #: a page asks for eight charts at once
KEPT_S = 1.0  #: a hundred browsers cost one question a second
KEPT_MOST = 256
REST_S = 2.0
CONNECT_S, ANSWER_S = 2.0, 15.0
CLOSE_S = 0.2
#: half a small machine, and an end to what takes too long
LIMITS = {"max_execution_time": 10, "max_threads": 2, "max_result_rows": 200_000}
NAME = re.compile(r"[a-z0-9_]+")
USE = re.compile(r"\{(?P<name>[a-z_]+):(?P<type>[\w()]+)\}")
SLOW, BUSY = 159, 202  #: TIMEOUT_EXCEEDED, TOO_MANY_SIMULTANEOUS_QUERIES
UNKNOWN_NAMES = frozenset({47, 60, 81})  #: of a column, a table, a database


class NoAnswer(RuntimeError):
    """There is no answer now; the message says why, and what to do."""

    def __init__(self, why: str, retry_after_s: float = REST_S) -> None:
        super().__init__(why)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True)
class Found:
    """An answer, by columns; `sql` is what was asked, for people to ask it again."""

    sql: str
    names: tuple[str, ...]
    columns: list[tuple[Any, ...]] = field(repr=False)
    as_of: datetime
    took_s: float = 0.0

    def __len__(self) -> int:
        return len(self.columns[0]) if self.columns else 0

    def __getitem__(self, name: str) -> tuple[Any, ...]:
        return self.columns[self.names.index(name)] if self.columns else ()

    def rows(self) -> Iterator[dict[str, Any]]:
        """Each row as a dictionary."""
        return (dict(zip(self.names, row, strict=True)) for row in zip(*self.columns, strict=True))


@cache
def sql_of(name: str, parts: tuple[tuple[str, str], ...] = ()) -> str:
    """Read a file of SQL.

    Raises: ValueError for a part that is no plain name.
    """
    if not all(NAME.fullmatch(value) for _, value in parts):
        raise ValueError(f"no name: {parts}")
    return Template((HOME / f"{name}.sql").read_text("utf-8").strip()).substitute(dict(parts))


def shown(sql: str, values: dict[str, Any]) -> str:
    """Write values into SQL, for reading and copying; nothing runs this."""
    return USE.sub(lambda use: literal(values[use["name"]]), sql)


def literal(value: Any) -> str:
    """Write a value as SQL does."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(literal, value))}]"
    return text_literal(value) if isinstance(value, str) else repr(value)


@dataclass
class _Kept:
    asking: "asyncio.Task[Found]"
    until_s: float = float("inf")  # it is being asked


class Asking:
    """Asks ClickHouse for whoever serves pages. Of one event loop."""

    def __init__(
        self, settings: "Settings", clock: Callable[[], float] = time.monotonic, threads: int = THREADS
    ) -> None:
        """Remember where the server is; connect at the first question."""
        self._settings, self._clock, self._threads = settings, clock, threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="page")
        self._local, self._clients = threading.local(), list["Client"]()
        self._kept: dict[tuple[Any, ...], _Kept] = {}
        self._open = 0
        self._rest_until_s, self.away = float("-inf"), ""  # why it does not answer; empty: it does
        self.last_good_at: datetime | None = None

    def beside(self, threads: int) -> "Asking":
        """Make another, of threads of its own: for questions that wait for none of these."""
        return Asking(self._settings, self._clock, threads)

    async def ask(
        self,
        name: str,
        values: Mapping[str, Any] = NOTHING,
        kept_s: float = KEPT_S,
        parts: Mapping[str, str] = NOTHING,
    ) -> Found:
        """Ask a file of SQL, or take the answer that is kept; `parts`: names of ours that stand for $names in it.

        Raises: NoAnswer.
        """
        sql = sql_of(name, tuple(sorted(parts.items())))
        key = (sql, *sorted((each, tuple(v) if isinstance(v, list) else v) for each, v in values.items()))
        now_s = self._clock()
        kept = self._kept.get(key)
        if kept is None or kept.until_s < now_s:
            self._forget(now_s)
            kept = self._kept[key] = _Kept(asyncio.create_task(self._asked(sql, dict(values))))
            kept.asking.add_done_callback(lambda _: self._settle(key, kept, kept_s))
        return await asyncio.shield(kept.asking)

    async def _asked(self, sql: str, values: dict[str, Any]) -> Found:
        if self._clock() < self._rest_until_s:
            raise NoAnswer(self.away)
        if self._open >= self._threads + QUEUE:
            raise NoAnswer("too many questions wait for ClickHouse: ask again in a moment", 1.0)
        self._open += 1
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._pool, self._run, sql, values)
        except NoAnswer as error:
            if isinstance(error, _Away):
                self._rest_until_s, self.away = self._clock() + REST_S, str(error)
            raise
        finally:
            self._open -= 1
        self.last_good_at, self._rest_until_s, self.away = found.as_of, float("-inf"), ""
        return found

    def _settle(self, key: tuple[Any, ...], kept: _Kept, kept_s: float) -> None:
        """Keep an answer for a while from now on; forget a failure at once."""
        if kept.asking.cancelled() or kept.asking.exception() is not None:
            if self._kept.get(key) is kept:
                del self._kept[key]
            return
        kept.until_s = self._clock() + kept_s

    def _forget(self, now_s: float) -> None:
        old = [key for key, each in self._kept.items() if each.until_s < now_s]
        over = list(self._kept)[: max(0, len(self._kept) - len(old) - KEPT_MOST + 1)]
        for key in {*old, *over}:
            del self._kept[key]

    def _run(self, sql: str, values: dict[str, Any]) -> Found:
        """In a thread."""
        as_of, began = datetime.now(UTC), time.perf_counter()
        try:
            connection, limits = self._connection()
            columns, described = connection.execute(
                sql, values or None, columnar=True, with_column_types=True,
                settings={**limits, "server_side_params": 1} if values else limits,
            )  # fmt: skip
        except SettingsError as error:
            raise _Away(str(error)) from error
        except FAILURES as error:
            raise self._lost(error) from error
        names = tuple(column for column, _ in described)
        return Found(shown(sql, values), names, columns, as_of, time.perf_counter() - began)

    def _connection(self) -> "tuple[Client, dict[str, Any]]":
        """This thread's connection, and what bounds its questions.

        Raises: FAILURES, SettingsError.
        """
        if not hasattr(self._local, "client"):
            opened = client(self._settings, connect_timeout=CONNECT_S, send_receive_timeout=ANSWER_S)
            self._clients.append(opened)  # before it waits for anything: `close` ends that
            ((readonly,),) = opened.execute("SELECT getSetting('readonly')")
            self._local.client = opened
            self._local.limits = LIMITS if readonly else {**LIMITS, "readonly": 1}  # a reader may not even say so
        return self._local.client, self._local.limits

    def _lost(self, error: Exception) -> NoAnswer:
        if hasattr(self._local, "client"):
            self._local.client.disconnect()
        code = error.code if isinstance(error, errors.ServerException) else None
        said = str(translated(error))
        if code in UNKNOWN_NAMES:
            return NoAnswer(f"{said}. Run `burnline migrate`")
        if code in (SLOW, BUSY):
            return NoAnswer(f"{said}. Ask for less time, or again later")
        return NoAnswer(said) if code else _Away(f"{said}. `burnline doctor` says what is wrong with the set-up")

    async def close(self) -> None:
        """Let go of connections, and of threads, of which none waits for an answer any more."""
        for kept in self._kept.values():
            kept.asking.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)
        ended = asyncio.create_task(asyncio.to_thread(self._pool.shutdown))
        while not ended.done():
            for each in list(self._clients):
                _break(each)
            await asyncio.wait([ended], timeout=CLOSE_S)  # one may have been about to connect
        for each in self._clients:
            each.disconnect()


def _break(asked: "Client") -> None:
    """End what another thread waits for; what is left of the connection is that thread's."""
    with contextlib.suppress(OSError):
        if (opened := asked.connection.socket) is not None:
            opened.shutdown(socket.SHUT_RDWR)


class _Away(NoAnswer):
    """The server does not answer at all: nobody else needs to try it now."""
