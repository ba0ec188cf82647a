"""Fuzz targets whose reading is compiled code: record batches and Avro events. Run by `python -m tests.fuzz`.

Each target is a corpus and a check, which raises when the law is broken; a crash is seen by whoever started us.
"""

import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import NamedTuple

from aiokafka.errors import CorruptRecordException

from pipeline.decoding import EventFold, FoldSpec
from pipeline.framing import SINGLE_OBJECT
from pipeline.ingest import IngestFold
from pipeline.records import PADDING, RecordBlock
from pipeline.settings import Settings
from tests.event_samples import objectives, sample, spoilt
from tests.ingest_reading import HEADER, SPEC, block_of, decoded, facts_of, framed
from tests.naive import events as naive_events
from tests.naive.record_batches import GZIP, Batch, Record, crc32c, written
from tests.transport.test_record_blocks import built_by_aiokafka, reader

#: fields of a batch's header, and where what its CRC covers begins
LENGTH_AT, CRC_AT, COVERED_AT, HEADER_BYTES = 8, 17, 21, 61
BATCHED = 50  #: values a unit


class Target(NamedTuple):
    """What is fuzzed: valid inputs to start from, and the law. `repair` makes a changed input reach the depths."""

    corpus: list[bytes]
    check: Callable[[list[bytes]], None]
    repair: Callable[[Random, bytes], bytes]
    at_once: int  # inputs in one check


def batches(_: Path) -> Target:
    """Fetched bytes of a partition, with every codec, holes, control batches and headers."""
    corpus = [built_by_aiokafka(0, 12, codec) for codec in range(5)]
    records = (Record(3, 7, b"k", b"v" * 40, (("h", None),)), Record(9, 8, None, None))
    corpus += [written(Batch(0, records, 12, codec, 5, True)) for codec in (0, GZIP)]
    corpus += [written(Batch(12, (Record(12, 9, b"\0\0\0\0", b"\0" * 6),), 13, 0, 5, True, is_control=True))]
    corpus.append(b"".join(corpus[5:]))
    return Target(corpus, _blocks_lie_in_their_buffers, _with_its_crc, 1)


def _with_its_crc(random: Random, data: bytes) -> bytes:
    """Set length and CRC right, most of the time: the codec and the records are behind them."""
    if len(data) < HEADER_BYTES or random.random() < 0.2:
        return data
    fixed = bytearray(data)
    struct.pack_into(">i", fixed, LENGTH_AT, len(fixed) - 12)
    struct.pack_into(">I", fixed, CRC_AT, crc32c(bytes(fixed[COVERED_AT:])))
    return bytes(fixed)


def _blocks_lie_in_their_buffers(inputs: list[bytes]) -> None:
    for raw in inputs:
        try:
            blocks: list[RecordBlock] = list(reader(raw, 0, committed=True, aborted=[(5, 0)]))
        except CorruptRecordException:
            continue
        for block in blocks:
            end = len(block.buffer) - PADDING
            assert block.first_offset < block.next_offset
            for starts, lengths in ((block.value_start, block.value_length), (block.key_start, block.key_length)):
                assert len(starts) == len(block.offset)
                if len(starts):
                    assert starts.min() >= 0 and lengths.min() >= -1 and (starts + lengths.clip(0)).max() <= end
            for i in range(len(block)):
                block.key(i), block.value(i)
                with suppress(IndexError, ValueError):  # as it says it does
                    block.headers(i)


def events(home: Path) -> Target:
    """Values of inference.events: whatever the oracle cannot read, or would not count, is a dead letter."""
    random = Random(1)
    corpus = [
        value for value in framed([sample(random) for _ in range(40)] + [spoilt(random) for _ in range(5)]) if value
    ]
    fold = IngestFold(SPEC, EventFold(FoldSpec(), objectives(), SINGLE_OBJECT, Settings(data_dir=home).kernels_dir))

    def check(values: list[bytes]) -> None:
        block = block_of(values)
        _, slices, letters = decoded(fold.fold([block], facts_of([block])))
        refused = {int(dict(letter.headers)["offset"]): dict(letter.headers)["reason"] for letter in letters}
        hopeless = {i for i, value in enumerate(values) if _is_refused(value)}
        assert hopeless <= set(refused)
        # fastavro reads a boolean of 5 and the enum's last symbol for -1: it is laxer than the format
        assert {refused[i] for i in set(refused) - hopeless} <= {b"malformed"}
        (counters,) = [found["counters"] for _, found in slices if found["counters"]]
        assert counters["records"] == len(values) == counters["events"] + counters["dead_letters"]

    return Target(corpus, check, lambda random, data: HEADER + data[10:] if random.random() < 0.9 else data, BATCHED)


def _is_refused(value: bytes) -> bool:
    if not value.startswith(HEADER):
        return True
    event = naive_events.read(value[len(HEADER) :])
    return event is None or naive_events.refused(event) is not None


NATIVE: dict[str, Callable[[Path], Target]] = {"batches": batches, "events": events}
