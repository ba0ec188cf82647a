"""The story that tests and pictures show holds together: what is drawn of it says the same as what is counted."""

from collections.abc import Iterator

import httpx
import pytest

from tests.web.serving import Served
from tests.web.story import HERO
from tests.web.test_api import TTFT, get

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def client(page_server: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=page_server.address, timeout=60) as asking:
        yield asking


def test_the_story_is_as_slow_as_it_counts(client: httpx.Client) -> None:
    """What tests and pictures show is one story: where P99 is over the objective, more than 1 % is bad."""
    lines, counts = (
        get(client, f"{TTFT}/{chart}", instance=HERO, **{"from": "-2h"}) for chart in ("latency", "counts")
    )
    counted = {at: (good, bad) for at, good, bad in zip(counts["t"], counts["good"], counts["bad"], strict=True)}
    both = [
        (p99 > lines["objective_us"], bad / (good + bad), requests == good + bad)
        for at, p99, requests in zip(lines["t"], lines["p99_us"], lines["requests"], strict=True)
        for good, bad in [counted.get(at, (None, None))]  # a minute may end between the two answers
        if p99 is not None and good is not None
    ]
    assert all(is_slow == (share > 0.01) and is_all for is_slow, share, is_all in both)
    assert {is_slow for is_slow, *_ in both} == {False, True}
