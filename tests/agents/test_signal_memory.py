"""What the control agent remembers of signals: bounded, whatever came and went; what is in force is never forgotten."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.agents.signal_memory import (
    FORGET_EVERY_US,
    FORGET_TENANT_US,
    FORGET_US,
    GONE_MOST,
    ROOM,
    Memory,
)
from pipeline.controls.signal import Signal

NOW_US = 1_000_000_000_000


def said(tenant: str, expires_us: int, **changes: Any) -> Signal:
    told = {"service": "", "model": "", "name": "quota", "scope": f"tokens/{tenant}", "state": "within", "value": 0.5}
    times = {"unit": "", "reason": "", "evaluated_at_us": 0, "expires_at_us": expires_us}
    return Signal(**{**told, **times, **changes})


def test_many_tenants_that_came_and_went_leave_no_more_than_the_limit_and_their_topic_is_cleared() -> None:
    memory = Memory(1_000)
    for at in range(20_000):  # a restored topic
        assert memory.keep(said(str(at), at + 1), NOW_US)
    assert 1_000 - 1_000 // ROOM - 1 <= len(memory.published) <= 1_000
    assert memory.refused == 0
    left = set(memory.published)
    gone = []
    while keys := memory.gone(20_001):  # nothing is old by itself yet
        assert len(keys) <= GONE_MOST
        gone += keys
    assert len(gone) == len(set(gone)) == memory.forgotten.total() == 20_000 - len(left)
    assert set(gone).isdisjoint(left), "what stays is what expires last"
    assert left == {said(str(at), 1).key for at in range(20_000 - len(left), 20_000)}


def test_what_is_in_force_stays_and_what_is_new_waits_for_room() -> None:
    memory = Memory(3)
    assert all(memory.keep(said(str(at), NOW_US + 10 + at), NOW_US) for at in range(3))
    assert not memory.keep(said("new", NOW_US + 99), NOW_US)
    assert memory.keep(said("0", NOW_US + 50), NOW_US), "what is known already needs no room"
    assert (memory.refused, memory.forgotten, memory.gone(NOW_US)) == (1, {}, [])
    assert not memory.keep(said("new", NOW_US + 99), NOW_US + 9)
    assert memory.keep(said("new", NOW_US + 99), NOW_US + 11)
    assert memory.gone(NOW_US + 11) == [said("1", 1).key]


def test_when_all_has_expired_what_scaling_goes_on_from_is_forgotten_last_and_tenants_first() -> None:
    """ClickHouse was away: signals of quotas live longer than those of scale, and jobs go on to publish."""
    memory = Memory(20)
    kept = {"scale": NOW_US - 90, "shed": NOW_US - 80, "forecast": NOW_US - 20}
    for name, expires_us in kept.items():
        memory.keep(said("it", expires_us, name=name), 0)
    memory.keep(said("over", NOW_US - 50, state="exceeded"), 0)  # its alert is open
    for at in range(16):
        memory.keep(said(str(at), NOW_US - 1 - at), 0)
    for at in range(12):
        assert memory.keep(said(str(at), NOW_US + 99, name="cost"), NOW_US)
    assert memory.forgotten == {"quota": 12} and said("over", 1).key in memory.published
    assert all(said("it", 1, name=name).key in memory.published for name in kept)


def test_what_comes_back_is_not_taken_out_of_the_topic_and_what_somebody_took_out_not_again() -> None:
    memory = Memory(2)
    for tenant in ("a", "b", "c", "d"):
        memory.keep(said(tenant, NOW_US - 1), NOW_US)
    assert memory.keep(said("a", NOW_US + 99), NOW_US)
    memory.drop(said("b", 1).key)
    assert memory.gone(NOW_US) == [said("c", 1).key]
    memory.drop(said("a", 1).key)
    assert said("a", 1).key not in memory.published


@pytest.mark.parametrize(
    ("changes", "kept_us"),
    [
        pytest.param({}, FORGET_TENANT_US, id="a tenant within its quota"),
        pytest.param({"state": "exceeded"}, FORGET_US, id="one whose alert may be open"),
        pytest.param({"name": "scale", "state": "out"}, FORGET_US, id="replicas, from which scaling goes on"),
    ],
)
def test_what_expired_is_forgotten_in_its_time(changes: dict[str, Any], kept_us: int) -> None:
    memory = Memory(10)
    memory.keep(said("a", NOW_US, **changes), NOW_US - 1)
    assert memory.gone(NOW_US + kept_us - FORGET_EVERY_US) == []
    assert memory.gone(NOW_US + kept_us) == []
    assert memory.gone(NOW_US + kept_us + 1 + FORGET_EVERY_US) == [said("a", 1, **changes).key]
    assert memory.published == {}


@given(
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(1, 30), st.integers(0, 3)), max_size=60),
    st.integers(1, 5),
)
def test_no_history_forgets_what_is_in_force_or_keeps_more_than_the_limit(
    told: list[tuple[str, int, int]], most: int
) -> None:
    memory, now_us, topic = Memory(most), 0, dict[str, Signal]()
    for tenant, lasts_us, after_us in told:
        now_us += after_us
        signal = said(tenant, now_us + lasts_us, evaluated_at_us=now_us)
        before = dict(memory.published)
        if memory.keep(signal, now_us):
            topic[signal.key] = signal
        for key in memory.gone(now_us):
            assert topic.pop(key).is_expired(now_us)
        assert len(memory.published) <= most
        assert {key for key, each in before.items() if not each.is_expired(now_us)} <= set(memory.published)
        assert memory.published.keys() == topic.keys()
