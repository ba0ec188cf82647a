"""A broker and a database as values: logs with transactions and fences, tables with tokens. No time, no threads.

Laws, as Apache Kafka and ClickHouse have them: a transaction's records count when it is committed, all of them with its
offsets or none; readers of committed records stop in front of the oldest open transaction; every end of a transaction
takes an offset of its own; a new epoch of a transactional id aborts what the former one left open, and shuts it out. A
token is inserted once, and whoever repeats it must bring the same rows.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from faust.types import TP

from pipeline.records import OutRecord, RecordBlock
from pipeline.rows import Rows
from tests.recorded import Recorded, block_of


class Fenced(Exception):
    """A newer epoch of the transactional id exists."""


@dataclass(eq=False)
class Transaction:
    """What one producer has sent and not yet ended."""

    logs: dict[TP, int] = field(default_factory=dict)  # and the offset of its first record there
    offsets: dict[tuple[str, TP], int] = field(default_factory=dict)
    is_committed: bool = False


@dataclass
class Log:
    """One partition. entries[offset]: a record with its transaction; None: an end of a transaction."""

    entries: list[tuple[Recorded, Transaction | None] | None] = field(default_factory=list)
    open: dict[Transaction, int] = field(default_factory=dict)

    @property
    def stable_end(self) -> int:
        """Where readers of committed records stop."""
        return min(self.open.values(), default=len(self.entries))

    def append(self, record: OutRecord, append_ms: int, transaction: Transaction | None = None) -> None:
        offset = len(self.entries)
        headers = tuple((name, value or b"") for name, value in record.headers)
        made = Recorded(offset, record.value, record.key, headers, append_ms)
        self.entries.append((made, transaction))
        if transaction is not None:
            self.open.setdefault(transaction, offset)

    def close(self, transaction: Transaction) -> None:
        del self.open[transaction]
        self.entries.append(None)

    def committed(self, start: int = 0) -> list[Recorded]:
        """What readers see from `start` on."""
        return [
            entry[0]
            for entry in self.entries[start : self.stable_end]
            if entry is not None and (entry[1] is None or entry[1].is_committed)
        ]

    def fetch(self, tp: TP, position: int, most: int) -> RecordBlock | None:
        """A block of at most so many offsets, holes included; None: nothing new."""
        end = min(position + most, self.stable_end)
        if end <= position:
            return None
        records = [record for record in self.committed(position) if record.offset < end]
        return replace(block_of(tp.topic, tp.partition, records, position), next_offset=end)


@dataclass
class Broker:
    """Logs, groups' offsets, transactional ids."""

    partitions: dict[str, int]
    now_ms: int = 0
    logs: dict[TP, Log] = field(default_factory=lambda: defaultdict(Log))
    offsets: dict[tuple[str, TP], int] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    current: dict[str, Transaction] = field(default_factory=dict)

    def of(self, topic: str) -> list[TP]:
        return [TP(topic, partition) for partition in range(self.partitions[topic])]

    def init(self, transactional_id: str) -> int:
        """Begin a new epoch."""
        self.abort(transactional_id)
        self.epochs[transactional_id] += 1
        return self.epochs[transactional_id]

    def send(self, transactional_id: str, epoch: int, records: Iterable[OutRecord]) -> None:
        """Send inside the id's transaction; it begins with the first record."""
        self._check(transactional_id, epoch)
        transaction = self.current.setdefault(transactional_id, Transaction())
        for record in records:
            partition = record.partition
            if partition is None:
                partition = sum(record.key or b"") % self.partitions[record.topic]
            tp = TP(record.topic, partition)
            transaction.logs.setdefault(tp, len(self.logs[tp].entries))
            self.logs[tp].append(record, self.now_ms, transaction)

    def send_offset(self, transactional_id: str, epoch: int, group: str, tp: TP, offset: int) -> None:
        self._check(transactional_id, epoch)
        self.current.setdefault(transactional_id, Transaction()).offsets[group, tp] = offset

    def commit(self, transactional_id: str, epoch: int) -> None:
        self._check(transactional_id, epoch)
        transaction = self.current.pop(transactional_id)
        transaction.is_committed = True
        self.offsets |= transaction.offsets
        self._close(transaction)

    def abort(self, transactional_id: str) -> None:
        """End what is open, as a new epoch or the transaction's timeout does."""
        transaction = self.current.pop(transactional_id, None)
        if transaction is not None:
            self._close(transaction)

    def time_out(self) -> None:
        """Abort whatever is open; its producer is fenced by it."""
        for transactional_id in list(self.current):
            self.init(transactional_id)

    def _close(self, transaction: Transaction) -> None:
        for tp in transaction.logs:
            self.logs[tp].close(transaction)

    def _check(self, transactional_id: str, epoch: int) -> None:
        if self.epochs[transactional_id] != epoch:
            raise Fenced(transactional_id)


@dataclass
class Database:
    """Tables, and the tokens that are known."""

    inserted: dict[str, Rows] = field(default_factory=dict)

    def insert(self, rows: Rows, token: str) -> None:
        whole = f"{token}/{rows.table}/{rows.day}/{rows.piece}"
        known = self.inserted.setdefault(whole, rows)
        assert known == rows, f"{whole} was repeated with other rows"

    def table(self, name: str) -> list[dict[str, Any]]:
        """Every row, unmerged."""
        return [
            dict(zip(rows.columns, row, strict=True))
            for rows in self.inserted.values()
            if rows.table == name
            for row in zip(*rows.columns.values(), strict=True)
        ]

    def high_mark(self, tp: TP) -> int | None:
        marks = (rows.columns for rows in self.inserted.values() if rows.table == "marks")
        return max((c["last_offset"][0] for c in marks if (c["topic"][0], c["partition"][0]) == tp), default=None)
