"""The client of receivers: calls only what it may, follows nobody, checks certificates, reads no more than it must."""

import asyncio
import gzip
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from pipeline.delivery.requests import Answer, Request
from pipeline.sinks.receivers import ANSWER_BYTES, Caller, Unreachable
from tests.delivery.listening import Listening, Reply, listening
from tests.security.certificates import OPEN, PEM, PKCS8, authority, signed

INSIDE = ("127.0.0.0/8", "::1/128")


def post(url: str, allow: tuple[str, ...] = INSIDE) -> Answer:
    async def call() -> Answer:
        caller = Caller(allow)
        try:
            return await caller.post(Request(url, b'{"a":1}'))
        finally:
            await caller.close()

    return asyncio.run(call())


@pytest.fixture
def receiver() -> Iterator[Listening]:
    with listening() as made:
        yield made


def test_a_request_arrives_as_it_was_made(receiver: Listening) -> None:
    assert post(receiver.url("/path?query=1")).status == 200
    (heard,) = receiver.heard
    assert (heard.path, heard.body, heard.headers["content-type"]) == ("/path?query=1", b'{"a":1}', "application/json")
    assert heard.headers["host"] == f"127.0.0.1:{receiver.port}"


def test_what_is_not_public_is_called_only_where_it_is_allowed(receiver: Listening) -> None:
    with pytest.raises(Unreachable, match="loopback"):
        post(receiver.url("/secret"), ())
    assert receiver.heard == []


def test_a_redirect_is_an_answer_and_not_a_way(receiver: Listening) -> None:
    receiver.answer = lambda heard: Reply(308, b"", (("location", receiver.url("/elsewhere")),))
    assert post(receiver.url()).status == 308
    assert len(receiver.heard) == 1


def test_an_answer_is_read_up_to_its_limit(receiver: Listening) -> None:
    receiver.answer = lambda _: Reply(200, b"x" * (4 * ANSWER_BYTES))
    assert len(post(receiver.url()).body) == ANSWER_BYTES


def test_an_answer_is_not_unpacked(receiver: Listening) -> None:
    packed = gzip.compress(b"x" * (100 * ANSWER_BYTES))
    receiver.answer = lambda _: Reply(200, packed, (("content-encoding", "gzip"),))
    assert post(receiver.url()).body == packed[:ANSWER_BYTES]
    assert receiver.heard[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}/secret", "http://no.such.name.invalid/secret", "nonsense"])
def test_nobody_there_is_said_without_the_path(url: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = url.format(port=closed.getsockname()[1])
        with pytest.raises(Unreachable) as refused:
            post(address)
    assert "secret" not in str(refused.value)


def test_nobody_is_believed_whose_certificate_is_of_another_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusted = authority(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted.file))
    key = ec.generate_private_key(ec.SECP256R1())
    wrong = signed("x", key.public_key(), trusted.certificate.subject, trusted.key, [x509.DNSName("other.example")])
    (tmp_path / "wrong.pem").write_bytes(key.private_bytes(PEM, PKCS8, OPEN) + wrong.public_bytes(PEM))
    for file, is_right in ((trusted.keystore(tmp_path / "right.pem"), True), (tmp_path / "wrong.pem", False)):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        with listening(tls=context) as server:
            if is_right:
                assert post(f"https://localhost:{server.port}/").status == 200
                assert server.heard[0].headers["host"] == f"localhost:{server.port}"
            else:
                with pytest.raises(Unreachable, match="certificate"):
                    post(f"https://localhost:{server.port}/")
