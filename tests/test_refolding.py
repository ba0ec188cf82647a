"""Refolding: what is counted of a log does not depend on how it is cut into units."""

from collections import Counter
from random import Random
from typing import Any

import pytest

from pipeline.blocks import decode
from pipeline.decoding import EventFold, FoldSpec
from pipeline.duplicates import WindowSpec
from pipeline.framing import SINGLE_OBJECT
from pipeline.records import Unit
from pipeline.refolding import COUNTS, Refold
from tests.compiled import KERNELS
from tests.event_samples import objectives, sample
from tests.ingest_reading import block_of, framed


def refolded(events: list[dict[str, Any]], unit_bytes: int, window: WindowSpec | None = None) -> tuple[Any, int, int]:
    """What is counted of events in blocks of seven; in how many units, of how many records."""
    units: list[Unit] = []
    numbers: list[int] = []

    def take(unit: Unit, number: int) -> None:
        units.append(unit)
        numbers.append(number)

    refold = Refold(EventFold(FoldSpec(), objectives(), SINGLE_OBJECT, KERNELS), take, window, 0, unit_bytes)
    for first in range(0, len(events), 7):
        refold.add(block_of(framed(events[first : first + 7]), first))
    refold.flush()
    refold.flush()
    assert numbers == list(range(len(units)))
    return counted(units), len(units), refold.records


def counted(units: list[Unit]) -> Counter[tuple[str, ...]]:
    totals: Counter[tuple[str, ...]] = Counter()
    records = (each for unit in units for each in unit.records if each.topic == COUNTS)
    for block in (decode("slo_counts", each.value or b"") for each in records):
        for name in ("good", "bad", "excluded"):
            for i, second, count in zip(block["instance_index"], block["slice_start_s"], block[name], strict=True):
                totals[block["slos"][i], block["instances"][i], str(second), name] += int(count)
    return totals


@pytest.fixture(scope="module")
def events() -> list[dict[str, Any]]:
    random = Random(5)
    return [sample(random) | {"event_id": f"id {number}"} for number in range(70)]


def test_the_cut_into_units_changes_nothing(events: list[dict[str, Any]]) -> None:
    whole, fine = refolded(events, 1 << 30), refolded(events, 1)
    assert (whole[1], fine[1]) == (1, 10)
    assert whole[0] == fine[0]
    assert whole[2] == fine[2] == 70


def test_duplicates_are_left_out_where_there_is_a_window_across_units(events: list[dict[str, Any]]) -> None:
    window = WindowSpec(3_600, 10_000)
    once, twice = refolded(events, 1, window), refolded([*events, *events], 1, window)
    assert once[0] == twice[0]
    assert refolded([*events, *events], 1)[0] != once[0]
