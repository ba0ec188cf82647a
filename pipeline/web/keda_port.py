"""The port at which KEDA asks, off unless BURNLINE_KEDA_BIND is set. Loopback, unless it is known who asks.

Whoever asks is known by a certificate of BURNLINE_KEDA_TLS_CAFILE, or by the HTTP token. Refuses to know what is asked.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from pipeline.settings import SettingsError
from pipeline.web.doors import LOOPBACK, host_and_port, written
from pipeline.web.source import Source

if TYPE_CHECKING:
    from pipeline.settings import Settings
    from pipeline.web.asking import Found

OPTIONS = (
    ("grpc.so_reuseport", 0),  # a port that is taken is an error
    ("grpc.max_receive_message_length", 64 << 10),
    ("grpc.max_metadata_size", 8 << 10),
    ("grpc.max_concurrent_streams", 256),  # of one connection
    ("grpc.keepalive_time_ms", 60_000),  # who is gone without a word is let go
)
CALLS_MOST = 1_000  #: each ScaledObject that is pushed to has one open
ROWS_S = 1.0  #: all who ask within it get the same answer

log = structlog.get_logger()


class Looked:
    """What ClickHouse answered last, by service and model: one question for all who ask."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._found: Found | None = None
        self._by_model: dict[tuple[str, str], list[dict[str, Any]]] = {}

    async def rows(self, service: str, model: str) -> list[dict[str, Any]]:
        """Return what is said of a model.

        Raises: NoAnswer.
        """
        found = await self._source.acted_on.ask("replicas", kept_s=ROWS_S)
        if found is not self._found:
            self._found, self._by_model = found, {}
            for row in found.rows():
                self._by_model.setdefault((row["service"], row["model"]), []).append(row)
        return self._by_model.get((service, model), [])


@asynccontextmanager
async def serving(settings: "Settings", source: Source) -> AsyncIterator[str]:
    """Serve while this is open, at the address that is given; the empty string: nowhere, since nobody wants it.

    Raises: SettingsError.
    """
    if not settings.keda_bind:
        yield ""
        return
    token = settings.secret("http_token") or None
    host, port = _address(settings, token)
    try:
        import grpc

        from pipeline.web.keda import Scaler
    except ImportError as error:
        raise SettingsError("BURNLINE_KEDA_BIND is set, which needs `pip install 'burnline[keda]'`") from error

    server = grpc.aio.server(options=OPTIONS, maximum_concurrent_rpcs=CALLS_MOST)
    is_known = settings.keda_tls_cafile is not None
    server.add_generic_rpc_handlers((Scaler(Looked(source).rows, None if is_known else token).handler,))
    chosen = _listen(server, written(host, port), _credentials(settings))
    await server.start()
    address = written(host, chosen)
    log.info("KEDA may ask for replicas", address=address, tls=settings.keda_tls_certfile is not None)
    try:
        yield address
    finally:
        await server.stop(None)


def _address(settings: "Settings", token: str | None) -> tuple[str, int]:
    found = host_and_port(settings.keda_bind)
    if found is None or not found[0]:
        raise SettingsError(f"BURNLINE_KEDA_BIND is host:port, for example 127.0.0.1:9443, not {settings.keda_bind!r}")
    if found[0] not in LOOPBACK and not token and settings.keda_tls_cafile is None:
        raise SettingsError(
            f"BURNLINE_KEDA_BIND: refusing to listen on {found[0]} without knowing who asks: set "
            "BURNLINE_KEDA_TLS_CAFILE or BURNLINE_HTTP_TOKEN_FILE, or bind to 127.0.0.1"
        )
    return found


def _listen(server: Any, address: str, credentials: Any) -> int:
    try:
        port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    except RuntimeError as error:
        why = "is the port taken, or do BURNLINE_KEDA_TLS_* hold no key and certificate of it?" if credentials else ""
        raise SettingsError(f"BURNLINE_KEDA_BIND: cannot listen on {address}: {why or 'is the port taken?'}") from error
    return int(port)


def _credentials(settings: "Settings") -> Any:
    """What the port shows and asks of clients, as files have it when somebody comes; None: it speaks no TLS."""
    key, shown, clients = settings.keda_tls_keyfile, settings.keda_tls_certfile, settings.keda_tls_cafile
    if key is None or shown is None:
        return None
    import grpc

    def read() -> tuple[bytes, bytes, bytes | None]:
        return _read(key, "KEYFILE"), _read(shown, "CERTFILE"), None if clients is None else _read(clients, "CAFILE")

    def configured(pair_and_clients: tuple[bytes, bytes, bytes | None]) -> Any:
        return grpc.ssl_server_certificate_configuration([pair_and_clients[:2]], pair_and_clients[2])

    last = read()

    def renewed() -> Any:
        """None: as before; so it stays too where a file cannot be read."""
        nonlocal last
        try:
            before, last = last, read()
        except SettingsError as error:
            log.error("a certificate cannot be read: the last one is shown", error=str(error))
            return None
        return None if last == before else configured(last)

    return grpc.dynamic_ssl_server_credentials(configured(last), renewed, clients is not None)


def _read(file: Path, name: str) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise SettingsError(f"BURNLINE_KEDA_TLS_{name}: {file} cannot be read: {error.strerror}") from None
