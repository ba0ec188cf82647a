"""What the command line says when it cannot work: one line, what to do, the right exit code, never a traceback."""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
import structlog

from pipeline.cli import main


class Done(NamedTuple):
    """How it ended, and what it said."""

    code: object
    stdout: str
    stderr: str


Burnline = Callable[..., Done]


@pytest.fixture
def burnline(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Burnline]:
    """The command, from its first line to its exit code, without a process of its own: its start takes longer."""
    handlers = logging.getLogger().handlers[:]

    def run(*arguments: str, **environment: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["burnline", *arguments])
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:  # anything else would be a traceback
            main()
        return Done(ended.value.code, *capsys.readouterr())

    yield run
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = handlers


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        pytest.param({"BURNLINE_STEPS": "ingest,cook"}, "use some of ingest, judge, store", id="an unknown step"),
        pytest.param({"BURNLINE_GRACE_S": "soon"}, "BURNLINE_GRACE_S: ", id="a number that is none"),
        pytest.param(
            {"BURNLINE_KAFKA_SSL_CERTFILE": "a"}, "BURNLINE_KAFKA_SSL_KEYFILE", id="a certificate without key"
        ),
    ],
)
def test_a_setting_that_cannot_be_used_is_a_usage_error_in_one_line(
    burnline: Burnline, environment: dict[str, str], said: str
) -> None:
    done = burnline("status", **environment)
    assert done.code == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_refused_secret_is_not_repeated(burnline: Burnline) -> None:
    done = burnline("status", BURNLINE_KAFKA_SASL_USERNAME="u", BURNLINE_KAFKA_SASL_PASSWORD="planted-secret")
    assert done.code == 2
    assert "planted-secret" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["change", "add", "--service", "chat", "--kind", "note", "--title"], id="a title"),
        pytest.param(["alerts", "--slo"], id="a name to ask for"),
        pytest.param(["slo", "validate"], id="a file"),
    ],
)
def test_bytes_that_are_no_text_are_a_usage_error_in_one_line(burnline: Burnline, words: list[str]) -> None:
    done = burnline(*words, os.fsdecode(b"deploy\xff"))
    assert done.code == 2
    assert done.stderr == "burnline: an argument is no UTF-8: 'deploy\\udcff' -> write it as UTF-8\n"


@pytest.mark.parametrize("command", ["status", "alerts"])
def test_no_clickhouse_is_a_failure_that_says_where_to_look(burnline: Burnline, command: str) -> None:
    done = burnline(command, BURNLINE_CLICKHOUSE_URL="clickhouse://nobody@127.0.0.1:1/burnline")
    assert done.code == 1
    assert "burnline doctor" in done.stderr
