"""Law: with a duplicates window one letter of an event is fed, in all runs together, and none of an event is lost."""

import json
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.drain.letters import read_letter
from jobs.drain.retries import Coming, EventIds, retries
from pipeline.duplicates import REDRIVEN
from pipeline.framing import SINGLE_OBJECT, Framing
from schemas import avro_text
from tests.event_samples import sample
from tests.ingest_reading import HEADER, framed
from tests.jobs.test_drain import about
from tests.naive import events as naive_events
from tests.naive import retries as naive

comings = st.builds(
    Coming,
    name=st.sampled_from(["a", "b", None]),
    partition=st.integers(0, 1),
    offset=st.integers(0, 9),
    second=st.integers(0, 40),
    is_chosen=st.booleans(),
    was_fed=st.booleans(),
)


@given(st.lists(comings, max_size=12, unique_by=lambda each: (each.partition, each.offset)), st.integers(1, 20))
def test_of_the_letters_of_one_event_one_is_fed(letters: list[Coming], window_s: int) -> None:
    left = retries(letters, window_s)
    going = {n for n, each in enumerate(letters) if each.is_chosen and not each.was_fed and not left[n]}
    assert going == naive.fed(letters, window_s)
    assert all(letters[n].is_chosen and not letters[n].was_fed for n, is_left in enumerate(left) if is_left)


@given(st.lists(comings, max_size=12, unique_by=lambda each: (each.partition, each.offset)), st.integers(1, 20))
def test_a_second_run_feeds_nothing_of_what_was_chosen_in_the_first(letters: list[Coming], window_s: int) -> None:
    left = retries(letters, window_s)
    after = [each._replace(was_fed=each.was_fed or each.is_chosen) for each in letters]
    assert not any(retries(after, window_s))
    unmarked = [
        each._replace(was_fed=each.was_fed or (each.is_chosen and not left[n])) for n, each in enumerate(letters)
    ]
    assert retries(unmarked, window_s) == left  # killed before retries were named: they are found again


def test_a_letter_that_was_fed_and_came_back_is_no_retry_of_itself() -> None:
    first = Coming("a", 0, 7, 100, is_chosen=True, was_fed=True)
    assert retries([first, first._replace(was_fed=False)], 60) == [False, False]
    assert retries([first, first._replace(was_fed=False, offset=8)], 60) == [False, True]


def test_a_letter_says_where_it_came_from_first() -> None:
    fresh = read_letter(about(offset=7), 99)
    assert fresh is not None and fresh.first == (1, 7, 1_700_000_000_123)
    again = read_letter((*fresh.again(), *about("too_old", offset=50)), 99)
    assert again is not None and again.first == fresh.first
    old = read_letter(about()[:6], 99)
    assert old is not None and old.first == (1, 7, 99)
    forged = read_letter(((REDRIVEN, json.dumps({"redrives": 1, "offset": "x"}).encode()), *about()), 99)
    assert forged is not None and forged.first == (1, 7, 1_700_000_000_123)


OTHER = """{"type": "record", "name": "InferenceEvent", "fields": [
    {"name": "attempt", "type": "long"}, {"name": "region", "type": ["null", "string"]},
    {"name": "event_id", "type": ["string", "null"]}]}"""
NESTED = """{"type": "record", "name": "InferenceEvent", "fields": [
    {"name": "x", "type": {"type": "record", "name": "X", "fields": []}}, {"name": "event_id", "type": "string"}]}"""
WITHOUT = '{"type": "record", "name": "InferenceEvent", "fields": [{"name": "attempt", "type": "long"}]}'
REGISTRY = Framing({}, {1: OTHER, 2: NESTED, 3: WITHOUT, 4: '"string"'})
EVENT = sample(Random(3)) | {"event_id": "0190-a"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(framed([EVENT])[0], "0190-a", id="an event"),
        pytest.param((framed([EVENT])[0] or b"")[:20], "0190-a", id="an event that breaks behind its id"),
        pytest.param(HEADER + naive_events.write(EVENT | {"event_id": ""}), None, id="an empty id"),
        pytest.param(HEADER + b"\x0cab", None, id="an id that is cut"),
        pytest.param(HEADER, None, id="a header alone"),
        pytest.param(None, None, id="null"),
        pytest.param(b"what", None, id="unframed"),
        pytest.param(b"\0\0\0\0\1\x02\x02\x02x\0\x04id", "id", id="another writer"),
        pytest.param(b"\0\0\0\0\1\x02\0\x02", None, id="another writer, null"),
        pytest.param(b"\0\0\0\0\2\x04id", None, id="behind what is nested"),
        pytest.param(b"\0\0\0\0\3\x02", None, id="a writer without ids"),
        pytest.param(b"\0\0\0\0\4\x04id", None, id="no record at all"),
        pytest.param(b"\0\0\0\0\x05\x04id", None, id="a writer nobody knows"),
    ],
)
def test_the_id_is_read_whoever_wrote_the_event(value: bytes | None, expected: str | None) -> None:
    assert EventIds(REGISTRY).of(value) == expected
    assert value is None or not value.startswith(HEADER) or EventIds(SINGLE_OBJECT).of(value) == expected


@given(st.sampled_from([HEADER, *(b"\0\0\0\0%c" % n for n in range(6))]), st.binary(max_size=60))
def test_of_any_bytes_an_id_is_read_or_none(header: bytes, junk: bytes) -> None:
    assert isinstance(EventIds(REGISTRY).of(header + junk), str | None)


def test_the_id_stands_first_so_that_little_is_read() -> None:
    assert json.loads(avro_text("inference_event"))["fields"][0]["name"] == "event_id"
