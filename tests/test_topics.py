"""Topics are created once, compared ever after, and never altered; client options follow Settings."""

import asyncio
import ssl
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic

import infra
from pipeline import topics
from pipeline.embedded import EmbeddedKafka
from pipeline.settings import Settings
from pipeline.topics import COUNTS, EVENTS, NAMES, STATE, STATUS, TopicsError, TopicSpec


def settings_on(kafka: EmbeddedKafka, prefix: str) -> Settings:
    """Settings for one test's own topics."""
    return Settings(kafka_brokers=kafka.brokers, topic_prefix=prefix)


def partitions(kafka: EmbeddedKafka, name: str) -> int:
    """Ask the broker."""
    admin = AdminClient({"bootstrap.servers": kafka.brokers})
    return len(admin.list_topics(timeout=60).topics[name].partitions)


def make(kafka: EmbeddedKafka, name: str, count: int) -> None:
    """Create a topic as somebody else would."""
    admin = AdminClient({"bootstrap.servers": kafka.brokers})
    admin.create_topics([NewTopic(name, count, -1)])[name].result(60)


@pytest.mark.servers
def test_topics_are_created_as_the_file_wants_them(kafka: EmbeddedKafka, topic_prefix: str) -> None:
    report = topics.create_topics(settings_on(kafka, topic_prefix))
    assert report.created == tuple(topic_prefix + name for name in topics.topics())
    assert (report.existing, report.differences) == ((), ())
    for name, spec in topics.topics().items():
        assert partitions(kafka, topic_prefix + name) == spec.partitions


@pytest.mark.servers
def test_the_second_time_nothing_is_created_and_nothing_differs(kafka: EmbeddedKafka, topic_prefix: str) -> None:
    settings = settings_on(kafka, topic_prefix)
    topics.create_topics(settings)
    report = topics.create_topics(settings)
    assert (report.created, report.differences) == ((), ())
    assert set(report.existing) == {topic_prefix + name for name in NAMES}


@pytest.mark.servers
def test_the_broker_stamps_events_with_its_own_clock(kafka: EmbeddedKafka, topic_prefix: str) -> None:
    topics.create_topics(settings_on(kafka, topic_prefix))
    stamps = []
    producer = Producer({"bootstrap.servers": kafka.brokers})
    producer.produce(
        topic_prefix + EVENTS,
        b"x",
        timestamp=1,
        on_delivery=lambda _, record: stamps.append(record.timestamp()),
    )
    producer.flush(60)
    (kind, time_ms), *_ = stamps
    assert kind == 2  # librdkafka's TIMESTAMP_LOG_APPEND_TIME
    assert time_ms > 1_700_000_000_000


@pytest.mark.servers
def test_what_differs_is_reported_and_left_alone(kafka: EmbeddedKafka, topic_prefix: str) -> None:
    make(kafka, topic_prefix + EVENTS, 3)
    report = topics.create_topics(settings_on(kafka, topic_prefix))
    assert topic_prefix + EVENTS in report.existing
    found = {(d.topic, d.setting): (d.wanted, d.found) for d in report.differences}
    assert found[topic_prefix + EVENTS, "partitions"] == ("8", "3")
    assert found[topic_prefix + EVENTS, "message.timestamp.type"] == ("LogAppendTime", "CreateTime")
    assert {topic for topic, _ in found} == {topic_prefix + EVENTS}
    assert partitions(kafka, topic_prefix + EVENTS) == 3


@pytest.mark.servers
def test_a_state_topic_unlike_its_counts_is_refused(kafka: EmbeddedKafka, topic_prefix: str) -> None:
    make(kafka, topic_prefix + STATE, 3)
    with pytest.raises(TopicsError, match=r"has 3 partitions and .* has 4: they must be equal"):
        topics.create_topics(settings_on(kafka, topic_prefix))


@pytest.mark.servers
def test_a_configuration_the_broker_refuses_is_told_in_its_words(kafka: EmbeddedKafka, topic_prefix: str) -> None:
    specs = {**topics.topics(), STATUS: TopicSpec(1, {"cleanup.policy": "shrink"})}
    with pytest.raises(TopicsError, match=r"slo\.status.*cleanup\.policy"):
        topics.create_topics(settings_on(kafka, topic_prefix), specs)


@pytest.mark.servers
def test_topics_have_the_brokers_default_replication(kafka: EmbeddedKafka, topic_prefix: str) -> None:
    topics.create_topics(settings_on(kafka, topic_prefix))
    admin = AdminClient({"bootstrap.servers": kafka.brokers})
    broker = ConfigResource(ConfigResource.Type.BROKER, "1")
    wanted = int(admin.describe_configs([broker])[broker].result(60)["default.replication.factor"].value)
    found = admin.list_topics(timeout=60).topics[topic_prefix + COUNTS].partitions[0]
    assert len(found.replicas) == wanted


def test_no_broker_is_an_error_that_names_the_variable() -> None:
    with pytest.raises(TopicsError, match="BURNLINE_KAFKA_BROKERS"):
        topics.cluster(Settings(kafka_brokers="127.0.0.1:1"), timeout_s=0.2)


def test_the_shipped_file_names_every_topic_and_its_limits() -> None:
    specs = topics.topics()
    assert set(specs) == set(NAMES)
    assert specs[STATE].partitions == specs[COUNTS].partitions
    assert specs[EVENTS].config["message.timestamp.type"] == "LogAppendTime"
    assert specs[STATE].config["cleanup.policy"] == specs[STATUS].config["cleanup.policy"] == "compact"


def test_names_get_the_prefix_in_front() -> None:
    assert topics.topic_name(Settings(topic_prefix="blue."), EVENTS) == "blue.inference.events"


BAD_FILES = [
    pytest.param("slo.status:", "slo.status: {partitions: 0}\nunused:", "missing or unknown: unused", id="extra"),
    pytest.param("slo.status:", "slo.stats:", "missing or unknown: slo.stats, slo.status", id="misspelled"),
    pytest.param("partitions: 8", "partitions: 0", "at least 1", id="no partitions"),
    pytest.param("partitions: 4                           #", "partitions: 5 #", "give slo.state", id="state"),
]


@pytest.mark.parametrize(("old", "new", "message"), BAD_FILES)
def test_a_topics_file_that_cannot_work_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = (infra.HOME / "topics.yaml").read_text()
    assert old in text
    (tmp_path / "topics.yaml").write_text(text.replace(old, new))
    with pytest.raises(TopicsError, match=message):
        topics.load_topics(tmp_path / "topics.yaml")


SASL = Settings(
    kafka_brokers="127.0.0.1:1",
    kafka_security_protocol="SASL_SSL",
    kafka_sasl_mechanism="SCRAM-SHA-512",
    kafka_sasl_username="u",
    kafka_sasl_password="p",
)
SECURITY = [
    pytest.param(Settings(kafka_brokers="127.0.0.1:1"), id="PLAINTEXT"),
    pytest.param(Settings(kafka_brokers="127.0.0.1:1", kafka_security_protocol="SSL"), id="SSL"),
    pytest.param(SASL.model_copy(update={"kafka_security_protocol": "SASL_PLAINTEXT"}), id="SASL_PLAINTEXT"),
    pytest.param(SASL, id="SASL_SSL"),
]


@pytest.mark.parametrize("settings", SECURITY)
def test_confluent_kafka_accepts_its_options(settings: Settings) -> None:
    AdminClient({**topics.confluent_config(settings), "log_level": 0})
    Producer({**topics.confluent_config(settings), "log_level": 0})


@pytest.mark.parametrize("settings", SECURITY)
def test_aiokafka_accepts_its_options(settings: Settings) -> None:
    async def construct() -> None:
        await AIOKafkaConsumer(**topics.aiokafka_config(settings)).stop()

    asyncio.run(construct())


def test_files_of_certificates_are_given_to_librdkafka_by_path() -> None:
    files = {"kafka_ssl_cafile": "ca.pem", "kafka_ssl_certfile": "c.pem", "kafka_ssl_keyfile": "k.pem"}
    options = topics.confluent_config(Settings(kafka_security_protocol="SSL", **files))
    assert {name: value for name, value in options.items() if name.startswith("ssl.")} == {
        "ssl.ca.location": "ca.pem",
        "ssl.certificate.location": "c.pem",
        "ssl.key.location": "k.pem",
    }


def test_tls_verifies_certificates_and_host_names() -> None:
    context = topics.ssl_context(Settings(kafka_security_protocol="SSL"))
    assert context is not None
    assert context.check_hostname
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert topics.ssl_context(Settings()) is None


@pytest.mark.parametrize("settings", SECURITY)
def test_faust_hands_aiokafka_the_same_security_as_we_do(settings: Settings) -> None:
    from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

    ours = topics.aiokafka_config(settings)
    faust = credentials_to_aiokafka_auth(topics.faust_config(settings).get("broker_credentials"))
    assert {**faust, "ssl_context": None} == {
        **{name: value for name, value in ours.items() if name != "bootstrap_servers"},
        "ssl_context": None,
    }
    assert (faust.get("ssl_context") is None) == (ours.get("ssl_context") is None)
