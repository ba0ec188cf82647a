"""Law: a unit that puts aside more than the limit allows is never written; at the limit it is."""

from collections import Counter
from random import Random

import pytest

from pipeline.agents.ingest import LimitedFold, fold_spec, window_spec
from pipeline.dead_letters import LimitSpec, TooManyDeadLetters
from pipeline.decoding import EventFold, FoldSpec
from pipeline.duplicates import WindowSpec
from pipeline.framing import SINGLE_OBJECT
from pipeline.ingest import IngestFold
from pipeline.settings import Settings
from tests.compiled import KERNELS
from tests.event_samples import objectives, sample
from tests.ingest_reading import SPEC, block_of, facts_of, framed

LIMIT = LimitSpec(ratio=0.5, records_least=10, window_us=60_000_000)


@pytest.fixture
def fold() -> LimitedFold:
    return LimitedFold(IngestFold(SPEC, EventFold(FoldSpec(), objectives(), SINGLE_OBJECT, KERNELS)), LIMIT)


def test_at_the_limit_units_are_written_and_counted_by_reason(fold: LimitedFold) -> None:
    good = framed([sample(Random(i)) for i in range(5)])
    block = block_of([*good, b"hello", b"", None, b"x", b"y"])
    unit = fold.fold([block], facts_of([block]))
    assert len([r for r in unit.records if r.topic == SPEC.dead_letters_topic]) == 5
    assert (fold.dead_letters, fold.window.ratio) == (Counter(unframed=4, null_value=1), 0.5)


def test_past_the_limit_the_unit_is_not_given_out_and_not_counted_as_put_aside(fold: LimitedFold) -> None:
    good = framed([sample(Random(i)) for i in range(4)])
    block = block_of([*good, b"hello", b"", None, b"x", b"y", b"z"])
    with pytest.raises(
        TooManyDeadLetters, match=r"6 of the last 10 records could not be used \(unframed 5, null_value 1\)"
    ):
        fold.fold([block], facts_of([block]))
    assert not fold.dead_letters


def test_settings_reach_the_limits_of_decoding() -> None:
    given = Settings(
        limit_series=5, limit_instances=6, limit_label_bytes=7, limit_event_bytes=8, limit_attributes=9,
        limit_open_slices=5_000, limit_age_s=9.5,
    )  # fmt: skip
    assert fold_spec(given) == FoldSpec(5, 6, 7, 8, 9, 5_000, age_us=9_500_000)


def test_event_ids_are_remembered_only_where_a_window_is_set() -> None:
    assert window_spec(Settings()) is None
    assert window_spec(Settings(duplicates_window_s=60, limit_event_ids=5)) == WindowSpec(60, 5)


@pytest.mark.parametrize(("behind_us", "is_put_aside"), [(0, False), (1, True)], ids=["at the limit", "past it"])
def test_an_event_older_than_the_limit_of_age_is_a_dead_letter(behind_us: int, is_put_aside: bool) -> None:
    events = EventFold(fold_spec(Settings(limit_age_s=60.0)), objectives(), SINGLE_OBJECT, KERNELS)
    limited = LimitedFold(IngestFold(SPEC, events), LIMIT)
    append_ms = 1_800_000_000_000
    event = sample(Random(1))
    completed = append_ms * 1000 - 60_000_000 - behind_us
    block = block_of(framed([event | {"received_at": completed - 10, "completed_at": completed}]), append_ms=append_ms)
    limited.fold([block], facts_of([block]))
    assert limited.dead_letters == (Counter(too_old=1) if is_put_aside else Counter())
