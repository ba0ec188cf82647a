"""Replicas that several models of several services share: what a pool of them needs is the sum of what each needs.

    need = max(sum of what each model's load needs, what the one asks for whose latency burns)

Each model's signal says what it would need of replicas of its own, not rounded; rounded up it is once, here. Law: where
of any member nothing is known, the pool stays as it was. Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pipeline.controls.scaling import (
    HELD,
    NAME,
    Need,
    PoolSpec,
    ScaleSpec,
    SharedSpec,
    Verdict,
    decide,
    details_of,
    pressed,
    recommend,
)
from pipeline.controls.scaling_facts import Facts, Rows, facts_of
from pipeline.controls.signal import Signal, every, key_of, unknown
from pipeline.delivery.words_figures import many


def step(spec: ScaleSpec, previous: Mapping[str, Signal], rows: Rows, now_us: int) -> list[Signal]:
    """Recommend for every model, and every variant of it, that had traffic of late; and for pools that they share."""
    facts = facts_of(rows, previous)
    told = every(lambda each: recommend(spec, previous, each, now_us), facts)
    return [*told, *pools(spec, previous, facts, told, now_us)]


def pools(
    spec: ScaleSpec, previous: Mapping[str, Signal], facts: Sequence[Facts], told: Sequence[Signal], now_us: int
) -> list[Signal]:
    """Recommend for every pool of which a member had traffic of late; `told`: of each of the facts."""
    found = []
    for shared in spec.shared:
        every_one = zip(facts, told, strict=True)
        mine = [each for each in every_one if f"{each[0].service}/{each[0].model}" in shared.members]
        if mine:
            found.append(_pool(spec, shared, previous, mine, now_us))
    return found


def _pool(
    spec: ScaleSpec, shared: SharedSpec, previous: Mapping[str, Signal], mine: Sequence[tuple[Facts, Signal]],
    now_us: int,
) -> Signal:  # fmt: skip
    last = previous.get(key_of(shared.name, "", NAME))
    last = last if last is not None and last.is_known and last.value is not None else None
    blind = next((told for of, told in mine if "need" not in told.inputs or (of.missing and last is None)), None)
    if blind is not None:
        return _held(spec, shared, mine, blind, last, now_us)
    together = _together(shared, [each for each, _ in mine])
    need = _need(spec, together, [signal.inputs for _, signal in mine], last)
    limits = (PoolSpec(shared.name, "", shared.replicas_least, shared.replicas_most),)
    verdict = decide(replace(spec, pools=limits), together, need, last, now_us)
    return _signal(spec, shared, mine, verdict, need, last, now_us)


def _held(
    spec: ScaleSpec, shared: SharedSpec, mine: Sequence[tuple[Facts, Signal]], blind: Signal, last: Signal | None,
    now_us: int,
) -> Signal:  # fmt: skip
    """Leave a pool as it was, since of a member nothing is known."""
    if last is None or last.value is None:
        why = f"of {blind.service} {blind.model} nothing is known: {blind.reason}"
        return unknown(NAME, shared.name, "", why, now_us, spec.ttl_s)
    value = int(last.value)
    why = f"as before, since of {blind.service} {blind.model} too little is known: {blind.reason}"
    return _signal(spec, shared, mine, Verdict(HELD, value, why), Need(value, value, HELD, {}), last, now_us)


def _need(spec: ScaleSpec, together: Facts, of: Sequence[Mapping[str, float]], last: Signal | None) -> Need:
    """Add up; what burns asks for a headroom more than serve, by the pool's last change, and is not added."""
    by_load, calm = sum(each["need_load"] for each in of), sum(each["need_calm"] for each in of)
    asked = pressed(spec, together, last, max(each["lead_s"] for each in of))
    queues = sum(each.get("waiting", 0.0) / spec.drain_s / each["rps_per_replica"] for each in of)
    why = "queue" if queues > by_load * spec.tolerance_ratio else "load"
    now, by = max((by_load, why), (asked, "latency"))
    return Need(now, max(calm, now), by, {"need": now, "need_load": by_load, "need_calm": max(calm, now)})


def _together(shared: SharedSpec, facts: Sequence[Facts]) -> Facts:
    """What is known of a pool: the most that serve, all that wait, the worst that burns, the oldest that is known."""
    ready = [each.ready for each in facts if each.ready is not None]
    waiting = [each.waiting for each in facts if each.waiting is not None]
    worst = max(facts, key=lambda each: each.burn_rate or 0.0)
    return Facts(
        shared.name, "", "", max(each.age_s for each in facts), min(each.known_at_us for each in facts), (),
        waiting=sum(waiting) if waiting else None, ready=max(ready, default=None), burn_rate=worst.burn_rate,
        burn_slo=worst.burn_slo, burn_window_s=worst.burn_window_s, missing=facts[0].missing,
    )  # fmt: skip


def _signal(
    spec: ScaleSpec, shared: SharedSpec, mine: Sequence[tuple[Facts, Signal]], verdict: Verdict, need: Need,
    last: Signal | None, now_us: int,
) -> Signal:  # fmt: skip
    parts = ", ".join(
        f"{signal.service} {' '.join(filter(None, (signal.model, signal.scope)))} {signal.inputs['need_load']:.3g}"
        for _, signal in mine if "need_load" in signal.inputs
    )  # fmt: skip
    summed = f": {parts} add up to {need.inputs['need_load']:.3g}" if verdict.state != HELD and parts else ""
    summed += f", but latency burns, and asks for {need.now:.3g}" if need.by == "latency" else ""
    known = [signal.confidence for _, signal in mine if signal.confidence is not None]
    return Signal(
        service=shared.name, model="", name=NAME, scope="", state=verdict.state, value=float(verdict.value),
        unit="replicas", reason=f"{many(verdict.value, 'replicas')}, {verdict.why}{summed}",
        evaluated_at_us=now_us, expires_at_us=now_us + round(spec.ttl_s * 1e6),
        watermark_us=min(facts.known_at_us for facts, _ in mine), window_s=round(spec.window_s),
        samples=sum(signal.samples for _, signal in mine), confidence=min(known, default=None), inputs=need.inputs,
        details={**details_of(verdict, need, last, now_us), "members": ", ".join(shared.members)},
    )  # fmt: skip
