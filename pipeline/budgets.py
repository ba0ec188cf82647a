"""Budgets: events when a budget is spent to certain steps, of an SLO and of the SLA beside it. The steps are a table.

Pure. A budget is judged as a burn rate is: spent share = burn rate over the compliance window, so a step is a pair of
that window with the share for its factor, and a window that the instance has not yet lived through is judged against
its full expected traffic. One alert an instance and budget: fired at the first step taken, updated at each step up or
down (a jump over several tells the last), resolved under the first. A step is taken once and is left under
(1 - margin) x its share, so it is told once a crossing; a calendar window begins unspent. Steps need the guards' least
evidence. While nothing is measured nothing changes.

The SLA is kept apart: a target of its own, a kind of its own, steps of its own. It is at risk before it is missed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, NamedTuple

from pipeline.alerts import STEPS, Alert, AlertPolicy, Kind, Notice, State, Watched, WindowPair
from pipeline.kernels import rings as k
from pipeline.notices import REMOVED, SILENCED, Reading, Told, alert_columns, farewell

NO_SLA = "the SLO has no SLA any more"
SPENT_MASK = (1 << k.SPENT_BITS) - 1


#: where the kernel keeps how many steps are spent
SHIFTS = {Kind.BUDGET: k.SPENT_SHIFT, Kind.SLA: k.SPENT_SHIFT + k.SPENT_BITS}
#: where the kernel has the steps' rows
FIRST_ROW = {Kind.BUDGET: 0, Kind.SLA: k.BUDGET_STEPS}


@lru_cache(maxsize=4_096)
def budget_of(watched: Watched, kind: Kind) -> Watched | None:
    """One budget of an SLO, as an SLO that alerts at its steps; None: nobody is told, or there is none."""
    objective = watched.objective
    target = objective.target if kind is Kind.BUDGET else objective.sla_target
    if target is None or not watched.policy.pairs:
        return None
    window_us = objective.window_us
    pairs = tuple(WindowPair(step.severity, step.spent, window_us, window_us) for step in STEPS[kind])
    policy = AlertPolicy(pairs, watched.policy.guards, watched.policy.clear)
    return Watched(replace(objective, target=target), policy, watched.runbook)


def move(before: int, after: int) -> Notice | None:
    """What there is to tell when so many steps were spent and so many are."""
    if before == after:
        return None
    if not after:
        return Notice.RESOLVED
    return Notice.UPDATED if before else Notice.FIRED


class Spent(NamedTuple):
    """One budget of one instance."""

    steps: int = 0
    started_s: int = 0  # second at which the first step was taken
    last: dict[str, Any] | None = None  # columns of the last event


UNSPENT: dict[Kind, Spent] = {}  #: of most instances, and never changed
NOTHING_TOLD: dict[str, float | None] = {f"{kind.name.lower()}_alert_ratio": None for kind in STEPS}


@dataclass(slots=True)
class Budgets:
    """The budgets of one instance of which steps are spent."""

    of: dict[Kind, Spent] = field(default_factory=lambda: UNSPENT)

    @property
    def is_open(self) -> bool:
        return bool(self.of)

    @property
    def code(self) -> int:
        """The bits of a row's code that say what is spent."""
        return sum(spent.steps << SHIFTS[kind] for kind, spent in self.of.items())

    @property
    def columns(self) -> dict[str, float | None]:
        """Columns of a SloStatus: the greatest share of each budget that is told of; None: none."""
        if not self.of:
            return NOTHING_TOLD
        spent = {kind: self.of.get(kind, Spent()).steps for kind in STEPS}
        shares = {kind: float(STEPS[kind][steps - 1].spent) if steps else None for kind, steps in spent.items()}
        return {f"{kind.name.lower()}_alert_ratio": share for kind, share in shares.items()}

    def step(self, watched: Watched, labels: str, code: int, reading: Reading) -> list[Told]:
        """Take a row's code at a judged second; return what there is to tell."""
        moved = ((kind, code >> shift & SPENT_MASK) for kind, shift in SHIFTS.items())
        told = (self._move(kind, steps, watched, labels, reading) for kind, steps in moved)
        return [each for each in told if each is not None]

    def _move(self, kind: Kind, steps: int, watched: Watched, labels: str, reading: Reading) -> Told | None:
        spent = self.of.get(kind, Spent())
        notice = move(spent.steps, steps)
        budget = None if notice is None else budget_of(watched, kind)
        if notice is None or budget is None:
            return None
        started_s = reading.second if notice is Notice.FIRED else spent.started_s
        shown = (steps or spent.steps) - 1
        severity = budget.policy.pairs[shown].severity
        alert = Alert(State.FIRING if steps else State.OK, severity, severity, reading.second, started_s)
        told = Told(notice, budget, labels, alert, shown, reading, kind)
        others = {other: each for other, each in self.of.items() if other is not kind}
        self.of = others | ({kind: Spent(steps, started_s, alert_columns(told, 0))} if steps else {})
        return told

    def snapshot(self) -> dict[str, Any]:
        """Write what is open."""
        return {kind.name: [*spent] for kind, spent in self.of.items()}


def restored(facts: Mapping[str, Any], watched: Watched | None, at: int) -> tuple[Budgets, list[dict[str, Any]]]:
    """Bring back what `snapshot` gave, and columns of events that resolve what nobody judges any more."""
    found, farewells = {}, []
    for name, (steps, started_s, last) in facts.items():
        kind = Kind[name]
        if watched is not None and budget_of(watched, kind) is not None:
            found[kind] = Spent(steps, started_s, last)
        elif last:
            gone = REMOVED if watched is None else NO_SLA if watched.policy.pairs else SILENCED
            farewells.append(farewell(last, at + 1, gone))
    return Budgets(found or UNSPENT), farewells
