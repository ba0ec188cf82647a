"""Generates how a decoder turns a record's labels into the id of their key.

A key is: tier, sign of the priority, then the labels' raw bytes in wire order. Labels that are neighbours on the
wire are one run. `decode` hashes the runs while it reads, and writes the hash and the runs' addresses down as the
record's *spans*; `look_up` finds the series of a batch. Apart from decoding, because a look-up waits for memory, and
those of a batch wait together: one at a time they took 18 ns more an event.
"""

from collections.abc import Iterator
from typing import Any

LOOK_UP = '''
@njit(nogil=True, cache=True)
def look_up(rows, spans, m, scratch, head, limits, overflow, fold):
    """Write the series of each row's key behind its columns: 0, `other`, where no dictionary has room for the key."""
    table, mask, arena = ld_i64(head + 8 * TABLE), ld_i64(head + 8 * MASK), ld_i64(head + 8 * ARENA)
    series_of_key, lanes = ld_i64(fold + 8 * SERIES_OF_KEY), ld_i64(fold + 8 * LANES)
    offsets, masks = ld_i64(head + 8 * OFFSETS), head + 8 * MASKS
    for q in range(m):
        r, w = rows + q * {row_bytes}, spans + q * {span_bytes}
        y = ld_i64(r + {priority})
        s = np.uint64(1 + (y > 0) - (y < 0))
'''


class LabelKeys:
    """Where a writer's labels stand, and the code that makes keys of them."""

    def __init__(self, fields: Any, layout: Any) -> None:
        self.layout = layout
        self.types: dict[str, Any] = {}  # labels the writer has, with their type, in wire order
        self._place: dict[str, int] = {}
        for place, written in enumerate(fields):
            label = layout.label_aliases.get(written.name, written.name)
            if label in layout.labels and label not in self.types:
                self.types[label], self._place[label] = written.type, place
        self.run_ends = {last: first for first, last in self.runs(layout.labels)}

    def wire_labels(self, labels: tuple[str, ...]) -> list[str]:
        """Labels of a key that the writer has, in wire order."""
        return [name for name in self.types if name in labels]

    def runs(self, labels: tuple[str, ...]) -> list[tuple[str, str]]:
        """First and last label of each run of a key."""
        found: list[tuple[str, str]] = []
        for name in self.wire_labels(labels):
            if found and self._place[name] == self._place[found[-1][1]] + 1:
                found[-1] = (found[-1][0], name)
            else:
                found.append((name, name))
        return found

    def number(self, label: str) -> int:
        """The label's number in the names of variables: a<N> is where it begins, b<N> where it ends."""
        return int(self.layout.labels.index(label))

    def _named_runs(self, labels: tuple[str, ...]) -> list[tuple[str, str]]:
        return [(f"a{self.number(first)}", f"b{self.number(last)}") for first, last in self.runs(labels)]

    def _kept(self) -> list[str]:
        """Addresses that some tier's key is made of: words of a record's spans, behind the hash."""
        tiers = (self.layout.labels, *self.layout.tiers)
        return list(dict.fromkeys(name for labels in tiers for run in self._named_runs(labels) for name in run))

    @property
    def span_bytes(self) -> int:
        return 8 * (1 + len(self._kept()))

    def hash_line(self, label: str) -> str:
        """The line behind a label that ends a run of the whole key."""
        first = f"a{self.number(self.run_ends[label])}"
        return f"h{self.number(label)} = hash_run({first}, p - {first}, masks)"

    def keep_lines(self, priority: int) -> Iterator[str]:
        """Join the hash, ask for its entry, write the spans down."""
        runs = self._named_runs(self.layout.labels)
        yield f"y = ld_i64(r + {priority})"
        yield "h = np.uint64(1 + (y > 0) - (y < 0)) << np.uint64(8)"
        yield from (f"h = joined(h, h{b[1:]}, {i})" for i, (_, b) in enumerate(runs))
        yield f"n = {self._length(runs)}"
        if self.types:
            lengths = " or ".join(self._longer(label) for label in self.types)
            yield f"if n > label_bound and ({lengths}):"
            yield "    st_u8(reasons + i, TOO_LONG)"
            yield "    continue"
        yield "h = finished(h, n)"
        yield "prefetch(table + 8 * (np.int64(h & np.uint64(0xFFFFFFFF)) & mask))"
        yield f"w = spans + m * {self.span_bytes}"
        yield "st_u64(w, h)"
        yield from (f"st_i64(w + {8 * i}, {name})" for i, name in enumerate(self._kept(), 1))

    def _longer(self, label: str) -> str:
        """The test that a label is too long; a union's branch does not count."""
        i, extra = self.number(label), int(self.types[label].type == "union")
        return f"b{i} - a{i} > label_bound + {extra}"

    @staticmethod
    def _length(runs: list[tuple[str, str]]) -> str:
        return f"2 + {' + '.join(f'{b} - {a}' for a, b in runs)}" if runs else "np.int64(2)"

    def look_up_text(self, priority: int) -> str:
        """The function that finds ids."""
        row_bytes = self.layout.row_bytes
        head = LOOK_UP.format(row_bytes=row_bytes, span_bytes=self.span_bytes, priority=priority)
        lines = [f"        {name} = ld_i64(w + {8 * i})" for i, name in enumerate(self._kept(), 1)]
        lines += ["        h = ld_u64(w)", *self._find_lines(self.layout.labels, 0, 8)]
        for tier, labels in enumerate(self.layout.tiers, 1):
            lines += ["        if x < 0:"]
            lines += [f"            st_i64(overflow + {8 * tier - 8}, ld_i64(overflow + {8 * tier - 8}) + 1)"]
            lines += self._find_lines(labels, tier, 12)
        lines += ["        x = max(ld_i32(series_of_key + 4 * x), 0) if x >= 0 else np.int64(0)"]
        lines += ["        prefetch(lanes + LANE_BYTES * x)", f"        st_i64(r + {row_bytes - 8}, x)"]
        return head + "\n".join(lines)

    def _find_lines(self, labels: tuple[str, ...], tier: int, indent: int) -> list[str]:
        """x becomes the key's id: found, added, or -1 when it is new and there is no room."""
        runs = self._named_runs(labels)
        sign = "s" if tier == 0 or "priority_class" in labels else "np.uint64(3)"
        lines = [f"n = {self._length(runs)}", f"g = np.uint64({tier}) | ({sign} << np.uint64(8))"]
        if tier > 0:
            mixed = [f"joined(h, hash_run({a}, {b} - {a}, masks), {i})" for i, (a, b) in enumerate(runs)]
            lines += ["h = g", *(f"h = {each}" for each in mixed), "h = finished(h, n)"]
        lines += ["j = np.int64(h & np.uint64(0xFFFFFFFF)) & mask", "while True:", "    slot = ld_u64(table + 8 * j)"]
        lines += ["    x = key_of(slot)", "    if x < 0: break", "    t = ld_i64(offsets + 8 * x)"]
        lines += ["    if is_likely(slot, h) and ld_i64(offsets + 8 * x + 8) - t == n:"]
        lines += ["        t += arena", "        same = ld_u16(t) == g", "        t += 2"]
        for a, b in runs:
            lines += [f"        same &= same_run({a}, t, {b} - {a}, masks)", f"        t += {b} - {a}"]
        lines += ["        if same: break", "    j = (j + 1) & mask"]
        lines += ["if x < 0:", "    st_u16(scratch, g)", "    k = scratch + 2"]
        for a, b in runs:
            lines += [f"    copy_bytes({a}, k, {b} - {a})", f"    k += {b} - {a}"]
        lines += [f"    x = add(scratch, n, h, head, ld_i64(limits + {8 * tier}))"]
        return [" " * indent + line for line in lines]
