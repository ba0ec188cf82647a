"""Scaling: how many replicas a model needs, so many seconds ahead as a new one takes to be ready; and why, in words.

    need = (headroom x greatest of (offered now, its trend at the lead time, forecast) + queue / drain) / capacity
    out: as soon as the need passes what was said last; in: to what the greatest load of `calm_s` needs, in small steps

Law: on stale data, without a capacity, while latency burns or requests wait, the number never falls. Whoever follows it
through a load that stays within `in_margin` of its greatest of the last `calm_s` never sees it go down and up again.
Pure: what was published last is all that is remembered.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from pipeline.controls.capacity import AT_LEAST
from pipeline.controls.loads import CELL_S, greatest, mean, surely, trend
from pipeline.controls.questions import Question, files
from pipeline.controls.scaling_facts import ABOUT, COLD_STARTS, SHARED, Facts
from pipeline.controls.signal import UNKNOWN, Signal, check_life, key_of, unknown
from pipeline.delivery.words_figures import lasting, many
from pipeline.spec.problems import Refused
from pipeline.spec.scalars import listed

if TYPE_CHECKING:
    from pipeline.slo import Objective

NAME = "scale"
HELD = "held"  #: a state: too little is known to decide
SHARED_MOST = 5  #: that a reason names
SUDDEN_CELLS = 2  #: a surge that is sure in so many needs no whole window
QUESTIONS = ("scale", *ABOUT)
COLD_STARTS_EVERY_US = 300_000_000


@dataclass(frozen=True)
class PoolSpec:
    """Limits of a service's model; model "": of each of its models."""

    service: str
    model: str = ""
    replicas_least: int = 1
    replicas_most: int = 1_000


@dataclass(frozen=True)
class SharedSpec:
    """Replicas that several models share; members: service/model of each."""

    name: str
    members: tuple[str, ...]
    replicas_least: int = 1
    replicas_most: int = 1_000

    def __post_init__(self) -> None:
        if not self.name or "/" in self.name:
            raise Refused("a pool needs a name, without /", "write name: gpu-a, which no service is called")
        if len(set(self.members)) < 2 or not all("/" in each for each in self.members):
            raise Refused("a pool has two members or more", "write members: [chat/llama, search/llama]")


@dataclass(frozen=True)
class ScaleSpec:
    """How eagerly replicas are asked for, and how reluctantly given up."""

    every_s: float = 15.0
    ttl_s: float = 120.0
    window_s: float = 60.0  # the load of now is that of so long
    stale_s: float = 60.0  # what is known may end so far behind now
    blind_s: float = 900.0  # beyond that as many as ever were needed within a day
    headroom: float = 1.2  # times the load: what replicas are bought for
    drain_s: float = 60.0  # a queue shall be gone within
    lead_time_s: float = 180.0  # where no cold start was measured
    lead_time_most_s: float = 1_800.0
    tolerance_ratio: float = 0.05  # so much more than it said last is not yet worth a word
    calm_s: float = 300.0  # scaled in to what the greatest load of so long needs
    in_margin_ratio: float = 0.1  # and so much more
    in_step_ratio: float = 0.5  # of the replicas at once, or one
    settle_s: float = 600.0  # after one out, before one in
    cooldown_s: float = 60.0  # between two steps in
    burn_rate: float = 1.0  # of a latency objective: from here on there are too few, whatever the load says
    pools: tuple[PoolSpec, ...] = ()
    shared: tuple[SharedSpec, ...] = ()

    def __post_init__(self) -> None:
        check_life(self.every_s, self.ttl_s)
        if self.headroom < 1:
            raise Refused("headroom must be 1 or more", "write headroom: 1.2 to keep a fifth in reserve")
        if not self.window_s <= self.calm_s <= 86_400:
            raise Refused("calm must be between window and 1d", "write calm: 10m")
        if self.window_s < CELL_S or self.drain_s <= 0:
            raise Refused("window must be 10s or more, and drain more than 0s", "write window: 60s, drain: 60s")


class Need(NamedTuple):
    """Replicas that are needed, not rounded; `by`: what decides it."""

    now: float
    calm: float  # what may be scaled in to
    by: str
    inputs: dict[str, float]
    borne: str = "bears"


class Bears(NamedTuple):
    """What a replica bears: requests a second, and so many times the load are to be borne."""

    rps: float
    headroom: float
    is_least: bool  # no greater load was met that breaks an objective
    confidence: float | None


class Expected(NamedTuple):
    """What a forecast says of the load at the lead time."""

    q50: float
    q90: float


class Verdict(NamedTuple):
    """What is said, and how it came about."""

    state: str
    value: int
    why: str


def ask(spec: ScaleSpec, objectives: "Sequence[Objective]", now_us: int) -> Sequence[Question]:
    """Ask for all that is known now; for cold starts and what is shared, of which hours are read, now and then."""
    is_due = now_us % COLD_STARTS_EVERY_US < 2 * spec.every_s * 1e6
    asked = files(*QUESTIONS, *((COLD_STARTS, SHARED) if is_due else ()))(spec, objectives, now_us)
    return [each._replace(is_needed=each.name == NAME) for each in asked]


def recommend(spec: ScaleSpec, previous: Mapping[str, Signal], facts: Facts, now_us: int) -> Signal:
    """Recommend for one model."""
    last = previous.get(key_of(facts.service, facts.model, NAME, facts.scope))
    last = last if last is not None and last.is_known else None
    each = bears(spec, _capacity(previous, facts, now_us))
    if facts.age_s > spec.stale_s:
        if last is not None and last.value is not None and facts.age_s > spec.blind_s and not facts.missing:
            return _blind(spec, facts, last, now_us)
        blind = f"what is known ends {_lag(facts.age_s)} behind now, and nothing is scaled in on stale data"
    elif each is None:
        blind = "no capacity is known: nothing says what a replica bears, so it stays as it was"
    elif facts.missing and (last is None or last.value is None):
        blind = f"nothing was said before{_missing(facts)}"
    else:
        expected = _expected(previous, facts, lead_s(spec, facts), now_us)
        need = need_of(spec, facts, each, expected, last)
        verdict = decide(spec, facts, need, last, now_us)
        return _signal(spec, facts, verdict, need, _confidence(each, facts, expected), last, now_us)
    if last is None or last.value is None:
        return unknown(NAME, facts.service, facts.model, blind, now_us, spec.ttl_s, facts.scope)
    held = Need(last.value, last.value, last.details.get("by", ""), {})
    return _signal(spec, facts, Verdict(HELD, int(last.value), blind), held, 0.0, last, now_us)


def _blind(spec: ScaleSpec, facts: Facts, last: Signal, now_us: int) -> Signal:
    """Nobody has seen the load for long: as many as ever were asked for within a day are safe."""
    value = min(max(facts.day_most, int(last.value or 0)), _limits(spec, facts)[1])
    why = f"what is known ends {_lag(facts.age_s)} ago, so as many as were ever needed within a day"
    held = Need(float(value), float(value), "day", {})
    return _signal(spec, facts, Verdict(HELD, value, why), held, 0.0, last, now_us)


def _capacity(previous: Mapping[str, Signal], facts: Facts, now_us: int) -> Signal | None:
    """Return the capacity that is in force: of the variant, else of the whole model."""
    for scope in (facts.scope, ""):
        found = previous.get(key_of(facts.service, facts.model, "capacity", scope))
        if found is not None and found.is_known and not found.is_expired(now_us):
            return found
    return None


def bears(spec: ScaleSpec, capacity: Signal | None) -> Bears | None:
    """Say what a replica bears; None: nobody knows.

    What was borne so far may be far below what could be: with a headroom on top each day's replicas would be more than
    those of the day before, as their load, and with it what is known to be borne, would be less.
    """
    if capacity is None or capacity.value is None:
        return None
    residence_s = capacity.inputs.get("residence_s", 0.0)
    rps = capacity.inputs.get("rps_per_endpoint") or (capacity.value / residence_s if residence_s > 0 else 0.0)
    is_least = capacity.state == AT_LEAST
    return Bears(rps, 1.0 if is_least else spec.headroom, is_least, capacity.confidence) if rps > 0 else None


def lead_s(spec: ScaleSpec, facts: Facts) -> float:
    """How long before it is needed a replica must be asked for: a cold start, and the time until we look again."""
    cold_s = spec.lead_time_s if facts.cold_start_s is None else facts.cold_start_s
    return min(cold_s + spec.every_s, spec.lead_time_most_s)


def _expected(previous: Mapping[str, Signal], facts: Facts, ahead_s: float, now_us: int) -> Expected | None:
    """Take the forecast of the moment nearest behind the lead time, of the share that this variant has.

    A forecast is the mean of a step: that of the next step counts too, or a sudden rise would be seen half. What one
    is about that was made a while ago is so much nearer by now.
    """
    prefix = key_of(facts.service, facts.model, "forecast", "load:")
    found = [
        (_ends_s(each) - now_us / 1e6, each.value, each.inputs)
        for key, each in previous.items()
        if key.startswith(prefix) and each.value is not None and not each.is_expired(now_us)
    ]
    found.sort(key=lambda each: each[0])
    first = next((each for each in found if each[0] >= ahead_s), None)
    if first is None:
        return None
    after_s = ahead_s + first[2].get("step_s", 0.0)
    second = next((each for each in found if each[0] >= after_s), first)
    q50 = max(first[1], second[1])
    q90 = max(inputs.get("q90", middle) for _, middle, inputs in (first, second))
    return Expected(q50 * facts.share, q90 * facts.share)


def _ends_s(forecast: Signal) -> float:
    """When the step that a forecast is about ends, in seconds of the epoch."""
    made_s = forecast.evaluated_at_us / 1e6
    return forecast.inputs.get("at_s", made_s + forecast.inputs.get("horizon_s", 0.0))


def need_of(spec: ScaleSpec, facts: Facts, each: Bears, expected: Expected | None, last: Signal | None) -> Need:
    """Divide what is offered, now and when a new replica would be ready, by what a replica bears."""
    ahead_s, cells = lead_s(spec, facts), round(spec.window_s / CELL_S)
    offered = max(mean(facts.loads[:cells]), surely(facts.loads[:SUDDEN_CELLS]))
    peak = greatest(facts.loads[: round(spec.calm_s / CELL_S)], cells)
    trending = offered + max(trend(facts.loads), 0.0) * ahead_s
    loads = {"load": each.headroom * offered, "trend": each.headroom * trending}
    if expected is not None:
        loads["forecast"] = max(each.headroom * expected.q50, expected.q90)
    by = max(loads, key=lambda name: loads[name])
    queue = (facts.waiting or 0.0) / spec.drain_s
    now, calm = (loads[by] + queue) / each.rps, (max(*loads.values(), each.headroom * peak) + queue) / each.rps
    if queue > loads[by] * spec.tolerance_ratio:
        by = "queue"
    inputs = {
        "offered_rps": offered, "trending_rps": trending, "peak_rps": peak, "rps_per_replica": each.rps,
        "lead_s": ahead_s, "headroom": each.headroom, **facts.figures,
        **({} if expected is None else {"forecast_rps_q50": expected.q50, "forecast_rps_q90": expected.q90}),
    }  # fmt: skip
    asked, by_load = pressed(spec, facts, last, ahead_s), now
    if asked > now:
        now, by = asked, "latency"
    inputs |= {"need": now, "need_load": by_load, "need_calm": max(calm, now)}
    return Need(now, max(calm, now), by, inputs, "was seen to bear" if each.is_least else "bears")


def pressed(spec: ScaleSpec, facts: Facts, last: Signal | None, ahead_s: float) -> float:
    """Replicas that latency asks for: a headroom more than serve now, once what was asked for has had its effect.

    The burn rate looks back: one measured before the replicas of the last change came says nothing of them.
    """
    if not is_burning(spec, facts):
        return 0.0
    serving = facts.ready if facts.ready is not None else (last.value if last is not None else None)
    changed_us = _changed_us(last)
    if serving is None or (changed_us and facts.known_at_us < changed_us + (ahead_s + facts.burn_window_s) * 1e6):
        return 0.0
    return serving * spec.headroom


def is_burning(spec: ScaleSpec, facts: Facts) -> bool:
    return facts.burn_rate is not None and facts.burn_rate >= spec.burn_rate


def decide(spec: ScaleSpec, facts: Facts, need: Need, last: Signal | None, now_us: int) -> Verdict:
    """Go out at once, in after a calm, and else stay."""
    least, most = _limits(spec, facts)
    wanted = min(max(math.ceil(need.now), least), most)
    if last is None or last.value is None:
        return _first(facts, wanted, most)
    said = int(last.value)
    if not least <= said <= most:
        return Verdict("out" if said < least else "in", min(max(said, least), most), "by its limits")
    if need.now > said * (1 + spec.tolerance_ratio) and wanted > said:
        return Verdict("out", wanted, f"out from {said}")
    room = min(max(math.ceil(need.calm * (1 + spec.in_margin_ratio)), least), most)
    if room >= said:
        return Verdict("steady", said, "enough")
    if waits := _waits(spec, facts, need, last, now_us):
        return Verdict("calming", said, f"{room} would do, but {waits}")
    step_most = max(math.floor(said * spec.in_step_ratio), 1)
    return Verdict("in", max(room, said - step_most), f"in from {said}")


def _first(facts: Facts, wanted: int, most: int) -> Verdict:
    """Nothing was said before: never fewer than serve, until a calm has been seen."""
    if facts.ready is not None and facts.ready > wanted:
        return Verdict("calming", min(int(facts.ready), most), f"{wanted} would do, but nothing was said before")
    return Verdict("steady", wanted, "first")


def _waits(spec: ScaleSpec, facts: Facts, need: Need, last: Signal, now_us: int) -> str:
    """Say what forbids to scale in; nothing: nothing does."""
    if facts.missing:
        return "too little is known"
    if is_burning(spec, facts):
        return f"{facts.burn_slo} burns"
    if need.by == "queue":
        return f"{many(round(facts.waiting or 0.0), 'requests')} wait"
    since_s = (now_us - _changed_us(last)) / 1e6
    pause_s = spec.cooldown_s if last.details.get("went") == "in" else spec.settle_s
    return f"the last change is {lasting(since_s)} ago" if since_s < pause_s else ""


def _changed_us(last: Signal | None) -> int:
    return int(last.details.get("changed_at_us", "0")) if last is not None else 0


def _limits(spec: ScaleSpec, facts: Facts) -> tuple[int, int]:
    for pool in spec.pools:
        if pool.service == facts.service and pool.model in ("", facts.model):
            return pool.replicas_least, pool.replicas_most
    return PoolSpec.replicas_least, PoolSpec.replicas_most


def _confidence(each: Bears, facts: Facts, expected: Expected | None) -> float:
    """The capacity's own, by the share of what could be known that is: load, queue, replicas, cold starts, forecast."""
    known = 1 + sum(one is not None for one in (facts.waiting, facts.ready, facts.cold_start_s, expected))
    return (0.5 if each.confidence is None else each.confidence) * known / 5


def _signal(
    spec: ScaleSpec, facts: Facts, verdict: Verdict, need: Need, confidence: float, last: Signal | None, now_us: int
) -> Signal:
    cold = "" if facts.cold_start_s is None else f"{facts.cold_start_s:.0f}"
    return Signal(
        service=facts.service, model=facts.model, name=NAME, scope=facts.scope, state=verdict.state,
        value=float(verdict.value), unit="replicas", reason=_reason(facts, verdict, need),
        evaluated_at_us=now_us, expires_at_us=now_us + round(spec.ttl_s * 1e6), watermark_us=facts.known_at_us,
        window_s=round(spec.window_s), samples=round(sum(facts.loads[: round(spec.window_s / CELL_S)]) * CELL_S),
        confidence=confidence, inputs=need.inputs,
        details={
            **details_of(verdict, need, last, now_us), "cold_start_p95_s": cold, "accelerator": facts.accelerator,
            "shares_with": ", ".join(facts.shares_with),
        },
    )  # fmt: skip


def details_of(verdict: Verdict, need: Need, last: Signal | None, now_us: int) -> dict[str, str]:
    """What the next decision remembers of the last change."""
    is_same = last is not None and last.value == verdict.value
    return {
        "by": last.details.get("by", need.by) if last is not None and is_same else need.by,
        "changed_at_us": str(_changed_us(last) if is_same else now_us),
        "went": _went(last, verdict.value),
    }


def _went(last: Signal | None, value: int) -> str:
    """Say which way the last change went; at first as if out, so that a whole calm is seen before one in."""
    if last is None or last.value is None or value > last.value:
        return "out"
    return "in" if value < last.value else last.details.get("went", "out")


def _reason(facts: Facts, verdict: Verdict, need: Need) -> str:
    """Say it in a sentence: what is decided, by what, and how it was reckoned."""
    said = many(verdict.value, "replicas")
    if verdict.state in (UNKNOWN, HELD) or not need.inputs:
        return f"{said}: {verdict.why}"
    of, lead = need.inputs, lasting(need.inputs["lead_s"])
    source = f"a cold start of {facts.accelerator or 'its accelerator'}, P95, and a look"
    now = f"{of['offered_rps']:.3g} requests/s are offered"
    why = {
        "load": now,
        "trend": f"{now} and {of['trending_rps']:.3g} in {lead} if they rise on",
        "forecast": f"{of.get('forecast_rps_q50', 0):.3g} requests/s are forecast for {lead} ahead, at most "
        f"{of.get('forecast_rps_q90', 0):.3g} in 9 of 10 cases",
        "queue": f"{now} and {many(round(facts.waiting or 0), 'requests')} wait",
        "latency": f"{facts.burn_slo} burns at {facts.burn_rate or 0:.2g}x",
    }[need.by]
    measured = source if facts.cold_start_s is not None else "assumed: no cold start was measured"
    return (
        f"{said}, {verdict.why}: {why}; a replica {need.borne} {of['rps_per_replica']:.3g} requests/s, and "
        f"{of['headroom']:g} x the load is provided for; lead time {lead} ({measured}){_shared(facts)}{_missing(facts)}"
    )


def _missing(facts: Facts) -> str:
    """Say what it does not know; whatever that is, nothing is scaled in."""
    return f"; about {listed(facts.missing)} there was no answer in time" if facts.missing else ""


def _shared(facts: Facts) -> str:
    """Say that the number is not the whole of what its replicas are for."""
    if not facts.shares_with:
        return ""
    others = ", ".join(facts.shares_with[:SHARED_MOST])
    return f"; its endpoints serve {others} too: what each needs is to be added up, as a pool of `shared` does"


def _lag(age_s: float) -> str:
    return "for ever" if age_s >= 1e9 else lasting(age_s)
