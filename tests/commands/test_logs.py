"""Logs of libraries that repeat themselves."""

import json
import logging

import pytest
import structlog

from pipeline.commands.logs import OneLine, Repeats, configure


def record(message: str, *arguments: object) -> logging.LogRecord:
    return logging.LogRecord("aiokafka", logging.ERROR, __file__, 1, message, arguments, None)


def test_a_line_that_is_repeated_is_said_once() -> None:
    repeats = Repeats()
    said = [repeats.filter(record("Unable connect to node with id %s", n)) for n in range(3)]
    assert said == [True, False, False]


def test_different_lines_are_all_said() -> None:
    repeats = Repeats()
    assert all(repeats.filter(record(text)) for text in ("a", "b", "c"))


FORGED = "no broker\n2026-01-01T00:00:00Z [error    ] all is lost \x1b[2J\x9b1A"


@pytest.mark.parametrize("as_json", [False, True])
def test_what_a_peer_said_forges_no_line_and_moves_no_terminal(
    as_json: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    before, handlers = structlog.get_config(), logging.getLogger().handlers[:]
    try:
        configure(as_json=as_json)
        structlog.get_logger().warning("store waits", error=FORGED)
    finally:
        structlog.configure(**before)
        logging.getLogger().handlers[:] = handlers
    (line,) = capfd.readouterr().err.split("\n")[:-1]
    assert line.isprintable() and (not as_json or json.loads(line)["error"] == FORGED)


def test_what_a_library_says_is_one_line_too() -> None:
    line = OneLine("%(name)s %(message)s").format(record("refused: %s", FORGED))
    assert line.isprintable() and line.startswith("aiokafka refused: no broker\\n2026")
