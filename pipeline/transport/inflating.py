"""Compressed bytes of one record batch to plain ones, within a limit.

Law: no more than the limit is ever written: a megabyte may inflate a thousand times with gzip, and without bound with
zstd. Room is asked for by guess, and again when it was too small: the formats do not say what comes out.
"""

import struct
from collections.abc import Callable
from typing import Any

import cramjam
import numpy as np
from aiokafka import codec
from numpy.typing import NDArray

GZIP, SNAPPY, LZ4, ZSTD = range(1, 5)
XERIAL = b"\x82SNAPPY\x00"
FIRST_TIMES, NEXT_TIMES = 16, 4  #: how much a batch is expected to inflate; untouched memory costs nothing
TOO_SMALL = "failed to write whole buffer"

INTO: dict[int, Any] = {
    GZIP: cramjam.gzip.decompress_into,
    LZ4: cramjam.lz4.decompress_into,
    ZSTD: cramjam.zstd.decompress_into,
}


class TooLarge(ValueError):
    """More than the limit comes out."""


def inflate(kind: int, packed: memoryview, limit: int, room: Callable[[int], NDArray[np.uint8]]) -> int:
    """Decompress into the front of `room(bytes)`, asked for once or more; return how many bytes came.

    Raises: KeyError for an unknown codec, TooLarge, whatever the codec raises for broken bytes.
    """
    if kind == SNAPPY:
        return _unsnapped(packed, limit, room)
    decompress, size = INTO[kind], min(FIRST_TIMES * len(packed) + 4_096, limit)
    while True:
        try:
            return int(decompress(packed, room(size)[:limit]))
        except cramjam.DecompressionError as error:
            if TOO_SMALL not in str(error):
                raise
            if size >= limit:
                raise TooLarge from error
            size = min(NEXT_TIMES * size, limit)


def _unsnapped(packed: memoryview, limit: int, room: Callable[[int], NDArray[np.uint8]]) -> int:
    """Snappy says what comes out, and has frames that aiokafka knows."""
    if _snappy_size(packed) > limit:
        raise TooLarge
    plain = np.frombuffer(codec.snappy_decode(packed), np.uint8)
    room(len(plain))[: len(plain)] = plain
    return len(plain)


def _snappy_size(packed: memoryview) -> int:
    """What comes out, as snappy's own headers say."""
    if bytes(packed[:8]) != XERIAL:
        return int(cramjam.snappy.decompress_raw_len(packed))
    total, at = 0, 16
    while at + 4 <= len(packed):
        (size,) = struct.unpack_from("!i", packed, at)
        if size < 0:
            raise ValueError("a block of negative size")
        total += int(cramjam.snappy.decompress_raw_len(packed[at + 4 : at + 4 + size]))
        at += 4 + size
    return total
