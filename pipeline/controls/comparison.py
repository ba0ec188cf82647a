"""What a change did: bad events after it beside bad events before it, as a verdict that may be asked for at any time.

Law: a change that changes nothing is called worse or better with probability alpha at most, over all its SLO instances
and however often somebody looks; more bad events never make it better. There are two baselines: the time just before
it, and as much time as there is after it, a week earlier. What differs from one alone may be the hour's doing, so a
verdict needs all baselines that there are, which costs no certainty. It is as exact as pipeline.controls.sequential is:
what comes in bursts of minutes is allowed for as far as the baseline has them; what drifts over hours is not. Pure.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from math import log
from typing import Any, NamedTuple

from pipeline.controls.sequential import Interval, Pair, Sample, bet, dispersion
from pipeline.delivery.words_figures import clean, many, share
from pipeline.spec.problems import Refused

COMPARED = ("DEPLOY", "ROLLBACK", "KNOB")  #: kinds of changes that may have made something worse or better
BEFORE, WEEK = "before", "week"
BASELINES: Mapping[str, str] = {BEFORE: "just before it", WEEK: "a week earlier"}
LIKE_LEAST = 0.5  #: of the events after a change a week earlier has: with fewer it says nothing, and holds up nobody


class Verdict(StrEnum):
    """The worst first."""

    WORSE = "worse"
    NOT_YET = "not_yet"
    NO_DIFFERENCE = "no_difference"
    BETTER = "better"


@dataclass(frozen=True)
class ComparisonSpec:
    """How changes are compared.

    Raises: Refused.
    """

    window_s: float = 3600.0  # at most so much before a change, and after it
    since_s: float = 86_400.0  # how far back changes are looked at
    alpha: float = 0.01  # how likely a change that does nothing may be called worse, or better
    margin_ratio: float = 0.1  # of the share of bad that the target allows: so much is no difference
    against: tuple[str, ...] = tuple(BASELINES)

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise Refused("must be between 0 and 1", "write a probability such as 0.01")
        if self.margin_ratio < 0:
            raise Refused("must be 0 or more", "write a share of what the target allows, such as 0.1")
        if not 60 <= self.window_s <= 7 * 86_400:
            raise Refused("must be between a minute and 7 days", "write 1h")

    def asked(self, service: str = "", change_id: str = "", slo: str = "", instance: str = "") -> dict[str, Any]:
        """The values of infra/clickhouse/page/comparison.sql; `instance`: of the SLO, when there is one."""
        about = {"service": service, "change_id": change_id, "slo": slo, "instance": instance}
        return {**about, "kinds": list(COMPARED), "since_s": self.since_s, "window_s": self.window_s}


class Change(NamedTuple):
    """A change, and how long it was looked at."""

    service: str
    change_id: str
    at: datetime
    kind: str
    title: str
    request_model: str
    variant: str
    region: str
    before_start: datetime
    after_start: datetime
    after_end: datetime
    ended_at: datetime | None  # by the next change of some of the same; None: it is in force


@dataclass(frozen=True)
class Effect:
    """After a change beside one baseline; intervals hold at every look. Both sides have events."""

    baseline: str
    before: Sample
    after: Sample
    expected: float  # share of bad: what the target allows
    margin: float
    alpha: float
    dispersion: float = 1.0

    @cached_property
    def pair(self) -> Pair:
        return Pair(*(bet(side, self.expected, self.dispersion) for side in (self.before, self.after)))

    @cached_property
    def verdict(self) -> Verdict:
        enough = -log(self.alpha)
        if abs(self.difference) <= self.margin and all(
            self.pair.against_difference(each) >= enough for each in (-self.margin, self.margin)
        ):
            return Verdict.NO_DIFFERENCE  # what lies between them is an interval, and this is in it
        if self.p_value > self.alpha:
            return Verdict.NOT_YET
        return Verdict.WORSE if self.difference > 0 else Verdict.BETTER

    @property
    def difference(self) -> float:
        """Of shares of bad: positive is worse."""
        return self.after.bad / self.after.eligible - self.before.bad / self.before.eligible

    @cached_property
    def difference_within(self) -> Interval:
        return self.pair.difference_within(self.alpha)

    @property
    def ratio(self) -> float | None:
        """Of shares of bad; None: there was no bad one before."""
        before, after = self.before.bad * self.after.eligible, self.after.bad * self.before.eligible
        return after / before if before else None

    @cached_property
    def ratio_within(self) -> tuple[float, float | None]:
        return self.pair.ratio_within(self.alpha)

    @property
    def p_value(self) -> float:
        return self.pair.p_value

    @property
    def excess(self) -> float:
        """Bad events more than at the baseline's share."""
        return self.difference * self.after.eligible

    @property
    def excess_within(self) -> Interval:
        return Interval(*(each * self.after.eligible for each in self.difference_within))

    @property
    def told(self) -> dict[str, Any]:
        """As JSON says it."""
        return {
            "baseline": self.baseline, "verdict": self.verdict.value, "good": self.before.good, "bad": self.before.bad,
            "bad_ratio": self.before.bad_ratio, "difference": self.difference,
            "difference_within": list(self.difference_within), "ratio": self.ratio,
            "ratio_within": list(self.ratio_within), "excess": self.excess, "excess_within": list(self.excess_within),
            "p_value": self.p_value, "dispersion": self.dispersion,
        }  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """One change and one SLO instance."""

    change: Change
    slo: str
    instance: str
    target: float
    after: Sample
    effects: tuple[Effect, ...]
    budget_events: float
    margin: float  # of shares of bad
    alpha: float  # of this instance
    steps: Mapping[int, Sample]  # twelfths of the window: -1 is the last one before the change

    @cached_property
    def verdict(self) -> Verdict:
        """What all baselines say; where they differ, or there are none, nothing is known yet."""
        said = {each.verdict for each in self.effects}
        return said.pop() if len(said) == 1 else Verdict.NOT_YET

    @property
    def is_worse(self) -> bool:
        """The same, and soon said of the many that are not."""
        looks_so = all(each.difference > 0 and each.p_value <= each.alpha for each in self.effects)
        return looks_so and self.verdict is Verdict.WORSE

    @property
    def effect(self) -> Effect | None:
        """Beside the baseline that is nearer: what is surely the change's."""
        return min(self.effects, key=lambda each: abs(each.difference), default=None)

    @property
    def budget_excess_ratio(self) -> float | None:
        """Share of the error budget that was spent beyond what the baseline would have spent."""
        return None if self.effect is None or not self.budget_events else self.effect.excess / self.budget_events

    @property
    def budget_excess_within(self) -> Interval | None:
        """What that is at least and at most."""
        if self.effect is None or not self.budget_events:
            return None
        return Interval(*(each / self.budget_events for each in self.effect.excess_within))

    @property
    def reason(self) -> str:
        """Why, in words."""
        if not self.after.eligible:
            return "nothing was counted after it"
        since = f"{share(self.after.bad_ratio)} of {many(self.after.eligible, 'events')} bad after it"
        if not self.effects:
            return f"{since}; before it nothing was counted to compare with"
        beside = "; ".join(f"{share(each.before.bad_ratio)} {BASELINES[each.baseline]}" for each in self.effects)
        if self.verdict is Verdict.NO_DIFFERENCE:
            return f"{since}, {beside}: less than {share(self.margin)} apart"
        if len({each.verdict for each in self.effects}) > 1:
            differ = ", ".join(f"{_WORDS[each.verdict]} {BASELINES[each.baseline]}" for each in self.effects)
            return f"{since}, {beside}: {differ}"
        return f"{since}, {beside}" + (": too little to tell" if self.verdict is Verdict.NOT_YET else "")

    @property
    def told(self) -> dict[str, Any]:
        """As JSON says it."""
        spent = self.budget_excess_within
        return {
            **self.change._asdict(), "slo": self.slo, "instance": self.instance, "verdict": self.verdict.value,
            "reason": self.reason, "target": self.target, "good": self.after.good, "bad": self.after.bad,
            "bad_ratio": self.after.bad_ratio, "budget_excess_ratio": self.budget_excess_ratio,
            "budget_excess_ratio_within": spent and list(spent), "margin": self.margin, "alpha": self.alpha,
            "baselines": [each.told for each in self.effects],
        }  # fmt: skip


_WORDS: Mapping[Verdict, str] = {
    Verdict.WORSE: "worse than", Verdict.BETTER: "better than", Verdict.NO_DIFFERENCE: "no different from",
    Verdict.NOT_YET: "not to be told from",
}  # fmt: skip


class Blame(NamedTuple):
    """A change in force that made an SLO instance worse, and the share of the budget that it cost so far."""

    title: str
    spent_ratio: float


Blames = Mapping[tuple[str, str], Blame]  #: by SLO and instance
NOBODY: Blames = {}


def compared(spec: ComparisonSpec, rows: Iterable[Mapping[str, Any]]) -> list[Comparison]:
    """Compare what rows of infra/clickhouse/page/comparison.sql hold.

    Alpha is divided among the instances of a change: that any of them is called worse by chance is as likely as it.
    So what is said of one is the same, whether the others are asked for or not.
    """
    return [_compared(spec, row, spec.alpha / row["instances"]) for row in rows]


def _compared(spec: ComparisonSpec, row: Mapping[str, Any], alpha: float) -> Comparison:
    after, allowed = Sample(row["after_good"], row["after_bad"]), 1 - row["target"]
    sides = {name: Sample(row[f"{name}_good"], row[f"{name}_bad"]) for name in spec.against}
    return Comparison(
        change=Change(*(row[name] for name in Change._fields)), slo=row["slo"], instance=row["instance"],
        target=row["target"], after=after, budget_events=allowed * row["window_eligible"],
        margin=spec.margin_ratio * allowed, alpha=alpha,
        steps={at: Sample(good, bad) for at, good, bad in zip(*row["steps"], strict=True)},
        effects=tuple(
            Effect(name, side, after, allowed, spec.margin_ratio * allowed, alpha, _spread(side, row, name))
            for name, side in sides.items()
            if after.eligible and side.eligible and (name != WEEK or side.eligible >= LIKE_LEAST * after.eligible)
        ),
    )  # fmt: skip


def _spread(side: Sample, row: Mapping[str, Any], name: str) -> float:
    return dispersion(side, row[f"{name}_minutes"], row[f"{name}_squares"])


def worst_first(comparisons: Iterable[Comparison]) -> list[Comparison]:
    """Sort: the newest change first, in it the worst."""
    order = list(Verdict)
    return sorted(
        comparisons,
        key=lambda each: (
            -each.change.at.timestamp(), each.change.service, each.change.change_id, order.index(each.verdict),
            -(each.budget_excess_ratio or 0.0), each.slo, each.instance,
        ),
    )  # fmt: skip


def blames(comparisons: Iterable[Comparison]) -> dict[tuple[str, str], Blame]:
    """Return which change in force made each SLO instance worse: of several the one that cost most."""
    found: dict[tuple[str, str], Blame] = {}
    for each in comparisons:
        if each.change.ended_at is None and each.is_worse:
            blame, known = Blame(clean(each.change.title), each.budget_excess_ratio or 0.0), (each.slo, each.instance)
            found[known] = max(found.get(known, blame), blame, key=lambda one: one.spent_ratio)
    return found
