"""Kafka record batches (magic 2) to columns, without one Python object per record.

Layout of a batch: base offset i64, length i32, leader epoch i32, magic i8, crc u32, attributes i16, last
offset delta i32, first and last timestamp i64, producer id i64, producer epoch i16, base sequence i32, record
count i32, then records; all big endian. The CRC covers everything from the attributes on.
Source: Kafka protocol guide, "Record Batch" and "Record".
Every read is checked against the end it is given; CORRUPT is the answer to anything that does not fit.
Buffers are always read-only arrays: a writable one would be another type, and compile everything once more.
"""

import numpy as np
from numba import njit

from pipeline.kernels.crc32c import crc32c

HEADER_BYTES = 61
CODEC, LOG_APPEND_TIME, TRANSACTIONAL, CONTROL = 0x07, 0x08, 0x10, 0x20
DONE, LOOK, BAD_CRC, CORRUPT = range(4)

#: columns of a scan: start and length of value and key, timestamp, offset
VALUE_START, VALUE_LENGTH, KEY_START, KEY_LENGTH, STAMP_MS, OFFSET = range(6)
COLUMNS = 6


@njit(nogil=True, cache=True)
def be32(b, p):
    """Read a big-endian i32 at p."""
    word = np.int64(b[p]) << 24 | np.int64(b[p + 1]) << 16 | np.int64(b[p + 2]) << 8 | np.int64(b[p + 3])
    return word - ((word & 0x80000000) << 1)


@njit(nogil=True, cache=True)
def be64(b, p):
    """Read a big-endian i64 at p."""
    return (be32(b, p) << 32) | (be32(b, p + 4) & 0xFFFFFFFF)


@njit(nogil=True, cache=True)
def varlong(b, p, end):
    """Read a zig-zag varlong: (value, next position); position -1 when it is malformed or out of bounds."""
    r, s = np.uint64(0), np.uint64(0)
    while p < end and s < np.uint64(70):
        x = b[p]
        p += 1
        r |= np.uint64(x & 0x7F) << s
        if x < 0x80:
            return np.int64(r >> np.uint64(1)) ^ -np.int64(r & np.uint64(1)), p
        s += np.uint64(7)
    return np.int64(0), np.int64(-1)


@njit(nogil=True, cache=True)
def span(b, p, end):
    """Read a length and step over that many bytes: (start, length, next position); length -1 is null."""
    length, p = varlong(b, p, end)
    if p < 0 or length < -1 or p + max(length, 0) > end:
        return np.int64(0), np.int64(0), np.int64(-1)
    return p, length, p + max(length, 0)


@njit(nogil=True, cache=True)
def scan_records(b, p, end, base_offset, first_ms, fixed_ms, count, least_offset, columns, n):
    """Write the records of one decompressed batch into columns from n on; return (n, DONE or CORRUPT).

    Shapes: b (bytes,) u8; columns (6, capacity) i64. Records below `least_offset` are left out.
    fixed_ms >= 0: the broker's append time, the same for all.
    """
    for _ in range(count):
        length, p = varlong(b, p, end)
        if p < 0 or length < 1 or p + length > end:
            return n, CORRUPT
        record_end = p + length
        delta_ms, q = varlong(b, p + 1, record_end)  # one byte of attributes first
        if q < 0:
            return n, CORRUPT
        delta_offset, q = varlong(b, q, record_end)
        if q < 0:
            return n, CORRUPT
        key_start, key_length, q = span(b, q, record_end)
        if q < 0:
            return n, CORRUPT
        value_start, value_length, q = span(b, q, record_end)
        if q < 0:
            return n, CORRUPT
        offset = base_offset + delta_offset
        if offset >= least_offset:
            if n >= columns.shape[1]:
                return n, CORRUPT
            columns[VALUE_START, n], columns[VALUE_LENGTH, n] = value_start, value_length
            columns[KEY_START, n], columns[KEY_LENGTH, n] = key_start, key_length
            columns[STAMP_MS, n] = fixed_ms if fixed_ms >= 0 else first_ms + delta_ms
            columns[OFFSET, n] = offset
            n += 1
        p = record_end  # headers stay where they are: behind the value
    return n, DONE


@njit(nogil=True, cache=True)
def batch_size(b, p, end):
    """Return the bytes of the batch at p; 0: it is not whole; -1: it cannot be one."""
    if p + HEADER_BYTES > end:
        return np.int64(0)
    size = 12 + be32(b, p + 8)
    if size < HEADER_BYTES:
        return np.int64(-1)
    return size if p + size <= end else np.int64(0)


@njit(nogil=True, cache=True)
def scan_batches(b, p, end, least_offset, check_crc, columns, n, next_offset):
    """Scan plain batches back to back; return (position, n, next offset, why it stopped).

    LOOK: the batch at the position is compressed, transactional, control or of another format; Python looks
    at it.
    """
    while True:
        size = batch_size(b, p, end)
        if size == 0:
            return p, n, next_offset, DONE  # a partial batch at the end is fetched again
        if size < 0:
            return p, n, next_offset, CORRUPT
        attributes = (np.int64(b[p + 21]) << 8) | np.int64(b[p + 22])
        if b[p + 16] != 2 or attributes & (CODEC | TRANSACTIONAL | CONTROL):
            return p, n, next_offset, LOOK
        if check_crc and crc32c(b, p + 21, p + size) != (be32(b, p + 17) & 0xFFFFFFFF):
            return p, n, next_offset, BAD_CRC
        base = be64(b, p)
        last = base + be32(b, p + 23)
        if last >= least_offset:
            fixed_ms = be64(b, p + 35) if attributes & LOG_APPEND_TIME else np.int64(-1)
            first_ms, count, before = be64(b, p + 27), be32(b, p + 57), n
            n, code = scan_records(
                b, p + HEADER_BYTES, p + size, base, first_ms, fixed_ms, count, least_offset, columns, n
            )
            if code != DONE:
                return p, before, next_offset, code
        next_offset = max(next_offset, last + 1)
        p += size


@njit(nogil=True, cache=True)
def count_plain(b, p, end):
    """Count records by the headers of the plain batches from p on, up to one that Python has to look at.

    A count that its batch cannot hold (a record takes seven bytes) ends the counting: the scan finds it
    corrupt.
    """
    total = np.int64(0)
    while True:
        size = batch_size(b, p, end)
        attributes = (np.int64(b[p + 21]) << 8) | np.int64(b[p + 22]) if size > 0 else np.int64(0)
        if size <= 0 or b[p + 16] != 2 or attributes & (CODEC | TRANSACTIONAL | CONTROL):
            return total
        count = be32(b, p + 57)
        if count < 0 or count * 7 > size:
            return total
        total += count
        p += size


def warm() -> None:
    """Compile now: a pause inside the consumer's thread would miss heartbeats."""
    b, columns = np.frombuffer(bytes(128), np.uint8), np.empty((COLUMNS, 1), np.int64)
    scan_batches(b, 0, 0, 0, True, columns, 0, 0)
    scan_records(b, 0, 0, 0, 0, -1, 0, 0, columns, 0)
    count_plain(b, 0, 0)
    crc32c(b, 0, 0)
    varlong(b, 0, 0)
