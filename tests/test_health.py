"""Laws: alive is told by progress against what waits; lag by what was seen and is not done."""

from typing import Any

import pytest

from pipeline.health import STUCK_S, StepFacts, lag, stale, stuck

LIMIT_S, ALLOWED_S = 30.0, 5.0


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        pytest.param({}, "", id="no partitions"),
        pytest.param({"owned": 2, "progress_age_s": STUCK_S}, "", id="at the limit"),
        pytest.param({"owned": 2, "progress_age_s": 61.0}, "judge has written nothing for 1 min 1 s", id="past it"),
        pytest.param({"owned": 2, "progress_age_s": 61.0, "backlog_records": 9}, "while 9 records wait", id="and more"),
        pytest.param({"owned": 2, "progress_age_s": 900.0, "tried_age_s": 5.0}, "", id="its server is away, it tries"),
        pytest.param({"owned": 2, "progress_age_s": 900.0, "tried_age_s": 61.0}, "nothing for 15 min", id="it gave up"),
        pytest.param({"owned": 0, "progress_age_s": 900.0}, "", id="more workers than partitions"),
    ],
)
def test_a_step_is_alive_while_it_writes_or_tries(facts: dict[str, Any], words: str) -> None:
    said = stuck(StepFacts("judge", **facts))
    assert bool(said) == bool(words) and words in said


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        pytest.param({}, "", id="nothing waits"),
        *(
            pytest.param({name: at}, words if at > LIMIT_S else "", id=f"{name} {at}")
            for name, words in (
                ("oldest_in_flight_s", "the oldest block read is not written for 31 s"),
                ("open_transaction_s", "a transaction or insert is open for 31 s"),
                ("behind_s", "some have for 31 s"),
            )
            for at in (30.0, 31.0)
        ),
        pytest.param({"unjudged_s": 35.0}, "", id="as far as grace and idle sources explain"),
        pytest.param({"unjudged_s": 36.0}, "events are seen but not judged over 36 s", id="further"),
        pytest.param({"watermark_lag_s": 9_000.0, "unjudged_s": 2.0}, "", id="nothing has come for hours"),
        pytest.param({"behind_s": 31.0, "open_transaction_s": 40.0}, "40 s; 0 records wait", id="two at once"),
        pytest.param({"trouble": "receiver pager is down"}, "receiver pager is down", id="a receiver is down"),
    ],
)
def test_a_step_lags_when_what_was_seen_is_not_done(facts: dict[str, Any], words: str) -> None:
    said = lag(StepFacts("judge", **facts), LIMIT_S, ALLOWED_S)
    assert bool(said) == bool(words) and words in said


@pytest.mark.parametrize(
    ("silent_s", "said"),
    [
        pytest.param([], "", id="no partitions"),
        pytest.param([1, 2, 3], "", id="all speak"),
        pytest.param([1, 300, 3], "events/1 is silent for 300 s, while others are not", id="one is stale"),
        pytest.param([299, 1], "", id="not for so long"),
        pytest.param([900, 30, 301], "events/0 is silent for 900 s; events/2 is silent for 301 s", id="two of three"),
        pytest.param([900, 31], "", id="little traffic: others were silent too"),
        pytest.param([900, 900], "", id="all are silent, which is no data"),
        pytest.param([900, -1e-6, 1], "events/0 is silent", id="one is not heard yet"),
    ],
)
def test_a_partition_is_stale_when_it_alone_is_silent(silent_s: list[float], said: str) -> None:
    found = stale([round(each * 1e6) for each in silent_s], 300_000_000, "events")
    assert bool(found) == bool(said) and said in found
