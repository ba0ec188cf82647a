"""When units are due: often while they are cheap, and just behind whole seconds."""

from dataclasses import replace

import pytest

from tests.transport.in_memory import SPEC


def test_units_with_news_are_as_frequent_as_they_are_cheap() -> None:
    spec = replace(SPEC, unit_s=1.0, unit_s_least=0.25, unit_s_of={"rare": 0.1})
    assert [spec.seconds_with_news("events", busy_s) for busy_s in (0.0, 0.03, 0.05, 0.125, 9.0)] == [
        0.25, 0.25, 0.4, 1.0, 1.0,
    ]  # fmt: skip
    assert spec.seconds_with_news("rare", 0.0) == 0.1
    assert SPEC.seconds_with_news("events", 0.0) == SPEC.unit_s


@pytest.mark.parametrize(
    ("wall_s", "turn", "busy_s", "due_s", "news_due_s"),
    [
        pytest.param(100.0, 0.5, 9.0, 101.12, 101.12, id="long units end just behind a second, in turns"),
        pytest.param(100.12, 0.5, 9.0, 101.12, 101.12, id="one that begins when it is due is followed a second later"),
        pytest.param(100.5, 0.5, 9.0, 101.12, 101.12, id="and one that begins late is followed sooner"),
        pytest.param(100.9, 0.5, 9.0, 102.12, 102.12, id="but not at once"),
        pytest.param(100.12, 0.5, 0.0, 101.12, 100.37, id="cheap ones are four a second"),
        pytest.param(100.12, 0.5, 0.05, 101.12, 100.62, id="less cheap ones two"),
        pytest.param(100.07, 1.0, 0.0, 101.18, 100.43, id="the last turn is not met twice"),
    ],
)
def test_units_are_aligned_to_seconds(
    wall_s: float, turn: float, busy_s: float, due_s: float, news_due_s: float
) -> None:
    spec = replace(SPEC, unit_s=1.0, unit_s_least=0.25, is_aligned=True)
    found = spec.due("events", turn, busy_s, wall_s)
    assert found == pytest.approx((due_s - wall_s, news_due_s - wall_s))
    assert spec.first_due("events", turn, wall_s) == spec.due("events", turn, 0.0, wall_s)
