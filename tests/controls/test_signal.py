"""Law: a signal has one key; what is unknown has no value; what is news is published, and what would soon expire."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline import snapshots
from pipeline.blocks import decode, encode
from pipeline.controls.signal import NAMES, SCHEMA, UNKNOWN, Signal, Untellable, due, every, key_of, unknown

NOW_US = 1_800_000_000_000_000
TTL_US = 120_000_000
TEXT = st.text(alphabet="ab|%7C é", max_size=6)


def signal(**changes: Any) -> Signal:
    said: dict[str, Any] = {
        "service": "chat", "model": "llama", "name": "scale", "scope": "", "state": "out", "value": 3.0,
        "unit": "replicas", "reason": "so many come", "evaluated_at_us": NOW_US, "expires_at_us": NOW_US + TTL_US,
        "watermark_us": NOW_US - 5, "window_s": 60, "samples": 7, "confidence": 0.9, "inputs": {"rps": 4},
        "details": {"by": "load"},
    }  # fmt: skip
    return Signal(**{**said, **changes})


@example(first=("a|b", "m", "scale", ""), second=("a", "b|m", "scale", ""))
@example(first=("a|b", "m", "scale", ""), second=("a%7Cb", "m", "scale", ""))
@given(first=st.tuples(TEXT, TEXT, TEXT, TEXT), second=st.tuples(TEXT, TEXT, TEXT, TEXT))
def test_different_signals_have_different_keys(first: Any, second: Any) -> None:
    assert (key_of(*first) == key_of(*second)) == (first == second)


def test_a_key_without_strange_characters_is_read_by_eye() -> None:
    assert signal().key == "chat|llama|scale"
    assert signal(model="", scope="h100").key == "chat||scale|h100"


def test_a_signal_comes_back_from_its_record() -> None:
    assert Signal.read(decode(SCHEMA, encode(SCHEMA, signal().columns))) == signal()
    nothing = unknown("capacity", "chat", "", "no events", NOW_US, 60)
    assert Signal.read(decode(SCHEMA, encode(SCHEMA, nothing.columns))) == nothing
    assert (nothing.state, nothing.value, nothing.expires_at_us) == (UNKNOWN, None, NOW_US + 60_000_000)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"name": "mood"}, id="no name of a signal"),
        pytest.param({"value": math.nan}, id="a value that is none"),
        pytest.param({"value": math.inf}, id="infinite"),
        pytest.param({"inputs": {"rps": math.nan}}, id="an input that is not known"),
        pytest.param({"confidence": math.inf}, id="confidence"),
        pytest.param({"state": UNKNOWN}, id="a value of what is unknown"),
        pytest.param({"inputs": dict.fromkeys(map(str, range(101)), 1.0)}, id="too many inputs"),
        pytest.param({"expires_at_us": NOW_US}, id="expired when it comes"),
    ],
)
def test_what_no_signal_may_say_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Untellable):
        signal(**changes)


@pytest.mark.parametrize(
    ("changes", "later_us", "is_news"),
    [
        pytest.param({}, 1, False, id="the same"),
        pytest.param({"value": 4.0}, 1, True, id="another value"),
        pytest.param({"state": "hold"}, 1, True, id="another state"),
        pytest.param({"details": {"by": "queue"}}, 1, True, id="other details"),
        pytest.param({"inputs": {"rps": 5}, "samples": 8, "confidence": 0.8}, 1, False, id="figures move all the time"),
        pytest.param({}, TTL_US // 2 - 1, False, id="not half expired"),
        pytest.param({}, TTL_US // 2, True, id="half expired"),
    ],
)
def test_news_is_published_and_what_would_expire(changes: dict[str, Any], later_us: int, is_news: bool) -> None:
    last, now_us = signal(), NOW_US + later_us
    now = replace(last, **changes, evaluated_at_us=now_us, expires_at_us=now_us + TTL_US)
    assert due([now], {last.key: last}, now_us) == ([now] if is_news else [])
    assert due([now], {}, now_us) == [now]


def test_what_is_too_long_to_keep_is_cut_between_characters() -> None:
    """The store takes no text of more than 1,024 bytes, and must take every signal of ours."""
    columns = signal(reason="é" * 900, details={"why": "é" * 900}).columns
    for text in (columns["reason"], columns["details"]["why"]):
        assert text == "é" * 500
    assert snapshots.flaw_of_signal(columns, NOW_US) is None


def test_a_signal_is_expired_from_its_end_on() -> None:
    assert not signal().is_expired(NOW_US + TTL_US - 1)
    assert signal().is_expired(NOW_US + TTL_US)
    assert set(NAMES) >= {"capacity", "scale", "forecast", "shed", "quota", "gate", "cost", "frontier"}


def test_what_cannot_be_told_is_unknown_with_the_reason_and_takes_no_other_with_it() -> None:
    values = [1.0, math.inf, 3.0]
    found = every(lambda value: signal(value=value, scope=str(value)), values)
    assert [(each.scope, each.value) for each in found] == [("1.0", 1.0), ("inf", None), ("3.0", 3.0)]
    odd = found[1]
    assert (odd.state, odd.expires_at_us) == (UNKNOWN, signal().expires_at_us) and "value is inf" in odd.reason
    unnamed = [lambda: signal(name="mood"), lambda: signal(expires_at_us=NOW_US)]
    for fault in unnamed:
        with pytest.raises(Untellable):
            every(lambda make: make(), [signal, fault])
