"""Law: an event of as many attributes as the limit is counted, one of more is a dead letter, however it is written."""

from random import Random

import pytest

from pipeline.decoding import EventFold, FoldSpec
from pipeline.framing import SINGLE_OBJECT
from pipeline.ingest import IngestFold
from pipeline.wire import long_bytes
from tests.compiled import KERNELS
from tests.event_samples import objectives, sample
from tests.ingest_reading import HEADER, SPEC, block_of, decoded, facts_of
from tests.naive import events as naive

BARE = HEADER + naive.write(sample(Random(1)) | {"region": "eu", "attributes": {}})[:-1]  # the map is the last field
MOST, MOST_LONG = FoldSpec.limit_attributes, (1 << 63) - 1


def in_blocks(*counts: int) -> bytes:
    """A map of empty strings, whose blocks have so many entries; in front of a negative one's stands its size."""
    entry = bytes(2)
    blocks = (long_bytes(n) + (long_bytes(-n * len(entry)) if n < 0 else b"") + abs(n) * entry for n in counts)
    return b"".join(blocks) + b"\0"


@pytest.fixture(scope="module")
def ingest() -> IngestFold:
    return IngestFold(SPEC, EventFold(FoldSpec(), objectives(), SINGLE_OBJECT, KERNELS))


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        pytest.param(in_blocks(), b"", id="none"),
        pytest.param(in_blocks(MOST), b"", id="the most"),
        pytest.param(in_blocks(MOST // 2, MOST - MOST // 2), b"", id="the most, in two blocks"),
        pytest.param(in_blocks(-1, MOST - 2, -1), b"", id="the most, in blocks that say their size"),
        pytest.param(in_blocks(MOST + 1), b"too_many_attributes", id="one more"),
        pytest.param(in_blocks(MOST, 1), b"too_many_attributes", id="one more in a second block"),
        pytest.param(in_blocks(MOST, -1), b"too_many_attributes", id="one more in a block that says its size"),
        pytest.param(long_bytes(MOST_LONG), b"too_many_attributes", id="without end"),
        pytest.param(long_bytes(-MOST_LONG - 1) + long_bytes(0), b"malformed", id="fewer than none"),
        pytest.param(in_blocks(MOST)[:-1], b"malformed", id="cut short"),
    ],
)
def test_attributes_are_counted_and_past_the_limit_the_event_is_put_aside(
    ingest: IngestFold, written: bytes, reason: bytes
) -> None:
    block = block_of([BARE + written])
    _, slices, letters = decoded(ingest.fold([block], facts_of([block])))
    assert [dict(letter.headers)["reason"] for letter in letters] == [reason] * bool(reason)
    assert slices[0][1]["counters"]["events"] == (not reason)


def test_the_dead_letter_names_the_limit(ingest: IngestFold) -> None:
    block = block_of([BARE + in_blocks(MOST + 1)])
    _, _, [letter] = decoded(ingest.fold([block], facts_of([block])))
    detail = dict(letter.headers)["detail"] or b""
    assert detail.decode() == f"the map `attributes` has more entries than limit_attributes = {MOST}"
