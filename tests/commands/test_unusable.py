"""What the command line says when it cannot work: one line, what to do, the right exit code, never a traceback."""

import os
import subprocess
import sys

import pytest


def burnline(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipeline.cli", *arguments]
    env = {**os.environ, **environment}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)


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
def test_a_setting_that_cannot_be_used_is_a_usage_error_in_one_line(environment: dict[str, str], said: str) -> None:
    done = burnline("status", **environment)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_refused_secret_is_not_repeated() -> None:
    done = burnline("status", BURNLINE_KAFKA_SASL_USERNAME="u", BURNLINE_KAFKA_SASL_PASSWORD="planted-secret")
    assert done.returncode == 2
    assert "planted-secret" not in done.stdout + done.stderr


@pytest.mark.parametrize("command", ["status", "alerts"])
def test_no_clickhouse_is_a_failure_that_says_where_to_look(command: str) -> None:
    done = burnline(command, BURNLINE_CLICKHOUSE_URL="clickhouse://nobody@127.0.0.1:1/burnline")
    assert done.returncode == 1
    assert "burnline doctor" in done.stderr
    assert "Traceback" not in done.stderr
