"""The registry client against a server that speaks the registry's REST protocol."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from pipeline import blocks
from pipeline.sources.registry import RegistryError, framing
from schemas import avro_text

OLD_EVENTS = '{"type": "record", "name": "InferenceEvent", "fields": [{"name": "event_id", "type": "string"}]}'


class Registry(ThreadingHTTPServer):
    """Subjects in memory; ids count up, the same schema keeps its id."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.subjects: dict[str, list[str]] = {}
        self.ids: dict[str, int] = {}
        self.refuses = False
        self.elsewhere = ""  # where questions are sent on to
        self.asked = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def register(self, subject: str, schema: str) -> int:
        known = self.subjects.setdefault(subject, [])
        if schema not in known:
            known.append(schema)
        return self.ids.setdefault(schema, 100 + len(self.ids))


class Handler(BaseHTTPRequestHandler):
    server: Registry

    def send_on(self) -> None:
        self.send_response(307)
        self.send_header("Location", self.server.elsewhere + self.path)
        self.end_headers()

    def do_POST(self) -> None:
        self.server.asked += 1
        if self.server.elsewhere:
            self.send_on()
            return
        subject = self.path.split("/")[2]
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.refuses:
            self.answer(409, {"error_code": 409, "message": "incompatible"}, b"\x1b[2J\r\n")
        else:
            self.answer(200, {"id": self.server.register(subject, body["schema"])})

    def do_GET(self) -> None:
        self.server.asked += 1
        if self.server.elsewhere:
            self.send_on()
            return
        _, _, subject, _, *version = self.path.split("/")
        known = self.server.subjects.get(subject)
        if known is None:
            self.answer(404, {"error_code": 40401, "message": "Subject not found."})
        elif version:
            schema = known[-1 if version[0] == "latest" else int(version[0]) - 1]
            self.answer(200, {"subject": subject, "id": self.server.ids[schema], "schema": schema})
        else:
            self.answer(200, list(range(1, len(known) + 1)))

    def answer(self, status: int, body: Any, more: bytes = b"") -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode() + more)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@contextmanager
def serving() -> Iterator[Registry]:
    server = Registry()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def registry() -> Iterator[Registry]:
    with serving() as server:
        yield server


def test_outputs_are_framed_with_the_registrys_ids_and_read_back(registry: Registry) -> None:
    known = framing(registry.url, "inference.events", {"slo.counts": "slo_counts"})
    number = registry.ids[avro_text("slo_counts")]
    assert known.header("slo_counts") == b"\x00" + number.to_bytes(4, "big")
    columns = blocks.decode("slo_counts", blocks.encode("slo_counts", empty_counts(), known), known)
    assert columns["source_topic"] == "inference.events"


def test_every_registered_version_of_events_can_be_read(registry: Registry) -> None:
    registry.register("p.inference.events-value", OLD_EVENTS)
    registry.register("p.inference.events-value", avro_text("inference_event"))
    known = framing(registry.url, "p.inference.events", {})
    headers = known.known("inference_event")
    assert headers[b"\x00" + (100).to_bytes(4, "big")] == OLD_EVENTS
    assert headers[b"\x00" + (101).to_bytes(4, "big")] == avro_text("inference_event")


def test_versions_of_topics_that_others_write_too_can_be_read(registry: Registry) -> None:
    registry.register("inference.changes-value", OLD_EVENTS)
    known = framing(registry.url, "inference.events", {"inference.changes": "config_change"}, ("inference.changes",))
    number = registry.ids[avro_text("config_change")]
    assert known.known("config_change")[b"\x00" + (100).to_bytes(4, "big")] == OLD_EVENTS
    assert known.header("config_change") == b"\x00" + number.to_bytes(4, "big")


def test_a_subject_that_nobody_registered_is_no_error(registry: Registry) -> None:
    assert framing(registry.url, "inference.events", {}).registered == {}


def test_a_refusal_says_what_to_look_at(registry: Registry) -> None:
    registry.refuses = True
    with pytest.raises(RegistryError, match=r"409.*compatibility rule") as refused:
        framing(registry.url, "inference.events", {"slo.counts": "slo_counts"})
    assert str(refused.value).isprintable()  # what it answers reaches a terminal


@pytest.mark.parametrize("outputs", [{}, {"slo.counts": "slo_counts"}], ids=["to learn", "to register"])
def test_a_registry_that_sends_us_elsewhere_is_not_obeyed(registry: Registry, outputs: dict[str, str]) -> None:
    with serving() as inside:
        registry.elsewhere = inside.url
        with pytest.raises(RegistryError, match="307"):
            framing(registry.url, "inference.events", outputs)
    assert (registry.asked, inside.asked) == (1, 0)


def test_a_registry_that_is_not_there_says_which_setting_to_change() -> None:
    with pytest.raises(RegistryError, match="BURNLINE_SCHEMA_REGISTRY_URL"):
        framing("http://127.0.0.1:9", "inference.events", {})


def empty_counts() -> dict[str, Any]:
    head = {"source_topic": "inference.events", "source_partition": 0, "source_partitions": 1, "first_offset": 0,
            "next_offset": 0, "flushed_at": 1}  # fmt: skip
    arrays = ("slos", "revisions", "instances", "instance_index", "slice_start_s", "good", "bad", "excluded")
    return head | {name: [] for name in arrays}
