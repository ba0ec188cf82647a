"""Law: what ClickHouse knows beside an alert is told; when it does not answer, what files say is, and nobody waits."""

import re
import socket
import uuid
from collections.abc import Iterator

import pytest

from pipeline.blocks import encode
from pipeline.delivery.context import Context
from pipeline.delivery.notification import AlertEvent
from pipeline.embedded import EmbeddedClickHouse
from pipeline.settings import Settings
from pipeline.sinks.clickhouse import ClickHouse
from pipeline.sinks.contexts import PATIENCE_S, Contexts, conditions
from pipeline.spec import SloSet
from tests.delivery.told import event, over, silent
from tests.recorded import Recorded
from tests.sinks.correcting import END_S, Site
from tests.sinks.storing import settings_of
from tests.spec.samples import GOOD, load_text

FIRED_S = END_S  #: yesterday: what is older than some days is deleted
SERVICE_SQL = """\
INSERT INTO {table} (slice_start, service, request_model, tenant_id, region, operation, priority_class, variant,
                     vantage, success, error, ttft_state)
SELECT toDateTime64({at}, 6, 'UTC'), '{service}', 'm', 'acme', '{region}', 'chat', 'standard', '{variant}', 'GATEWAY',
       {success}, {error}, quantilesDDState(0.01, 0.5, 0.95, 0.99)(toFloat64({ttft_us}))"""


class Service:
    """A service of its own, whose requests are written as a worker would."""

    def __init__(self, server: EmbeddedClickHouse) -> None:
        self.server, self.name = server, f"s{uuid.uuid4().hex[:10]}"

    def had(
        self, before_s: int, variant: str, success: int, error: int, region: str = "eu", ttft_us: float = 1e5
    ) -> None:
        """Add a slice of some requests, in every tier."""
        with self.server.client() as client:
            for table, length_s in (("slices_10s", 10), ("slices_1m", 60), ("slices_1h", 3_600)):
                at = (FIRED_S - before_s) // length_s * length_s
                client.execute(
                    SERVICE_SQL.format(table=table, at=at, service=self.name, region=region, variant=variant,
                                       success=success, error=error, ttft_us=ttft_us)
                )  # fmt: skip

    def changed(
        self, title: str, before_s: int, kind: str = "DEPLOY", until_s: int | None = None,
        knobs: tuple[dict[str, str], dict[str, str]] = ({}, {}), **scope: str,
    ) -> None:  # fmt: skip
        """Tell of a change, so many seconds before it fired."""
        times = {"at": FIRED_S - before_s, "until": None if until_s is None else FIRED_S - until_s}
        at = {name: None if each is None else each * 1_000_000 for name, each in times.items()}
        columns = {"change_id": title, "service": self.name, "kind": kind, "title": title, "before": knobs[0],
                   "after": knobs[1], **at, **scope}  # fmt: skip
        sink = ClickHouse(settings_of(self.server))
        Site(self.server, sink).store(
            "inference.changes", [Recorded(0, encode("config_change", columns), b"k", append_time_ms=FIRED_S * 1000)]
        )
        sink.close()

    def alert(self, **changes: object) -> AlertEvent:
        at = dict.fromkeys(("started_at", "window_end", "watermark"), FIRED_S * 1_000_000)
        return event(**{"service": self.name, "metric": "error_rate", "labels": {}, "instance": "", **at, **changes})


@pytest.fixture
def service(clickhouse: EmbeddedClickHouse) -> Service:
    return Service(clickhouse)


@pytest.fixture
def contexts(clickhouse: EmbeddedClickHouse, monkeypatch: pytest.MonkeyPatch) -> Iterator[Contexts]:
    monkeypatch.setattr("pipeline.sinks.contexts.PATIENCE_S", 60.0)  # this machine is busy with other tests
    made = Contexts(settings_of(clickhouse), SloSet())
    yield made
    made.close()


@pytest.mark.servers
def test_a_new_variant_that_fails_is_told_as_hit_and_as_new(service: Service, contexts: Contexts) -> None:
    service.had(7_200, "v1", 1_000, 0)
    service.had(1_800, "v1", 1_000, 0)
    service.had(600, "v2", 100, 0)  # new since then, before the alert's short window
    service.had(60, "v1", 780, 20)
    service.had(60, "v2", 20, 180)
    context = contexts.of(service.alert())
    assert context.hit == ("variant=v2: 180 of 200 failures (90 %), of 20 % of the requests",)
    assert [change.text for change in context.changes] == ["first requests of variant=v2"]
    assert context.changes[0].at_us == (FIRED_S - 600) // 60 * 60 * 1_000_000
    assert context.is_counted


@pytest.mark.servers
def test_only_the_requests_that_an_instance_counts_are_asked_for(service: Service, contexts: Contexts) -> None:
    service.had(60, "v1", 800, 0, region="eu")
    service.had(60, "v2", 100, 100, region="eu")
    service.had(60, "v1", 0, 5_000, region="us")
    context = contexts.of(service.alert(labels={"region": "eu"}, instance="region=eu"))
    assert context.hit == ("variant=v2: 100 of 100 failures (100 %), of 20 % of the requests",)
    assert context.changes == (), "a service that began within the hour is all new"


@pytest.mark.servers
def test_what_somebody_told_of_before_an_alert_began_is_told_where_it_applies(
    service: Service, contexts: Contexts
) -> None:
    service.had(7_200, "v1", 1_000, 0)
    service.had(120, "v2", 100, 0)
    service.had(60, "v2", 100, 20)
    service.changed("vllm 0.9.1", 240, variant="v2", knobs=({"batch": "8"}, {"batch": "16"}))
    service.changed("of another region", 200, region="us")
    service.changed("in its region", 180, region="eu", kind="NOTE")
    service.changed("days ago", 3 * 86_400)
    service.changed("new switch", 2 * 86_400, until_s=-600, kind="MAINTENANCE")
    service.changed("old switch", 2 * 86_400, until_s=86_400, kind="MAINTENANCE")
    service.changed("after it all", -3_600)
    context = contexts.of(service.alert(labels={"region": "eu"}, instance="region=eu"))
    assert [(change.text, FIRED_S - change.at_us // 1_000_000) for change in context.changes] == [
        ("note: in its region, only of region=eu", 180),
        ("deploy: vllm 0.9.1 (batch: 8 -> 16), only of variant=v2", 240),
        ("maintenance: new switch", 2 * 86_400),
    ]


@pytest.mark.servers
def test_of_a_latency_the_slow_are_told(service: Service, contexts: Contexts) -> None:
    service.had(60, "v1", 800, 0, ttft_us=2e5)
    service.had(60, "v2", 100, 0, ttft_us=3e6)
    (text,) = contexts.of(service.alert(metric="ttft")).hit
    assert re.fullmatch(r"variant=v2: P95 of 3 s, of others (19[89]|20[0-2]) ms", text)  # within 1 %


@pytest.mark.servers
def test_many_values_of_a_label_add_up_though_few_are_shown(service: Service, contexts: Contexts) -> None:
    for number in range(30):
        service.had(60, f"v{number}", 100, 10)
    service.had(60, "bad", 0, 300)
    assert contexts.of(service.alert()).hit == ("variant=bad: 300 of 600 failures (50 %), of 8.3 % of the requests",)


def test_a_server_that_never_answers_is_not_waited_for_and_not_asked_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent_server:
        address = f"clickhouse://x@127.0.0.1:{silent_server.getsockname()[1]}/burnline"
        made = Contexts(Settings(clickhouse_url=address), load_text(GOOD))
        first, second = (made.of(event(sequence=number)) for number in (1, 2))
        silent_server.settimeout(60.0)
        silent_server.accept()[0].close()
        silent_server.settimeout(2 * PATIENCE_S)
        with pytest.raises(TimeoutError):
            silent_server.accept()
        made.close()
    for context in (first, second):
        assert context.promise.startswith("99 % of chat requests")
        assert not context.is_counted


@pytest.mark.parametrize("told", [silent(), over("03:51:00", "it is")], ids=["no data", "over"])
def test_what_is_over_or_silent_asks_nobody(told: AlertEvent) -> None:
    made = Contexts(Settings(clickhouse_url="clickhouse://x@127.0.0.1:1/burnline"), SloSet())
    assert made.of(told) == Context()
    made.close()


def test_what_an_slo_selects_and_what_its_instance_is_are_asked_for() -> None:
    (slo,) = load_text(GOOD).slos
    assert conditions(event(labels={"region": "eu", "request_model": "m", "stream": "true"}), slo) == {
        "operation": ("chat",), "tenant_id": ("zen", "acme"), "vantage": ("GATEWAY",), "region": ("eu",),
        "request_model": ("m",),
    }  # fmt: skip
