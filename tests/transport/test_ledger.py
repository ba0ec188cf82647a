"""Kafka as a ledger: what a transaction holds, and that a former owner writes nothing any more."""

import asyncio
from typing import Any

import pytest
from aiokafka.errors import ProducerFenced
from confluent_kafka import Consumer, TopicPartition
from faust.types import TP

from pipeline.embedded import EmbeddedKafka
from pipeline.records import OutRecord, Unit, UnitFacts
from pipeline.transport import KafkaLedger
from tests.transport.counting import NUMBERS, SUM_PARTITIONS, SUMS, committed_records, create_topics

pytestmark = pytest.mark.servers


class Place:
    """One source partition, its group, and the topic that is written to."""

    def __init__(self, kafka: EmbeddedKafka, prefix: str) -> None:
        create_topics(kafka.brokers, prefix, 2)
        self.brokers, self.group = kafka.brokers, f"{prefix}group"
        self.tp, self.out = TP(prefix + NUMBERS, 1), prefix + SUMS

    def ledger(self) -> KafkaLedger:
        return KafkaLedger({"bootstrap_servers": self.brokers}, self.group)

    def facts(self, first: int, following: int) -> UnitFacts:
        return UnitFacts(self.tp.topic, self.tp.partition, 2, first, following, 0)

    def committed(self) -> int:
        """The group's offset; -1001: none."""
        consumer = Consumer({"bootstrap.servers": self.brokers, "group.id": self.group, "log_level": 0})
        [place] = consumer.committed([TopicPartition(*self.tp)], timeout=60)
        consumer.close()
        return int(place.offset)

    def records(self) -> list[Any]:
        return list(committed_records(self.brokers, self.out, SUM_PARTITIONS))


@pytest.fixture
def place(kafka: EmbeddedKafka, topic_prefix: str) -> Place:
    return Place(kafka, topic_prefix)


def test_a_unit_is_its_records_and_its_offset(place: Place) -> None:
    records = [
        OutRecord(place.out, b"value", b"key", 1, (("reason", b"TOO_LONG"), ("empty", b""))),
        OutRecord(place.out, None, b"tombstone", 0),
        OutRecord(place.out, b"no key", partition=0),
        OutRecord(place.out, b"x" * (3 << 20), b"larger than a batch", 1),
        OutRecord(place.out, b"by its key", b"any"),
    ]

    async def work() -> None:
        ledger = place.ledger()
        assert await ledger.open(place.tp) is None
        await ledger.write(place.tp, Unit(records[:4]), place.facts(0, 70))
        await ledger.write(place.tp, Unit(records[4:], commit=False), place.facts(70, 90))
        await ledger.write(place.tp, Unit(), place.facts(90, 90))
        await ledger.close()

    asyncio.run(asyncio.wait_for(work(), 60))
    found = {message.key(): message for message in place.records()}
    assert {key: message.value() for key, message in found.items()} == {r.key: r.value for r in records}
    assert all(found[r.key].partition() == r.partition for r in records if r.partition is not None)
    assert found[b"key"].headers() == [("reason", b"TOO_LONG"), ("empty", b"")]
    assert place.committed() == 70


def test_a_former_owner_writes_nothing_any_more(place: Place) -> None:
    async def work() -> None:
        former, owner = place.ledger(), place.ledger()
        await former.open(place.tp)
        await former.write(place.tp, Unit([OutRecord(place.out, b"1", partition=0)]), place.facts(0, 10))
        await owner.open(place.tp)
        with pytest.raises(ProducerFenced):
            await former.write(place.tp, Unit([OutRecord(place.out, b"2", partition=0)]), place.facts(10, 20))
        await owner.write(place.tp, Unit([OutRecord(place.out, b"3", partition=0)]), place.facts(10, 15))
        await former.close()
        await owner.close()

    asyncio.run(asyncio.wait_for(work(), 60))
    assert [message.value() for message in place.records()] == [b"1", b"3"]
    assert place.committed() == 15


def test_what_a_failed_unit_has_sent_is_not_read(place: Place) -> None:
    async def work() -> None:
        ledger = place.ledger()
        await ledger.open(place.tp)
        unit = Unit([OutRecord(place.out, b"sent", partition=0), OutRecord(place.out, b"", partition=99)])
        with pytest.raises(Exception, match=r"[Pp]artition"):
            await ledger.write(place.tp, unit, place.facts(0, 10))
        await ledger.close()

    asyncio.run(asyncio.wait_for(work(), 60))
    assert place.records() == []
    assert place.committed() < 0
