"""Logs: structured, on stderr, never on stdout."""

import logging
import sys
import time

import structlog

#: says every retry of a broker that is away; ours says it once
NOISY = ("aiokafka", "faust", "mode", "clickhouse_driver", "numba")


QUIET_S = 10.0  #: a line that a library repeats is said once in so long


class Repeats(logging.Filter):
    """Drops what a library says again and again while a server is away."""

    def __init__(self) -> None:
        super().__init__()
        self._said_s: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Let the first of equal templates through, then one each QUIET_S."""
        key, now_s = (record.name, str(record.msg)[:200]), time.monotonic()
        if now_s - self._said_s.get(key, -QUIET_S) < QUIET_S:
            return False
        if len(self._said_s) > 1_000:
            self._said_s.clear()
        self._said_s[key] = now_s
        return True


def configure(level: str = "info", as_json: bool = False) -> None:
    """Send our logs and the libraries' warnings to stderr, for people or for machines."""
    number = logging.getLevelNamesMapping()[level.upper()]
    renderer = (
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(format="%(asctime)s %(name)s %(message)s", level=logging.WARNING, stream=sys.stderr, force=True)
    for handler in logging.getLogger().handlers:
        handler.addFilter(Repeats())
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.ERROR)
