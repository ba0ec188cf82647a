"""quantilesDD states the slow way: a dictionary of counts, written with struct.

The bin of a value is floor(ln(v) / ln(gamma)), as the paper has it.
"""

import math
import struct
from collections import Counter
from collections.abc import Iterable

GAMMA = 1.01 / 0.99


def bin_of(value_us: float) -> int:
    """0 below 1 us, 1 + key from there on."""
    return 0 if value_us < 1 else 1 + math.floor(math.log(value_us) / math.log(GAMMA))


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number % 128 + 128)
        number //= 128
    return bytes([*out, number])


def _zigzag(number: int) -> bytes:
    return _varint(2 * number if number >= 0 else -2 * number - 1)


def state_of(bins: Iterable[tuple[int, int]]) -> bytes:
    """The state of (bin, count) pairs, in any order, bins repeated or not."""
    total: Counter[int] = Counter()
    for index, count in bins:
        total[index] += count
    keys = {index - 1: count for index, count in sorted(total.items()) if index > 0 and count}
    empty = b"\x0c\x00\xfe\xff\xff\xff\x0f\x02"
    return b"".join((
        b"\x02", struct.pack("<dd", GAMMA, 0.0),
        b"\x01", _store(keys) if keys else empty,
        b"\x03", empty,
        b"\x04", struct.pack("<d", total[0]),
    ))  # fmt: skip


def _store(keys: dict[int, int]) -> bytes:
    low, high = min(keys), max(keys)
    span = high - low + 1
    if 8 * (span - len(keys)) <= 2 * len(keys):
        counts = b"".join(struct.pack("<d", keys.get(key, 0)) for key in range(low, high + 1))
        return b"\x0c" + _varint(span) + _zigzag(low) + b"\x02" + counts
    out, before = b"\x04" + _varint(len(keys)), 0
    for key, count in keys.items():
        out += _zigzag(key - before) + struct.pack("<d", count)
        before = key
    return out
