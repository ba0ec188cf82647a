"""KEDA's external scaler, asked by a real gRPC client over loopback, with messages compiled of the .proto we ship."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import wraps
from pathlib import Path
from typing import Any

import grpc
import pytest
from aiohttp.test_utils import make_mocked_request
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_tools import protoc
from ruamel.yaml import YAML

import infra
import schemas
from pipeline.settings import Settings, SettingsError
from pipeline.web.asking import THREADS, Asking, NoAnswer
from pipeline.web.keda import METRIC, Rows, Scaler
from pipeline.web.keda_port import serving
from pipeline.web.keda_wire import SERVICE, file_descriptor
from pipeline.web.signals import signals_of_model
from pipeline.web.source import Source
from tests.security.certificates import authority

PROTO = Path(schemas.__file__).parent / "keda" / "externalscaler.proto"
MODEL = "llama-3.3-70b"
TRIGGER = {"service": "chat", "model": MODEL}
OPEN, WRONG, AWAY = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNAVAILABLE


def on_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test on an event loop of its own."""

    @wraps(test)
    def run(*args: Any, **named: Any) -> None:
        asyncio.run(test(*args, **named))

    return run


def compiled(directory: Path) -> descriptor_pb2.FileDescriptorProto:
    """What Google's compiler makes of the file."""
    out = directory / "descriptor"
    assert protoc.main(["", f"-I{PROTO.parent}", f"--descriptor_set_out={out}", PROTO.name]) == 0
    (file,) = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file
    return file


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """Classes of messages, as a client has them."""
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(compiled(tmp_path_factory.mktemp("proto")).SerializeToString())
    return lambda name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"externalscaler.{name}"))


def test_messages_and_methods_are_those_of_the_file_we_ship(tmp_path: Path) -> None:
    theirs, ours = compiled(tmp_path), file_descriptor()
    (service,) = theirs.service
    assert f"{theirs.package}.{service.name}" == SERVICE
    methods = {each.name: each.server_streaming for each in service.method}
    assert methods == {"IsActive": False, "StreamIsActive": True, "GetMetricSpec": False, "GetMetrics": False}
    del theirs.service[:]
    assert theirs == ours


class Client:
    """KEDA, as far as it asks."""

    def __init__(self, channel: Any, wire: Callable[[str], Any]) -> None:
        self._channel, self._wire = channel, wire

    def ref(self, **metadata: str) -> Any:
        return self._wire("ScaledObjectRef")(name="chat", namespace="default", scalerMetadata=metadata)

    def call(self, method: str, asked: Any, answer: str, **options: Any) -> Any:
        make = self._channel.unary_stream if method == "StreamIsActive" else self._channel.unary_unary
        put = {"request_serializer": type(asked).SerializeToString}
        return make(f"/{SERVICE}/{method}", **put, response_deserializer=self._wire(answer).FromString)(
            asked, **options
        )

    async def replicas(self, **metadata: str) -> float:
        asked = self._wire("GetMetricsRequest")(scaledObjectRef=self.ref(**metadata), metricName=METRIC)
        (found,) = (await self.call("GetMetrics", asked, "GetMetricsResponse")).metricValues
        assert found.metricName == METRIC and found.metricValue >= found.metricValueFloat
        return float(found.metricValueFloat)

    async def is_active(self, **metadata: str) -> bool:
        return bool((await self.call("IsActive", self.ref(**metadata), "IsActiveResponse")).result)


class Told:
    """What the control says, which changes."""

    def __init__(self, *rows: dict[str, Any]) -> None:
        self.rows, self.away = list(rows), ""

    async def look(self, service: str, model: str) -> Rows:
        if self.away:
            raise NoAnswer(self.away)
        return [row for row in self.rows if (row["service"], row["model"]) == (service, model)]


def said(value: float | None, scope: str = "", **changes: Any) -> dict[str, Any]:
    row = {"service": "chat", "model": MODEL, "scope": scope, "state": "out", "value": value, "reason": "because"}
    return {**row, **at(0), "is_expired": False, **changes}


def at(seconds: float) -> dict[str, datetime]:
    """When it was decided, of a life of two minutes."""
    began = datetime(2026, 11, 26, 12, tzinfo=UTC) + timedelta(seconds=seconds)
    return {"evaluated_at": began, "expires_at": began + timedelta(seconds=120)}


@asynccontextmanager
async def asked(told: Told, wire: Callable[[str], Any], token: str | None = None) -> AsyncIterator[Client]:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Scaler(told.look, token, every_s=0.01).handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Client(channel, wire)
    await server.stop(None)


async def refused(call: Awaitable[Any]) -> tuple[Any, str]:
    """Return the status and the reason of a call that fails; of one that does not, what it answers."""
    try:
        return None, str(await call)
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details() or ""


@on_a_loop
async def test_keda_is_told_the_replicas_of_a_model_and_of_one_variant(wire: Callable[[str], Any]) -> None:
    pool = said(7.0, service="gpu-a", model="")
    told = Told(said(6.0, "h100"), said(3.0, "a100"), said(40.0, model="other"), said(0.0, model="idle"), pool)
    async with asked(told, wire) as keda:
        assert await keda.replicas(**TRIGGER) == 9.0
        assert await keda.replicas(**TRIGGER, scope="a100") == 3.0
        assert await keda.replicas(service="gpu-a") == 7.0
        assert (await refused(keda.replicas(service="chat")))[0] is AWAY, "of a service as a whole nothing is said"
        assert await keda.is_active(**TRIGGER)
        assert not await keda.is_active(service="chat", model="idle"), "a 0 that is known scales to nothing"
        ref = keda.ref(**TRIGGER, targetValue="0.9")
        (spec,) = (await keda.call("GetMetricSpec", ref, "GetMetricSpecResponse")).metricSpecs
        assert (spec.metricName, spec.targetSize, spec.targetSizeFloat) == (METRIC, 1, 0.9)


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        pytest.param([], "nothing was ever said of chat", id="nothing was said"),
        pytest.param([said(6.0, is_expired=True)], "has expired", id="it has expired"),
        pytest.param([said(None, state="unknown", reason="no capacity")], "no capacity", id="it is unknown"),
        pytest.param([said(6.0, "a"), said(None, "b", state="unknown")], "because", id="of one variant it is unknown"),
        pytest.param([said(6.0, "a", is_expired=True, **at(-59)), said(2.0, "b")], "expired in part: of a",
                     id="the control went away, and of one variant it has expired first"),
        pytest.param(None, "ClickHouse is away", id="nobody can be asked"),
    ],
)  # fmt: skip
@on_a_loop
async def test_what_is_not_known_is_an_error_and_never_a_number(
    rows: list[dict[str, Any]] | None, why: str, wire: Callable[[str], Any]
) -> None:
    told = Told(*(rows or []))
    told.away = "" if rows is not None else "ClickHouse is away"
    async with asked(told, wire) as keda:
        stream = keda.call("StreamIsActive", keda.ref(**TRIGGER), "IsActiveResponse")
        for call in (keda.replicas(**TRIGGER), keda.is_active(**TRIGGER), stream.read()):
            status, reason = await refused(call)
            assert status is AWAY and why in reason
        spec = keda.call("GetMetricSpec", keda.ref(**TRIGGER), "GetMetricSpecResponse")
        assert (await refused(spec))[0] is None, "without it KEDA could not even begin"


@on_a_loop
async def test_a_variant_that_is_none_any_more_is_not_added(wire: Callable[[str], Any]) -> None:
    """The other one was told of when this one was half expired, and this one was not."""
    told = Told(said(6.0, "a", is_expired=True, **at(-61)), said(2.0, "b"))
    async with asked(told, wire) as keda:
        assert await keda.replicas(**TRIGGER) == 2.0


@on_a_loop
async def test_whoever_listens_is_told_at_once_and_then_when_it_changes(wire: Callable[[str], Any]) -> None:
    told = Told(said(2.0))
    async with asked(told, wire) as keda:
        stream = keda.call("StreamIsActive", keda.ref(**TRIGGER), "IsActiveResponse", timeout=60)
        assert (await stream.read()).result is True
        told.rows = [said(5.0)]  # no change of what is told here
        await asyncio.sleep(0.05)
        told.rows = [said(0.0)]
        assert (await stream.read()).result is False
        told.rows = [said(1.0)]
        assert (await stream.read()).result is True
        told.rows = [said(1.0, is_expired=True)]
        status, reason = await refused(stream.read())
        assert status is AWAY and "expired" in reason


@pytest.mark.parametrize(
    ("metadata", "why"),
    [
        pytest.param({"model": MODEL}, "service is missing", id="no service"),
        pytest.param({**TRIGGER, "targetValue": "0"}, "above 0", id="a target of 0"),
        pytest.param({**TRIGGER, "targetValue": "many"}, "above 0", id="no number"),
        pytest.param({**TRIGGER, "targetValue": "1e300"}, "at most", id="no number of replicas"),
    ],
)
@on_a_loop
async def test_a_trigger_that_cannot_be_used_is_told_what_to_write(
    metadata: dict[str, str], why: str, wire: Callable[[str], Any]
) -> None:
    async with asked(Told(said(6.0)), wire) as keda:
        status, reason = await refused(keda.replicas(**metadata))
        assert status is WRONG and why in reason


@on_a_loop
async def test_with_a_token_nobody_else_is_told(wire: Callable[[str], Any]) -> None:
    async with asked(Told(said(6.0)), wire, token="right") as keda:
        assert (await refused(keda.replicas(**TRIGGER)))[0] is OPEN
        assert (await refused(keda.is_active(**TRIGGER, tokenFromEnv="wrong")))[0] is OPEN
        stream = keda.call("StreamIsActive", keda.ref(**TRIGGER), "IsActiveResponse")
        assert (await refused(stream.read()))[0] is OPEN
        assert await keda.replicas(**TRIGGER, tokenFromEnv="right") == 6.0
        header = (("authorization", "Bearer right"),)
        call = keda.call("IsActive", keda.ref(**TRIGGER), "IsActiveResponse", metadata=header)
        assert (await call).result is True


@on_a_loop
async def test_who_opens_calls_and_asks_nothing_shuts_nobody_out(wire: Callable[[str], Any]) -> None:
    server = grpc.aio.server(maximum_concurrent_rpcs=2)
    server.add_generic_rpc_handlers((Scaler(Told(said(6.0)).look, None, within_s=0.1).handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        silent = [channel.stream_unary(f"/{SERVICE}/IsActive")(), channel.stream_stream(f"/{SERVICE}/StreamIsActive")()]
        assert (await refused(silent[0])) == (WRONG, "nothing was asked")
        assert (await refused(silent[1].read())) == (WRONG, "nothing was asked")
        assert await Client(channel, wire).replicas(**TRIGGER) == 6.0
    await server.stop(None)


# -- the port
NO_FILES = {"keda_tls_certfile": Path("/no/certificate"), "keda_tls_keyfile": Path("/no/key")}


def source_of(settings: Settings) -> Source:
    return Source(Asking(settings), lambda: {})


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        pytest.param({"keda_bind": "0.0.0.0:0"}, "without knowing who asks", id="off loopback, and nobody is known"),
        pytest.param({"keda_bind": "here"}, "host:port", id="no address"),
        pytest.param({"keda_bind": "127.0.0.1:0", **NO_FILES}, "cannot be read", id="no certificate"),
    ],
)
@on_a_loop
async def test_a_port_that_cannot_be_had_is_said_with_the_setting(changes: dict[str, Any], why: str) -> None:
    settings = Settings().model_copy(update=changes)
    with pytest.raises(SettingsError, match=why):
        async with serving(settings, source_of(settings)):
            raise AssertionError


@on_a_loop
async def test_without_a_setting_there_is_no_port_and_a_taken_one_is_an_error() -> None:
    settings = Settings()
    async with serving(settings, source_of(settings)) as address:
        assert address == ""
    one = settings.model_copy(update={"keda_bind": "127.0.0.1:0"})
    async with serving(one, source_of(one)) as address:
        taken = settings.model_copy(update={"keda_bind": address})
        with pytest.raises(SettingsError, match="taken"):
            async with serving(taken, source_of(taken)):
                raise AssertionError


@on_a_loop
async def test_a_client_is_known_by_its_certificate(wire: Callable[[str], Any], tmp_path: Path) -> None:
    """ClickHouse is away here: who is let in is told so."""
    mine = authority(tmp_path / "authority.pem")
    keys = mine.keystore(tmp_path / "server.pem")
    files = {"keda_tls_certfile": keys, "keda_tls_keyfile": keys, "keda_tls_cafile": mine.file}
    away = {"clickhouse_url": "clickhouse://nobody@127.0.0.1:1/none"}
    settings = Settings().model_copy(update={"keda_bind": "127.0.0.1:0", **files, **away})
    root, pair = mine.file.read_bytes(), mine.keystore(tmp_path / "client.pem").read_bytes()
    async with serving(settings, source_of(settings)) as address:
        for known, expected in ((grpc.ssl_channel_credentials(root, pair, pair), "ClickHouse"),
                                (grpc.ssl_channel_credentials(root), "")):  # fmt: skip
            async with grpc.aio.secure_channel(address, known) as channel:
                status, reason = await refused(Client(channel, wire).is_active(**TRIGGER))
                assert status is AWAY and (not expected or expected.lower() in reason.lower())
                assert bool(expected) or "handshak" in reason.lower() or "connect" in reason.lower()


@on_a_loop
async def test_certificates_that_are_renewed_are_shown_without_a_restart(
    wire: Callable[[str], Any], tmp_path: Path
) -> None:
    first, second = authority(tmp_path / "first.pem"), authority(tmp_path / "second.pem")
    keys = {each: each.keystore(tmp_path / f"keys-of-{each.file.name}").read_bytes() for each in (first, second)}
    mine, known = tmp_path / "mine.pem", tmp_path / "known.pem"
    files = {"keda_tls_certfile": mine, "keda_tls_keyfile": mine, "keda_tls_cafile": known}
    away = {"clickhouse_url": "clickhouse://nobody@127.0.0.1:1/none"}
    settings = Settings().model_copy(update={"keda_bind": "127.0.0.1:0", **files, **away})

    async def let_in(address: str) -> list[bool]:
        found = []
        for each, pair in keys.items():
            credentials = grpc.ssl_channel_credentials(each.file.read_bytes(), pair, pair)
            async with grpc.aio.secure_channel(address, credentials) as channel:
                found.append("clickhouse" in (await refused(Client(channel, wire).is_active(**TRIGGER)))[1].lower())
        return found

    def write(pair: bytes, of: Any) -> None:
        mine.write_bytes(pair)
        known.write_bytes(of.file.read_bytes())

    write(keys[first], first)
    async with serving(settings, source_of(settings)) as address:
        assert await let_in(address) == [True, False]
        write(b"half of a file", first)
        assert await let_in(address) == [True, False], "what cannot be used leaves what was"
        write(keys[second], second)
        assert await let_in(address) == [False, True]
        mine.unlink()
        assert await let_in(address) == [False, True], "and so does what cannot be read"


@pytest.mark.servers
@on_a_loop
async def test_it_is_told_what_clickhouse_has(reading: Settings, wire: Callable[[str], Any]) -> None:
    settings = reading.model_copy(update={"keda_bind": "127.0.0.1:0"})
    source = source_of(settings)
    async with serving(settings, source) as address, grpc.aio.insecure_channel(address) as channel:
        keda = Client(channel, wire)
        assert await keda.replicas(**TRIGGER) == 6.0
        assert (await refused(keda.replicas(service="chat", model="nobody's")))[0] is AWAY
    await source.close()


@pytest.mark.servers
@on_a_loop
async def test_a_page_that_is_slow_holds_up_no_scaler(reading: Settings, wire: Callable[[str], Any]) -> None:
    settings, over = reading.model_copy(update={"keda_bind": "127.0.0.1:0"}), threading.Event()
    source = source_of(settings)
    for _ in range(THREADS):
        source.asking._pool.submit(over.wait)  # a question that takes long
    try:
        async with serving(settings, source) as address, grpc.aio.insecure_channel(address) as channel:
            async with asyncio.timeout(20):
                assert await Client(channel, wire).replicas(**TRIGGER) == 6.0
                asked = make_mocked_request("GET", "/", match_info={"service": "chat", "model": MODEL})
                assert (await signals_of_model(source)(asked)).values["scale"] == 6.0
    finally:
        over.set()
        await source.close()


def test_the_example_asks_for_what_is_answered() -> None:
    file = infra.HOME / "examples" / "keda-external-push.yaml"
    scaled, login = list(YAML(typ="safe", pure=True).load_all(file.read_text()))
    (trigger,) = scaled["spec"]["triggers"]
    assert trigger["type"] == "external-push" and trigger["metricType"] == "AverageValue"
    assert all(isinstance(each, str) for each in trigger["metadata"].values())  # KEDA takes no others
    assert set(trigger["metadata"]) == {"scalerAddress", *TRIGGER, "targetValue"}
    assert scaled["spec"]["fallback"]["behavior"] == "currentReplicasIfHigher"
    assert trigger["authenticationRef"]["name"] == login["metadata"]["name"]
    assert {each["parameter"] for each in login["spec"]["secretTargetRef"]} == {
        "caCert",
        "tlsClientCert",
        "tlsClientKey",
    }
