"""Alerts in a real Alertmanager: grouped, inhibited, silenced and resolved there, and there again after any restart."""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from pipeline.delivery.notification import AlertEvent
from pipeline.delivery.receivers import INSIDE
from pipeline.delivery.routes import Receiver, Route, Routes
from pipeline.embedded import EmbeddedKafka
from pipeline.settings import Settings
from tests.agents.delivering import Delivering, make_topics, settings_for, to_one, write
from tests.agents.test_deliver import hook, is_idle, said, until
from tests.delivery.alert_manager import BINARY, Alertmanager
from tests.delivery.listening import Heard, Listening, listening
from tests.delivery.test_incidents import of

pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(
        BINARY is None, reason="no Alertmanager: `make promtool` unpacks Debian's prometheus-alertmanager"
    ),
]


@pytest.fixture(scope="module")
def told() -> Iterator[Listening]:
    with listening() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory, told: Listening) -> Iterator[Alertmanager]:
    server = Alertmanager(tmp_path_factory.mktemp("alertmanager"), told.url("/told"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def site(kafka: EmbeddedKafka) -> Settings:
    settings = settings_for(kafka.brokers, "alertmanager.")
    make_topics(settings)
    return settings


def receiver(manager: Alertmanager, resend_us: int = 1_000_000) -> Receiver:
    return Receiver("manager", "alertmanager", manager.url, resend_us=resend_us, allow=INSIDE)


@pytest.fixture(scope="module")
def running(site: Settings, manager: Alertmanager) -> Iterator[Delivering]:
    """One deliverer for all tests that leave it alone. It repeats rarely, for nothing must depend on that here."""
    with Delivering(site, to_one(receiver(manager, 20_000_000))) as deliverer:
        until(lambda: is_idle(deliverer))
        yield deliverer


def now(name: str, notice: str = "FIRED", severity: str = "CRITICAL", **changes: Any) -> AlertEvent:
    """An event of this moment, for Alertmanager goes by its clock."""
    at_us = time.time_ns() // 1000
    made = of(name, at_us // 1_000, notice, severity, changes.pop("service", name))
    times = {"started_at": at_us - 1_000_000, "window_end": at_us, "evaluated_at": at_us}
    return replace(made, **{**times, **changes})


def statuses(heard: list[Heard], slo: str) -> list[tuple[str, str]]:
    """What Alertmanager has told of one SLO: status and severity, changes only."""
    found = [
        (a["status"], a["labels"]["severity"]) for h in heard for a in h.json["alerts"] if a["labels"]["slo"] == slo
    ]
    return [each for index, each in enumerate(found) if index == 0 or found[index - 1] != each]


def test_an_alert_is_told_by_alertmanager_and_resolved(
    site: Settings, manager: Alertmanager, running: Delivering, told: Listening
) -> None:
    del running
    write(site, [now("plain")])
    heard = told.until(lambda heard: statuses(heard, "plain") == [("firing", "critical")])
    (alert,) = [a for h in heard for a in h.json["alerts"] if a["labels"]["slo"] == "plain"]
    assert alert["labels"]["alertname"] == "BurnlineBurnRate" and "long_burn_rate" in alert["annotations"]
    assert alert["annotations"]["summary"].startswith("[CRITICAL] plain")
    write(site, [now("plain"), now("plain")])
    write(site, [now("plain", "RESOLVED")])
    told.until(lambda heard: statuses(heard, "plain") == [("firing", "critical"), ("resolved", "critical")])


def test_an_escalation_is_another_severity_of_one_alert(
    site: Settings, manager: Alertmanager, running: Delivering, told: Listening
) -> None:
    del running
    write(site, [now("worse", severity="WARNING")])
    told.until(lambda heard: statuses(heard, "worse") == [("firing", "warning")])
    write(site, [now("worse", "UPDATED")])
    told.until(lambda heard: {("firing", "critical"), ("resolved", "warning")} <= set(statuses(heard, "worse")))
    until(lambda: [each["labels"]["severity"] for each in manager.alerts("worse")] == ["critical"])
    write(site, [now("worse", "RESOLVED")])
    told.until(lambda heard: ("resolved", "critical") in statuses(heard, "worse"))


def test_alerts_of_a_service_are_grouped_there(
    site: Settings, manager: Alertmanager, running: Delivering, told: Listening
) -> None:
    del running, manager
    write(site, [now(name, service="grouped") for name in ("one", "two", "three")])
    told.until(lambda heard: any(
        {alert["labels"]["slo"] for alert in each.json["alerts"]} == {"one", "two", "three"} for each in heard
    ))  # fmt: skip


def test_an_inhibition_of_alertmanager_works_on_our_labels(
    site: Settings, manager: Alertmanager, running: Delivering, told: Listening
) -> None:
    del running
    labels = {"labels": {"region": "eu"}}
    write(site, [now("gateway", **labels)])
    told.until(lambda heard: statuses(heard, "gateway") == [("firing", "critical")])
    write(site, [now("held-back", **labels)])
    until(lambda: [each["status"]["state"] for each in manager.alerts("held-back")] == ["suppressed"])
    assert statuses(told.heard, "held-back") == []


def test_a_silence_of_alertmanager_holds_back_other_receivers_too(
    site: Settings, manager: Alertmanager, kafka: EmbeddedKafka, topic_prefix: str
) -> None:
    settings = settings_for(kafka.brokers, topic_prefix)
    make_topics(settings)
    name = manager.silence("quiet", 600)
    with listening() as people:
        routes = Routes((receiver(manager), hook(people, "people")), (Route(("manager", "people")),))
        with Delivering(settings, routes) as running:
            until(lambda: is_idle(running))
            until(lambda: any(each.name == name for each in running.deliverer._all_silences()))
            write(settings, [now("quiet"), now("loud")])
            people.until(lambda heard: said(heard) == [("loud", "trigger")])
            until(lambda: running.reading("burnline_alerts_suppressed", "people", "silence") == 1)
            manager.unsilence(name)
            people.until(lambda heard: said(heard) == [("loud", "trigger"), ("quiet", "trigger")])


def test_what_is_open_is_there_again_after_either_side_has_restarted(
    site: Settings, manager: Alertmanager, kafka: EmbeddedKafka, topic_prefix: str, told: Listening
) -> None:
    del site
    settings = settings_for(kafka.brokers, topic_prefix)
    make_topics(settings)
    with Delivering(settings, to_one(receiver(manager))) as running:
        until(lambda: is_idle(running))
        write(settings, [now("lasting")])
        until(lambda: manager.alerts("lasting"))
        manager.stop()
        manager.start(is_empty=True)
        until(lambda: manager.alerts("lasting"))
    with Delivering(settings, to_one(receiver(manager))) as running:
        until(lambda: is_idle(running))
        before = manager.alerts("lasting")
        until(lambda: manager.alerts("lasting") and manager.alerts("lasting")[0]["endsAt"] > before[0]["endsAt"])
    # nobody repeats it any more: after three intervals it is over there by itself
    told.until(lambda heard: statuses(heard, "lasting")[-1:] == [("resolved", "critical")])
