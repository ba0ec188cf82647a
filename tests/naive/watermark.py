"""The watermark, slowly: every unit ever heard, and the law asked anew of all of them; streams that keep the law."""

import random
from collections.abc import Iterator
from typing import NamedTuple


class Unit(NamedTuple):
    """What one unit of one source partition says of itself, and the event times in it."""

    partition: int
    flushed: int
    silent: int
    events: tuple[int, ...] = ()

    @property
    def newest(self) -> int | None:
        return max(self.events, default=None)


def watermark(heard: list[Unit], partitions: int, grace: int, idle: int) -> int | None:
    """The law of one moment: where the units heard so far allow the clock to stand."""
    vouched = []
    for partition in range(partitions):
        mine = [unit for unit in heard if unit.partition == partition]
        if not mine:
            return None
        last = mine[-1]
        if last.silent < idle:
            told = [event for unit in mine for event in unit.events]
            vouched.append(max(told, default=None))
            continue
        earlier = [
            (unit.newest, -unit.flushed) for unit in heard if unit.events and unit.flushed <= last.flushed - idle
        ]
        if not earlier:
            return None
        newest, first_told = max(earlier)
        vouched.append(newest + min(last.flushed + first_told, last.silent))
    return None if None in vouched else min(vouched) - grace


class Stream(NamedTuple):
    """Units of every partition, each in its order."""

    units: list[list[Unit]]

    def interleaved(self, random_: random.Random) -> Iterator[Unit]:
        """Any order that keeps that of each partition; now and then one partition is far ahead of the others."""
        queues = [list(units) for units in self.units]
        while any(queues):
            queue = random_.choice([queue for queue in queues if queue])
            for _ in range(random_.choice([1, 1, 1, 4, 40])):
                if queue:
                    yield queue.pop(0)


def stream(random_: random.Random, partitions: int, grace: int, idle: int) -> Stream:
    """Events whose time goes by at least as fast as the time of their append, less `grace`.

    Bursts at many times the speed of time, live stretches and silences take turns. Readers lag, each in its own way.
    """
    appended: list[list[tuple[int, int]]] = [[] for _ in range(partitions)]  # (moment of the append, event time)
    moment, event = 100, random_.randint(0, 1_000)
    for _ in range(random_.randint(1, 6)):
        silence = random_.choice([0, 1, idle, 3 * idle, 20 * idle])
        moment, event = moment + silence, event + silence
        speed, chosen = (
            random_.choice([1, 1, 5, 100]),
            random_.sample(range(partitions), random_.randint(1, partitions)),
        )
        for _ in range(random_.randint(1, 25)):
            step = random_.randint(0, 3)
            moment, event = moment + step, event + step * speed
            appended[random_.choice(chosen)].append((moment, event - random_.randint(0, grace)))
    return Stream([list(_read(random_, p, mine, moment + 8 * idle)) for p, mine in enumerate(appended)])


def _read(random_: random.Random, partition: int, appended: list[tuple[int, int]], end: int) -> Iterator[Unit]:
    """Units of one reader: each takes what came, or a part of it when it lags; silent when there was nothing left."""
    now, quiet_since, read = random_.randint(0, 5), None, 0
    while now < end or read < len(appended):
        there = sum(1 for at, _ in appended if at <= now)
        take = read + (random_.randint(0, 3) if random_.random() < 0.3 else there)
        taken = appended[read : min(take, there)]
        read += len(taken)
        quiet_since = None if taken or read < there else now if quiet_since is None else quiet_since
        yield Unit(partition, now, 0 if quiet_since is None else now - quiet_since, tuple(event for _, event in taken))
        now += random_.randint(1, 4)
