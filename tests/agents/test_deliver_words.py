"""The deliverer without a broker: words and silences, whatever is wrong with the servers that know of them."""

import asyncio
import time

import pytest
from clickhouse_driver import Client

from pipeline.agents.deliver import BUDGET_S, Deliverer
from pipeline.agents.parts import Parts
from pipeline.delivery.routes import Routes
from pipeline.delivery.silences import Silence
from pipeline.framing import SINGLE_OBJECT
from pipeline.sinks import contexts
from pipeline.spec import SloSet
from tests.agents.delivering import settings_for
from tests.delivery.told import event


def deliverer() -> Deliverer:
    return Deliverer(Parts(settings_for("127.0.0.1:1", ""), SloSet(), SINGLE_OBJECT, {}, Routes()))


def test_a_row_that_makes_no_silence_ends_no_watch() -> None:
    def malformed(_: Client) -> tuple[Silence, ...]:
        raise ValueError("zip() argument 2 is shorter than argument 1")

    assert asyncio.run(deliverer()._ask(malformed)) is None


def test_silences_are_in_force_as_they_come_and_the_last_ones_stay() -> None:
    async def none() -> None:
        return None

    async def one() -> tuple[Silence, ...]:
        return (Silence("s", (), 0, 1, "", ""),)

    async def main() -> None:
        made = deliverer()
        await made._note_silences("a", one())
        await made._note_silences("b", none())
        await made._note_silences("a", none())
        assert [each.name for each in made._all_silences()] == ["s"]

    asyncio.run(main())


def test_when_much_time_was_spent_on_contexts_nobody_is_asked() -> None:
    async def main() -> None:
        made = deliverer()
        made._asked = [(time.monotonic(), BUDGET_S)]
        made._thread.shutdown()  # who would ask fails
        assert await made._context_of(event()) == contexts.NOTHING
        made._asked = [(time.monotonic() - 3_600, BUDGET_S)]
        with pytest.raises(RuntimeError, match="shutdown"):
            await made._context_of(event())

    asyncio.run(main())
