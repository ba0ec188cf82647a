"""Burnline tells of itself: in slo.alerts, once, whoever believes to be responsible, and to receivers like anything."""

import asyncio
from collections.abc import Callable, Iterator

import pytest
from aiokafka.structs import TopicPartition
from confluent_kafka import Consumer
from structlog.testing import capture_logs

from pipeline.agents.judge import stale_sources
from pipeline.agents.parts import Agent, Parts
from pipeline.agents.watching import Watcher, concerns_of
from pipeline.alerts import Kind, Severity
from pipeline.blocks import decode
from pipeline.delivery.incidents import entries
from pipeline.delivery.notification import Incident, Told
from pipeline.delivery.routes import Receiver, Route, Routes
from pipeline.embedded import EmbeddedKafka
from pipeline.framing import SINGLE_OBJECT
from pipeline.health import StepFacts
from pipeline.ourselves import Concern, Concerns
from pipeline.settings import Settings
from pipeline.spec import SloSet
from pipeline.topics import ALERTS, topic_name
from pipeline.transport import FetchSpec
from tests.agents.delivering import DEADLINE_S, Delivering, make_topics, note, settings_for, write
from tests.agents.test_deliver import hook, is_idle, said, until
from tests.delivery.listening import listening
from tests.delivery.test_incidents import of

S = 1_000_000


class Working:
    """A step as far as a watcher asks."""

    def __init__(self, *owned: tuple[str, int]) -> None:
        self.owned = {TopicPartition(*each): None for each in owned}


def test_a_lag_of_one_worker_is_one_alert_under_its_first_partition() -> None:
    agents = {"store": Agent(Working(("slo.slices", 1), ("slo.alerts", 2)), FetchSpec())}  # type: ignore[arg-type]
    facts = [StepFacts("store", 2, trouble="not a lag"), StepFacts("deliver", 4)]
    found = concerns_of(agents, facts, lambda each: f"45 s {each.trouble}")
    assert [(dict(each.labels)["partition"], each.says) for each in found] == [
        ("slo.alerts/2", "store lags: 45 s "), ("slo.slices/1", ""),
    ]  # fmt: skip
    assert concerns_of(agents, [StepFacts("store", 0)], lambda _: "45 s") == []


@pytest.mark.parametrize(
    ("silent_s", "says"),
    [
        pytest.param([0, 400], ["", "events/1 is silent for 400 s, while others are not"], id="one of two"),
        pytest.param([400, 500], [None, None], id="all of them: there is an alert of its own"),
        pytest.param([100, 400], ["", None], id="the others speak rarely too"),
        pytest.param([-1, 0], ["", ""], id="not heard yet"),
    ],
)
def test_a_source_is_stale_when_it_is_silent_and_others_are_not(silent_s: list[int], says: list[str | None]) -> None:
    found = stale_sources([each * S for each in silent_s], 300 * S, "events")
    assert [each.says for each in found] == says
    assert [each.labels for each in found] == [(("source", f"events/{number}"),) for number in range(len(says))]


@pytest.fixture
def site(kafka: EmbeddedKafka, topic_prefix: str) -> Settings:
    settings = settings_for(kafka.brokers, topic_prefix)
    make_topics(settings)
    return settings


@pytest.fixture
def alerts(site: Settings) -> Iterator[Consumer]:
    consumer = Consumer({"bootstrap.servers": site.kafka_brokers, "group.id": site.topic_prefix,
                         "auto.offset.reset": "earliest", "isolation.level": "read_committed"})  # fmt: skip
    consumer.subscribe([topic_name(site, ALERTS)])
    yield consumer
    consumer.close()


def events_of(alerts: Consumer, count: int) -> list[tuple[str, str, str]]:
    """The next events of slo.alerts: kind, event, reason."""
    found: list[tuple[str, str, str]] = []

    def read() -> bool:
        for message in alerts.consume(100, 0.1):
            if not message.error():
                columns = decode("burn_rate_alert", message.value(), SINGLE_OBJECT)
                found.append((columns["kind"], columns["event"], columns["reason"]))
        return len(found) >= count

    until(read)
    return found


@pytest.mark.servers
def test_two_that_believe_to_be_responsible_tell_of_it_once_though_they_deliver_nothing(
    site: Settings, alerts: Consumer
) -> None:
    site = site.model_copy(update={"steps": "judge"})
    routes = Routes((Receiver("hook", "webhook"),), (Route(("hook",)),))
    now = {"says": "judge lags: 45 s"}

    def look() -> list[Concern]:
        return [Concern(Kind.LAGGING, (("step", "judge"),), now["says"], "judge has caught up")]

    def watcher() -> Watcher:
        parts = Parts(site, SloSet(), SINGLE_OBJECT, {}, routes)
        return Watcher(parts, look, Concerns(hold_us=0), look_s=0.05)

    async def main() -> None:
        running = [asyncio.create_task(watcher().run()) for _ in range(2)]
        fired = await asyncio.to_thread(events_of, alerts, 1)
        now["says"] = ""
        over = await asyncio.to_thread(events_of, alerts, 1)
        now["says"] = "judge lags: 50 s"
        again = await asyncio.to_thread(events_of, alerts, 1)
        for each in running:
            each.cancel()
        await asyncio.wait(running)
        assert [*fired, *over, *again] == [
            ("LAGGING", "FIRED", "warning: judge lags: 45 s"),
            ("LAGGING", "RESOLVED", "warning is over: judge has caught up"),
            ("LAGGING", "FIRED", "warning: judge lags: 50 s"),
        ]
        nobody = Watcher(Parts(site, SloSet(), SINGLE_OBJECT, {}, Routes()), quota_too, Concerns(hold_us=0), 0.05)
        alone = asyncio.create_task(nobody.run())
        assert await asyncio.to_thread(events_of, alerts, 1) == [("QUOTA", "FIRED", "warning: the quota is exceeded")]
        alone.cancel()
        await asyncio.wait([alone])

    def quota_too() -> list[Concern]:
        """Though nobody is told, whoever enforces quotas reads the topic."""
        quota = Concern(Kind.QUOTA, (("tenant_id", "acme"),), "the quota is exceeded", name="tokens-a-day")
        return [Concern(Kind.LAGGING, (("step", "store"),), "store lags"), quota]

    asyncio.run(asyncio.wait_for(main(), 2 * DEADLINE_S))


@pytest.mark.servers
def test_a_receiver_that_is_down_is_an_alert_that_others_hear_of_and_it_does_not(
    site: Settings, alerts: Consumer
) -> None:
    with listening() as away, listening() as there:
        routes = Routes((hook(away, "away"), hook(there, "there")), (Route(("away", "there")),))
        with Delivering(site, routes, watches=True) as running:
            until(lambda: is_idle(running))
            away.close()
            write(site, [of("first", 1)])
            heard = there.until(lambda heard: said(heard, "burnline") == [("burnline", "trigger")])
            (down,) = [each.json["data"] for each in heard if each.json["data"]["slo"] == "burnline"]
            assert (down["kind"], down["labels"], down["severity"]) == (
                "RECEIVER_DOWN", {"receiver": "away"}, "CRITICAL",
            )  # fmt: skip
            assert "receiver away is down" in down["words"]["title"]
            away.open()
            there.until(lambda heard: said(heard, "burnline") == [("burnline", "trigger"), ("burnline", "resolve")])
            until(lambda: is_idle(running))
        assert said(away.heard) == [("first", "trigger")]


@pytest.mark.servers
def test_a_receiver_that_is_in_no_file_any_more_is_down_no_longer_and_the_log_says_what_it_was_told(
    site: Settings, alerts: Consumer
) -> None:
    def down(says: str) -> list[Concern]:
        return [Concern(Kind.RECEIVER_DOWN, (("receiver", "old"),), says)]

    def watcher(name: str, look: Callable[[], list[Concern]]) -> Watcher:
        routes = Routes((Receiver(name, "webhook"),), (Route((name,)),))
        return Watcher(Parts(site, SloSet(), SINGLE_OBJECT, {}, routes), look, Concerns(hold_us=0), look_s=0.05)

    async def main() -> None:
        incident = Incident("a", (), 0, 0, {"a": of("a", 1)}, {"a": Told(1, Severity.CRITICAL)})
        note(site, "old|a", entries(None, incident)["a"])
        first = asyncio.create_task(watcher("old", lambda: down("receiver old is down")).run())
        fired = await asyncio.to_thread(events_of, alerts, 1)
        first.cancel()
        await asyncio.wait([first])
        there = Concern(Kind.RECEIVER_DOWN, (("receiver", "new"),), None)
        with capture_logs() as logged:
            second = asyncio.create_task(watcher("new", lambda: [there]).run())
            over = await asyncio.to_thread(events_of, alerts, 1)
        second.cancel()
        await asyncio.wait([second])
        assert [*fired, *over] == [
            ("RECEIVER_DOWN", "FIRED", "critical: receiver old is down"),
            ("RECEIVER_DOWN", "RESOLVED", "critical is over: receiver old is in no route any more"),
        ]
        found = [(each["receiver"], each["alerts"]) for each in logged if "no file names" in each["event"]]
        assert found == [("old", 1)]

    asyncio.run(asyncio.wait_for(main(), 2 * DEADLINE_S))
