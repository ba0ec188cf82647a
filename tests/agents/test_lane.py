"""A lane without a broker: what it makes of records, and what it remembers when SLO files change meanwhile."""

import asyncio
from collections import deque
from collections.abc import Coroutine, Sequence
from typing import Any

import aiokafka
import pytest
from aiokafka.structs import ConsumerRecord

from pipeline.agents.lane import Lane, LaneSpec
from pipeline.agents.logbook import Logbook, NotOwner
from pipeline.agents.telling import Teller
from pipeline.blocks import encode
from pipeline.delivery.holding import Holding, Promised, Reason, Sources
from pipeline.delivery.incidents import GroupingSpec
from pipeline.delivery.notification import AlertEvent, Notification, Words
from pipeline.delivery.routes import Inhibition, Receiver
from pipeline.delivery.words import words
from pipeline.framing import SINGLE_OBJECT
from pipeline.transport import StepCounters
from tests.agents.delivering import to_one
from tests.delivery.test_incidents import of

CHAT = GroupingSpec(("service",))


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 60))


class Pace:
    """Words that come when a test lets them."""

    def __init__(self) -> None:
        self.is_asked, self.may_go = asyncio.Event(), asyncio.Event()
        self.may_go.set()

    async def say(self, notification: Notification) -> Words:
        self.is_asked.set()
        await self.may_go.wait()
        return words(notification)


def lane_of(pace: Pace, grouping: GroupingSpec = GroupingSpec(), inhibitions: tuple[Inhibition, ...] = ()) -> Lane:  # noqa: B008
    receiver = Receiver("mirror", "topic", topic="t", grouping=grouping)
    spec = LaneSpec("mirror", "g", "alerts", "deliveries", {"bootstrap_servers": "127.0.0.1:1"}, SINGLE_OBJECT, 6.0)
    holding = Holding("mirror", to_one(receiver), Sources(inhibitions, Promised()))
    return Lane(spec, Teller(receiver, Promised(), pace.say, words), holding, StepCounters())


def records(events: Sequence[AlertEvent]) -> deque[Any]:
    return deque(record(encode("burn_rate_alert", each.columns), offset) for offset, each in enumerate(events))


def record(value: bytes, offset: int) -> Any:
    return ConsumerRecord("alerts", 0, offset, 1_000, 0, b"k", value, None, 1, len(value), ())


def test_what_explains_others_and_ends_while_files_change_holds_nothing_back() -> None:
    async def main() -> None:
        pace = Pace()
        lane = lane_of(pace, inhibitions=(Inhibition((("slo", ("up",)),), (("slo", ("down",)),)),))
        await lane._take(records([of("up", 1)]))
        assert lane.holding.why(of("down", 1), False, 0) is Reason.INHIBITION
        pace.is_asked.clear()
        pace.may_go.clear()
        work = asyncio.create_task(lane._take(records([of("up", 2, "RESOLVED")])))
        await pace.is_asked.wait()
        lane.promise(Promised())
        pace.may_go.set()
        await work
        assert lane.holding.why(of("down", 1), False, 0) is None

    run(main())


def test_what_is_held_back_is_counted_once_though_it_waits_for_another_of_its_incident() -> None:
    async def main() -> None:
        lane = lane_of(Pace(), CHAT, (Inhibition((("slo", ("up",)),), (("slo", ("down",)),)),))
        await lane._take(records([of("up", 1), of("down", 2), of("down", 3, "UPDATED")]))
        assert lane.suppressed[Reason.INHIBITION] == 2

    run(main())


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(b"{", id="no JSON"),
        pytest.param(b"[]", id="no entry"),
        pytest.param(b'{"incident":"a"}', id="half of one"),
        pytest.param(b"\xff", id="no text"),
    ],
)
def test_an_entry_that_cannot_be_read_is_counted_and_stops_nothing(entry: bytes) -> None:
    async def main() -> None:
        lane = lane_of(Pace())
        lane._restore("a", entry)
        assert (lane.teller.counters.unreadable, lane.open_incidents) == (1, 0)

    run(main())


def test_an_open_alert_keeps_the_labels_it_was_told_with_though_its_file_is_edited() -> None:
    async def main() -> None:
        lane = lane_of(Pace())

        def known() -> dict[str, str]:
            told = lane._incidents.by_key["a"].told["a"]
            return {name: (told.labels or {})[name] for name in ("team", "slo", "severity")}

        lane.promise(Promised({"a": {"team": "one"}}))
        await lane._take(records([of("a", 1, severity="WARNING")]))
        lane.promise(Promised({"a": {"team": "two"}}))
        await lane._take(records([of("a", 2, "UPDATED")]))
        assert known() == {"team": "one", "slo": "a", "severity": "warning"}
        await lane._take(records([of("a", 3, "RESOLVED"), of("a", 4)]))
        assert known() == {"team": "two", "slo": "a", "severity": "critical"}

    run(main())


class Torn(Pace):
    """Fails with one as soon as another is under way."""

    async def say(self, notification: Notification) -> Words:
        if notification.alert.slo == "a":
            await self.is_asked.wait()
            raise NotOwner("somebody else tells by now")
        self.is_asked.set()
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")


def test_when_one_of_a_round_may_not_be_told_none_of_it_goes_on() -> None:
    async def main() -> None:
        before = asyncio.all_tasks()
        with pytest.raises(NotOwner, match="somebody else"):
            await lane_of(Torn())._take(records([of("a", 1), of("b", 1)]))
        assert asyncio.all_tasks() == before

    run(main())


def test_who_lets_go_while_it_waits_to_prove_itself_is_no_owner_any_more() -> None:
    async def main() -> None:
        book = Logbook(lane_of(Pace()).spec, StepCounters())
        book._producer = aiokafka.AIOKafkaProducer(bootstrap_servers="127.0.0.1:1")
        async with book._writing:
            proving = asyncio.create_task(book.prove())
            await asyncio.sleep(0)
            await book.close()
        with pytest.raises(NotOwner):
            await proving

    run(main())
