"""Telling one receiver: again until it takes it, one probe at a time, with the secret that is in the file today."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.agents.telling import Teller
from pipeline.delivery.holding import Promised
from pipeline.delivery.notification import Notification, Words
from pipeline.delivery.retries import Circuit, RetrySpec
from pipeline.delivery.routes import Receiver
from pipeline.delivery.words import notification_of, words
from tests.delivery.listening import Heard, Listening, Reply, listening
from tests.delivery.told import event

INSIDE = ("127.0.0.0/8",)
FAST = RetrySpec(first_us=20_000, longest_us=60_000, failures_most=3)


@pytest.fixture
def server() -> Iterator[Listening]:
    with listening() as made:
        yield made


async def say(notification: Notification) -> Words:
    return Words(f"about {notification.alert.slo}", "short", "long")


async def sure() -> float:
    """Nobody else tells this receiver."""
    return math.inf


def telling(receiver: Receiver, spec: RetrySpec = FAST) -> Teller:
    return Teller(receiver, Promised(), say, words, spec)


def hook(server: Listening, **changes: Any) -> Receiver:
    return Receiver("hook", "webhook", server.url("/it"), allow=INSIDE, **changes)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 60))


def test_it_is_told_again_until_it_is_taken(server: Listening) -> None:
    statuses = iter([500, 503, 429, 404, 302])
    server.answer = lambda _: Reply(next(statuses, 200))

    async def main() -> None:
        teller = telling(hook(server))
        assert await teller.tell(notification_of(event()), sure) == []
        assert (teller.counters.sent, teller.counters.retried) == (1, 5)
        assert teller.breaker.circuit(FAST) is Circuit.CLOSED and teller.trouble() == ""
        assert time.monotonic() - teller.tried_at_s < 60
        await teller.close()

    run(main())
    assert len({heard.headers["webhook-id"] for heard in server.heard}) == 1
    assert server.heard[0].json["data"]["words"]["title"] == "about chat-ttft"


def test_a_receiver_that_is_down_is_probed_by_one_at_a_time(server: Listening) -> None:
    under_way: Counter[str] = Counter()
    most, is_up, is_probed = [0], [False], [False]

    def answer(_: Heard) -> Reply:
        under_way["now"] += 1
        most[0] = max(most[0], under_way["now"]) if is_probed[0] else 0
        time.sleep(0.01)
        under_way["now"] -= 1
        return Reply(200 if is_up[0] else 503)

    server.answer = answer

    async def main() -> None:
        teller = telling(hook(server))
        work = [asyncio.create_task(teller.tell(notification_of(event()), sure))]
        while teller.breaker.circuit(FAST) is Circuit.CLOSED:
            await asyncio.sleep(0.005)
        is_probed[0] = True
        others = (notification_of(event(dedup_key=f"a{number}")) for number in range(7))
        work += [asyncio.create_task(teller.tell(each, sure)) for each in others]
        probes = len(server.heard) + 12
        while len(server.heard) < probes:
            await asyncio.sleep(0.005)
        assert most[0] == 1
        assert "receiver hook is down" in teller.trouble() and "503" in teller.trouble()
        is_up[0] = True
        await asyncio.gather(*work)
        assert teller.counters.sent == 8
        await teller.close()

    run(main())


def test_a_refusal_is_final_and_said(server: Listening) -> None:
    server.answer = lambda _: Reply(400, b"wrong\n<b>field</b>")

    async def main() -> None:
        teller = telling(hook(server))
        await teller.tell(notification_of(event()), sure)
        assert (teller.counters.refused, teller.counters.sent) == (1, 0)
        assert teller.trouble() == "receiver hook has refused a notification: 400 wrong <b>field</b>"
        await teller.close()

    run(main())
    assert len(server.heard) == 1


def test_what_cannot_be_written_holds_up_nothing_and_is_said(server: Listening, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k" * 32)
    pager = Receiver("pager", "pagerduty", server.url("/"), secret_file=tmp_path / "key", allow=INSIDE)

    async def main() -> None:
        teller = telling(pager)
        await teller.tell(notification_of(event(long_burn_rate=float("nan"))), sure)
        assert teller.counters.refused == 1 and "it cannot be written" in teller.trouble()
        await teller.tell(notification_of(event()), sure)
        assert teller.counters.sent == 1
        await teller.close()

    run(main())
    assert len(server.heard) == 1


def test_a_secret_is_read_when_it_is_needed_and_waited_for(server: Listening, tmp_path: Path) -> None:
    file = tmp_path / "secret"

    async def main() -> None:
        teller = telling(hook(server, secret_file=file))
        work = asyncio.create_task(teller.tell(notification_of(event()), sure))
        while teller.breaker.circuit(FAST) is Circuit.CLOSED:
            await asyncio.sleep(0.005)
        assert "secret of receiver hook" in teller.trouble()
        file.write_text("of today\n")
        await work
        await teller.close()

    run(main())
    assert "webhook-signature" in server.heard[0].headers


def test_a_longer_wait_that_is_asked_for_is_kept(server: Listening) -> None:
    replies = iter([Reply(429, b"", (("retry-after", "1"),))])
    server.answer = lambda _: next(replies, Reply())

    async def main() -> None:
        teller = telling(hook(server))
        began_s = time.monotonic()
        await teller.tell(notification_of(event()), sure)
        assert time.monotonic() - began_s >= 0.9
        await teller.close()

    run(main())


def test_a_name_that_leads_inside_is_not_called(server: Listening) -> None:
    async def main() -> None:
        teller = telling(replace(hook(server), allow=()))
        work = asyncio.create_task(teller.tell(notification_of(event()), sure))
        while teller.breaker.circuit(FAST) is Circuit.CLOSED:
            await asyncio.sleep(0.005)
        assert "loopback" in teller.trouble()
        work.cancel()
        await teller.close()

    run(main())
    assert server.heard == []


def test_what_is_open_is_repeated_with_its_words_each_interval(server: Listening) -> None:
    receiver = Receiver("manager", "alertmanager", server.url(""), resend_us=200_000, allow=INSIDE)

    async def main() -> None:
        teller = telling(receiver)
        await teller.tell(notification_of(event()), sure)
        while teller.counters.repeated < 3:
            await teller.repeat([(event(), None), (event(dedup_key="other", slo="other"), None)], sure)
            await asyncio.sleep(0.005)
        await teller.close()

    run(main())
    first, *repeated = [heard.json for heard in server.heard]
    assert [alert["labels"] for alert in first] == [each[0]["labels"] for each in repeated[:1]]
    for alerts in repeated:
        told, untold = [alert["annotations"]["summary"] for alert in alerts]
        assert told == "about chat-ttft"
        assert untold == words(notification_of(event(dedup_key="other", slo="other"))).title  # nobody was asked
    ends = [alerts[0]["endsAt"] for alerts in repeated]
    assert ends == sorted(set(ends))


def test_what_cannot_be_repeated_is_left_out(server: Listening) -> None:
    receiver = Receiver("manager", "alertmanager", server.url(""), allow=INSIDE)

    async def main() -> None:
        teller = telling(receiver)
        await teller.repeat([(event(started_at=2**60), None), (event(dedup_key="other"), None)], sure)
        await teller.close()

    run(main())
    assert [len(heard.json) for heard in server.heard] == [1]


def test_what_cannot_be_written_to_a_topic_holds_up_nothing() -> None:
    async def main() -> None:
        teller = telling(Receiver("mirror", "topic", topic="alerts.json"))
        assert await teller.tell(notification_of(event(window_end=2**60)), sure) == []
        assert (teller.counters.refused, teller.counters.sent) == (1, 0)
        assert len(await teller.tell(notification_of(event()), sure)) == 1
        await teller.close()

    run(main())


def test_who_does_not_forget_is_not_told_again(server: Listening) -> None:
    async def main() -> None:
        teller = telling(hook(server))
        await teller.repeat([(event(), None)], sure)
        await teller.close()

    run(main())
    assert server.heard == []


def test_what_may_be_told_by_somebody_else_is_not_sent_but_asked_about_anew(server: Listening) -> None:
    async def main() -> None:
        teller, proofs = telling(hook(server)), iter([float("-inf")])

        async def prove() -> float:
            return next(proofs, math.inf)

        await teller.tell(notification_of(event()), prove)
        assert (teller.counters.sent, teller.counters.retried) == (1, 1)
        await teller.close()

    run(main())
    assert len(server.heard) == 1


def test_who_is_fenced_stops_telling(server: Listening) -> None:
    server.answer = lambda _: Reply(503)

    async def main() -> None:
        teller, proofs = telling(hook(server)), iter([math.inf, math.inf])

        async def prove() -> float:
            try:
                return next(proofs)
            except StopIteration:
                raise PermissionError("fenced") from None

        with pytest.raises(PermissionError):
            await teller.tell(notification_of(event()), prove)
        await teller.close()

    run(main())
    assert len(server.heard) == 2


def test_a_receiver_is_down_when_it_fails_for_so_long_and_nobody_knows_before_it_was_asked(server: Listening) -> None:
    async def main() -> None:
        teller = telling(hook(server))
        assert teller.down(0.0) is None
        await teller.tell(notification_of(event()), sure)
        assert teller.down(0.0) == ""
        server.answer = lambda _: Reply(503)
        work = asyncio.create_task(teller.tell(notification_of(event()), sure))
        while teller.breaker.circuit(FAST) is Circuit.CLOSED:
            assert teller.down(0.0) in {"", None}, "a failure or two say nothing"
            await asyncio.sleep(0.005)
        assert teller.down(3_600.0) is None
        said = teller.down(0.0)
        assert said is not None and said.startswith("receiver hook is down for 0 s: 503")
        server.answer = lambda _: Reply()
        await work
        assert teller.down(0.0) == ""
        await teller.close()

    run(main())
