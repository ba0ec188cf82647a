"""Inputs near valid ones: seeded mutations of a corpus, so that a run can be had again by its seed."""

from collections.abc import Sequence
from random import Random

#: numbers at which readers go wrong: ends of types, and lengths that promise more than there is
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
VARINTS = (
    b"\x00",
    b"\x01",
    b"\x7f",
    b"\xff\x7f",
    b"\xfe\xff\xff\xff\x0f",
    b"\xff" * 9 + b"\x01",
    b"\xff" * 11,
    b"\x80" * 9,
)


def mutated(random: Random, corpus: Sequence[bytes]) -> bytes:
    """One input: a member of the corpus with a few things done to it."""
    data = bytearray(random.choice(corpus))
    for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
        _once(random, data, corpus)
    return bytes(data)


def _once(random: Random, data: bytearray, corpus: Sequence[bytes]) -> None:
    at = random.randrange(len(data) + 1)
    what = random.randrange(8)
    if what == 0 and data:
        data[at % len(data)] ^= 1 << random.randrange(8)
    elif what == 1 and data:
        data[at % len(data)] = random.randrange(256)
    elif what == 2:
        del data[at:]
    elif what == 3:
        del data[at : at + random.choice((1, 2, 4, 30))]
    elif what == 4:
        data[at:at] = random.randbytes(random.choice((1, 2, 9, 70)))
    elif what == 5:
        width = random.choice((1, 2, 4, 8))
        data[at : at + width] = (random.choice(NUMBERS) & ((1 << 8 * width) - 1)).to_bytes(width, "big")
    elif what == 6:
        varint = random.choice(VARINTS)
        data[at : at + random.choice((0, 1, len(varint)))] = varint
    else:
        other = random.choice(corpus)
        begin = random.randrange(len(other) + 1)
        data[at:at] = other[begin : begin + random.choice((1, 8, 64, 512))]
