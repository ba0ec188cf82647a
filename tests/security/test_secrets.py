"""Planted secrets are nowhere: not in output, logs, topics, tables, files, metrics or answers, whatever goes wrong."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition

from pipeline.commands.children import environment
from pipeline.settings import Settings
from pipeline.sinks.tables import TABLES
from pipeline.topics import NAMES
from tests.forking import Ran, ran
from tests.security.guarded import PASSWORDS, Guarded

pytestmark = [pytest.mark.servers, pytest.mark.slow]

MARKER = "planted-7f3a-"
TOKEN = f"{MARKER}http-token"
PREFIX = "secrets."


class Seen:
    """Everything that anybody could see, by where it was."""

    def __init__(self, secrets: list[str]) -> None:
        self.secrets, self.texts = [secret.encode() for secret in secrets], list[tuple[str, bytes]]()

    def add(self, where: str, text: bytes | str | None) -> None:
        self.texts.append((where, text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text or b""))

    def leaks(self) -> list[str]:
        return [f"{where}: {secret!r}" for where, text in self.texts for secret in self.secrets if secret in text]


def run(arguments: list[str], variables: dict[str, str], seen: Seen) -> Ran:
    """Run one command with as much said as it can say; keep what it prints."""
    done = ran({**os.environ, **variables}, ["--log-level", "debug", *arguments])
    seen.add(f"stdout of {arguments}", done.stdout)
    seen.add(f"stderr of {arguments}", done.stderr)
    return done


def records(site: Guarded) -> Iterator[bytes]:
    """Every byte of every record of our topics."""
    options = {"group.id": "x", "enable.auto.commit": False, "enable.partition.eof": True, "log_level": 0}
    reader = Consumer({**site.kafka.own_options, **options})
    topics = reader.list_topics(timeout=60).topics
    left = {(PREFIX + name, partition) for name in NAMES for partition in topics[PREFIX + name].partitions}
    reader.assign([TopicPartition(*place, 0) for place in left])
    deadline = time.monotonic() + 60
    while left and time.monotonic() < deadline:
        for message in reader.consume(1_000, timeout=0.2):
            if message.error() is None:
                headers = b"".join(k.encode() + (v or b"") for k, v in message.headers() or ())
                yield (message.key() or b"") + (message.value() or b"") + headers
            elif message.error().code() == KafkaError._PARTITION_EOF:
                left.discard((message.topic(), message.partition()))
    reader.close()
    assert not left


def rows(site: Guarded) -> Iterator[tuple[str, str]]:
    """Every row of every table, and of the server's own logs."""
    with site.clickhouse.client() as admin:
        admin.execute("SYSTEM FLUSH LOGS")
        for table in [*TABLES, "migrations", "system.query_log", "system.errors", "system.settings_changes"]:
            states = "EXCEPT(e2e_state, ttft_state, tpot_state)" if table.startswith("slices_") else ""
            for row in admin.execute_iter(f"SELECT * {states} FROM {table}"):
                yield f"table {table}", repr(row)


def files(directory: Path, secret_files: set[Path]) -> Iterator[Path]:
    """What was written under a directory, but for the files that hold the secrets."""
    for path in directory.rglob("*"):
        if path.is_file() and not path.is_symlink() and path not in secret_files:
            yield path


@pytest.fixture(scope="module")
def planted(site: Guarded) -> tuple[Settings, list[str], set[Path]]:
    """Settings with a marker in every secret, and the secrets."""
    site.prepare(PREFIX)
    token = site.home / "http.token"
    token.write_text(TOKEN)
    settings = site.settings("worker", topic_prefix=PREFIX, http_token_file=token, data_dir=site.home / "worker-data")
    secrets = [PASSWORDS[name] for name in PASSWORDS] + [TOKEN, settings.secret("clickhouse_password")]
    secrets += [
        site.clickhouse.admin_password_file.read_text(),
        site.clickhouse.reader_password_file.read_text(),
        MARKER,
    ]
    kept = {site.clickhouse.password_file, site.clickhouse.admin_password_file, token}
    kept |= {site.clickhouse.reader_password_file, *(site.home / f"{name}.password" for name in PASSWORDS)}
    return settings, secrets, kept


def test_a_run_of_everything_shows_no_secret(site: Guarded, planted: tuple[Settings, list[str], set[Path]]) -> None:
    settings, secrets, kept = planted
    seen, variables = Seen(secrets), environment(settings)
    log = site.home / "worker.stderr"
    command = [sys.executable, "-m", "pipeline.cli", "--log-level", "debug", "worker", "--json"]
    with log.open("wb") as stderr:
        worker = subprocess.Popen(command, env={**os.environ, **variables}, stdout=subprocess.PIPE, stderr=stderr)
    try:
        assert worker.stdout is not None
        line = worker.stdout.readline()
        assert line, log.read_text()
        seen.add("the worker's first line", line)
        address = json.loads(line)["http"]
        sender = environment(site.settings("producer", topic_prefix=PREFIX))
        assert (
            run(["simulate", "--rate", "300", "--duration", "3s", "--speed", "full", "--json"], sender, seen).returncode
            == 0
        )
        for arguments in (
            ["doctor"],
            ["doctor", "--json"],
            ["doctor", "--settings"],
            ["status", "--json"],
            ["alerts", "--json"],
        ):
            run(arguments, variables, seen)
        for path in ("/metrics", "/healthz", "/readyz", "/nowhere"):
            for headers in ({}, {"Authorization": f"Bearer {TOKEN}"}, {"Authorization": "Bearer x"}):
                answer = httpx.get(address + path, headers=headers, timeout=60)
                seen.add(f"{path} with {list(headers)}", answer.content + repr(answer.headers).encode())
    finally:
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0, log.read_text()
    seen.add("the worker's log", log.read_bytes())
    for record in records(site):
        seen.add("a record", record)
    for where, row in rows(site):
        seen.add(where, row)
    written = [*files(settings.data_dir, kept), *files(site.clickhouse.data_dir / "log", kept), site.kafka.log_path]
    for path in written:
        seen.add(str(path), path.read_bytes())
    assert len(seen.texts) > 300
    assert seen.leaks() == []


BROKEN: list[Any] = [
    pytest.param({"KAFKA_SASL_PASSWORD": f"{MARKER}kafka", "KAFKA_SASL_PASSWORD_FILE": ""}, id="a wrong one for Kafka"),
    pytest.param({"KAFKA_BROKERS": "127.0.0.1:1"}, id="no broker"),
    pytest.param({"CLICKHOUSE_PASSWORD": f"{MARKER}clickhouse", "CLICKHOUSE_PASSWORD_FILE": ""}, id="a wrong password"),
    pytest.param({"CLICKHOUSE_URL": f"clickhouse://u:{MARKER}url@127.0.0.1:1/burnline"}, id="a password in a URL"),
    pytest.param({"SCHEMA_REGISTRY_URL": f"http://user:{MARKER}registry@127.0.0.1:1"}, id="a registry that is away"),
    pytest.param({"UNIT_S": "nonsense", "KAFKA_SASL_PASSWORD": f"{MARKER}x"}, id="another setting that is wrong"),
    pytest.param({"STEPS": "nonsense", "HTTP_TOKEN": f"{MARKER}x"}, id="another setting, found later"),
    pytest.param({"HTTP_TOKEN_FILE": f"/nowhere/{'x'}"}, id="no token file"),
    pytest.param(
        {"KAFKA_SASL_MECHANISM": "OAUTHBEARER", "KAFKA_SASL_TOKEN_URL": f"http://u:{MARKER}q@127.0.0.1:1/{MARKER}p",
         "KAFKA_SASL_PASSWORD": f"{MARKER}secret", "KAFKA_SASL_PASSWORD_FILE": ""}, id="no token endpoint",
    ),
]  # fmt: skip


WAITING = 1  # the case of BROKEN in which only `doctor` does not wait for half a minute
COMMANDS: list[tuple[str, slice]] = [
    ("doctor --json", slice(None)), ("doctor", slice(0, 3)), ("worker", slice(WAITING + 1, None)),
    ("migrate", slice(WAITING + 1, None)), ("status --json", slice(2, 4)),
]  # fmt: skip
CASES = [
    pytest.param(command.split(), *case.values, id=f"{command}, {case.id}")
    for command, cases in COMMANDS
    for case in BROKEN[cases]
]


@pytest.mark.parametrize(("arguments", "changes"), CASES)
def test_whatever_goes_wrong_shows_no_secret(
    planted: tuple[Settings, list[str], set[Path]], arguments: list[str], changes: dict[str, str]
) -> None:
    settings, secrets, _ = planted
    variables = environment(settings) | {f"BURNLINE_{name}": value for name, value in changes.items()}
    seen = Seen(secrets)
    done = run(arguments, {name: value for name, value in variables.items() if value}, seen)
    assert done.returncode in {0, 1, 2}
    assert arguments == ["worker"] or b"Traceback" not in done.stderr  # a worker's log may say where it broke
    assert seen.leaks() == []


def test_the_search_finds_what_is_there() -> None:
    seen = Seen(["abc"])
    seen.add("somewhere", "xabcx")
    assert seen.leaks() == ["somewhere: b'abc'"]
