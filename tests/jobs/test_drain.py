"""Law: every chosen dead letter goes back once, whatever dies in between, and says where it came from."""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import pairwise
from random import Random
from typing import Any, NamedTuple

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from jobs.drain.feeding import Drain, DrainFailed, Report
from jobs.drain.letters import Choice, Fate, fate, is_marker, marker, read_letter
from pipeline.cli import app
from pipeline.commands.children import environment
from pipeline.dead_letters import ABOUT, Headers
from pipeline.duplicates import REDRIVEN
from pipeline.embedded import EmbeddedKafka
from pipeline.settings import Settings
from pipeline.stored_records import MARKER, marked_ranges
from pipeline.topics import COUNTS, DEAD_LETTERS, EVENTS, STATE, TopicSpec, create_topics, topic_name
from tests.event_samples import sample
from tests.forking import FORKING, run_command
from tests.ingest_reading import framed

SOURCE = "inference.events"


def about(reason: str = "malformed", offset: int = 7, kept: str = "all", topic: str = SOURCE) -> Headers:
    said = (reason, f"{reason} in words", topic, "1", str(offset), "c301", "1700000000123", kept)
    return tuple(zip(ABOUT, (text.encode() for text in said), strict=True))


# -- pure
def test_a_record_fed_again_has_its_own_headers_and_its_first_origin() -> None:
    own: Headers = (("trace", b"1"), ("trace", None), ("reason", b"of the producer"))
    first = read_letter((*own, *about()), 0)
    assert first is not None
    again = first.again()
    assert again[:-1] == own
    origin = {"topic": SOURCE, "partition": 1, "offset": 7, "append_time_ms": 1_700_000_000_123, "reason": "malformed"}
    assert json.loads(dict(again)[REDRIVEN] or b"") == origin | {"redrives": 1}
    second = read_letter((*again, *about("too_old", offset=99)), 0)
    assert second is not None and second.redrives == 1
    third = second.again()
    assert json.loads(dict(third)[REDRIVEN] or b"") == origin | {"redrives": 2}
    assert [name for name, _ in third].count(REDRIVEN) == 1


CHOICE = Choice(SOURCE, frozenset({"malformed"}), since_ms=100, until_ms=200, max_redrives=2)


def redriven(times: Any) -> Headers:
    return ((REDRIVEN, json.dumps({"redrives": times}).encode()),)


@pytest.mark.parametrize(
    ("headers", "put_aside_ms", "expected"),
    [
        pytest.param(about(), 100, Fate.FED, id="chosen"),
        pytest.param(about(), 99, Fate.NOT_CHOSEN, id="too early"),
        pytest.param(about(), 200, Fate.NOT_CHOSEN, id="too late"),
        pytest.param(about("unframed"), 150, Fate.NOT_CHOSEN, id="another reason"),
        pytest.param(about(topic="other.events"), 150, Fate.OTHER_TOPIC, id="another topic"),
        pytest.param(about(kept="part"), 150, Fate.CUT, id="cut"),
        pytest.param((*redriven(1), *about()), 150, Fate.FED, id="fed again once less than allowed"),
        pytest.param((*redriven(2), *about()), 150, Fate.SPENT, id="fed again as often as allowed"),
        pytest.param(((REDRIVEN, b"no json"), *about()), 150, Fate.FED, id="a header that a producer made up"),
        pytest.param((*redriven("many"), *about()), 150, Fate.FED, id="a count that is none"),
        pytest.param(((REDRIVEN, b"[" * 4_000), *about()), 150, Fate.FED, id="a header that no parser can go down"),
        pytest.param(((REDRIVEN, b"\xff"), *about()), 150, Fate.FED, id="a header that is no text"),
        pytest.param(about()[:6], 150, Fate.FED, id="a letter of the first release"),
    ],
)
def test_what_becomes_of_a_letter(headers: Headers, put_aside_ms: int, expected: Fate) -> None:
    letter = read_letter(headers, put_aside_ms)
    assert letter is not None and fate(letter, CHOICE) is expected


def test_a_letter_that_the_first_release_cut_is_not_whole() -> None:
    cut = dict(about()[:6]) | {"detail": b"too large; only the first 5 of its 9 bytes are kept"}
    letter = read_letter(tuple(cut.items()), 150)
    assert letter is not None and fate(letter, CHOICE) is Fate.CUT


@given(st.sets(st.integers(0, 300), min_size=1))
def test_a_marker_names_exactly_the_offsets_it_was_made_of(offsets: set[int]) -> None:
    ranges = marked_ranges(marker(sorted(offsets)))
    assert {o for first, last in ranges for o in range(first, last + 1)} == offsets
    assert all(b[0] > a[1] + 1 for a, b in pairwise(ranges))


def test_a_marker_is_no_letter() -> None:
    assert is_marker([(MARKER, b"1")]) and not is_marker(about()) and not is_marker([])
    assert read_letter(((MARKER, b"1"),), 0) is None


# -- against a broker
class Site(NamedTuple):
    """Topics of one test."""

    settings: Settings

    @property
    def events(self) -> str:
        return topic_name(self.settings, EVENTS)

    def put_aside(self, letters: list[tuple[bytes | None, Headers]]) -> None:
        """Write letters over the partitions of the dead letters' topic, each with a key of its own."""
        producer = Producer({"bootstrap.servers": self.settings.kafka_brokers, "linger.ms": 20})
        dlq = topic_name(self.settings, DEAD_LETTERS)
        for n, (value, headers) in enumerate(letters):
            producer.produce(dlq, value=value, key=b"key %d" % n, partition=n % 2, headers=list(headers))
            producer.poll(0)
        assert producer.flush(60) == 0

    def about(self, reason: str = "malformed", offset: int = 7) -> Headers:
        return about(reason, offset, topic=self.events)

    def drain(self, stop: threading.Event | None = None, dry_run: bool = False, **choice: Any) -> Report:
        chosen = replace(Choice(self.events), **choice)
        return Drain(self.settings, chosen, lambda *_: None).run(stop or threading.Event(), dry_run)

    def wait_for_leaders(self) -> None:
        """Until every partition of the letters' topic, which has just been made, tells where it ends."""
        reader = Consumer({"bootstrap.servers": self.settings.kafka_brokers, "group.id": "x"})
        deadline = time.monotonic() + 60
        for partition in range(2):
            place = TopicPartition(topic_name(self.settings, DEAD_LETTERS), partition)
            while time.monotonic() < deadline:
                try:
                    reader.get_watermark_offsets(place, 10)
                    break
                except KafkaException:
                    time.sleep(0.05)
        reader.close()

    def fed(self) -> list[Message]:
        """Every committed record of inference.events, read by somebody who knows nothing of this project."""
        return list(committed(self.settings.kafka_brokers, self.events))


def committed(brokers: str, topic: str) -> Iterator[Message]:
    reader = Consumer(
        {
            "bootstrap.servers": brokers, "group.id": f"reader of {topic}", "isolation.level": "read_committed",
            "enable.auto.commit": False, "auto.offset.reset": "earliest", "enable.partition.eof": True, "log_level": 0,
        }
    )  # fmt: skip
    left = set(reader.list_topics(topic, timeout=60).topics[topic].partitions)
    reader.assign([TopicPartition(topic, partition, 0) for partition in left])
    while left:
        message = reader.poll(60)
        assert message is not None, f"{topic} is not read to its end"
        if message.error() is None:
            yield message
        elif message.error().code() == KafkaError._PARTITION_EOF:
            left.discard(message.partition())
    reader.close()


@pytest.fixture
def site(kafka: EmbeddedKafka, topic_prefix: str) -> Site:
    settings = Settings(kafka_brokers=kafka.brokers, topic_prefix=topic_prefix)
    used = {EVENTS: TopicSpec(3), DEAD_LETTERS: TopicSpec(2)}
    create_topics(settings, {**used, COUNTS: TopicSpec(1), STATE: TopicSpec(1)})  # these two are made together
    return Site(settings)


@pytest.mark.servers
def test_letters_go_back_as_they_were_into_the_partition_they_came_from(site: Site) -> None:
    site.put_aside([(b"\x00\xff", (("trace", b"1"), *site.about())), (None, site.about("null_value"))])
    report = site.drain()
    assert (report.letters, report.fed, report.by_reason) == (2, 2, Counter(malformed=1, null_value=1))
    found = {message.key(): message for message in site.fed()}
    assert {key: (m.value(), m.partition()) for key, m in found.items()} == {
        b"key 0": (b"\x00\xff", 1), b"key 1": (None, 1),
    }  # fmt: skip
    assert [name for name, _ in found[b"key 0"].headers()] == ["trace", REDRIVEN]


@pytest.mark.servers
def test_a_second_run_feeds_nothing_whatever_was_chosen_before(site: Site) -> None:
    reasons = ["malformed", "unframed", "too_old"]
    site.put_aside([(b"%d" % n, site.about(reasons[n % 3], n)) for n in range(60)])
    dry = site.drain(dry_run=True)
    assert (dry.fed, dry.by_reason, site.fed()) == (0, Counter(dict.fromkeys(reasons, 20)), [])
    assert site.drain(reasons=frozenset({"unframed"})).fed == 20
    assert site.drain(reasons=frozenset({"unframed"})).fed == 0
    assert site.drain(dry_run=True).by_reason == Counter(malformed=20, too_old=20)
    assert site.drain().fed == 40
    again = site.drain()
    assert (again.letters, again.fed) == (0, 0)  # the group's offset is behind all of them
    assert Counter(m.value() for m in site.fed()) == Counter(b"%d" % n for n in range(60))


@pytest.mark.servers
def test_a_retry_of_a_letter_that_is_fed_is_left_out_in_this_run_and_in_all_others(site: Site) -> None:
    """Two letters an event, in two partitions of the dead letters, the second of some with a reason of its own."""
    values = [value for n in range(40) for value in framed([sample(Random(n)) | {"event_id": f"event {n}"}])]
    reasons = ["malformed"] * 40 + ["unframed"] * 20 + ["malformed"] * 20
    twice = [
        *zip(values, reasons[:40], strict=True),
        (b"no event", "unframed"),
        *zip(values, reasons[40:], strict=True),
    ]
    site.put_aside([(value, site.about(reason, n)) for n, (value, reason) in enumerate(twice)])
    remembering = Site(site.settings.model_copy(update={"duplicates_window_s": 60}))
    dry = remembering.drain(dry_run=True)
    assert (dry.by_reason, dry.left) == (Counter(malformed=40, unframed=1), Counter({Fate.RETRY: 40}))
    one = remembering.drain(reasons=frozenset({"malformed"}))
    assert (one.fed, one.left[Fate.RETRY], one.left[Fate.NOT_CHOSEN]) == (40, 20, 21)
    two = remembering.drain()
    assert (two.fed, two.left) == (1, Counter({Fate.RETRY: 20, Fate.DONE: 60}))
    assert Counter(m.value() for m in site.fed()) == Counter([*values, b"no event"])
    assert site.drain().letters == 0  # without a window: the group's offset is behind what markers name


@pytest.mark.servers
def test_a_stop_ends_behind_a_transaction_and_the_next_run_goes_on(site: Site) -> None:
    site.put_aside([(b"%d" % n, site.about(offset=n)) for n in range(2_500)])
    stop = threading.Event()
    stop.set()
    report = site.drain(stop)
    assert report.stopped and 0 < report.fed < 2_500
    assert site.drain().fed == 2_500 - report.fed
    assert Counter(m.value() for m in site.fed()) == Counter(b"%d" % n for n in range(2_500))


@pytest.mark.servers
def test_a_drain_that_is_overtaken_by_another_ends_and_nothing_is_fed_twice(site: Site) -> None:
    site.put_aside([(b"%d" % n, site.about(offset=n)) for n in range(3_000)])
    entered, overtaken = threading.Event(), threading.Event()

    def wait_at_the_first_letter(what: str, done: int, total: int) -> None:
        if what == "feeding" and not entered.is_set():
            entered.set()
            overtaken.wait(60)

    errors: list[Exception] = []

    def first() -> None:
        try:
            Drain(site.settings, Choice(site.events), wait_at_the_first_letter).run(threading.Event())
        except DrainFailed as error:
            errors.append(error)

    thread = threading.Thread(target=first)
    thread.start()
    assert entered.wait(60)
    site.drain()
    overtaken.set()
    thread.join(60)
    assert len(errors) == 1 and "another drain-dead-letters" in str(errors[0])
    assert Counter(m.value() for m in site.fed()) == Counter(b"%d" % n for n in range(3_000))


@pytest.mark.servers
@pytest.mark.slow
def test_killed_at_any_moment_and_run_again_every_letter_is_fed_once(site: Site) -> None:
    count, kills = 30_000, 4
    site.put_aside([(b"%d" % n, site.about(offset=n)) for n in range(count)])
    drain = environment(site.settings), ("drain-dead-letters", "--json")
    watcher = Consumer({"bootstrap.servers": site.settings.kafka_brokers, "group.id": "watcher"})
    written = partial(watcher.get_watermark_offsets, TopicPartition(site.events, 1), 10)
    for kill in range(kills):
        enough = written()[1] + 1 + 700 * kill  # in the middle of a transaction, a different one each time
        running = FORKING.Process(target=run_command, args=drain)
        running.start()
        while written()[1] < enough:
            assert running.is_alive(), "it ended before it was killed"
            time.sleep(0.005)
        running.kill()
        running.join()
    watcher.close()
    done = run(site, "--json")
    assert done.exit_code == 0 and 0 < json.loads(done.stdout)["fed"] < count
    assert Counter(m.value() for m in site.fed()) == Counter(b"%d" % n for n in range(count))


def run(site: Site, *arguments: str) -> Result:
    """Run the command in this process: it may come before the topics that were just made have a leader."""
    return CliRunner().invoke(app, ["drain-dead-letters", *arguments], env=environment(site.settings))


@pytest.mark.servers
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        pytest.param(("--dry-run",), 0, "0 of 0 letters would be fed again", id="nothing to do"),
        pytest.param(("--reason", "tired"), 2, "use some of", id="a reason nobody knows"),
        pytest.param(("--since", "yesterday"), 2, "is no time", id="a time that is none"),
    ],
)
def test_the_command_says_what_it_did_and_ends_as_the_contract_says(
    site: Site, arguments: tuple[str, ...], code: int, words: str
) -> None:
    site.wait_for_leaders()
    done = run(site, *arguments)
    assert (done.exit_code, words in done.stdout + " ".join(done.stderr.split())) == (code, True), done.output


@pytest.mark.servers
def test_topics_that_are_not_there_are_named(kafka: EmbeddedKafka, topic_prefix: str) -> None:
    done = run(Site(Settings(kafka_brokers=kafka.brokers, topic_prefix=topic_prefix)), "--dry-run")
    assert done.exit_code == 1 and f"{topic_prefix}{DEAD_LETTERS}" in done.stderr
