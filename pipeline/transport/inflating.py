"""Compressed bytes of one record batch to plain ones, within a limit.

Law: no more than the limit, and what is being decompressed, is ever held: a megabyte may inflate a thousand times with
gzip, and without bound with zstd. Most batches cannot inflate so far by their codec's nature and take the short way.
"""

import struct
from typing import Any

import cramjam
import numpy as np
from aiokafka import codec
from numpy.typing import NDArray

GZIP, SNAPPY, LZ4, ZSTD = range(1, 5)
XERIAL = b"\x82SNAPPY\x00"
FIRST_TIMES, NEXT_TIMES = 16, 4  #: how much a batch is expected to inflate; untouched memory costs nothing
TOO_SMALL = "failed to write whole buffer"

#: cramjam itself where aiokafka would copy its buffer into bytes
DECODERS = {GZIP: codec.gzip_decode, SNAPPY: codec.snappy_decode, LZ4: cramjam.lz4.decompress}
#: how many times a codec can inflate at the most, by its format; zstd has no bound
WORST = {GZIP: 1_032, SNAPPY: 22, LZ4: 255}
INTO = {GZIP: cramjam.gzip.decompress_into, LZ4: cramjam.lz4.decompress_into, ZSTD: cramjam.zstd.decompress_into}


class TooLarge(ValueError):
    """More than the limit comes out."""


def inflated(kind: int, packed: memoryview, limit: int) -> NDArray[np.uint8]:
    """Decompress.

    Raises: KeyError for an unknown codec, TooLarge, whatever the codec raises for broken bytes.
    """
    if kind in WORST and len(packed) * WORST[kind] <= limit:
        return np.frombuffer(DECODERS[kind](packed), np.uint8)
    if kind == SNAPPY:
        if _snappy_size(packed) > limit:
            raise TooLarge
        return np.frombuffer(codec.snappy_decode(packed), np.uint8)
    return _into(INTO[kind], packed, limit)


def _into(decompress: Any, packed: memoryview, limit: int) -> NDArray[np.uint8]:
    size = min(FIRST_TIMES * len(packed) + 4_096, limit)
    while True:
        plain = np.empty(size, np.uint8)
        try:
            used = decompress(packed, plain)
        except cramjam.DecompressionError as error:
            if TOO_SMALL not in str(error):
                raise
            if size >= limit:
                raise TooLarge from error
            size = min(NEXT_TIMES * size, limit)
        else:
            plain = plain[:used]
            plain.flags.writeable = False  # kernels are compiled for read-only buffers
            return plain


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
