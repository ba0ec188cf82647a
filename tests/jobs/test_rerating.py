"""Events rated anew: only what an event costs changes, and what nobody can rate keeps its bytes."""

from random import Random
from typing import Any

import pytest

from jobs.cost.rerating import RATED, SOURCES, Rerating
from pipeline.controls.cost import Price, PriceList
from pipeline.framing import SINGLE_OBJECT, header_of
from tests.event_samples import MODELS, START_US, sample
from tests.naive import events as naive
from tests.recorded import Recorded, block_of

PRICES = PriceList("list-9", tuple(Price(model, 5, 11, 2, 5, 11) for model in MODELS[:2]))
ALWAYS = (0, 1 << 60)
COSTS = ("cost_picousd", "cost_source", "price_version")


def costs(event: dict[str, Any]) -> int | None:
    """By hand: 5 for input, 2 of it when cached, 11 for output."""
    if event["request_model"] not in MODELS[:2] or event["cost_source"] not in RATED:
        return None
    if event["outcome"] in {"SHED", "RATE_LIMITED", "REJECTED"}:
        return 0
    if event["input_tokens"] is None or event["output_tokens"] is None:
        return None
    cached = min(event["cached_input_tokens"], event["input_tokens"])
    return int((event["input_tokens"] - cached) * 5 + cached * 2 + event["output_tokens"] * 11)


def test_only_what_an_event_costs_changes() -> None:
    random = Random(7)
    events = [sample(random) | {"response_model": None} for _ in range(300)]
    header = SINGLE_OBJECT.header("inference_event")
    values = [header + naive.write(event) for event in events]
    odd = [None, b"", b"no event", header + b"\x02", header + naive.write(events[0]) + b"x"]
    block = block_of("t", 0, [Recorded(n, value, b"k", (("h", b"v"),)) for n, value in enumerate([*values, *odd])])
    rerating = Rerating(PRICES, SINGLE_OBJECT, ALWAYS)
    rated = rerating(block)
    assert [rated.value(300 + n) for n in range(len(odd))] == odd
    assert (rated.first_offset, rated.next_offset, list(rated.offset)) == (0, 305, list(range(305)))
    changed, before, after = 0, 0, 0
    for n, event in enumerate(events):
        value, due = rated.value(n) or b"", costs(event)
        if due is None or due == (event["cost_picousd"] or 0):
            assert value == values[n]
        else:
            found = naive.read(value[len(header_of(value)) :])
            assert found is not None
            assert found == {**event, "cost_picousd": due, "cost_source": "PRICE_TABLE", "price_version": "list-9"}
            changed += 1
        if due is not None:
            before += (event["cost_picousd"] or 0) * event["sample_weight"]
            after += due * event["sample_weight"]
    found_ = rerating.found
    assert changed > 50
    assert (found_.events, found_.changed, found_.before_picousd, found_.after_picousd) == (300, changed, before, after)
    assert found_.kept == sum(event["cost_source"] not in RATED for event in events)
    assert sum(found_.unpriced.values()) + found_.uncounted + found_.kept + found_.rated == 300


def test_what_is_right_already_is_left_alone() -> None:
    event = sample(Random(1)) | {"cost_source": "NONE", "request_model": MODELS[2]}
    block = block_of("t", 0, [Recorded(0, SINGLE_OBJECT.header("inference_event") + naive.write(event))])
    assert Rerating(PRICES, SINGLE_OBJECT, ALWAYS)(block) is block


@pytest.mark.parametrize(
    ("source", "sources", "is_rated"),
    [
        pytest.param("PROVIDER", RATED, False, id="what a provider charged is a fact"),
        pytest.param("PROVIDER", SOURCES, True, id="unless it is asked for"),
        pytest.param("PRICE_TABLE", RATED, True, id="what was rated is rated anew"),
        pytest.param("NONE", RATED, True, id="so is what nobody rated"),
    ],
)
def test_facts_stay(source: str, sources: tuple[str, ...], is_rated: bool) -> None:
    used = {"input_tokens": 10, "output_tokens": 1, "cached_input_tokens": 0, "outcome": "SUCCESS"}
    event = sample(Random(1)) | used | {"cost_source": source, "cost_picousd": 1, "request_model": MODELS[0]}
    block = block_of("t", 0, [Recorded(0, SINGLE_OBJECT.header("inference_event") + naive.write(event))])
    rerating = Rerating(PRICES, SINGLE_OBJECT, (START_US + (1 << 50), 1 << 60), sources)
    assert (rerating(block) is not block) == is_rated
    assert rerating.found.events == 0  # it completed before the span that is told of


def test_the_model_that_served_has_its_own_price() -> None:
    prices = PriceList("v", (Price("asked", 1, 0, 1, 1, 0), Price("served", 7, 0, 7, 7, 0)))
    used = {
        "input_tokens": 10,
        "output_tokens": 0,
        "cached_input_tokens": 0,
        "outcome": "SUCCESS",
        "cost_source": "NONE",
    }
    for served, due in (("served", 70), ("unheard-of", 10), (None, 10)):
        event = sample(Random(2)) | used | {"request_model": "asked", "response_model": served, "cost_picousd": None}
        rated = Rerating(prices, SINGLE_OBJECT, ALWAYS)(
            block_of("t", 0, [Recorded(0, SINGLE_OBJECT.header("inference_event") + naive.write(event))])
        )
        found = naive.read((rated.value(0) or b"")[10:])
        assert found is not None and found["cost_picousd"] == due
