"""The worker's port against hostile clients, over raw sockets: bounded, silent about itself, and still there after."""

import asyncio
import contextlib
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from pipeline.web import doors
from pipeline.web.server import BindRefused, Endpoints, Health, Server, parse_bind

TOKEN = "marker-token-81c2"
BROKEN = "marker-of-an-event-55d0"


class Running:
    """A server in a thread of its own; `break_metrics` makes the page of metrics raise."""

    def __init__(self, token: str | None = None) -> None:
        self.break_metrics = False
        self.page = b"burnline_series 1\n"
        sick = Health(("judge has written nothing for 61 s",))
        self._server = Server(Endpoints(self._metrics, Health, lambda: sick), "127.0.0.1:0", token)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._server.start(), self._loop).result(60)
        self.port = int(self._server.address.rpartition(":")[2])

    def _metrics(self, accept: str) -> bytes:
        del accept
        if self.break_metrics:
            raise RuntimeError(BROKEN)
        return self.page

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._server.stop(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)

    @property
    def connections(self) -> int:
        http = self._server._runner.server
        return len(http.connections) if http else 0

    def wait(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def connect(self, timeout_s: float = 60.0) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout_s)

    def ask(self, request: bytes, timeout_s: float = 60.0) -> bytes:
        """Send bytes; return all that comes until the server closes."""
        with self.connect(timeout_s) as client:
            with contextlib.suppress(OSError):  # a server that has heard enough may close while we send
                client.sendall(request)
            return everything(client)

    def answers(self) -> bool:
        return self.ask(get("/healthz")).startswith(b"HTTP/1.1 200")


def everything(client: socket.socket) -> bytes:
    """Read to the end; a reset is an end too."""
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := client.recv(1 << 16):
            found += piece
    return found


def get(path: str, *headers: str, host: str = "127.0.0.1") -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", f"Host: {host}", *headers, "", ""]).encode("latin-1")


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    running = Running()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def guarded_server() -> Iterator[Running]:
    running = Running(TOKEN)
    yield running
    running.stop()


REFUSED = [
    pytest.param(get("/" + "a" * 5_000), id="a long path"),
    pytest.param(get("/healthz", "X: " + "a" * 5_000), id="a long header"),
    pytest.param(get("/healthz", *(f"X{i}: 1" for i in range(200))), id="many headers"),
    pytest.param(get("/healthz", "Content-Length: 100000000"), id="a body that is announced"),
    pytest.param(get("/healthz", "Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\n\r\n", id="a body in chunks"),
    pytest.param(get("/healthz", "Content-Length: 1", "Transfer-Encoding: chunked"), id="two lengths"),
    pytest.param(get("/healthz", "Content-Length: -1"), id="a negative length"),
    pytest.param(get("/healthz", "Bad Header: x"), id="a blank in a name"),
    pytest.param(b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n", id="a zero byte"),
    pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300), id="TLS"),
    pytest.param(b"GET\r\n\r\n", id="half a line"),
    pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2"),
    pytest.param(b"POST /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n", id="a method that writes"),
    pytest.param(b"CONNECT example.org:443 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", id="a tunnel"),
    pytest.param(b"GET http://example.org/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", id="somebody else's URL"),
    pytest.param(get("/metrics", host="rebound.example"), id="a name that was made to point here"),
    pytest.param(get("/metrics", host="127.0.0.1.rebound.example"), id="a name that looks like loopback"),
    pytest.param(get("/../etc/passwd"), id="dots"),
    pytest.param(get("/metrics/..%2f..%2fetc/passwd"), id="encoded dots"),
    pytest.param(get("/%2e%2e/%2e%2e/etc/passwd"), id="dots, all encoded"),
    pytest.param(get("//etc/passwd"), id="two slashes"),
    pytest.param(get("/..\\..\\etc\\passwd"), id="backslashes"),
    pytest.param(get("/static/%00"), id="an encoded zero"),
]


@pytest.mark.parametrize("request_bytes", REFUSED)
def test_what_is_not_a_plain_question_is_refused_and_nothing_of_it_repeated(
    server: Running, request_bytes: bytes
) -> None:
    answer = server.ask(request_bytes)
    assert 400 <= status(answer) < 500, answer[:200]
    assert b"root:" not in answer and b"aaaa" not in answer and b"passwd" not in answer
    assert b"Traceback" not in answer and b"aiohttp" not in answer and b"Python" not in answer
    for name, value in doors.HEADERS.items():
        assert f"{name}: {value}".encode() in answer
    assert server.answers()


def test_an_error_of_ours_shows_nothing_of_itself(server: Running) -> None:
    server.break_metrics = True
    try:
        answer = server.ask(get("/metrics", "Accept: text/html"))
    finally:
        server.break_metrics = False
    assert status(answer) == 500
    assert BROKEN.encode() not in answer and b"RuntimeError" not in answer and b"Traceback" not in answer


@pytest.mark.parametrize("path", ["/metrics", "/nowhere", "/", "/api/v1/slos"])
@pytest.mark.parametrize(
    "said", ["", "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"bearer {TOKEN}", f"Basic {TOKEN}", TOKEN, "Bearer \xe9"]
)
def test_without_the_token_every_path_is_closed(guarded_server: Running, path: str, said: str) -> None:
    answer = guarded_server.ask(get(path, f"Authorization: {said}", host="any.example"))
    assert status(answer) == 401
    assert TOKEN.encode() not in answer


def test_with_the_token_any_name_is_answered(guarded_server: Running) -> None:
    answer = guarded_server.ask(get("/metrics", f"Authorization: Bearer {TOKEN}", host="burnline.example"))
    assert status(answer) == 200
    assert TOKEN.encode() not in answer


def test_probes_work_without_the_token_and_then_give_no_reasons(guarded_server: Running) -> None:
    strange = guarded_server.ask(get("/readyz"))
    known = guarded_server.ask(get("/readyz", f"Authorization: Bearer {TOKEN}"))
    assert status(strange) == status(known) == 503
    assert b"judge" not in strange and b"judge" in known


def test_a_near_miss_takes_as_long_as_a_far_one() -> None:
    """The comparison is hmac.compare_digest; this would catch a plain == only if it were grossly slower."""
    near, far = f"Bearer {TOKEN[:-1]}x", "Bearer " + "x" * len(TOKEN)

    def took(said: str) -> float:
        began = time.thread_time()  # of this thread alone, whatever else the machine does
        for _ in range(20_000):
            doors.is_token(said, TOKEN)
        return time.thread_time() - began

    ratios = [took(near) / took(far) for _ in range(7)]
    assert 0.5 < statistics.median(ratios) < 2


@pytest.mark.parametrize(
    "bind", ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "example.org:1", "127.0.0.2:1", "localhost.evil.example:1"]
)
def test_off_loopback_there_is_no_port_without_a_token(bind: str) -> None:
    with pytest.raises(BindRefused, match="BURNLINE_HTTP_TOKEN_FILE"):
        parse_bind(bind, None)
    with pytest.raises(BindRefused):
        parse_bind(bind, "")
    parse_bind(bind, TOKEN)


@pytest.mark.parametrize(
    "bind", ["127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", ":80", "127.0.0.1:\u0661"]
)
def test_what_is_no_address_is_refused(bind: str) -> None:
    with pytest.raises(ValueError, match="host:port"):
        parse_bind(bind, None)


@pytest.mark.parametrize(
    "said", [b"", b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"], ids=["nothing", "half a request"]
)
def test_who_says_too_little_is_put_out(server: Running, said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doors, "REQUEST_S", 1.0)
    began = time.monotonic()
    answer = server.ask(said)
    assert answer == b""
    assert time.monotonic() - began >= 1


def test_who_says_a_byte_now_and_then_is_put_out_all_the_same(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doors, "REQUEST_S", 1.0)
    began = time.monotonic()
    with server.connect() as client, contextlib.suppress(OSError):
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ")
        while time.monotonic() - began < 60:
            client.sendall(b"a")
            time.sleep(0.05)
    assert time.monotonic() - began < 59


def test_one_too_many_is_told_so_and_room_comes_back(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doors, "REQUEST_S", 120.0)  # all are in before the first is put out
    with contextlib.ExitStack() as crowd:
        held = [crowd.enter_context(server.connect()) for _ in range(doors.CONNECTIONS_MOST)]
        assert len(held) == doors.CONNECTIONS_MOST
        assert status(server.ask(get("/healthz"))) == 503
    server.wait(server.answers)


def test_a_connection_answers_once(server: Running) -> None:
    answer = server.ask(get("/healthz") * 50)
    assert answer.count(b"HTTP/1.1") == 1
    assert b"Connection: close" in answer


def test_who_does_not_read_is_put_out(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.web.server.REPLY_S", 1.0)
    server.page = b"x" * (64 << 20)
    server.wait(lambda: server.connections == 0)
    try:
        with server.connect() as client:
            client.sendall(get("/metrics"))
            server.wait(lambda: server.connections == 1)
            server.wait(lambda: server.connections == 0)
            assert len(everything(client)) < 64 << 20
    finally:
        server.page = b"burnline_series 1\n"
    assert server.answers()
