"""Dead letters from their topic back into inference.events, each exactly once, whatever dies in between.

    look     every letter since the group's offset, and every marker: what is chosen and was not fed before
    feed     a thousand letters a transaction: the records, markers that name them, and the group's offsets

Law: a letter is fed, once, or is the retry of one that is, if and only if a committed marker names it. Markers lie in
the letters' own partitions, behind them, so that retention takes a letter before its marker. Retries are left out only
with BURNLINE_DUPLICATES_WINDOW_S (see `retries`); they are named behind the transaction that feeds the other letter.
The transactional id fences a drain that runs elsewhere: whoever starts last goes on, the other ends. The group's offset
is where the first letter lies that no marker names, so the lag of the group is what is left; markers, not it, are the
truth, since any choice of letters leaves holes.
"""

import contextlib
import threading
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from numpy.typing import NDArray

from jobs.drain.letters import Choice, Fate, Letter, fate, is_marker, marker, read_letter
from jobs.drain.retries import Coming, EventIds, retries
from pipeline.dead_letters import Headers
from pipeline.framing import SINGLE_OBJECT, Framing
from pipeline.grants import DOCUMENT, DRAIN, drain, group_name, missing, refusal
from pipeline.settings import Settings
from pipeline.sources import registry
from pipeline.stored_records import MARKER, marked_ranges
from pipeline.topics import DEAD_LETTERS, EVENTS, TopicsError, cluster, confluent_config, topic_name

LETTERS_MOST, BYTES_MOST = 1_000, 8 << 20  #: of one transaction
RETRIES_MOST = 50_000  #: of one marker: a megabyte at the most
TRANSACTION_MS = 20_000  #: a drain that dies inside a transaction holds ingest back so long, or until the next drain
ANSWER_S = 60.0
RETRIES, RETRY_S = 20, 0.5
NONE: Mapping[int, list[int]] = {}
NOT_GRANTED = f"{DOCUMENT} lists all that a drain needs to be granted"
NOT_YET = {  # what a broker says of a group while it starts
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
}


class DrainFailed(RuntimeError):
    """The drain cannot go on; what was fed stays fed, and the message says what to do."""


@dataclass
class Report:
    """What was found, and what was done of it."""

    letters: int = 0
    fed: int = 0
    by_reason: Counter[str] = field(default_factory=Counter)  # of what was fed, or would be
    left: Counter[str] = field(default_factory=Counter)  # fate -> letters
    stopped: bool = False


@dataclass
class _Seen:
    """What one partition holds between the group's offset and its end."""

    start: int
    end: int
    chosen: "array[int]" = field(default_factory=lambda: array("q"))
    reasons: list[str] = field(default_factory=list)
    kept: "array[int]" = field(default_factory=lambda: array("q"))  # letters that are not chosen, ascending
    fates: list[Fate] = field(default_factory=list)
    marked: list[tuple[int, int]] = field(default_factory=list)
    comings: list[tuple[int, Coming]] = field(default_factory=list)  # of every letter, by offset; with a window only

    def is_marked(self, offsets: "array[int]") -> NDArray[np.bool_]:
        """Which of ascending offsets some marker names."""
        found, at = np.zeros(len(offsets), bool), np.frombuffer(offsets, np.int64) if offsets else np.empty(0, np.int64)
        for first, last in self.marked:
            found[np.searchsorted(at, first) : np.searchsorted(at, last, "right")] = True
        return found


class Drain:
    """One run over one site's dead letters."""

    def __init__(self, settings: Settings, choice: Choice, progress: Callable[[str, int, int], None]) -> None:
        """`progress(what, done, total)` is told how far it is."""
        self.choice, self.report = choice, Report()
        self.topic, self.target = topic_name(settings, DEAD_LETTERS), topic_name(settings, EVENTS)
        self.group = group_name(settings, DRAIN)
        self._settings, self._progress = settings, progress
        self._config = confluent_config(settings) | {"log_level": 0}
        self._window_s, self._ids = settings.duplicates_window_s, EventIds(SINGLE_OBJECT)
        self._todo: dict[int, NDArray[np.int64]] = {}  # partition -> letters to feed, ascending
        self._retries: dict[int, NDArray[np.int64]] = {}  # partition -> retries of letters that are fed, ascending
        self._open: dict[int, NDArray[np.int64]] = {}  # partition -> letters that stay, ascending
        self._ends: dict[int, int] = {}

    def run(self, stop: threading.Event, dry_run: bool = False) -> Report:
        """Look, and unless it is a dry run feed.

        Raises: DrainFailed, KafkaException.
        """
        self._check_grants(dry_run)
        if self._window_s:
            self._ids = EventIds(self._framing())
        with contextlib.closing(self._consumer()) as consumer:
            if dry_run:
                self._look(consumer)
                return self.report
            producer = self._producer()  # first: from here on no other drain can commit
            self._look(consumer)
            self._feed(consumer, producer, stop)
        return self.report

    def _check_grants(self, dry_run: bool) -> None:
        """Ask before anything else: a client that may not read its group's offsets waits for a minute."""
        wanted = [grant for grant in drain(self._settings) if grant.operation == "READ" or not dry_run]
        try:
            refused = missing(cluster(self._settings)[0], wanted)
        except TopicsError as error:
            raise DrainFailed(str(error)) from error
        if refused:
            raise DrainFailed(refusal(refused))

    def _framing(self) -> Framing:
        if self._settings.schema_registry_url is None:
            return SINGLE_OBJECT
        try:
            return registry.framing(self._settings.schema_registry_url, self.target, {})
        except registry.RegistryError as error:
            raise DrainFailed(str(error)) from error

    def _consumer(self) -> Consumer:
        return Consumer(self._config | {
            "group.id": self.group, "isolation.level": "read_committed", "enable.auto.commit": False,
            "auto.offset.reset": "earliest", "enable.partition.eof": True, "fetch.wait.max.ms": 50,
        })  # fmt: skip

    def _producer(self) -> Producer:
        producer = Producer(self._config | {
            "transactional.id": self.group, "transaction.timeout.ms": TRANSACTION_MS,
            "message.max.bytes": 16 << 20, "compression.type": "zstd",
        })  # fmt: skip
        producer.init_transactions(ANSWER_S)
        return producer

    # -- look
    def _look(self, consumer: Consumer) -> None:
        seen = {partition: self._bounds(consumer, partition) for partition in _partitions(consumer, self.topic)}
        self._ends = {partition: each.end for partition, each in seen.items()}
        begins = {partition: each.start for partition, each in seen.items()}
        for message in self._messages(consumer, begins, "looking"):
            self._note(seen[message.partition()], message)
        self._find_retries(seen)
        for partition, each in seen.items():
            self._sort(partition, each)

    def _bounds(self, consumer: Consumer, partition: int) -> _Seen:
        place = TopicPartition(self.topic, partition)
        low, high = consumer.get_watermark_offsets(place, timeout=ANSWER_S)
        [committed] = _persistently(consumer.committed, [place], ANSWER_S)
        # a negative offset: none was committed. With a window a retry may lie far behind the letter that was fed
        return _Seen(low if self._window_s else max(low, committed.offset), high)

    def _note(self, seen: _Seen, message: Message) -> None:
        headers: Headers = tuple(message.headers() or ())
        if is_marker(headers):
            seen.marked += marked_ranges(message.value())
            return
        self.report.letters += 1
        letter = read_letter(headers, message.timestamp()[1])
        why = fate(letter, self.choice) if letter else Fate.CUT
        if self._window_s and letter and letter.topic == self.choice.topic:
            partition, offset, time_ms = letter.first
            name, is_chosen = self._ids.of(message.value()), why is Fate.FED
            coming = Coming(name, partition, offset, time_ms // 1000, is_chosen, was_fed=False)
            seen.comings.append((message.offset(), coming))
        if letter and why is Fate.FED:
            seen.chosen.append(message.offset())
            seen.reasons.append(letter.reason)
        else:
            seen.kept.append(message.offset())
            seen.fates.append(why)

    def _find_retries(self, seen: dict[int, _Seen]) -> None:
        """Look at the letters of all partitions together: without a key a retry may lie in any."""
        places: list[tuple[int, int]] = []
        comings: list[Coming] = []
        for partition, each in seen.items():
            fed = each.is_marked(array("q", (offset for offset, _ in each.comings)))
            places += ((partition, offset) for offset, _ in each.comings)
            comings += (
                coming._replace(was_fed=bool(done)) for (_, coming), done in zip(each.comings, fed, strict=True)
            )
        found: dict[int, list[int]] = {partition: [] for partition in seen}
        for (partition, offset), is_retry in zip(places, retries(comings, self._window_s), strict=True):
            if is_retry:
                found[partition].append(offset)
        self._retries = {partition: np.array(offsets, np.int64) for partition, offsets in found.items()}
        if count := sum(map(len, self._retries.values())):
            self.report.left[str(Fate.RETRY)] = count

    def _sort(self, partition: int, seen: _Seen) -> None:
        """Leave out what was fed before, and retries."""
        fed, kept_fed = seen.is_marked(seen.chosen), seen.is_marked(seen.kept)
        again = np.isin(np.array(seen.chosen, np.int64), self._retries[partition])
        self._todo[partition] = np.array(seen.chosen, np.int64)[~(fed | again)]
        self._open[partition] = np.array(seen.kept, np.int64)[~kept_fed]
        self.report.by_reason.update(reason for reason, done in zip(seen.reasons, fed | again, strict=True) if not done)
        self.report.left.update(str(each) for each, done in zip(seen.fates, kept_fed, strict=True) if not done)
        if before := int(fed.sum() + kept_fed.sum()):
            self.report.left[str(Fate.DONE)] += before

    def _messages(self, consumer: Consumer, begins: dict[int, int], what: str) -> Iterator[Message]:
        """Committed records from `begins` on up to the ends seen first."""
        left = {partition for partition, begin in begins.items() if begin < self._ends[partition]}
        total, done = sum(self._ends[p] - begins[p] for p in left), dict.fromkeys(left, 0)
        consumer.assign([TopicPartition(self.topic, partition, begins[partition]) for partition in left])
        heard_s = time.monotonic()
        while left:
            found = consumer.consume(1_000, timeout=0.1)
            heard_s = time.monotonic() if found else heard_s
            if time.monotonic() - heard_s > ANSWER_S:
                raise DrainFailed(f"the broker gave nothing of {self.topic} for {ANSWER_S:.0f} s")
            for message in found:
                partition, offset = message.partition(), message.offset()
                if message.error() is None and offset < self._ends[partition]:
                    done[partition] = offset + 1 - begins[partition]
                    yield message
                elif message.error() is not None and message.error().code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(message.error())
                if message.error() is not None or offset + 1 >= self._ends[partition]:
                    left.discard(partition)
            self._progress(what, sum(done.values()), total)
        self._progress(what, total, total)

    # -- feed
    def _feed(self, consumer: Consumer, producer: Producer, stop: threading.Event) -> None:
        begins = {partition: int(todo[0]) for partition, todo in self._todo.items() if len(todo)}
        following = {partition: iter(todo.tolist()) for partition, todo in self._todo.items()}
        wanted = {partition: next(offsets, -1) for partition, offsets in following.items()}
        targets = len(_partitions(consumer, self.target))
        batch: list[Message] = []
        size = 0
        for message in self._messages(consumer, begins, "feeding"):
            partition = message.partition()
            if message.offset() != wanted[partition]:
                continue
            wanted[partition] = next(following[partition], -1)
            batch.append(message)
            size += len(message.value() or b"") + len(message.key() or b"")
            if len(batch) >= LETTERS_MOST or size > BYTES_MOST:
                self._write(consumer, producer, batch, targets)
                batch, size = [], 0
                if stop.is_set():
                    self.report.stopped = True
                    return
        if batch:
            self._write(consumer, producer, batch, targets)
        for partition, offsets in self._retries.items():
            self._todo[partition] = offsets[:0]  # all is fed
            for first in range(0, len(offsets), RETRIES_MOST):
                done, self._retries[partition] = np.split(offsets[first:], [RETRIES_MOST])
                self._write(consumer, producer, [], targets, {partition: done.tolist()})

    def _write(
        self,
        consumer: Consumer,
        producer: Producer,
        batch: list[Message],
        targets: int,
        named: Mapping[int, list[int]] = NONE,
    ) -> None:
        """One transaction; a broker that says no for now is asked again with the same letters.

        Raises: DrainFailed.
        """
        for attempt in range(RETRIES):
            try:
                self._transaction(consumer, producer, batch, targets, named)
            except KafkaException as error:
                if not error.args[0].txn_requires_abort() or is_refused(error.args[0]) or attempt + 1 == RETRIES:
                    raise DrainFailed(_why(error.args[0])) from error
                _persistently(producer.abort_transaction, ANSWER_S)
            else:
                self.report.fed += len(batch)
                return

    def _transaction(
        self,
        consumer: Consumer,
        producer: Producer,
        batch: list[Message],
        targets: int,
        named: Mapping[int, list[int]] = NONE,
    ) -> None:
        producer.begin_transaction()
        fed = dict(named)
        for message in batch:
            letter = read_letter(tuple(message.headers() or ()), message.timestamp()[1])
            assert letter is not None
            self._produce(producer, message, letter, targets)
            fed.setdefault(message.partition(), []).append(message.offset())
        for partition, offsets in fed.items():
            self._produce_one(producer, self.topic, partition, marker(offsets), None, [(MARKER, b"1")])
        offsets_next = [TopicPartition(self.topic, p, self._low_water(p, max(offsets))) for p, offsets in fed.items()]
        group = consumer.consumer_group_metadata()
        _persistently(producer.send_offsets_to_transaction, offsets_next, group, ANSWER_S)
        _persistently(producer.commit_transaction, ANSWER_S)

    def _low_water(self, partition: int, fed_up_to: int) -> int:
        """The first letter that no marker names, now that all chosen ones up to `fed_up_to` are fed."""
        stay, todo, later = self._open[partition], self._todo[partition], self._retries[partition]
        rest = todo[np.searchsorted(todo, fed_up_to, "right") :]
        return int(min([*stay[:1], *rest[:1], *later[:1], self._ends[partition]]))

    def _produce(self, producer: Producer, message: Message, letter: Letter, targets: int) -> None:
        """Into the partition it came from, where attempts of one request are together; by key if that is no more."""
        partition = letter.partition if 0 <= letter.partition < targets else -1
        self._produce_one(producer, self.target, partition, message.value(), message.key(), list(letter.again()))

    @staticmethod
    def _produce_one(producer: Producer, topic: str, partition: int, value: Any, key: Any, headers: Any) -> None:
        while True:
            try:
                producer.produce(topic, value=value, key=key, partition=partition, headers=headers)
            except BufferError:
                producer.poll(0.1)
            else:
                producer.poll(0)
                return


def _persistently(call: Callable[..., Any], *arguments: Any) -> Any:
    """Ask again while the client says that asking again is right: a commit without an answer may have succeeded.

    Raises: KafkaException.
    """
    for attempt in range(RETRIES):
        try:
            return call(*arguments)
        except KafkaException as error:
            told = error.args[0]
            if not (told.retriable() or told.code() in NOT_YET) or attempt + 1 == RETRIES:
                raise
            time.sleep(RETRY_S)
    raise AssertionError("the last attempt returns or raises")


def _partitions(consumer: Consumer, topic: str) -> list[int]:
    found = consumer.list_topics(topic, timeout=ANSWER_S).topics[topic]
    if found.error is not None:
        told = found.error
        remedy = f"; {NOT_GRANTED}" if is_refused(told) else "; is BURNLINE_TOPIC_PREFIX right? Run `burnline migrate`"
        raise DrainFailed(f"{topic}: {told.str()}{remedy}")
    return sorted(found.partitions)


def is_refused(error: KafkaError) -> bool:
    """Whether we may not do it."""
    return bool(error.name().endswith("AUTHORIZATION_FAILED"))


def said(error: KafkaError) -> str:
    """An error of the client in words, with what to do where we know."""
    return f"{error.str()}; {NOT_GRANTED}" if is_refused(error) else error.str()


def _why(error: KafkaError) -> str:
    if is_refused(error):
        return said(error)
    if error.fatal() or error.code() in {KafkaError._FATAL, KafkaError._FENCED}:
        return "another drain-dead-letters has been started, and this one is shut out; what it fed stays fed"
    return f"the broker refuses: {error.str()}; run it again, nothing is fed twice"
