"""Logs of libraries that repeat themselves."""

import logging

from pipeline.commands.logs import Repeats


def record(message: str, *arguments: object) -> logging.LogRecord:
    return logging.LogRecord("aiokafka", logging.ERROR, __file__, 1, message, arguments, None)


def test_a_line_that_is_repeated_is_said_once() -> None:
    repeats = Repeats()
    said = [repeats.filter(record("Unable connect to node with id %s", n)) for n in range(3)]
    assert said == [True, False, False]


def test_different_lines_are_all_said() -> None:
    repeats = Repeats()
    assert all(repeats.filter(record(text)) for text in ("a", "b", "c"))
