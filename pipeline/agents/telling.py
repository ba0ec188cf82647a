"""Tells one receiver, again and again until it takes what it is told or says that it never will.

Law: `tell` returns once there is nothing more to do for a notification; the lane commits then, not before. While a
receiver fails, one request at a time probes it. Secrets and addresses are read from their files at every attempt, so
that one which was changed, or is wrong, needs no restart.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
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
    ) -> None:
        """`say`: puts a notification into words; `say_at_once`: into fewer, and asks nobody for them."""
        self.receiver, self.promised, self.spec = receiver, promised, spec
        self.type = TYPES[receiver.type]
        self.counters, self.breaker = TellCounters(), CLOSED
        self.tried_at_s = float("-inf")  # monotonic time of the last attempt that was refused for now
        self._say, self._say_at_once, self._caller = say, say_at_once, Caller(receiver.allow)
        self._probing = asyncio.Lock()
        self._refused: tuple[float, str] = (float("-inf"), "")
        self._words: dict[str, Words] = {}  # of what must be repeated
        self._repeat_at_s = 0.0

    async def tell(self, notification: Notification) -> list[OutRecord]:
        """Tell; return what a topic is told, for the transaction that commits it."""
        said = replace(notification, words=await self._say(notification))
        if not self.type.is_http:
            return self._records_of(said)
        self._remember(said)
        while (verdict := await self._attempt(lambda: self.type.form(said, self.sheet(), _now_us()))) is Verdict.LATER:
            self.counters.retried += 1
        self.counters.sent += verdict is Verdict.TAKEN
        return []

    def _records_of(self, said: Notification) -> list[OutRecord]:
        try:
            request = self.type.form(said, Sheet(self.receiver, ""), _now_us())
            headers = tuple((name, value.encode()) for name, value in request.headers)
        except Exception as error:
            self._note_unwritten(error)
            return []
        self.counters.sent += 1
        return [OutRecord(request.url, request.body, request.key, None, headers)]

    async def repeat(self, events: Iterable[AlertEvent]) -> None:
        """Say again what is open to a receiver that forgets; once each `resend_us`, and never in the way of news."""
        if not self.type.forgets or time.monotonic() < self._repeat_at_s or _now_us() < self.breaker.retry_us:
            return
        try:
            sheet, now_us = self.sheet(), _now_us()
        except SettingsError as error:
            self._note_failure(str(error), None)
            return
        alerts = [alert for event in events if (alert := self._again(event, sheet, now_us)) is not None]
        for request in alertmanager.again(alerts, sheet):
            if await self._ask(lambda request=request: request) is Verdict.LATER:  # type: ignore[misc]
                return
            self.counters.repeated += 1
        self._repeat_at_s = time.monotonic() + self.receiver.resend_us / 1e6

    def sheet(self) -> Sheet:
        """What the receiver's form needs, with today's address and secret.

        Raises: SettingsError.
        """
        return sheet_of(self.receiver, self.promised)

    def trouble(self) -> str:
        """What somebody has to look at, in words; the empty string: nothing."""
        refused_at_s, why = self._refused
        if self.breaker.circuit(self.spec) is Circuit.OPEN:
            age_s = (_now_us() - self.breaker.since_us) / 1e6
            return f"receiver {self.receiver.name} is down for {age_s:.0f} s: {self.breaker.why}"
        if time.monotonic() - refused_at_s < REFUSED_S:
            return f"receiver {self.receiver.name} has refused a notification: {why}"
        return ""

    async def close(self) -> None:
        await self._caller.close()

    def _remember(self, said: Notification) -> None:
        if self.type.forgets:
            for event in said.over:
                self._words.pop(event.dedup_key, None)
            if said.open:
                self._words[said.alert.dedup_key] = said.words or UNSAID

    def _again(self, event: AlertEvent, sheet: Sheet, now_us: int) -> dict[str, Any] | None:
        try:
            if event.dedup_key not in self._words:
                self._words[event.dedup_key] = self._say_at_once(notification_of(event))
            return alertmanager.alert(event, sheet, now_us, self._words[event.dedup_key])
        except Exception as error:
            log.error("an alert cannot be repeated", receiver=self.receiver.name, alert=event.id, exc_info=error)
            return None

    async def _attempt(self, make: Callable[[], Request]) -> Verdict:
        """Ask once; after a failure not before its time, and one at a time."""
        if not self.breaker.failures:
            return await self._ask(make)
        async with self._probing:
            await asyncio.sleep(max(self.breaker.retry_us - _now_us(), 0) / 1e6)
            return await self._ask(make)

    async def _ask(self, make: Callable[[], Request]) -> Verdict:
        try:
            request = make()
        except SettingsError as error:
            self._note_failure(str(error), None)
            return Verdict.LATER
        except Exception as error:  # a fault of ours must not hold up all that comes behind it
            return self._note_unwritten(error)
        try:
            answer = await self._caller.post(request)
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
        self.breaker = CLOSED


def _now_us() -> int:
    return time.time_ns() // 1000
