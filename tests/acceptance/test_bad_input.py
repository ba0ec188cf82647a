"""Input that nobody can use, and more of it than is reasonable: each record is counted or a dead letter.

Good events go before, between and behind it. Limits are lowered so that a few thousand records exceed them.
"""

import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from hashlib import md5
from io import BytesIO
from itertools import islice
from typing import Any, NamedTuple

import pytest
from confluent_kafka import Producer
from fastavro import parse_schema, schemaless_writer

from pipeline.embedded.site import Site
from pipeline.framing import single_object_header
from pipeline.topics import DEAD_LETTERS, EVENTS, topic_name
from schemas import avro_text
from tests.acceptance.harness import Pipeline, pipeline_on, read_avro

pytestmark = [pytest.mark.servers, pytest.mark.slow]

LIMIT_SERIES, LIMIT_INSTANCES = 800, 200
STEADY, TENANTS, ENDPOINTS = 2_000, 4_000, 500
MODELS = ("steady-a", "steady-b", "steady-c")
SCHEMA = parse_schema(json.loads(avro_text("inference_event")))
HEADER = single_object_header(avro_text("inference_event"))
SLO = """---
apiVersion: burnline/v1
kind: SLO
metadata: {{name: bad-{service}}}
spec:
  description: errors of {service}
  service: {service}
  indicator: {{metric: error_rate, groupBy: [{label}]}}
  target: 0.99
  timeWindow: {{duration: 1d, isRolling: true}}
  alerting: {{preset: default}}
"""


def now_us() -> int:
    return time.time_ns() // 1000


def event(**fields: Any) -> dict[str, Any]:
    """A plausible event; what is not given has its default."""
    completed = fields.get("completed_at", now_us())
    given = {
        "event_id": f"{random.getrandbits(128):032x}", "request_id": f"{random.getrandbits(64):016x}",
        "received_at": completed - 900_000, "completed_at": completed, "emitted_at": completed,
        "e2e_us": 900_000, "outcome": "SUCCESS", "service": "steady", "request_model": "steady-a",
        "stream": True, "ttft_us": 100_000, "output_tokens": 9,
    }  # fmt: skip
    return given | fields


def encoded(**fields: Any) -> bytes:
    out = BytesIO()
    schemaless_writer(out, SCHEMA, event(**fields))
    return HEADER + out.getvalue()


class Sent(NamedTuple):
    """A record that was sent, and why it should be a dead letter; None: it should be counted."""

    key: bytes
    value: bytes | None
    reason: str | None


def truncated(value: bytes) -> list[bytes]:
    return [value[:end] for end in (*range(10, 40), len(value) // 2, len(value) - 1)]


def mistyped() -> list[bytes]:
    """Values of other types under the header of an event: other schemas, JSON, an array, doubles."""
    schema = json.loads(avro_text("inference_event"))
    for field in schema["fields"]:
        if field["name"] in ("received_at", "completed_at", "e2e_us"):
            field["type"] = "string"
    out = BytesIO()
    times = {"received_at": "yesterday", "completed_at": "today", "e2e_us": "fast"}
    schemaless_writer(out, parse_schema(schema), event() | times)
    other = BytesIO()
    schemaless_writer(other, parse_schema({"type": "array", "items": "double"}), [1.5] * 20)
    as_json = json.dumps(event()).encode()
    return [HEADER + each for each in (out.getvalue(), other.getvalue(), as_json, as_json[1:])]


def bad() -> list[tuple[bytes | None, str]]:
    """Values and what is wrong with them."""
    now, plain = now_us(), encoded()
    found: list[tuple[bytes | None, str]] = [
        (None, "null_value"),
        *((each, "unframed") for each in (b"", b"\xc3", b"hello", json.dumps(event()).encode(), b"\xc3\x01\x02")),
        *((b"\0" + n.to_bytes(4, "big") + plain[10:], "unknown_schema") for n in (0, 7, 1 << 31)),
        *((each, "malformed") for each in truncated(plain)),
        *((plain + rest, "malformed") for rest in (b"\0", b"x" * 400)),
        (HEADER + b"\xff" * 300, "malformed"),
        *((each, "malformed") for each in mistyped()),
        *((encoded(**{name: -1}), "negative_duration") for name in ("e2e_us", "ttft_us", "decode_us")),
        *(
            (encoded(**{name: -7}), "negative_count")
            for name in ("input_tokens", "output_tokens", "cost_picousd", "gpu_us")
        ),
        *((encoded(sample_weight=weight), "bad_weight") for weight in (0, -3)),
        (encoded(received_at=now + 1, completed_at=now), "completed_before_received"),
        (encoded(received_at=-2_000_000, completed_at=-1_000_000), "too_old"),
        (encoded(e2e_us=1 << 60), "implausible"),
        (encoded(tenant_id="t" * 300), "label_too_long"),
        (HEADER + bytes(10_000_000), "too_large"),
        (random.randbytes(10_000_000), "too_large"),
        (encoded(attributes={"a": "x" * (1 << 20)}), "too_large"),
        # last: of a unit's dead letters only the first are explained in full
        *((b"\xc3\x01" + random.randbytes(8) + plain[10:], "unknown_schema") for _ in range(700)),
    ]
    return found


def far_future() -> list[bytes]:
    """Events of an hour, a year and a thousand years ahead: they happened, so they count, but not there."""
    ahead_s = (3_600, 365 * 86_400, 1_000 * 365 * 86_400)
    return [encoded(completed_at=now_us() + s * 1_000_000, request_model="ahead") for s in ahead_s]


class Fed(NamedTuple):
    """All that was sent and where it went: (partition, offset) -> record."""

    pipeline: Pipeline
    sent: dict[tuple[int, int], Sent]


class Feed:
    """Sends records, and keeps where the broker put them."""

    def __init__(self, running: Pipeline) -> None:
        self._topic = topic_name(running.settings, EVENTS)
        options = {"message.max.bytes": 16 << 20, "compression.type": "lz4", "linger.ms": 5}
        self._producer = Producer({"bootstrap.servers": running.settings.kafka_brokers, **options})
        self.sent: dict[tuple[int, int], Sent] = {}

    def send(self, value: bytes | None, reason: str | None = None) -> None:
        record = Sent(f"key-{random.getrandbits(40)}".encode(), value, reason)

        def arrived(error: Any, message: Any) -> None:
            assert error is None, error
            self.sent[message.partition(), message.offset()] = record

        self._producer.produce(self._topic, value=record.value, key=record.key, on_delivery=arrived)
        self._producer.poll(0)

    def steady(self, count: int) -> None:
        for n in range(count):
            outcome = {"outcome": "ERROR", "failure_kind": "OOM"} if n % 50 == 0 else {}
            self.send(encoded(request_model=MODELS[n % len(MODELS)], **outcome))

    def send_bad(self, records: Iterable[tuple[bytes | None, str]]) -> None:
        for value, reason in records:
            self.send(value, reason)

    def flush(self) -> None:
        assert self._producer.flush(60) == 0


@pytest.fixture(scope="module")
def fed(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fed]:
    random.seed(20)
    slo_dir = tmp_path_factory.mktemp("slo")
    labels = {"steady": "request_model", "flood": "request_model", "wide": "endpoint_id"}
    (slo_dir / "bad.yaml").write_text("".join(SLO.format(service=s, label=each) for s, each in labels.items()))
    limits = {"limit_series": LIMIT_SERIES, "limit_instances": LIMIT_INSTANCES}
    with pipeline_on(site, "bad", slo_dir, **limits) as running:
        worker, feed = running.begin_worker(), Feed(running)
        feed.steady(STEADY // 2)
        for n in range(3):
            feed.send(encoded(service="flood", request_model=f"flood-{n}", tenant_id="first"))
        for value in far_future():
            feed.send(value)
        feed.flush()
        worker.ready()
        _wait_for_all(running, len(feed.sent))  # so that what comes first is known when the limits are reached
        for n in range(ENDPOINTS):
            feed.send(encoded(service="wide", endpoint_id=f"pod-{n}"))
        feed.flush()
        _wait_for_all(running, len(feed.sent))
        between = iter(bad())
        for n in range(TENANTS):
            feed.send(encoded(service="flood", request_model=f"flood-{n % 3}", tenant_id=f"tenant-{n}"))
            if n % 20 == 0:
                feed.steady(1)
                feed.send_bad(islice(between, 1))
        feed.send_bad(between)
        feed.steady(STEADY // 2)
        feed.flush()
        _wait_for_all(running, len(feed.sent))
        yield Fed(running, feed.sent)


HEALTH = (
    "SELECT sum(records), sum(events), sum(dead_letters), sum(clamped), sum(series_overflow), sum(instances_refused) "
    "FROM pipeline_health WHERE stage = 'ingest' AND topic = 'bad.inference.events'"
)
SERVICES = "('steady', 'flood', 'wide')"


def _wait_for_all(running: Pipeline, records: int) -> None:
    """Wait until the units of all records are stored, in every partition of slices, and their dead letters."""
    letters = "SELECT count() FROM dead_letters WHERE topic = 'bad.inference.events'"
    requests = f"SELECT sum(requests) FROM sli WHERE service IN {SERVICES}"

    def are_stored() -> bool:
        read, events, dead, *_ = running.ask(HEALTH)[0]
        return bool(read == records and running.ask(letters)[0][0] == dead and running.ask(requests)[0][0] == events)

    running.wait_until(are_stored, f"{records} records stored")


def test_every_record_is_counted_or_a_dead_letter(fed: Fed) -> None:
    reasons = Counter(record.reason for record in fed.sent.values())
    good, dead = reasons.pop(None), sum(reasons.values())
    records, events, dead_letters, *_ = fed.pipeline.ask(HEALTH)[0]
    assert (records, events, dead_letters) == (len(fed.sent), good, dead)
    ask = f"SELECT sum(requests) FROM sli WHERE service IN {SERVICES}"
    fed.pipeline.becomes(lambda: fed.pipeline.ask(ask)[0][0], good)  # the tallies come with one partition of several
    ask = "SELECT reason, count() FROM dead_letters WHERE topic = 'bad.inference.events' GROUP BY reason"
    assert dict(fed.pipeline.ask(ask)) == dict(reasons)


def test_a_dead_letter_is_the_original_with_its_reason(fed: Fed) -> None:
    rows = fed.pipeline.ask(
        "SELECT partition, offset, key, reason, hex(MD5(value)), length(value), detail, schema_id FROM dead_letters "
        "WHERE topic = 'bad.inference.events'"
    )
    found = {(partition, offset): tuple(rest) for partition, offset, *rest in rows}
    dead = {place: record for place, record in fed.sent.items() if record.reason}
    assert set(found) == set(dead) and len(rows) == len(dead)
    for place, record in dead.items():
        key, reason, digest, length, detail, schema_id = found[place]
        value = record.value or b""
        assert (key, reason, length) == (record.key.decode(), record.reason, len(value))
        assert digest == _md5(value)
        assert detail
        if value[:2] == HEADER[:2] and len(value) >= 10:
            assert schema_id == value[2:10].hex()
        elif value[:1] == b"\0":
            assert schema_id == str(int.from_bytes(value[1:5], "big"))


def _md5(value: bytes) -> str:
    return md5(value, usedforsecurity=False).hexdigest().upper()


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("negative_duration", ("e2e_us = -1", "ttft_us = -1", "decode_us = -1")),
        ("negative_count", ("input_tokens = -7", "output_tokens = -7", "cost_picousd = -7", "gpu_us = -7")),
        ("bad_weight", ("sample_weight = 0", "sample_weight = -3")),
        ("completed_before_received", ("received_at = ",)),
        ("too_old", ("completed_at = -1000000",)),
        ("implausible", (f"e2e_us = {1 << 60}",)),
        ("label_too_long", ("tenant_id has 300 bytes",)),
        ("too_large", ("10000010 bytes", "10000000 bytes")),
        ("unframed", ("begins with 68656c6c6f", "begins with nothing")),
    ],
)
def test_the_detail_says_what_is_wrong(fed: Fed, reason: str, words: tuple[str, ...]) -> None:
    rows = fed.pipeline.ask(
        f"SELECT detail FROM dead_letters WHERE topic = 'bad.inference.events' AND reason = '{reason}'"
    )
    for each in words:
        assert any(each in detail for (detail,) in rows), (each, rows)


def test_a_read_committed_reader_gets_the_original_bytes_back(fed: Fed) -> None:
    dead = {place: record for place, record in fed.sent.items() if record.reason}
    found = {}
    for message in fed.pipeline.records(DEAD_LETTERS):
        headers = {name: value.decode() for name, value in message.headers()}
        assert headers["topic"] == "bad.inference.events"
        place = int(headers["partition"]), int(headers["offset"])
        assert place not in found
        found[place] = Sent(message.key(), message.value(), headers["reason"])
    assert found == dead


def test_good_events_around_it_are_all_counted(fed: Fed) -> None:
    expected: dict[str, Counter[str]] = defaultdict(Counter)
    for record in fed.sent.values():
        if record.reason is None:
            fields = read_avro(record.value or b"", SCHEMA)
            if fields["service"] == "steady":
                expected[fields["request_model"]][fields["outcome"].lower()] += 1
    ask = "SELECT request_model, sum(success), sum(error) FROM sli WHERE service = 'steady' GROUP BY 1"
    found = {model: Counter(success=good, error=errors) for model, good, errors in fed.pipeline.ask(ask)}
    assert found == dict(expected) and set(found) >= set(MODELS)
    ask = "SELECT instance, sum(good), sum(bad), sum(excluded) FROM slo_counts WHERE slo = 'bad-steady' GROUP BY 1"
    judged = {f"request_model={model}": (n["success"], n["error"], 0) for model, n in expected.items()}
    fed.pipeline.becomes(lambda: {instance: tuple(n) for instance, *n in fed.pipeline.ask(ask)}, judged)


def test_events_from_the_far_future_count_when_they_came(fed: Fed) -> None:
    clamped = fed.pipeline.ask(HEALTH)[0][3]
    rows = fed.pipeline.ask(
        "SELECT sum(requests), max(slice_start) <= now(), min(slice_start) > now() - INTERVAL 1 HOUR "
        "FROM sli WHERE service = 'steady' AND request_model = 'ahead'"
    )
    assert clamped == 3 and rows == [(3, 1, 1)]


def test_more_series_than_the_limit_become_other_and_compliance_stays_exact(fed: Fed) -> None:
    ask = (
        "SELECT sum(requests), uniqExact(tenant_id), sumIf(requests, tenant_id = 'other') FROM sli "
        "WHERE service = 'flood'"
    )
    requests, tenants, others = fed.pipeline.ask(ask)[0]
    assert requests == 3 + TENANTS
    assert 100 < tenants <= LIMIT_SERIES
    assert others == TENANTS - (tenants - 2)  # those of `first` and of `other` are no tenants of the flood
    overflow = fed.pipeline.ask(HEALTH)[0][4]
    beside = fed.pipeline.ask("SELECT sum(requests) FROM sli WHERE service != 'flood' AND tenant_id = 'other'")[0][0]
    assert overflow == others + beside
    ask = "SELECT instance, sum(good) FROM slo_counts WHERE slo = 'bad-flood' GROUP BY 1"
    expected = {f"request_model=flood-{n}": 1 + len(range(n, TENANTS, 3)) for n in range(3)}
    fed.pipeline.becomes(lambda: dict(fed.pipeline.ask(ask)), expected)


def test_more_instances_than_the_limit_become_other_and_are_counted(fed: Fed) -> None:
    def found() -> dict[str, int]:
        return dict(fed.pipeline.ask("SELECT instance, sum(good) FROM slo_counts WHERE slo = 'bad-wide' GROUP BY 1"))

    fed.pipeline.becomes(lambda: sum(found().values()), ENDPOINTS)
    rows = found()
    assert len(rows) <= LIMIT_INSTANCES + 1
    refused = fed.pipeline.ask(HEALTH)[0][5]
    assert rows["endpoint_id=other"] == refused == ENDPOINTS - (len(rows) - 1)


def test_the_worker_goes_on(fed: Fed) -> None:
    assert [worker.process.poll() for worker in fed.pipeline.workers] == [None]
    log = fed.pipeline.workers[0].log.read_text()
    assert "a step failed" not in log
