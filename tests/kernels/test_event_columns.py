"""Columns of whole events: what is chosen is copied as it is; hostile bytes are refused, never read past their end."""

import random

import numpy as np
import pytest

from pipeline.kernels import event_columns as k
from pipeline.kernels.bits import PAD, address_of
from pipeline.kernels.longs import LONGEST
from pipeline.wire import long_bytes, string_bytes

STEPS = np.array(
    [
        (k.LONG, k.NO_UNION, 0, 0, 0),
        (k.TEXT, 0, 0, 0, 0),  # [null, string]
        (k.GROUP, 1, k.NO_COLUMN, 0, 2),  # [record, null] of a fixed and a boolean
        (k.FIXED, k.NO_UNION, k.NO_COLUMN, 3, 0),
        (k.BOOLEAN, k.NO_UNION, 1, 0, 0),
        (k.MAP, k.NO_UNION, 1, k.LONG, 0),
        (k.FLOAT, k.NO_UNION, 2, 0, 0),
        (k.LIST, k.NO_UNION, k.NO_COLUMN, k.TEXT, 0),
        (k.DOUBLE, 0, 3, 0, 0),
    ],
    np.int64,
)
MAP = b"\2" + string_bytes("a") + long_bytes(300) + long_bytes(-1) + b"\x06" + string_bytes("b") + b"\2" + b"\0"
TAIL = MAP + np.float32(0.5).tobytes() + b"\2" + string_bytes("xyz") + b"\0" + b"\2" + np.float64(-2.5).tobytes()
FULL = long_bytes(-(1 << 40)) + b"\2" + string_bytes("text") + b"\0" + b"abc" + b"\1" + TAIL
SPARSE = long_bytes(7) + b"\0" + b"\2" + TAIL


def read(values: list[bytes]) -> tuple[np.ndarray, np.ndarray, np.ndarray, bytes]:  # type: ignore[type-arg]
    whole = b"".join(values)
    ends = np.cumsum([len(value) for value in values])
    starts = ends - [len(value) for value in values]
    buffer = np.frombuffer(whole + bytes(PAD), np.uint8)
    numbers = np.full((4, len(values)), -9, np.int64)
    texts, is_read = np.full((2, len(values), 2), k.ABSENT, np.int64), np.zeros(len(values), np.bool_)
    k.read_columns(address_of(buffer), starts, ends, STEPS, numbers, texts, is_read)
    return numbers, texts, is_read, whole


def test_every_kind_of_field_is_read_and_what_is_null_stays_as_it_was() -> None:
    numbers, texts, is_read, whole = read([FULL, SPARSE])
    assert is_read.tolist() == [True, True]
    assert numbers[0].tolist() == [-(1 << 40), 7]
    assert numbers[1].tolist() == [1, -9]
    assert numbers[2:].view(np.float64).tolist() == [[0.5, 0.5], [-2.5, -2.5]]
    spans = [[whole[a : a + n] if n >= 0 else None for a, n in column] for column in texts.tolist()]
    assert spans == [[b"text", None], [MAP, MAP]]


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(FULL[:-1], id="cut off"),
        pytest.param(FULL + b"\0", id="a byte too many"),
        pytest.param(long_bytes(7) + b"\4" + FULL, id="a branch that is not there"),
        pytest.param(long_bytes(7) + b"\2" + long_bytes(1 << 62) + b"x" * 40, id="a length past all memory"),
        pytest.param(long_bytes(7) + b"\0\2" + long_bytes(1 << 62) + b"\0" * 40, id="a count past all memory"),
        pytest.param(b"\xff" * LONGEST + SPARSE, id="a number without end"),
    ],
)
def test_what_is_no_value_is_refused(value: bytes) -> None:
    assert read([SPARSE, value, FULL])[2].tolist() == [True, False, True]


def test_bytes_at_random_are_never_read_past_their_end() -> None:
    random_bytes = random.Random(4)
    values = [random_bytes.randbytes(random_bytes.randrange(60)) for _ in range(3_000)]
    _, texts, is_read, whole = read(values)
    assert (texts[..., 0] + texts[..., 1]).max() <= len(whole)
    assert is_read.sum() < 30


def test_chosen_values_are_copied_one_behind_the_other() -> None:
    values = [b"one", b"", b"a longer one, of more than eight bytes", b"x"]
    buffer = np.frombuffer(b"--".join(values) + bytes(PAD), np.uint8)
    lengths = np.array([len(value) for value in values], np.int32)
    starts = np.cumsum(lengths.astype(np.int64) + 2) - lengths - 2
    out = np.zeros(60, np.uint8)
    chosen = np.array([3, 0, 2, 1])
    used = k.copy_spans(address_of(buffer), address_of(starts), address_of(lengths), chosen, out)
    assert out[:used].tobytes() == b"".join(values[i] for i in chosen)


def test_texts_are_copied_into_rows_of_equal_width() -> None:
    buffer, rows = np.frombuffer(b"abcdef" + bytes(PAD), np.uint8), np.zeros((3, 4), np.uint8)
    k.copy_texts(address_of(buffer), np.array([(0, 2), (-1, -1), (2, 4)]), rows)
    assert rows.view("S4").ravel().tolist() == [b"ab", b"", b"cdef"]


def test_compiling_ahead_of_use_changes_nothing() -> None:
    k.warm()
