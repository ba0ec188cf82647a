"""How far each step is behind, seen from outside, twice a second; and how much memory workers have."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psutil  # type: ignore[import-untyped]
from confluent_kafka import Consumer, TopicPartition

from pipeline.embedded.clickhouse_config import ADMIN
from tests.chaos.readers import Tail, ask

EVERY_S = 0.5
UNKNOWN = float("inf")  #: nobody answers
LASTING_S = 8.0  #: a fault shows later than it is healed
FAR_S = 20.0  #: behind: a pipeline that has only just been started
STORE_SQL = """
SELECT min(latest) FROM (
    SELECT max(flushed_at) AS latest FROM marks WHERE topic IN ('slo.counts', 'slo.slices') GROUP BY topic, partition
)"""


@dataclass
class Sample:
    """One look. Lags: events not committed, seconds of event time not judged, seconds not stored."""

    at_s: float
    events: float
    judge_s: float
    store_s: float
    rss_bytes: int
    alerts: int

    @property
    def lags(self) -> tuple[float, float, float]:
        return self.events, self.judge_s, self.store_s

    @property
    def reached_s(self) -> tuple[float, float]:
        """Up to when all is judged, and stored."""
        return self.at_s - self.judge_s, self.at_s - self.store_s


def within_since_s(samples: Sequence[Sample], limits: tuple[float, ...]) -> float | None:
    """Time of the first look since which lags have been within the limits; a lone one past them is a busy machine's.

    Two limits are those of ingest and judge: whether alerts come as before.
    """
    since_s, past = None, 0
    for sample in samples:
        is_within = all(lag <= limit for lag, limit in zip(sample.lags, limits, strict=False))
        past = 0 if is_within else past + 1
        if past > 1:
            since_s = None
        elif is_within and since_s is None:
            since_s = sample.at_s
    return since_s


def went_on_since(samples: Sequence[Sample], since_s: float) -> bool:
    """Whether judge and store got further than they were by then, each in its slowest partition."""
    if not samples:
        return False
    before = [sample.reached_s for sample in samples if sample.at_s <= since_s] or [(since_s, since_s)]
    then = [max(times) for times in zip(*before, strict=True)]
    return all(now > past for now, past in zip(samples[-1].reached_s, then, strict=True))


class LagWatch:
    """Looks until it is stopped. Also collects the alerts, as a receiver would."""

    def __init__(self, brokers: str, clickhouse: Any, pids: Callable[[], list[int]], topic: str, group: str) -> None:
        self.samples: list[Sample] = []
        self.alerts: list[tuple[str, dict[str, Any]]] = []  # ce_id and what it says, in order of arrival
        self._clickhouse, self._pids, self._topic = clickhouse, pids, topic
        options = {"bootstrap.servers": brokers, "group.id": group, "enable.auto.commit": False, "log_level": 0}
        self._consumer = Consumer(options)
        self._statuses = Tail(brokers, "slo.status", "slo_status")
        self._alert_tail = Tail(brokers, "slo.alerts", "burn_rate_alert")
        self._watermarks: dict[bytes, int] = {}
        self._began_s, self._stop = time.monotonic(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="lag", daemon=True)
        self._thread.start()

    def now_s(self) -> float:
        return time.monotonic() - self._began_s

    def stop(self) -> None:
        """Idempotent."""
        if self._stop.is_set():
            return
        self._stop.set()
        self._thread.join()
        self._read_alerts()
        self._alert_tail.close()
        self._statuses.close()
        self._consumer.close()

    def limits(self, rate: int, last_s: float = 6.0) -> tuple[float, ...]:
        """What the lags were lately, and half as much more and two seconds: back within it, a fault is over."""
        since_s = self.now_s() - last_s
        lately = [sample.lags for sample in self.samples if sample.at_s >= since_s]
        lately = lately or [sample.lags for sample in self.samples[-3:]] or [(UNKNOWN,) * 3]  # a look may take long
        found = [max((lag for lag in lags if lag < UNKNOWN), default=UNKNOWN) for lags in zip(*lately, strict=True)]
        return tuple(1.5 * lag + least for lag, least in zip(found, (2.0 * rate, 2.0, 2.0), strict=True))

    def is_steady(self) -> bool:
        """Whether everybody has answered lately, and nobody is far behind."""
        lately = [sample.lags for sample in self.samples[-3:]]
        return bool(lately) and all(max(lags) < UNKNOWN and max(lags[1:]) < FAR_S for lags in lately)

    def went_on(self, since_s: float) -> bool:
        """Whether everybody has been at work since then, however far behind."""
        return went_on_since(self.samples[:], since_s)

    def recovered_s(self, healed_s: float, limits: tuple[float, ...]) -> float | None:
        """Seconds from a heal until lags were within the limits; None before that has lasted for a while."""
        since_s = within_since_s(self.samples[:], limits)
        if since_s is None or self.now_s() - max(since_s, healed_s) < LASTING_S:
            return None
        return max(since_s - healed_s, 0.0)

    def _run(self) -> None:
        while not self._stop.wait(EVERY_S):
            at_s = self.now_s()
            events, judge_s, store_s = (self._or_unknown(look) for look in (self._events, self._judge_s, self._store_s))
            self._or_unknown(self._read_alerts)
            self.samples.append(Sample(at_s, events, judge_s, store_s, self._rss_bytes(), len(self.alerts)))

    def _or_unknown(self, look: Callable[[], float]) -> float:
        try:
            return look()
        except Exception:  # whatever a server that is away makes of it
            return UNKNOWN

    def _events(self) -> float:
        partitions = self._consumer.list_topics(self._topic, timeout=1).topics[self._topic].partitions
        tps = [TopicPartition(self._topic, partition) for partition in partitions]
        behind = 0
        for tp in self._consumer.committed(tps, timeout=2):
            start, end = self._consumer.get_watermark_offsets(tp, timeout=2, cached=False)
            behind += abs(end - max(tp.offset, start))
        return float(behind)

    def _judge_s(self) -> float:
        for message in self._statuses.read(0.01):
            if message.value():
                self._watermarks[message.key()] = self._statuses.decoded(message)["watermark"]
        return time.time() - min(self._watermarks.values(), default=0) / 1e6

    def _store_s(self) -> float:
        ((latest,),) = ask(self._clickhouse, STORE_SQL, ADMIN)
        return float(time.time() - latest.timestamp())

    def _read_alerts(self) -> float:
        for message in self._alert_tail.read(0.01):
            headers = dict(message.headers())
            alert = self._alert_tail.decoded(message)
            self.alerts.append((headers["ce_id"].decode(), {**alert, "evaluated_at": 0}))
        return 0.0

    def _rss_bytes(self) -> int:
        found = 0
        for pid in self._pids():
            try:
                found = max(found, psutil.Process(pid).memory_info().rss)
            except psutil.NoSuchProcess:
                continue
        return found
