"""`burnline alerts --follow` reads slo.alerts from its end on, as every receiver reads it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pipeline.commands.alerts import incoming, shown_second, titled
from pipeline.delivery.notification import AlertEvent
from pipeline.embedded import EmbeddedKafka
from pipeline.settings import Settings
from tests.agents.delivering import make_topics, settings_for, write
from tests.delivery.told import event, silent


@contextmanager
def writing(settings: Settings, events: list[AlertEvent]) -> Iterator[None]:
    """Append the same events again and again, since nobody says from when on somebody follows."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(0.2):
            write(settings, events)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.mark.servers
def test_what_comes_is_read_and_what_was_there_is_not(kafka: EmbeddedKafka, topic_prefix: str) -> None:
    settings = settings_for(kafka.brokers, topic_prefix)
    make_topics(settings)
    write(settings, [event(slo="long-ago")])
    fresh = [event(), silent()]
    found: dict[str, AlertEvent] = {}
    with writing(settings, fresh):
        for each in incoming(settings):
            found[each.dedup_key] = each
            if len(found) == len(fresh):
                break
    assert sorted(found.values(), key=lambda each: each.dedup_key) == sorted(fresh, key=lambda each: each.dedup_key)


def test_the_second_is_shown_in_utc() -> None:
    assert shown_second(event()) == "2026-01-02 03:04:05"


@pytest.mark.parametrize("at", [2**62, -(2**62), 10**15], ids=["after all time", "before all time", "a far year"])
def test_times_that_no_calendar_has_end_nothing(at: int) -> None:
    wild = event(sequence=at, started_at=at, window_end=-at, watermark=at, evaluated_at=at)
    assert shown_second(wild) == f"second {at}"
    assert titled(wild).startswith("[CRITICAL] chat-ttft")
