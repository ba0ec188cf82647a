"""`burnline tail`: what fits is shown as it came, what has no room is counted, what is no event is told."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import pytest
from confluent_kafka import Producer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.commands.children import environment
from pipeline.commands.tail import OUTCOMES, Choice, Room, as_json_text, decoded, line
from pipeline.embedded import EmbeddedKafka
from pipeline.framing import SINGLE_OBJECT, UnknownSchema, shipped_schemas, single_object_header
from pipeline.settings import Settings
from pipeline.sli import OUTCOMES as KNOWN
from pipeline.topics import EVENTS, topic_name
from tests.agents.delivering import make_topic, settings_for
from tests.event_samples import sample
from tests.naive import events as naive

SAMPLE = sample(Random(1)) | {"service": "chat", "request_model": "m-a", "tenant_id": "acme", "outcome": "SUCCESS"}


def framed(event: dict[str, Any], text: str = shipped_schemas()["inference_event"][-1]) -> bytes:
    return single_object_header(text) + naive.write(event, json.loads(text))


def event(**changes: Any) -> dict[str, Any]:
    """An event as it is read."""
    return decoded(framed(SAMPLE | changes), SINGLE_OBJECT)


@pytest.mark.parametrize("text", shipped_schemas()["inference_event"], ids=lambda text: f"{len(text)} bytes")
def test_an_event_of_any_released_schema_is_read_with_all_its_fields(text: str) -> None:
    newest = {field["name"] for field in json.loads(shipped_schemas()["inference_event"][-1])["fields"]}
    found = decoded(framed(SAMPLE, text), SINGLE_OBJECT)
    assert set(found) == newest
    assert (found["request_id"], found["e2e_us"]) == (SAMPLE["request_id"], SAMPLE["e2e_us"])


def test_what_is_no_event_is_refused() -> None:
    for value in (b"", b"\x00\x00\x00\x00\x07", b"\xc3\x01"):
        with pytest.raises(UnknownSchema):
            decoded(value, SINGLE_OBJECT)
    for value in (framed(SAMPLE)[:20], framed(SAMPLE) + b"."):
        with pytest.raises((EOFError, ValueError)):
            decoded(value, SINGLE_OBJECT)


@pytest.mark.parametrize(
    ("choice", "fits"),
    [
        pytest.param(Choice(), True, id="all"),
        pytest.param(Choice("chat", "m-a", "acme", frozenset({"SUCCESS", "ERROR"})), True, id="all that is said fits"),
        pytest.param(Choice("chat", "m-b"), False, id="another model"),
        pytest.param(Choice(tenant="zen"), False, id="another tenant"),
        pytest.param(Choice(outcomes=frozenset({"ERROR"})), False, id="another outcome"),
    ],
)
def test_events_are_chosen(choice: Choice, fits: bool) -> None:
    assert choice.fits(event()) == fits


def test_every_outcome_has_its_colour() -> None:
    assert set(OUTCOMES) == set(KNOWN)


def test_a_line_says_how_long_how_much_and_why_and_what_is_unknown() -> None:
    text = line(event(
        outcome="ERROR", http_status=503, error_type="overload", e2e_us=1_234_567, ttft_us=None, input_tokens=512,
        output_tokens=None, region="eu", request_id="r-1",
    ))  # fmt: skip
    for part in ("ERROR", "chat m-a eu acme", "e2e 1.2 s", "ttft -", "512 -> - tokens", "503 overload", "r-1"):
        assert part in text


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_what_json_has_no_number_for_is_null(number: float) -> None:
    def refused(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    found = json.loads(as_json_text(event(adm_kv_usage=number)), parse_constant=refused)
    assert found["adm_kv_usage"] is None
    assert json.loads(as_json_text(event(adm_kv_usage=0.5)))["adm_kv_usage"] == 0.5


@given(st.lists(st.floats(0, 10), max_size=50).map(sorted), st.integers(0, 3))
def test_of_every_second_at_most_so_many_are_shown_and_the_rest_is_counted(times: list[float], most: int) -> None:
    room = Room(most)
    shown = [int(at) for at in times if room.takes(at)]
    assert all(shown.count(second) <= most for second in shown) or not most
    assert len(shown) + room.held(99.0) == len(times)
    assert room.held(99.0) == 0


@contextmanager
def writing(settings: Settings, values: list[bytes]) -> Iterator[None]:
    """Append the same values again and again, since nobody says from when on somebody follows."""
    stop, producer = threading.Event(), Producer({"bootstrap.servers": settings.kafka_brokers})

    def run() -> None:
        while not stop.wait(0.1):
            for value in values:
                producer.produce(topic_name(settings, EVENTS), value)
            producer.flush(60)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.mark.servers
def test_what_comes_is_shown_as_json_lines_and_what_is_no_event_is_told(
    kafka: EmbeddedKafka, topic_prefix: str
) -> None:
    settings = settings_for(kafka.brokers, topic_prefix)
    make_topic(settings, topic_name(settings, EVENTS), 2)
    values = [framed(SAMPLE | {"service": name, "request_id": name}) for name in ("other", "chat")]
    with writing(settings, [*values, b"no event"]):
        arguments = ["tail", "--service", "chat", "--outcome", "success", "-n", "3", "--json"]
        done = CliRunner().invoke(app, arguments, env=environment(settings))
    assert done.exit_code == 0, done.output
    assert [json.loads(text)["request_id"] for text in done.stdout.splitlines()] == ["chat"] * 3
    assert "Ctrl-C ends" in done.stderr and "are no events" in done.stderr


@pytest.mark.parametrize("arguments", [["--outcome", "lost"], ["-n", "-1"]], ids=" ".join)
def test_what_cannot_be_asked_is_a_usage_error(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, ["tail", *arguments]).exit_code == 2


@pytest.mark.servers
def test_a_topic_that_is_not_there_is_said(kafka: EmbeddedKafka, topic_prefix: str) -> None:
    settings = settings_for(kafka.brokers, topic_prefix)
    done = CliRunner().invoke(app, ["tail"], env=environment(settings))
    assert done.exit_code == 1
    assert "burnline migrate" in str(done.exception) + done.output
