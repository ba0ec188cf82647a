"""What `burnline doctor` says of a duplicates window whose times are not the broker's."""

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from pipeline.commands.doctor import check_duplicates
from pipeline.embedded import EmbeddedKafka
from pipeline.settings import Settings
from pipeline.topics import EVENTS

NAME = "message.timestamp.type"


@pytest.mark.servers
@pytest.mark.parametrize(
    ("config", "said", "remedy"),
    [
        pytest.param({NAME: "LogAppendTime"}, "the broker's", "", id="the broker's clock"),
        pytest.param({NAME: "CreateTime"}, "the producers' (CreateTime)", f"set {NAME}=", id="the producers' clocks"),
        pytest.param({}, "the producers' (CreateTime)", f"set {NAME}=LogAppendTime", id="what Kafka does unasked"),
    ],
)
def test_a_window_over_times_of_producers_is_warned_of(
    kafka: EmbeddedKafka, topic_prefix: str, config: dict[str, str], said: str, remedy: str
) -> None:
    settings = Settings(kafka_brokers=kafka.brokers, topic_prefix=topic_prefix, duplicates_window_s=60)
    topic = NewTopic(f"{topic_prefix}{EVENTS}", 1, config=config)
    admin = AdminClient({"bootstrap.servers": kafka.brokers})  # its futures end with it
    admin.create_topics([topic])[topic.topic].result(60)
    found = check_duplicates(settings)
    assert found.ok and said in found.detail
    assert remedy in found.remedy and bool(remedy) == bool(found.remedy)


def test_without_a_window_nothing_is_asked() -> None:
    found = check_duplicates(Settings(kafka_brokers="127.0.0.1:1"))
    assert (found.ok, found.remedy) == (True, "") and "no window" in found.detail
