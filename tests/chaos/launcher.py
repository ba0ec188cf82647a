"""A worker that kills itself at a point: `python -m tests.chaos.launcher`, then the arguments of `burnline`.

BURNLINE_CHAOS_PHASE names the point, BURNLINE_CHAOS_CALL says at which time it is reached. What it wraps is real and
does its work; the process just ends there, as kill -9 ends it.
"""

import functools
import os
import signal
from collections.abc import Callable
from typing import Any

import aiokafka

from pipeline.sinks.clickhouse import ClickHouse
from pipeline.transport.ledger import KafkaLedger

PHASE, CALL = "BURNLINE_CHAOS_PHASE", "BURNLINE_CHAOS_CALL"
Matches = Callable[[tuple[Any, ...], dict[str, Any]], bool]


def anything(arguments: tuple[Any, ...], options: dict[str, Any]) -> bool:
    del arguments, options
    return True


def has_records(arguments: tuple[Any, ...], options: dict[str, Any]) -> bool:
    del options
    return bool(arguments[2].records)


def is_state(arguments: tuple[Any, ...], options: dict[str, Any]) -> bool:
    del options
    return str(arguments[1]).endswith("slo.state")


def is_last_state(arguments: tuple[Any, ...], options: dict[str, Any]) -> bool:
    return is_state(arguments, options) and options.get("key") == b"@partition"


def into(table: str) -> Matches:
    return lambda arguments, options: arguments[1].table.startswith(table)


#: point -> (class, method, which calls, whether it dies before or after them)
PHASES: dict[str, tuple[Any, str, Matches, str]] = {
    "before the transaction": (KafkaLedger, "write", has_records, "before"),
    "inside the transaction": (aiokafka.AIOKafkaProducer, "send", anything, "after"),
    "before the commit": (aiokafka.AIOKafkaProducer, "commit_transaction", anything, "before"),
    "after the commit": (aiokafka.AIOKafkaProducer, "commit_transaction", anything, "after"),
    "before the judge's state": (aiokafka.AIOKafkaProducer, "send", is_state, "before"),
    "after the judge's state": (aiokafka.AIOKafkaProducer, "send", is_last_state, "after"),
    "before the insert": (ClickHouse, "insert", into("counts_10s"), "before"),
    "between the inserts": (ClickHouse, "insert", into("counts_10s"), "after"),
    "before the mark": (ClickHouse, "insert", into("marks"), "before"),
    "after the insert": (ClickHouse, "insert", into("marks"), "after"),
}


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(phase: str, call: int) -> None:
    """Die at the `call`-th time that the phase's point is reached."""
    owner, name, matches, when = PHASES[phase]
    method, left = getattr(owner, name), [call]

    def is_time(arguments: tuple[Any, ...], options: dict[str, Any]) -> bool:
        left[0] -= matches(arguments, options)
        return left[0] <= 0 and matches(arguments, options)

    if name in {"insert"}:

        @functools.wraps(method)
        def blocking(*arguments: Any, **options: Any) -> Any:
            is_now = is_time(arguments, options)
            if is_now and when == "before":
                die()
            result = method(*arguments, **options)
            if is_now:
                die()
            return result

        setattr(owner, name, blocking)
        return

    @functools.wraps(method)
    async def wrapped(*arguments: Any, **options: Any) -> Any:
        is_now = is_time(arguments, options)
        if is_now and when == "before":
            die()
        result = await method(*arguments, **options)
        if is_now:
            die()
        return result

    setattr(owner, name, wrapped)


if __name__ == "__main__":
    from pipeline.cli import main

    arm(os.environ[PHASE], int(os.environ[CALL]))
    main()
