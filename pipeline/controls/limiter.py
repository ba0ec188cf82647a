"""How much work a service may take while a class that is worth more burns: a limit that falls fast and rises slowly.

    no limit ──burns──► served x (1 - first cut) ──still burns──► x (1 - cut)
        ▲                              │ ▲
        │ calm, and nobody             │ └── calm ── x (1 + raise), far less near where it last burned, or near
        └ held back for hold_s ────────┘               the capacity that is measured

Laws: only classes that nobody sheds say whether it burns, since of those that are shed the shed requests are bad
themselves. A limit changes once it could show what the last change did. It is kept while it holds nobody back, so that
a load that comes back meets it; and the same facts and limit give the same limit, whoever had it before. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pipeline.controls.class_facts import Promise, Situation
from pipeline.controls.classes import ServiceClass
from pipeline.spec.problems import Refused

NEAR_RATIO = 0.9  #: of where it burned last, or of the capacity: from there on a limit rises slowly
SLOW = 15  #: so many times


@dataclass(frozen=True)
class LimitSpec:
    """When a class burns, and how a limit follows."""

    burn_at_least: float = 10.0  # over the last seconds
    calm_below: float = 1.0
    events_least: int = 20  # of the last seconds: less says nothing
    bad_least: int = 5
    first_cut_ratio: float = 0.5
    cut_ratio: float = 0.3
    raise_ratio: float = 0.06
    settle_s: float = 45.0  # until what was let in before is gone, and out of the last seconds
    probe_s: float = 30.0
    hold_s: float = 300.0

    def __post_init__(self) -> None:
        if not self.calm_below < self.burn_at_least:
            raise Refused("calmBelow must be less than burnAtLeast", "write calmBelow: 1 and burnAtLeast: 10")
        if not 0 < self.first_cut_ratio < 1 or not 0 < self.cut_ratio < 1:
            raise Refused("cuts must be ratios in (0, 1)", "write firstCut: 0.5 and cut: 0.3")


@dataclass(frozen=True)
class Limit:
    """Where a limit stands, and since when."""

    work_s: float | None = None  # work a second that may be let in; None: all of it
    burned_s: float | None = None  # the limit at which it burned last
    changed_us: int = 0
    calm_since_us: int | None = None
    touched: ServiceClass | None = None  # the class of most worth that was shed since it is in force


def next_limit(
    spec: LimitSpec, last: Limit, situation: Situation, works: Mapping[ServiceClass, float], capacity: float | None,
    now_us: int,
) -> Limit:  # fmt: skip
    """Return the limit that holds now.

    Units: works, what each class offers, and capacity, where it is measured, in work a second.
    """
    burning = burning_class(spec, last, situation)
    if last.work_s is None:
        is_sheddable = burning is not None and any(each > burning and work for each, work in works.items())
        return _first(spec, situation, now_us) if is_sheddable else Limit()
    if burning is not None:
        return _cut(spec, replace(last, calm_since_us=None), works, burning, now_us)
    if not is_calm(spec, last, situation):
        return replace(last, calm_since_us=None)
    return _calm(spec, last, works, capacity, now_us)


def burning_class(spec: LimitSpec, limit: Limit, situation: Situation) -> ServiceClass | None:
    """Return the class of most worth that burns, of those that are heard."""
    is_held = limit.work_s is not None
    return min((each for each, worst in _heard(limit, situation).items() if burns(spec, worst, is_held)), default=None)


def burns(spec: LimitSpec, worst: Promise, is_held: bool) -> bool:
    """Tell whether what is promised burns: critically, or at all while others are held back for it already."""
    is_enough = worst.good + worst.bad >= spec.events_least and worst.bad >= spec.bad_least
    least = spec.calm_below if worst.is_alerted or is_held else spec.burn_at_least
    return is_enough and worst.burns_at_least(least)


def is_calm(spec: LimitSpec, limit: Limit, situation: Situation) -> bool:
    return not any(worst.burns_at_least(spec.calm_below) for worst in _heard(limit, situation).values())


def _heard(limit: Limit, situation: Situation) -> dict[ServiceClass, Promise]:
    """Classes that nothing was shed of since the limit is in force, and what burns most of each."""
    return {
        each: worst
        for each, facts in situation.classes.items()
        if (limit.touched is None or each < limit.touched) and (worst := facts.worst) is not None
    }


def _first(spec: LimitSpec, situation: Situation, now_us: int) -> Limit:
    served = sum(facts.load.work for facts in situation.classes.values()) / situation.window_s
    return Limit(served * (1 - spec.first_cut_ratio), None, now_us)


def _cut(
    spec: LimitSpec, last: Limit, works: Mapping[ServiceClass, float], burning: ServiceClass, now_us: int
) -> Limit:
    assert last.work_s is not None
    kept = sum(work for each, work in works.items() if each <= burning)
    if now_us - last.changed_us < spec.settle_s * 1e6 or last.work_s <= kept:  # nobody is left to be held back
        return last
    burned = min(last.work_s, sum(works.values()))
    return replace(last, work_s=burned * (1 - spec.cut_ratio), burned_s=burned, changed_us=now_us)


def _calm(
    spec: LimitSpec, last: Limit, works: Mapping[ServiceClass, float], capacity: float | None, now_us: int
) -> Limit:
    assert last.work_s is not None
    since_us = last.calm_since_us if last.calm_since_us is not None else now_us
    limit, calm_us = replace(last, calm_since_us=since_us), now_us - max(since_us, last.changed_us)
    if sum(works.values()) <= last.work_s:
        return Limit() if calm_us >= spec.hold_s * 1e6 else limit
    if calm_us < spec.probe_s * 1e6:
        return limit
    # what held less a while ago may hold more by now; capacity is measured anew all the time
    burned_s = last.burned_s if now_us - since_us < spec.hold_s * 1e6 else None
    near = min((NEAR_RATIO * each for each in (burned_s, capacity) if each is not None), default=None)
    is_near = near is not None and last.work_s * (1 + spec.raise_ratio) > near
    rise = spec.raise_ratio / SLOW if is_near else spec.raise_ratio
    return replace(limit, work_s=last.work_s * (1 + rise), changed_us=now_us)


def shed_shares(limit_s: float | None, works: Mapping[ServiceClass, float]) -> dict[ServiceClass, float]:
    """Return which share of each class is to be shed: the least worth first, CRITICAL never.

    Law: what is let in is no more than the limit, or else CRITICAL alone; a class is shed in part only when every class
    below it is shed wholly.
    """
    left, shares = limit_s, dict[ServiceClass, float]()
    for each in sorted(works):
        shares[each] = 0.0
        if left is not None:
            if each is not ServiceClass.CRITICAL and works[each] > left:
                shares[each] = 1 - left / works[each]
            left = max(left - works[each], 0.0)
    return shares
