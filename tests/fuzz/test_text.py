"""Mapping files and registry answers: any text is read, or refused with a reason; nothing else is raised."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.fleet import ScenarioError, load_scenario
from jobs.traces.mapping import Mapping, MappingError, load_mapping
from pipeline.sources.registry import ANSWER_BYTES, RegistryError, framing
from tests.fuzz.mutating import mutated
from tests.fuzz.text import TEXTS

FOUND = Path(__file__).parent / "found"
EXAMPLES = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KEYS = ("csv", "time", "fields", "outcomes", "attributes", "columns", "fewest", "field", "column", "format", "session",
        "start", "every", "constant", "file", "linear", "terms", "unit", "map", "missing", "when", "set", "e2e_us",
        "outcome", "service")  # fmt: skip
documents = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["iso", "ms", "SUCCESS", "received_at", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=25,
)

junk = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["10m", "errors", "chat", "", "9" * 400])
)
words = st.sampled_from(
    ["fleet", "duration", "incidents", "rate", "models", "tenants", "name", "kind", "starts", "lasts", "where", "ratio",
     "factor", "recovers", "failure_kind", "region"]
)  # fmt: skip


def read(path: Path, text: bytes) -> Mapping | None:
    """Read a file; None when it is refused with reasons."""
    path.write_bytes(text)
    try:
        return load_mapping(path)
    except MappingError as error:
        assert str(error)
        return None


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mapping.yaml"


@pytest.mark.parametrize("target", ["slos", "mappings", "scenarios"])
def test_a_changed_file_is_read_or_refused(target: str, tmp_path: Path) -> None:
    made = TEXTS[target](tmp_path)

    @EXAMPLES
    @given(seed=st.integers(0, 2**32))
    def try_one(seed: int) -> None:
        made.check([mutated(Random(seed), made.corpus)])

    try_one()


@EXAMPLES
@given(spec=documents)
def test_any_document_of_the_kind_is_read_or_refused(file: Path, spec: Any) -> None:
    read(file, json.dumps({"apiVersion": "burnline/v1", "kind": "Mapping", "metadata": {}, "spec": spec}).encode())


@EXAMPLES
@given(text=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(file: Path, text: bytes) -> None:
    read(file, text)


BOMBS = [
    pytest.param(b"a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + b"".join(
        b"a%d: &a%d [%s]\n" % (i, i, b",".join([b"*a%d" % (i - 1)] * 9)) for i in range(1, 12)
    ), id="a billion laughs"),
    pytest.param(b"[" * 20_000, id="deep lists"),
    pytest.param(b"{a: " * 20_000, id="deep maps"),
    pytest.param(b"x: " + b"y" * (64 << 20), id="64 MB"),
    pytest.param(b"!!python/object/apply:os.system ['false']", id="a call"),
    pytest.param(b"kind: Mapping\nkind: Mapping\n", id="a key twice"),
    pytest.param(b"&a [*a]", id="a list in itself"),
]  # fmt: skip


@pytest.mark.parametrize("text", BOMBS)
def test_a_bomb_is_refused(file: Path, text: bytes) -> None:
    assert read(file, text) is None
    with pytest.raises(ScenarioError):
        load_scenario(file)


@EXAMPLES
@given(spec=st.recursive(junk, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=5)))
def test_any_document_of_a_scenario_is_read_or_refused(file: Path, spec: Any) -> None:
    file.write_text(json.dumps({"kind": "Scenario", "metadata": {"name": "x"}, "spec": spec}))
    try:
        load_scenario(file)
    except ScenarioError as error:
        assert str(error)


@pytest.mark.parametrize("kept", sorted(FOUND.glob("scenario-*.yaml")), ids=lambda path: path.name)
def test_a_scenario_that_was_found_is_refused_with_a_reason(kept: Path) -> None:
    with pytest.raises(ScenarioError):
        load_scenario(kept)


@pytest.mark.parametrize("kept", sorted(FOUND.glob("mapping-*.yaml")), ids=lambda path: path.name)
def test_what_was_found_is_refused_with_a_reason(kept: Path) -> None:
    with pytest.raises(MappingError):
        load_mapping(kept)


class Registry(ThreadingHTTPServer):
    """Answers every question with the same status and bytes."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status, self.body, self.repeat, self.encoding = 200, b"", 1, ""

    @property
    def url(self) -> str:
        return f"http://user:password-9d1e@127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Registry

    def do_GET(self) -> None:
        self.send_response(self.server.status)
        if self.server.encoding:
            self.send_header("Content-Encoding", self.server.encoding)
        self.end_headers()
        try:
            for _ in range(self.server.repeat):
                self.wfile.write(self.server.body)
        except OSError:
            self.close_connection = True

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    server = Registry()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def ask(registry: Registry, status: int, body: bytes, outputs: bool, repeat: int = 1, encoding: str = "") -> str:
    """Ask; return the refusal, empty when there was none."""
    registry.status, registry.body, registry.repeat, registry.encoding = status, body, repeat, encoding
    try:
        known = framing(registry.url, "inference.events", {"slo.counts": "slo_counts"} if outputs else {})
    except RegistryError as error:
        assert "password-9d1e" not in str(error)
        return str(error)
    assert all(isinstance(number, int) and isinstance(text, str) for number, text in known.registered.items())
    return ""


@EXAMPLES
@given(
    status=st.sampled_from([200, 201, 204, 301, 400, 401, 404, 409, 500, 599]),
    body=st.binary(max_size=60),
    outputs=st.booleans(),
)
def test_any_answer_of_a_registry_is_used_or_refused(
    registry: Registry, status: int, body: bytes, outputs: bool
) -> None:
    ask(registry, status, body, outputs)


@EXAMPLES
@given(body=json_values | st.fixed_dictionaries({"id": json_values, "schema": json_values}), outputs=st.booleans())
def test_any_json_of_a_registry_is_used_or_refused(registry: Registry, body: Any, outputs: bool) -> None:
    ask(registry, 200, json.dumps(body).encode(), outputs)


@pytest.mark.parametrize(
    "body",
    [
        b'{"id": -1}',
        b'{"id": 4294967296}',
        b'{"id": true}',
        b'{"id": "7"}',
        b'{"id": 1e3}',
        b"[" * 100_000,
        b"",
        b"null",
        b"[1, 2]",
    ],
)
def test_what_is_no_id_is_refused_with_the_setting_to_check(registry: Registry, body: bytes) -> None:
    assert "BURNLINE_SCHEMA_REGISTRY_URL" in ask(registry, 200, body, outputs=True)


def test_an_endless_answer_is_cut_off(registry: Registry) -> None:
    assert "more than" in ask(registry, 200, b" " * (1 << 20), outputs=False, repeat=2 * (ANSWER_BYTES >> 20))


def test_an_answer_that_inflates_is_cut_off(registry: Registry) -> None:
    import gzip

    bomb = gzip.compress(b" " * (256 << 20))
    assert "more than" in ask(registry, 200, bomb, outputs=False, encoding="gzip")
