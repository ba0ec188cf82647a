"""What a broker's answers say of grants; the real broker with access lists is in tests/security."""

from concurrent.futures import Future
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from pipeline.grants import TOPIC, Grant, missing

WANTED = Grant(TOPIC, "slo.alerts", "READ")


class Broker:
    """Answers every question about a topic with an error."""

    def __init__(self, code: int) -> None:
        self.answer: Future[Any] = Future()
        self.answer.set_exception(KafkaException(KafkaError(code)))

    def describe_topics(self, topics: Any, **options: Any) -> dict[str, Future[Any]]:
        return {WANTED.name: self.answer}


@pytest.mark.parametrize(
    ("code", "refused"),
    [
        pytest.param(KafkaError.TOPIC_AUTHORIZATION_FAILED, [WANTED], id="a refusal is one"),
        pytest.param(KafkaError.GROUP_AUTHORIZATION_FAILED, [WANTED], id="of a group too"),
        pytest.param(KafkaError.UNKNOWN_TOPIC_OR_PART, [], id="a topic that is not there yet may be allowed"),
        pytest.param(KafkaError._TIMED_OUT, [], id="a busy broker refuses nothing"),
        pytest.param(KafkaError.COORDINATOR_NOT_AVAILABLE, [], id="nor does one that starts"),
    ],
)
def test_only_a_refusal_is_a_missing_grant(code: int, refused: list[Grant]) -> None:
    assert missing(Broker(code), [WANTED]) == refused  # type: ignore[arg-type]
