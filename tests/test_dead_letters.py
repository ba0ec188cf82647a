"""Laws: a letter holds all of its record or says what is missing; too many letters stop before they are written."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dead_letters import (
    ABOUT,
    EXPLAINED_BYTES_MOST,
    HEADERS_BYTES_MOST,
    HEADERS_MOST,
    DeadLetterWindow,
    Letters,
    LimitSpec,
    TooManyDeadLetters,
    split_headers,
)
from pipeline.decoding import EventFold, FoldSpec
from pipeline.framing import SINGLE_OBJECT, single_object_header
from pipeline.kernels import reasons as r
from pipeline.records import OutRecord
from pipeline.stored_records import LETTER_HEADERS
from schemas import avro_text
from tests.compiled import KERNELS
from tests.event_samples import objectives
from tests.recorded import Recorded, block_of

TOPIC = "inference.events"
MIB = 1 << 20


@pytest.fixture(scope="module")
def events() -> EventFold:
    return EventFold(FoldSpec(), objectives(), SINGLE_OBJECT, KERNELS)


def letter_of(
    events: EventFold, record: Recorded, max_bytes: int = 15 * MIB
) -> tuple[OutRecord, Any, dict[str, bytes]]:
    """The letter, the record's own headers in it, and what it says of the record."""
    block = block_of(TOPIC, 3, [record])
    codes = np.array([r.UNFRAMED], np.uint8)
    [letter] = Letters(events, "dlq", max_bytes).of(block, codes, 0)
    own, about = split_headers(letter.headers)
    return letter, own, about


@pytest.mark.parametrize(
    ("size", "is_explained"),
    [
        pytest.param(EXPLAINED_BYTES_MOST, True, id="at the limit"),
        pytest.param(EXPLAINED_BYTES_MOST + 1, False, id="past it"),
        pytest.param(MIB, False, id="a megabyte of one number"),
    ],
)
def test_what_would_take_long_to_explain_is_not(events: EventFold, size: int, is_explained: bool) -> None:
    header = single_object_header(avro_text("inference_event"))
    block = block_of(TOPIC, 3, [Recorded(0, header + b"\xff" * (size - len(header)))])
    [letter] = Letters(events, "dlq", 15 * MIB).of(block, np.array([r.MALFORMED], np.uint8), 0)
    detail = dict(letter.headers)["detail"]
    assert detail is not None and (b"field event_id" in detail) == is_explained


HEADERS = st.lists(st.tuples(st.sampled_from(["trace", "reason", "kept", *ABOUT]), st.binary(max_size=9)), max_size=12)


@given(key=st.none() | st.binary(max_size=9), value=st.binary(max_size=99), headers=HEADERS)
def test_a_letter_gives_back_key_value_and_headers_whatever_they_are_called(
    events: EventFold, key: bytes | None, value: bytes, headers: list[tuple[str, bytes]]
) -> None:
    letter, own, about = letter_of(events, Recorded(77, value, key, tuple(headers), 1_234))
    assert (letter.key, letter.value, list(own)) == (key, value, headers)
    told = {name: about[name].decode() for name in ("reason", "topic", "partition", "offset", "append_time", "kept")}
    assert told == {
        "reason": "unframed", "topic": TOPIC, "partition": "3", "offset": "77", "append_time": "1234", "kept": "all",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("record", "kept", "words"),
    [
        pytest.param(Recorded(0, b"v" * 90, b"k" * 10), "all", "", id="at the limit"),
        pytest.param(Recorded(0, b"v" * 91, b"k" * 10), "part", "only the first 90 of its 91 bytes", id="past it"),
        pytest.param(Recorded(0, b"v" * 9, b"k" * 51), "part", "its key of 51 bytes is cut", id="a long key"),
        pytest.param(
            Recorded(0, b"v" * 90, b"k" * 5, (("ab", b"cdef"),)),
            "part",
            "the first 89 of its 90",
            id="headers count too",
        ),
        pytest.param(Recorded(0, b"", b"", (("ab", b"h" * 200),)), "all", "", id="only headers are too long"),
    ],
)
def test_a_letter_never_grows_past_what_the_broker_takes(
    events: EventFold, record: Recorded, kept: str, words: str
) -> None:
    letter, _, about = letter_of(events, record, 100)
    assert about["kept"].decode() == kept and words in about["detail"].decode()
    if kept == "part":
        assert len(letter.key or b"") + len(letter.value or b"") <= 100


@pytest.mark.parametrize(
    ("size", "kept"),
    [
        pytest.param(HEADERS_BYTES_MOST - 1, "all", id="at the limit"),
        pytest.param(HEADERS_BYTES_MOST, "part", id="past it"),
    ],
)
def test_headers_without_end_are_left_out_and_the_letter_says_so(events: EventFold, size: int, kept: str) -> None:
    _, own, about = letter_of(events, Recorded(0, b"v", None, (("h", b"x" * size),)))
    assert (len(own), about["kept"].decode()) == (int(kept == "all"), kept)


@pytest.mark.parametrize(
    ("count", "kept"), [(HEADERS_MOST, "all"), (HEADERS_MOST + 1, "part")], ids=["at it", "past it"]
)
def test_headers_without_number_are_left_out_so_that_every_reader_can_read_the_letter(
    events: EventFold, count: int, kept: str
) -> None:
    letter, own, about = letter_of(events, Recorded(0, b"v", None, (("", b""),) * count))
    assert (len(own), about["kept"].decode()) == (count * (kept == "all"), kept)
    copy = block_of("dlq", 0, [Recorded(0, b"v", None, tuple((name, value or b"") for name, value in letter.headers))])
    assert copy.headers(0) == letter.headers


def test_bytes_that_are_no_headers_do_not_stop_the_rest(events: EventFold) -> None:
    block = block_of(TOPIC, 3, [Recorded(0, b"v", b"k")])
    block.buffer = block.buffer.copy()
    block.buffer[int(block.value_start[0]) + 1 :] = 255  # a count without end
    [letter] = Letters(events, "dlq", 100).of(block, np.array([r.UNFRAMED], np.uint8), 0)
    own, about = split_headers(letter.headers)
    assert (letter.value, own, about["kept"]) == (b"v", (), b"part") and b"cannot be read" in about["detail"]


def test_a_letter_of_the_first_release_is_read_too() -> None:
    headers = tuple((name, b"1") for name in ABOUT[:6])
    assert split_headers(headers) == ((), dict(headers))
    assert split_headers((("trace", b"x"),)) == ((("trace", b"x"),), {})


SPEC = LimitSpec(ratio=0.5, records_least=1_000, window_us=60_000_000)
S = 1_000_000


@pytest.mark.parametrize(
    ("units", "stops"),
    [
        pytest.param([(0, 1000, 500)], False, id="at the ratio"),
        pytest.param([(0, 1000, 501)], True, id="past the ratio"),
        pytest.param([(0, 999, 999)], False, id="fewer records than it takes"),
        pytest.param([(0, 999, 999), (1, 1, 0)], True, id="many small units"),
        pytest.param([(0, 999, 999), (61, 1, 1)], False, id="what is older than the window is forgotten"),
        pytest.param([(0, 999, 999), (59, 1, 1)], True, id="what is younger is not"),
        pytest.param([(0, 10_000, 0), (30, 1000, 1000)], False, id="good records before it count"),
        pytest.param([(0, 10_000, 0), (61, 1000, 1000)], True, id="but not for ever"),
    ],
)
def test_too_many_dead_letters_within_the_window_stop(units: list[tuple[int, int, int]], stops: bool) -> None:
    window = DeadLetterWindow(SPEC)
    for at_s, records, dead in units[:-1]:
        window.add(at_s * S, records, {"malformed": dead})
    at_s, records, dead = units[-1]
    if not stops:
        window.add(at_s * S, records, {"malformed": dead})
        return
    with pytest.raises(TooManyDeadLetters, match=r"malformed \d+.*LIMIT_DEAD_LETTER_RATIO=1.*drain-dead-letters"):
        window.add(at_s * S, records, {"malformed": dead})


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 50), st.integers(0, 50)), max_size=40))
def test_the_window_holds_what_came_lately_and_a_second_more_at_the_most(steps: list[tuple[int, int, int]]) -> None:
    window, now, told = DeadLetterWindow(LimitSpec(1.0, 1, 10 * S)), 0, []
    for wait_s, good, dead in steps:
        now += wait_s * S
        window.add(now, good + dead, Counter(malformed=dead))
        told.append((now, good + dead, dead))
        lately = [entry for entry in told if entry[0] // S > now // S - 11]
        assert window.records == sum(records for _, records, _ in lately)
        assert window.reasons.total() == sum(dead for _, _, dead in lately)
        assert len(window._cells) <= 11


def test_a_ratio_of_one_never_stops() -> None:
    DeadLetterWindow(LimitSpec(1.0, 1, S)).add(0, 10_000, {"malformed": 10_000})


def test_the_store_knows_every_header_that_a_letter_says() -> None:
    assert set(ABOUT) == LETTER_HEADERS
