"""The signals that the control agent has read and published: the newest of each key, and a limit to how many.

Law: what is in force is never forgotten. Past the limit what has expired goes, of tenants first and what others act on
last, out of the topic too, or whoever takes over would have to read it again; where nothing has expired, what is new is
not taken. Tenants come and go: what one used within its quota is of no use once it has expired; all else is kept for a
week. Pure.
"""

from collections import Counter
from heapq import nsmallest

from pipeline.controls import quotas
from pipeline.controls.signal import NAMES, Signal

FORGET_US = 7 * 86_400_000_000  #: behind its expiry a signal is taken out of the topic
FORGET_TENANT_US = 3_600_000_000  #: one of a tenant that has used no more than it may
FORGET_EVERY_US = 600_000_000
ROOM = 10  #: this part of the limit is made free at once, so that room is not sought for each
GONE_MOST = 5_000  #: keys taken out of the topic by one unit


class Memory:
    """The newest signal of each key."""

    def __init__(self, most: int) -> None:
        """Nothing is known yet; at most so many will be."""
        self.published: dict[str, Signal] = {}
        self.refused = 0
        self.forgotten: Counter[str] = Counter()  # by name of signal
        self._most, self._gone = most, dict[str, None]()  # the latter in order, to be taken out of the topic
        self._forget_us = self._full_until_us = 0

    def keep(self, signal: Signal, now_us: int) -> bool:
        """Keep it, unless there is no room."""
        key = signal.key
        if key not in self.published and len(self.published) >= self._most:
            self._make_room(now_us)
            if len(self.published) >= self._most:
                self.refused += 1
                return False
        self.published[key] = signal
        self._gone.pop(key, None)
        return True

    def drop(self, key: str) -> None:
        """Somebody has taken it out of the topic."""
        self.published.pop(key, None)
        self._gone.pop(key, None)

    def gone(self, now_us: int) -> list[str]:
        """Forget what expired long ago; return keys that are to be taken out of the topic, each once."""
        if now_us >= self._forget_us:
            self._forget_us = now_us + FORGET_EVERY_US
            self._forget([key for key, each in self.published.items() if _is_old(each, now_us)])
        keys = list(self._gone)[:GONE_MOST]
        for key in keys:
            del self._gone[key]
        return keys

    def _make_room(self, now_us: int) -> None:
        if now_us < self._full_until_us:
            return  # nothing has expired since somebody looked
        expired = [(_worth(each), key) for key, each in self.published.items() if each.is_expired(now_us)]
        surplus = len(self.published) - self._most + self._most // ROOM + 1
        self._forget([key for _, key in nsmallest(surplus, expired)])
        if not expired:
            self._full_until_us = min((each.expires_at_us for each in self.published.values()), default=0)

    def _forget(self, keys: list[str]) -> None:
        for key in keys:
            self.forgotten[self.published.pop(key).name] += 1
            self._gone[key] = None


def _worth(signal: Signal) -> tuple[bool, int, int]:
    """How late it is forgotten: what is told anew without it goes first, what the next decision goes on from last."""
    return not _is_small(signal), -NAMES.index(signal.name), signal.expires_at_us


def _is_old(signal: Signal, now_us: int) -> bool:
    return now_us - signal.expires_at_us > (FORGET_TENANT_US if _is_small(signal) else FORGET_US)


def _is_small(signal: Signal) -> bool:
    return signal.name == quotas.NAME and signal.state == quotas.WITHIN
