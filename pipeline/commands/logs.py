"""Logs: structured, on stderr, never on stdout."""

import logging
import sys
import time

#: says every retry of a broker that is away; ours says it once
NOISY = ("aiokafka", "faust", "mode", "clickhouse_driver", "numba")


QUIET_S = 10.0  #: a line that a library repeats is said once in so long


#: what would end a line of the log and begin a forged one, or move the terminal that shows it
VISIBLE = {code: repr(chr(code))[1:-1] for code in (*range(32), *range(127, 160))}


class OneLine(logging.Formatter):
    """Writes what a library says, which may hold what a peer said, in one line."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name it overrides
        return super().formatMessage(record).translate(VISIBLE)


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
    import structlog  # which brings rich's tracebacks: `--help` does without

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
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),  # as it is then: others may have put it elsewhere
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, force=True)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(OneLine("%(asctime)s %(name)s %(message)s"))
        handler.addFilter(Repeats())
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.ERROR)
