"""Tells one receiver, again and again until it takes what it is told or says that it never will.

Law: `tell` returns once there is nothing more to do for a notification; the lane commits then, not before. Each attempt
asks first until when it may be made: the lane may have lost its receiver to another worker meanwhile. While a receiver
fails, one request at a time probes it. Secrets and addresses are read from their files at every attempt, so
that one which was changed, or is wrong, needs no restart.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from random import random
from typing import Any

import structlog

from pipeline.delivery import alertmanager
from pipeline.delivery.holding import Promised
from pipeline.delivery.notification import AlertEvent, Notification, Words
from pipeline.delivery.receivers import TYPES
from pipeline.delivery.requests import Request, Sheet, Verdict, asked_us
from pipeline.delivery.retries import CLOSED, Breaker, Circuit, RetrySpec, failed
from pipeline.delivery.routes import Receiver
from pipeline.delivery.words import notification_of
from pipeline.records import OutRecord
from pipeline.settings import SettingsError
from pipeline.sinks.receivers import Caller, Unreachable
from pipeline.sinks.routes import sheet_of

REFUSED_S = 600.0  #: a refusal is told in health so long: a notification was lost
UNSAID = Words("", "", "")
Prove = Callable[[], Awaitable[float]]  #: until when something may be sent, of the monotonic clock
Repeated = tuple[AlertEvent, Mapping[str, str] | None]  #: an alert as the receiver knows it, and the labels it does by

log = structlog.get_logger()


@dataclass
class TellCounters:
    """Only go up."""

    sent: int = 0
    retried: int = 0
    refused: int = 0
    repeated: int = 0
    unreadable: int = 0


class Teller:
    """One receiver."""

    def __init__(
        self,
        receiver: Receiver,
        promised: Promised,
        say: Callable[[Notification], Awaitable[Words]],
        say_at_once: Callable[[Notification], Words],
        spec: RetrySpec = RetrySpec(),  # noqa: B008 - frozen
        site: str = "",
    ) -> None:
        """`say`: puts a notification into words; `say_at_once`: into fewer, and asks nobody for them."""
        self.receiver, self.promised, self.spec, self._site = receiver, promised, spec, site
        self.type = TYPES[receiver.type]
        self.counters, self.breaker = TellCounters(), CLOSED
        self.tried_at_s = float("-inf")  # monotonic time of the last attempt that was refused for now
        self._say, self._say_at_once, self._caller = say, say_at_once, Caller(receiver.allow)
        self._probing, self._has_answered = asyncio.Lock(), False
        self._refused: tuple[float, str] = (float("-inf"), "")
        self._words: dict[str, Words] = {}  # of what must be repeated
        self._repeat_at_s = 0.0

    async def tell(self, notification: Notification, prove: Prove) -> list[OutRecord]:
        """Tell; return what a topic is told, for the transaction that commits it.

        Raises: what `prove` raises, when it may not be told by us any more.
        """
        said = replace(notification, words=await self._say(notification))
        if not self.type.is_http:
            return self._records_of(said)
        self._remember(said)
        make = partial(self._formed, said)
        while (verdict := await self._attempt(make, prove)) is Verdict.LATER:
            self.counters.retried += 1
        self.counters.sent += verdict is Verdict.TAKEN
        return []

    def _formed(self, said: Notification) -> Request:
        return self.type.form(said, self.sheet(), _now_us())

    def _records_of(self, said: Notification) -> list[OutRecord]:
        try:
            request = self.type.form(said, Sheet(self.receiver, "", site=self._site), _now_us())
            headers = tuple((name, value.encode()) for name, value in request.headers)
        except Exception as error:
            self._note_unwritten(error)
            return []
        self.counters.sent += 1
        return [OutRecord(request.url, request.body, request.key, None, headers)]

    async def repeat(self, events: Iterable[Repeated], prove: Prove) -> None:
        """Say again what is open to a receiver that forgets; once each `resend_us`, and never in the way of news."""
        if not self.type.forgets or time.monotonic() < self._repeat_at_s or _now_us() < self.breaker.retry_us:
            return
        try:
            sheet, now_us = self.sheet(), _now_us()
        except SettingsError as error:
            self._note_failure(str(error), None)
            return
        alerts = [alert for event, known in events if (alert := self._again(event, known, sheet, now_us)) is not None]
        for request in alertmanager.again(alerts, sheet):
            if await self._ask(lambda request=request: request, prove) is Verdict.LATER:  # type: ignore[misc]
                return
            self.counters.repeated += 1
        self._repeat_at_s = time.monotonic() + self.receiver.resend_us / 1e6

    def sheet(self) -> Sheet:
        """What the receiver's form needs, with today's address and secret.

        Raises: SettingsError.
        """
        return sheet_of(self.receiver, self.promised, self._site)

    def trouble(self) -> str:
        """What somebody has to look at, in words; the empty string: nothing."""
        refused_at_s, why = self._refused
        if self.breaker.circuit(self.spec) is Circuit.OPEN:
            age_s = (_now_us() - self.breaker.since_us) / 1e6
            return f"receiver {self.receiver.name} is down for {age_s:.0f} s: {self.breaker.why}"
        if time.monotonic() - refused_at_s < REFUSED_S:
            return f"receiver {self.receiver.name} has refused a notification: {why}"
        return ""

    def down(self, after_s: float) -> str | None:
        """Say, once it fails for so long, that it is down; empty: it answers; None: that is not known."""
        if not self.breaker.failures:
            return "" if self._has_answered else None
        age_s = (_now_us() - self.breaker.since_us) / 1e6
        is_down = self.breaker.circuit(self.spec) is Circuit.OPEN and age_s >= after_s
        return f"receiver {self.receiver.name} is down for {age_s:.0f} s: {self.breaker.why}" if is_down else None

    async def close(self) -> None:
        await self._caller.close()

    def _remember(self, said: Notification) -> None:
        if self.type.forgets:
            for event in said.over:
                self._words.pop(event.dedup_key, None)
            if said.open:
                self._words[said.alert.dedup_key] = said.words or UNSAID

    def _again(
        self, event: AlertEvent, known: Mapping[str, str] | None, sheet: Sheet, now_us: int
    ) -> dict[str, Any] | None:
        try:
            if event.dedup_key not in self._words:
                self._words[event.dedup_key] = self._say_at_once(notification_of(event))
            return alertmanager.alert(event, sheet, now_us, self._words[event.dedup_key], known)
        except Exception as error:
            log.error("an alert cannot be repeated", receiver=self.receiver.name, alert=event.id, exc_info=error)
            return None

    async def _attempt(self, make: Callable[[], Request], prove: Prove) -> Verdict:
        """Ask once; after a failure not before its time, and one at a time."""
        if not self.breaker.failures:
            return await self._ask(make, prove)
        async with self._probing:
            await asyncio.sleep(max(self.breaker.retry_us - _now_us(), 0) / 1e6)
            return await self._ask(make, prove)

    async def _ask(self, make: Callable[[], Request], prove: Prove) -> Verdict:
        until_s = await prove()
        try:
            request = make()
        except SettingsError as error:
            self._note_failure(str(error), None)
            return Verdict.LATER
        except Exception as error:  # a fault of ours must not hold up all that comes behind it
            return self._note_unwritten(error)
        try:
            answer = await self._caller.post(request, until_s)
        except Unreachable as error:
            self._note_failure(str(error), None)
            return Verdict.LATER
        verdict = self.type.verdict(answer)
        if verdict is Verdict.LATER:
            self._note_failure(answer.said(), asked_us(answer, _now_us()))
            return verdict
        self._note_answer()
        return verdict if verdict is Verdict.TAKEN else self._note_refusal(answer.said())

    def _note_unwritten(self, error: Exception) -> Verdict:
        log.error("a notification cannot be written", receiver=self.receiver.name, exc_info=error)
        return self._note_refusal(f"it cannot be written: {error!r}")

    def _note_refusal(self, why: str) -> Verdict:
        self.counters.refused += 1
        self._refused = time.monotonic(), why
        log.error("a receiver will never take a notification", receiver=self.receiver.name, why=why)
        return Verdict.REFUSED

    def _note_failure(self, why: str, asked: int | None) -> None:
        before: Breaker = self.breaker
        self.tried_at_s = time.monotonic()
        self.breaker = failed(before, self.spec, _now_us(), random(), why, asked)
        is_open = self.breaker.circuit(self.spec) is Circuit.OPEN
        if is_open and before.circuit(self.spec) is Circuit.CLOSED:
            log.error("receiver_down", receiver=self.receiver.name, why=why, failures=self.breaker.failures)

    def _note_answer(self) -> None:
        if self.breaker.circuit(self.spec) is Circuit.OPEN:
            log.info("receiver_up", receiver=self.receiver.name, after_s=(_now_us() - self.breaker.since_us) / 1e6)
        self.breaker, self._has_answered = CLOSED, True


def _now_us() -> int:
    return time.time_ns() // 1000
