"""EmbeddedKafka is a real broker: loopback only, durable, one to a directory."""

from pathlib import Path

import psutil
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from pipeline.embedded import EmbeddedError, EmbeddedKafka, jars
from pipeline.embedded.kafka import PROPERTIES, format_storage, java
from pipeline.embedded.kafka_security import Ports, listeners

pytestmark = pytest.mark.servers
TOPIC = "kept"


def listening(pid: int) -> set[str]:
    """The addresses a process listens on."""
    return {c.laddr.ip for c in psutil.Process(pid).net_connections("inet") if c.status == psutil.CONN_LISTEN}


def produce(brokers: str, value: bytes) -> None:
    """Append one record and wait until the broker has it."""
    producer = Producer({"bootstrap.servers": brokers, "acks": "all"})
    producer.produce(TOPIC, value)
    assert producer.flush(60) == 0


def records(brokers: str, count: int) -> list[bytes]:
    """Read `count` records from the topic's beginning."""
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "unused"})
    consumer.assign([TopicPartition(TOPIC, 0, OFFSET_BEGINNING)])
    try:
        return [record.value() for record in consumer.consume(count, timeout=60)]
    finally:
        consumer.close()


def test_the_broker_listens_on_loopback_only(kafka: EmbeddedKafka) -> None:
    assert listening(kafka.pid) in ({"127.0.0.1"}, {"::ffff:127.0.0.1"})


def test_records_are_there_again_after_a_stop_and_after_a_kill(tmp_path: Path) -> None:
    broker = EmbeddedKafka(tmp_path)
    with broker:
        port = broker.port
        admin = AdminClient({"bootstrap.servers": broker.brokers})
        admin.create_topics([NewTopic(TOPIC, 1, -1)])[TOPIC].result(60)
        produce(broker.brokers, b"before the stop")
        broker.stop()
        broker.start()
        assert broker.port == port
        produce(broker.brokers, b"before the kill")
        broker.kill()
    with EmbeddedKafka(tmp_path) as another:
        assert records(another.brokers, 2) == [b"before the stop", b"before the kill"]


def test_a_second_broker_on_the_same_directory_is_refused(kafka: EmbeddedKafka) -> None:
    with pytest.raises(EmbeddedError, match="in use by another server"):
        EmbeddedKafka(kafka.data_dir).start()
    assert AdminClient({"bootstrap.servers": kafka.brokers}).list_topics(timeout=60).brokers


def test_a_port_that_is_taken_is_refused_with_the_brokers_reason(kafka: EmbeddedKafka, tmp_path: Path) -> None:
    with pytest.raises(EmbeddedError, match="Address already in use"):
        EmbeddedKafka(tmp_path, port=kafka.port).start()


def test_stop_and_kill_of_a_broker_that_never_started_do_nothing(tmp_path: Path) -> None:
    broker = EmbeddedKafka(tmp_path)
    broker.stop()
    broker.kill()
    assert not list(tmp_path.iterdir())


def test_a_cluster_id_may_begin_with_a_minus_sign(tmp_path: Path) -> None:
    """One random id in 64 does."""
    properties, log = tmp_path / "server.properties", tmp_path / "log"
    doors = listeners(None, Ports(client=1, controller=2, own=3), "")
    properties.write_text(PROPERTIES.format(host="127.0.0.1", controller_port=2, log_dir=log, listeners=doors))
    format_storage([java(), "-cp", jars.class_path()], properties, "-VzAoGptSLC-gSeONM2ILQ", [])
    assert "cluster.id=-VzAoGptSLC-gSeONM2ILQ\n" in (log / "meta.properties").read_text()
    with pytest.raises(EmbeddedError, match="already formatted"):
        format_storage([java(), "-cp", jars.class_path()], properties, "-VzAoGptSLC-gSeONM2ILQ", [])
