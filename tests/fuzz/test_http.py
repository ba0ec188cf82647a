"""The worker's port against random requests: each gets an HTTP answer or a closed door, and the next is served."""

from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.mutating import mutated
from tests.fuzz.text import MARKER, REQUESTS, ask
from tests.security.test_http import Running, status


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    running = Running()
    yield running
    running.stop()


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_any_request_is_answered_or_put_out(server: Running, seed: int) -> None:
    answer = ask(server, mutated(Random(seed), REQUESTS))
    assert answer == b"" or 100 <= status(answer) < 500 or status(answer) == 503  # what /readyz says here
    assert MARKER not in answer and b"Traceback" not in answer and b"aiohttp" not in answer


def test_the_server_is_still_there(server: Running) -> None:
    assert server.answers()
