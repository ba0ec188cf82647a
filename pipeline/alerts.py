"""Burn-rate alerts: what a policy is, and the machine that one SLO instance's alert is.

Pure. One alert per SLO instance; severity is a field; the table of transitions is data and total.
A pair is *met* when both its windows burn at its factor and the guards of its long window hold; it *holds on*
from then until its short window is under (1 - margin) x factor. The *level* is the greatest severity of the
pairs that hold on. `pending`: a pair burns, but on less evidence than the guards ask for. `frozen`: too
little was measured to say anything; a frozen alert neither fires nor resolves, and after it the hold time
starts anew. Never reads a clock: time is the judged second.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import NamedTuple

from pipeline.slo import Objective, Ratio


class Severity(IntEnum):
    """As in BurnRateAlert and SloStatus."""

    NONE = 0
    INFO = 1
    WARNING = 2
    CRITICAL = 3


class Kind(IntEnum):
    """What an alert is about, in the order of AlertKind's symbols in burn_rate_alert.avsc."""

    BURN_RATE = 0
    NO_DATA = 1
    BUDGET = 2
    SLA = 3
    LAGGING = 4  # of ourselves: what is read is not written
    STALE_SOURCE = 5  # of ourselves: a source is silent while others are not
    RECEIVER_DOWN = 6  # of ourselves: somebody cannot be told
    QUOTA = 7  # a tenant takes more than it is given


#: kinds that are about Burnline itself: no SLO, no counts
OWN = frozenset({Kind.LAGGING, Kind.STALE_SOURCE, Kind.RECEIVER_DOWN})


@dataclass(frozen=True)
class WindowPair:
    """Met when both windows burn at `factor` or more."""

    severity: Severity
    factor: Ratio
    long_us: int
    short_us: int


class Step(NamedTuple):
    """A share of a budget, and how severe it is that so much is spent."""

    spent: Ratio
    severity: Severity


#: shares of a budget that are told of, ascending; pipeline.budgets judges them.
# Spending is slow, and burn-rate alerts page for what is fast; a broken contract is another matter.
STEPS: dict[Kind, tuple[Step, ...]] = {
    Kind.BUDGET: (
        Step(Ratio(1, 2), Severity.INFO),
        Step(Ratio(3, 4), Severity.INFO),
        Step(Ratio(9, 10), Severity.WARNING),
        Step(Ratio(1, 1), Severity.WARNING),
    ),
    Kind.SLA: (Step(Ratio(3, 4), Severity.WARNING), Step(Ratio(1, 1), Severity.CRITICAL)),
}

HALF, TENTH = Ratio(1, 2), Ratio(1, 10)


@dataclass(frozen=True)
class Guards:
    """Least evidence, in the long window, without which nothing fires."""

    min_events: int = 30
    min_bad: int = 3
    min_coverage: Ratio = HALF


@dataclass(frozen=True)
class ClearRule:
    """Resolved when the burn stays under (1 - margin) x factor for `hold_us`."""

    margin: Ratio = TENTH
    hold_us: int = 60_000_000

    @property
    def hold_s(self) -> int:
        """Rounded up to the second."""
        return -(-self.hold_us // 1_000_000)

    def factor(self, factor: Ratio) -> Ratio:
        """(1 - margin) x factor: burning less than this is clear."""
        rest = self.margin.scale - self.margin.numerator
        return Ratio(factor.numerator * rest, factor.scale * self.margin.scale)


@dataclass(frozen=True)
class AlertPolicy:
    """When an SLO instance alerts."""

    pairs: tuple[WindowPair, ...]
    guards: Guards = Guards()
    clear: ClearRule = ClearRule()


@dataclass(frozen=True)
class Watched:
    """One SLO as the judge sees it: the objective, when it alerts, and what to do then."""

    objective: Objective
    policy: AlertPolicy
    runbook: str | None = None
    spans_us: tuple[int, ...] = ()  # of windows to keep beside those that alert


@dataclass(frozen=True)
class Composed:
    """A composite as the judge sees it: what is promised of the whole, and what is counted for it of each member."""

    watched: Watched
    parts: tuple[Objective, ...]  # counted like SLOs, and judged only together
    weights: tuple[int, ...]


class State(IntEnum):
    """In the order of AlertState's symbols in slo_status.avsc."""

    OK = 0
    PENDING = 1
    FIRING = 2
    RECOVERING = 3
    FROZEN = 4


class Observed(IntEnum):
    """What a judged second says to an alert."""

    UNMEASURED = 0
    QUIET = 1  # no pair holds on
    CLEARED = 2  # the same, for the hold time
    SUSPECT = 3  # a pair burns, on too little evidence
    EASED = 4  # pairs hold on, but for the hold time none as severe as the alert
    BURNING = 5


class Action(IntEnum):
    """What a transition does to the alert's severity; a change of severity is a notice."""

    NOTHING = 0
    RAISE = 1  # to the level, if that is higher
    EASE = 2  # to the level
    RESOLVE = 3


class Notice(IntEnum):
    """In the order of AlertEvent's symbols in burn_rate_alert.avsc."""

    FIRED = 0
    UPDATED = 1
    RESOLVED = 2


class Transition(NamedTuple):
    """Where to go, and what to do on the way."""

    state: State
    action: Action = Action.NOTHING


#: (state, an alert is open) that can be
PHASES = (
    (State.OK, False), (State.PENDING, False), (State.FROZEN, False),
    (State.FIRING, True), (State.RECOVERING, True), (State.FROZEN, True),
)  # fmt: skip

_FREEZE, _RAISE = Transition(State.FROZEN), Transition(State.FIRING, Action.RAISE)
_EASE, _RESOLVE = Transition(State.FIRING, Action.EASE), Transition(State.OK, Action.RESOLVE)
_REST, _DOUBT, _RECOVER = Transition(State.OK), Transition(State.PENDING), Transition(State.RECOVERING)

_COLUMNS = tuple(Observed)
_ROWS = {
    #                         UNMEASURED QUIET     CLEARED   SUSPECT   EASED   BURNING
    (State.OK, False):        (_FREEZE, _REST,    _REST,    _DOUBT,   _RAISE, _RAISE),
    (State.PENDING, False):   (_FREEZE, _REST,    _REST,    _DOUBT,   _RAISE, _RAISE),
    (State.FROZEN, False):    (_FREEZE, _REST,    _REST,    _DOUBT,   _RAISE, _RAISE),
    (State.FIRING, True):     (_FREEZE, _RECOVER, _RESOLVE, _RECOVER, _EASE,  _RAISE),
    (State.RECOVERING, True): (_FREEZE, _RECOVER, _RESOLVE, _RECOVER, _EASE,  _RAISE),
    (State.FROZEN, True):     (_FREEZE, _RECOVER, _RECOVER, _RECOVER, _RAISE, _RAISE),
}  # fmt: skip
TRANSITIONS: dict[tuple[State, bool, Observed], Transition] = {
    (*phase, observed): transition
    for phase, row in _ROWS.items()
    for observed, transition in zip(_COLUMNS, row, strict=True)
}


class Judged(NamedTuple):
    """One judged second of one instance, as far as its alert goes."""

    second: int
    level: Severity
    is_suspect: bool = False
    is_unmeasured: bool = False


@dataclass(frozen=True)
class Alert:
    """The alert of one SLO instance. Open when `severity` is not NONE."""

    state: State = State.OK
    severity: Severity = Severity.NONE
    level: Severity = Severity.NONE  # of the last measured second
    since_s: int = 0  # second at which the level became what it is, or the freeze ended
    started_s: int = 0  # second at which the open alert fired

    @classmethod
    def of(cls, numbers: Sequence[int]) -> "Alert":
        """Make the alert that `numbers` were taken of."""
        state, severity, level, since_s, started_s = numbers
        return cls(State(state), Severity(severity), Severity(level), since_s, started_s)

    @property
    def numbers(self) -> list[int]:
        """All of it as plain numbers, for a snapshot."""
        return [int(self.state), int(self.severity), int(self.level), self.since_s, self.started_s]

    @property
    def is_open(self) -> bool:
        return self.severity is not Severity.NONE

    def wake_s(self, hold_s: int) -> int | None:
        """Second at which the machine must be asked again although nothing changed; None: never."""
        waits = self.is_open and self.level < self.severity and self.state is not State.FROZEN
        return self.since_s + hold_s if waits else None


def observe(alert: Alert, judged: Judged, hold_s: int) -> Observed:
    """Say what a judged second means to an alert whose `since_s` already belongs to the level."""
    is_held = judged.second - alert.since_s >= hold_s
    if judged.is_unmeasured:
        return Observed.UNMEASURED
    if judged.level is not Severity.NONE:
        return Observed.EASED if judged.level < alert.severity and is_held else Observed.BURNING
    if alert.is_open:
        return Observed.CLEARED if is_held else Observed.QUIET
    return Observed.SUSPECT if judged.is_suspect else Observed.QUIET


def step(alert: Alert, judged: Judged, hold_s: int) -> tuple[Alert, Notice | None]:
    """Take one judged second; return the alert after it and what there is to tell.

    Law: it must be called for each second at which `Judged` differs from the last, and at `wake_s`; calling
    it for the seconds between changes nothing.
    """
    if not judged.is_unmeasured and (judged.level is not alert.level or alert.state is State.FROZEN):
        alert = replace(alert, level=judged.level, since_s=judged.second)
    state, action = TRANSITIONS[alert.state, alert.is_open, observe(alert, judged, hold_s)]
    severity = _severity(alert, judged.level, action)
    if severity is alert.severity:
        return replace(alert, state=state), None
    if severity is Severity.NONE:
        closed = replace(alert, state=state, severity=severity)
        after = TRANSITIONS[state, False, observe(closed, judged, hold_s)]  # may be suspect already
        return replace(closed, state=after.state), Notice.RESOLVED
    if alert.is_open:
        return replace(alert, state=state, severity=severity), Notice.UPDATED
    return replace(alert, state=state, severity=severity, started_s=judged.second), Notice.FIRED


def _severity(alert: Alert, level: Severity, action: Action) -> Severity:
    if action is Action.RAISE:
        return max(alert.severity, level)
    if action is Action.EASE:
        return level
    return Severity.NONE if action is Action.RESOLVE else alert.severity
