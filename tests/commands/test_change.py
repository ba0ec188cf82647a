"""`burnline change`: what is told is in Kafka when the command returns, and in ClickHouse once it is stored, once."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from typer.testing import CliRunner, Result

from pipeline.commands.change import app, knobs_of
from pipeline.embedded import EmbeddedClickHouse, EmbeddedKafka
from pipeline.embedded.clickhouse_config import READER
from pipeline.settings import Settings
from pipeline.sinks.clickhouse import ClickHouse
from tests.agents.delivering import make_topic
from tests.recorded import Recorded
from tests.sinks.correcting import Site
from tests.sinks.storing import settings_of

NOW = datetime.now(UTC)


class Told:
    """Commands against real servers, and a store that reads the topic from its beginning each time."""

    def __init__(self, kafka: EmbeddedKafka, server: EmbeddedClickHouse, prefix: str) -> None:
        self.kafka, self.server, self.topic = kafka, server, f"{prefix}inference.changes"
        self.service = f"s{uuid.uuid4().hex[:10]}"

    def run(self, *words: str, code: int = 0) -> Result:
        result = CliRunner().invoke(app, words)
        assert result.exit_code == code, result.output
        return result

    def add(self, *words: str) -> dict[str, Any]:
        (row,) = json.loads(self.run("add", "--service", self.service, *words, "--json").stdout)
        return dict(row)

    def listed(self, *words: str) -> list[dict[str, Any]]:
        return list(json.loads(self.run("list", "--service", self.service, *words, "--json").stdout))

    def records(self) -> list[Recorded]:
        """All that is in the topic."""
        place = TopicPartition(self.topic, 0, 0)
        consumer = Consumer({"bootstrap.servers": self.kafka.brokers, "group.id": self.topic})
        consumer.assign([place])
        _, end = consumer.get_watermark_offsets(place, timeout=60)
        found: list[Recorded] = []
        while len(found) < end:
            message = consumer.poll(60)
            assert message is not None and message.error() is None
            found.append(Recorded(message.offset(), message.value(), message.key(), (), message.timestamp()[1]))
        consumer.close()
        return found

    def store(self) -> None:
        sink = ClickHouse(settings_of(self.server))
        Site(self.server, sink).store("inference.changes", self.records())
        sink.close()


@pytest.fixture
def told(
    kafka: EmbeddedKafka, clickhouse: EmbeddedClickHouse, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> Told:
    monkeypatch.setenv("BURNLINE_KAFKA_BROKERS", kafka.brokers)
    monkeypatch.setenv("BURNLINE_TOPIC_PREFIX", topic_prefix)
    monkeypatch.setenv("BURNLINE_CLICKHOUSE_URL", clickhouse.url)
    monkeypatch.setenv("BURNLINE_CLICKHOUSE_PASSWORD_FILE", str(clickhouse.password_file))
    return Told(kafka, clickhouse, topic_prefix)


@pytest.mark.servers
def test_what_is_told_is_listed_once_the_store_has_it_and_the_last_word_on_it_counts(told: Told) -> None:
    make_topic(Settings(kafka_brokers=told.kafka.brokers), told.topic)
    deploy = ("--kind", "deploy", "--title", "vllm 0.9.1", "--id", "run-7", "--actor", "ci", "--variant", "h100-fp8")
    assert told.add(*deploy)["config_epoch"] == "h100-fp8"
    told.add(*deploy, "--url", "https://ci.example/7")
    soon = (NOW + timedelta(hours=2)).isoformat()
    told.run("add", "--service", told.service, "--kind", "Maintenance", "--title", "new switch", "--until", soon)
    batches = told.add("--kind", "knob", "--title", "larger batches", "--set", "batch=8:16", "--set", "image=a\\:b")
    assert {record.key for record in told.records()} == {told.service.encode()}
    told.store()
    told.store()  # a writer that begins anew, without the tokens of the first
    found = {row["title"]: row for row in told.listed()}
    assert len(told.listed()) == len(found) == 3
    assert (found["vllm 0.9.1"]["url"], found["vllm 0.9.1"]["change_id"]) == ("https://ci.example/7", "run-7")
    assert (found["new switch"]["kind"], found["new switch"]["until"][:16]) == ("MAINTENANCE", soon[:16])
    assert found["larger batches"]["knobs"] == ["batch: 8 -> 16", "image: a:b"]
    assert found["larger batches"]["config_epoch"] == batches["config_epoch"]
    assert told.listed("--since", (NOW + timedelta(days=1)).isoformat()) == []
    assert "batch: 8 -> 16" in told.run("list", "--service", told.service).stdout
    with told.server.client(READER) as reader:
        sql = "SELECT count() FROM config_changes WHERE service = %(service)s"
        assert reader.execute(sql, {"service": told.service}) == [(3,)]


@pytest.mark.servers
def test_nothing_is_told_where_there_is_no_such_topic(told: Told) -> None:
    result = CliRunner().invoke(app, ["add", "--service", "chat", "--kind", "deploy", "--title", "x"])
    assert result.exit_code == 1 and "burnline migrate" in str(result.exception)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        pytest.param(["--kind", "deplyo"], "did you mean deploy?", id="a kind that is nearly one"),
        pytest.param(["--kind", "picnic"], "write one of deploy, rollback", id="no kind"),
        pytest.param(["--title", ""], "title is empty", id="no title"),
        pytest.param(["--at", "yesterday"], "write 2026-11-26T18:00Z", id="no time"),
        pytest.param(["--at", "2126-11-26T18:00Z"], "more than a year ahead", id="a far future"),
        pytest.param(["--until", "2026-01-01T00:00Z"], "until is not behind at", id="an end in front of its beginning"),
        pytest.param(["--set", "batch"], "is no knob", id="a knob without a value"),
        pytest.param(["--set", "a=1", "--set", "a=2"], "each knob once", id="a knob that is set twice"),
        pytest.param(["--set", "image=a:b:c"], "a colon in a value is written", id="a colon too many"),
        pytest.param(
            [word for n in range(70) for word in ("--set", f"k{n}={'x' * 1000}")],
            "bytes, more than 65,536",
            id="each knob is short enough, and all of them are too long",
        ),
    ],
)
def test_what_cannot_be_a_change_is_a_usage_error_and_nothing_is_sent(words: list[str], says: str) -> None:
    given = {"--service": "chat", "--kind": "deploy", "--title": "x"}
    given = {name: each for name, each in given.items() if name not in words}
    result = CliRunner().invoke(app, ["add", *(text for pair in given.items() for text in pair), *words])
    assert result.exit_code == 2
    assert says in " ".join(result.output.replace("│", " ").split())


@pytest.mark.parametrize(
    ("text", "before", "after"),
    [
        pytest.param("batch=16", {}, {"batch": "16"}, id="a value"),
        pytest.param("batch=8:16", {"batch": "8"}, {"batch": "16"}, id="what it was"),
        pytest.param("batch=:16", {"batch": ""}, {"batch": "16"}, id="it was nothing"),
        pytest.param("image=a\\:1:a\\:2", {"image": "a:1"}, {"image": "a:2"}, id="colons in values"),
        pytest.param("flags=--x=1", {}, {"flags": "--x=1"}, id="an equals sign in a value"),
    ],
)
def test_a_knob_says_what_it_is_and_what_it_was(text: str, before: dict[str, str], after: dict[str, str]) -> None:
    assert knobs_of([text]) == (before, after)
