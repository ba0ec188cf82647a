"""What was committed is read to the log's end, also behind what somebody else has not committed yet."""

import asyncio

import aiokafka
import pytest

from pipeline.embedded import EmbeddedKafka
from pipeline.transport.entries import Entries, state_entries
from tests.transport.counting import SUMS, create_topics

pytestmark = pytest.mark.servers


def test_what_lies_behind_an_open_transaction_of_somebody_else_is_waited_for(
    kafka: EmbeddedKafka, topic_prefix: str
) -> None:
    create_topics(kafka.brokers, topic_prefix, 1)
    topic, options = topic_prefix + SUMS, {"bootstrap_servers": kafka.brokers}

    def writer(name: str) -> aiokafka.AIOKafkaProducer:
        return aiokafka.AIOKafkaProducer(**options, transactional_id=f"{topic_prefix}{name}")

    async def main() -> None:
        async with writer("ours") as ours, writer("another") as another:

            async def commit(key: bytes) -> None:
                async with ours.transaction():
                    await ours.send_and_wait(topic, b"ours", key=key, partition=0)

            entries, known = Entries(options, topic, 0), list[bytes]()
            await entries.start()
            await commit(b"before")
            await another.begin_transaction()
            await another.send_and_wait(topic, b"another's", key=b"never", partition=0)
            await commit(b"behind")
            async for key, _ in entries.news():
                known.append(key)
                if key == b"before":  # the reader knows by now how far it must go
                    await another.abort_transaction()
            assert known == [b"before", b"behind"]
            await commit(b"later")
            assert [key async for key, _ in entries.news()] == [b"later"]
            await entries.stop()
            assert [key async for key, _ in state_entries(options, topic, 0)] == [b"before", b"behind", b"later"]

    asyncio.run(asyncio.wait_for(main(), 120))
