"""Kafka behind TLS, passwords, tokens and access lists: who should come in does, who should not is told why."""

import json
import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaException, Producer

from jobs.drain.feeding import Drain, DrainFailed, said
from jobs.drain.letters import Choice
from pipeline import grants
from pipeline.commands.children import WorkerFailed
from pipeline.grants import GROUP, TRANSACTIONAL_ID, Grant
from pipeline.settings import Settings
from pipeline.topics import (
    ALERTS,
    DEAD_LETTERS,
    EVENTS,
    TopicsError,
    cluster,
    confluent_config,
    create_topics,
    topic_name,
)
from tests.jobs.test_drain import about
from tests.security.certificates import Signer
from tests.security.guarded import PASSWORDS, Guarded

pytestmark = [pytest.mark.servers, pytest.mark.slow]
DOCUMENT = Path(grants.__file__).parent.parent / grants.DOCUMENT


def counted(site: Guarded) -> int:
    with site.clickhouse.client("burnline_reader") as client:
        return int(client.execute("SELECT sum(requests) FROM sli")[0][0])


def pass_through(site: Guarded, worker_settings: Settings, prefix: str) -> None:
    """Send events as the producer; a worker with these settings must count every one of them."""
    worker = site.worker(worker_settings)
    try:
        worker.ready()
        before = counted(site)
        sent = site.run(
            site.settings("producer", topic_prefix=prefix),
            "simulate", "--rate", "500", "--duration", "4s", "--speed", "full", "--json",
        )  # fmt: skip
        assert sent.returncode == 0, sent.stderr
        events = json.loads(sent.stdout)["events"]
        deadline = time.monotonic() + 120
        while counted(site) < before + events and time.monotonic() < deadline:
            assert worker.process.poll() is None, worker.log.read_text()
            time.sleep(0.25)
        assert counted(site) == before + events > before, worker.log.read_text()
        assert worker.stop(120) == 0
    finally:
        worker.kill()
    said = worker.log.read_text()
    assert "AuthorizationFailed" not in said and "refused" not in said


def test_with_exactly_its_grants_each_role_does_its_work(site: Guarded, topic_prefix: str) -> None:
    site.prepare(topic_prefix)
    settings = site.settings("worker", topic_prefix=topic_prefix)
    remembering = site.settings("worker", topic_prefix=topic_prefix, duplicates_window_s=60)
    findings = json.loads(site.run(remembering, "doctor", "--json").stdout)
    assert [finding for finding in findings if not finding["ok"]] == []
    (duplicates,) = (finding for finding in findings if finding["check"] == "duplicates")
    assert "cannot be looked at" in duplicates["detail"] and "LogAppendTime" in duplicates["remedy"]
    pass_through(site, settings, topic_prefix)


def test_alerts_are_read_with_the_grants_of_a_reader(site: Guarded, topic_prefix: str) -> None:
    site.prepare(topic_prefix)
    settings = site.settings("alerts", topic_prefix=topic_prefix)
    topic = topic_name(settings, ALERTS)
    owner = Producer({**site.kafka.own_options, "log_level": 0})
    owner.produce(topic, b"an alert")
    assert owner.flush(60) == 0
    reader = Consumer({**confluent_config(settings), "group.id": "alerts-x", "auto.offset.reset": "earliest"})
    reader.subscribe([topic])
    try:
        deadline = time.monotonic() + 60
        while (message := reader.poll(0.5)) is None and time.monotonic() < deadline:
            pass
        assert message is not None and message.error() is None and message.value() == b"an alert"
    finally:
        reader.close()


def test_tokens_that_the_broker_can_verify_get_a_worker_in(site: Guarded, topic_prefix: str, tmp_path: Path) -> None:
    site.prepare(topic_prefix)
    file = tmp_path / "token"
    file.write_text(site.signer.token("worker"))
    pass_through(site, by_token(site, file, topic_prefix=topic_prefix), topic_prefix)


def by_token(site: Guarded, file: Path, **changes: Any) -> Settings:
    given = {"kafka_sasl_mechanism": "OAUTHBEARER", "kafka_sasl_username": None, "kafka_sasl_password_file": None}
    return site.settings("worker", **{**given, "kafka_sasl_token_file": file, **changes})


def wrong_password(site: Guarded, home: Path) -> Settings:
    (home / "password").write_text("not it")
    return site.settings("worker", kafka_sasl_password_file=home / "password")


def unknown_user(site: Guarded, _: Path) -> Settings:
    return site.settings("worker", kafka_sasl_username="somebody")


def untrusted(site: Guarded, _: Path) -> Settings:
    return site.settings("worker", kafka_ssl_cafile=site.stranger.file)


def no_tls(site: Guarded, _: Path) -> Settings:
    return Settings(
        kafka_brokers=site.kafka.brokers, clickhouse_url=site.clickhouse.url, slo_dir=site.home / "slo",
        clickhouse_password_file=site.clickhouse.password_file, data_dir=site.home / "data",
    )  # fmt: skip


def no_password(site: Guarded, _: Path) -> Settings:
    return no_tls(site, _).model_copy(
        update={"kafka_security_protocol": "SSL", "kafka_ssl_cafile": site.authority.file}
    )


def another_mechanism(site: Guarded, _: Path) -> Settings:
    return site.settings("worker", kafka_sasl_mechanism="PLAIN")


def forged_token(site: Guarded, home: Path) -> Settings:
    (home / "token").write_text(Signer(home / "keys.json").token("worker"))
    return by_token(site, home / "token")


def expired_token(site: Guarded, home: Path) -> Settings:
    (home / "token").write_text(site.signer.token("worker", -60))
    return by_token(site, home / "token")


def absent_token(site: Guarded, home: Path) -> Settings:
    return by_token(site, home / "nothing")


REFUSED = [
    pytest.param(wrong_password, r"refuses us.*BURNLINE_KAFKA_SASL_PASSWORD_FILE", id="a wrong password"),
    pytest.param(unknown_user, r"refuses us.*BURNLINE_KAFKA_SASL_USERNAME", id="an unknown user"),
    pytest.param(untrusted, r"certificate verify failed.*BURNLINE_KAFKA_SSL_CAFILE", id="an untrusted authority"),
    pytest.param(no_tls, r"BURNLINE_KAFKA_SECURITY_PROTOCOL", id="no TLS"),
    pytest.param(no_password, r"BURNLINE_KAFKA_SECURITY_PROTOCOL", id="TLS without a password"),
    pytest.param(another_mechanism, r"BURNLINE_KAFKA_SASL_MECHANISM", id="another mechanism"),
    pytest.param(forged_token, r"refuses us.*BURNLINE_KAFKA_SASL_TOKEN_FILE", id="a forged token"),
    pytest.param(expired_token, r"has expired.*BURNLINE_KAFKA_SASL_TOKEN_FILE", id="an expired token"),
    pytest.param(absent_token, r"BURNLINE_KAFKA_SASL_TOKEN_FILE: .* cannot be read", id="no token"),
]


@pytest.mark.parametrize(("make", "says"), REFUSED)
def test_who_may_not_come_in_is_told_what_to_mend(site: Guarded, tmp_path: Path, make: Any, says: str) -> None:
    settings = make(site, tmp_path)
    patience_s = 3.0 if make in (no_tls, no_password) else 60.0  # a broker that wants TLS says nothing to who has none
    with pytest.raises(TopicsError, match=says) as refused:
        cluster(settings, patience_s)
    assert not any(password in str(refused.value) for password in PASSWORDS.values())


@pytest.mark.parametrize("command", [("doctor", "--json"), ("worker",), ("migrate",), ("simulate", "--duration", "1s")])
def test_every_command_says_so_in_one_line(site: Guarded, tmp_path: Path, command: tuple[str, ...]) -> None:
    tables = {"clickhouse_admin_username": "burnline_admin",
              "clickhouse_admin_password_file": site.clickhouse.admin_password_file}  # fmt: skip
    done = site.run(wrong_password(site, tmp_path).model_copy(update=tables), *command)
    assert done.returncode == 1
    assert "BURNLINE_KAFKA_SASL_PASSWORD_FILE" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr and "not it" not in done.stdout + done.stderr


NEEDED = grants.worker(Settings())


@pytest.fixture(scope="module")
def prepared(site: Guarded) -> str:
    site.prepare("acl.")
    return "acl."


def in_place(needed: Grant, prefix: str) -> Grant:
    """A grant of the unprefixed table, for a prefix."""
    wanted = grants.worker(Settings(topic_prefix=prefix))
    return wanted[NEEDED.index(needed)]


@pytest.mark.parametrize("needed", [g for g in NEEDED if g.resource != TRANSACTIONAL_ID], ids=str)
def test_a_missing_grant_is_named_before_a_worker_starts(site: Guarded, prepared: str, needed: Grant) -> None:
    settings, grant = site.settings("worker", topic_prefix=prepared), in_place(needed, prepared)
    site.revoke("worker", grant)
    try:
        missing = grants.missing(cluster(settings)[0], grants.worker(settings))
        assert missing == [grant]
        assert f"{grant.operation} on {grant.resource.lower()} {grant.name}" in grants.refusal(missing)
    finally:
        site.grant("worker", [grant])


@pytest.mark.parametrize("needed", [NEEDED[0], next(g for g in NEEDED if g.resource == GROUP)], ids=str)
def test_a_worker_without_a_grant_ends_and_says_which(site: Guarded, prepared: str, needed: Grant) -> None:
    grant = in_place(needed, prepared)
    site.revoke("worker", grant)
    try:
        done = site.run(site.settings("worker", topic_prefix=prepared), "worker")
    finally:
        site.grant("worker", [grant])
    assert done.returncode == 1
    assert str(grant) in done.stderr and grants.DOCUMENT in done.stderr and "Traceback" not in done.stderr


def test_a_step_without_its_transactional_ids_ends_and_says_so(site: Guarded, prepared: str) -> None:
    grant = in_place(next(g for g in NEEDED if g.resource == TRANSACTIONAL_ID), prepared)
    site.revoke("worker", grant)
    worker = site.worker(site.settings("worker", topic_prefix=prepared, steps="ingest"))
    try:
        with pytest.raises(WorkerFailed):
            worker.ready()
        said = worker.log.read_text()
        assert "TransactionalIdAuthorizationFailed" in said and grants.DOCUMENT in said
        assert worker.process.returncode == 1
    finally:
        worker.kill()
        site.grant("worker", [grant])


def drained(site: Guarded, settings: Settings) -> str:
    """Put a dead letter aside and drain; return why it was refused, or nothing."""
    owner = Producer({**site.kafka.own_options, "log_level": 0})
    headers = list(about("unframed", topic=topic_name(settings, EVENTS)))
    owner.produce(topic_name(settings, DEAD_LETTERS), b"no event", headers=headers)
    assert owner.flush(60) == 0
    try:
        Drain(settings, Choice(topic_name(settings, EVENTS)), lambda *_: None).run(threading.Event())
    except (DrainFailed, KafkaException) as error:
        return said(error.args[0]) if isinstance(error, KafkaException) else str(error)
    return ""


def test_dead_letters_are_fed_again_with_the_grants_of_a_drain_and_without_any_of_them_not(
    site: Guarded, topic_prefix: str
) -> None:
    site.prepare(topic_prefix)
    settings = site.settings("drain", topic_prefix=topic_prefix)
    for grant in grants.drain(settings):
        site.revoke("drain", grant)
        try:
            assert grants.DOCUMENT in drained(site, settings), grant
        finally:
            site.grant("drain", [grant])
    assert drained(site, settings) == ""


def test_nobody_else_may_write_or_create(site: Guarded, topic_prefix: str) -> None:
    site.prepare(topic_prefix)
    nobody = site.settings("nobody", topic_prefix=topic_prefix)
    done = site.run(nobody, "simulate", "--duration", "1s")
    assert done.returncode == 1 and f"WRITE on topic {topic_prefix}{EVENTS}" in done.stderr
    with pytest.raises(TopicsError, match="refuses to create"):
        create_topics(nobody.model_copy(update={"topic_prefix": f"other.{topic_prefix}"}))
    lost: list[Any] = []
    writer = Producer({**confluent_config(site.settings("alerts")), "log_level": 0, "message.timeout.ms": 60_000})
    writer.produce(f"{topic_prefix}{EVENTS}", b"x", on_delivery=lambda error, _: lost.append(error))
    writer.flush(90)
    assert [error.name() for error in lost] == ["TOPIC_AUTHORIZATION_FAILED"]


def test_a_topic_that_is_not_there_is_still_a_missing_topic(site: Guarded, topic_prefix: str) -> None:
    """With the grants but without topics: the remedy is to migrate, not to grant."""
    settings = site.settings("worker", topic_prefix=topic_prefix)
    site.grant("worker", grants.worker(settings))
    done = site.run(settings, "worker")
    assert done.returncode == 1 and "burnline migrate" in done.stderr


def test_the_document_lists_exactly_the_grants() -> None:
    rows = re.findall(r"^\| (\w[\w ]*) \| (\w+) \| `(\S+)` \| (\w+) \|", DOCUMENT.read_text(), re.MULTILINE)
    written = {(role, Grant(kind, name.rstrip("*"), operation, "*" in name)) for role, kind, name, operation in rows}
    settings = Settings(topic_prefix="", group="burnline")
    roles = (
        "worker", "deliverer", "producer", "change writer", "snapshot writer", "signal writer", "signal reader",
        "alert reader", "drain",
    )  # fmt: skip
    wanted = {(role, grant) for role in roles for grant in grants.ROLES[role](settings)}
    assert written == wanted
    admin = {grant.operation for grant in grants.ROLES["admin"](settings)}
    assert f"| {', '.join(sorted(admin))} |" in DOCUMENT.read_text()


def test_the_embedded_brokers_own_files_are_private(site: Guarded) -> None:
    for path in (site.kafka.data_dir, site.kafka.data_dir / "server.properties"):
        assert path.stat().st_mode & 0o077 == 0
