"""Explanation: all that follows from an SLO, in words and as plain values, before a single event was counted.

Pure. Figures are divided once, here, for reading; the engine works on the exact ones.
"""

from collections.abc import Sequence
from dataclasses import asdict
from fractions import Fraction
from typing import Any

from pipeline import slo as formulas
from pipeline.alerts import STEPS, AlertPolicy, Kind, WindowPair
from pipeline.sli import METRICS
from pipeline.slo import Accepted, Indicator, Objective, Selector
from pipeline.spec import thresholds
from pipeline.spec.classification import policy_text
from pipeline.spec.detection import Timing, bad_share, budget_spent, exhaustion_s, firing_ratio, timings
from pipeline.spec.scalars import duration_text, fraction, listed, written
from pipeline.spec.slos import Slo

#: error ratios to tell times for, as far as some pair fires at them
ERROR_RATIOS = tuple(map(Fraction, ("1", "0.5", "0.2", "0.1", "0.05", "0.02", "0.01", "0.005", "0.002", "0.001")))


def explained(slo: Slo, error_ratios: Sequence[Fraction] = ()) -> dict[str, Any]:
    """Return everything about an SLO, ready for JSON; `error_ratios` empty: the usual ones."""
    objective, policy = slo.objective, slo.policy
    return {
        "name": slo.name, "service": objective.service, "sentence": sentence(slo),
        "description": slo.description,
        "file": slo.source.file, "line": slo.source.line, "owner": slo.owner, "runbook": slo.runbook,
        "labels": dict(slo.labels), "annotations": dict(slo.annotations),
        "revision": objective.revision, "indicator_revision": objective.indicator_revision,
        "indicator": _indicator(slo),
        "members": [{"ref": member.ref, "weight": float(member.weight)} for member in slo.members],
        "target": float(objective.target), "window_s": objective.window_us // 1_000_000,
        "window": window_text(objective),
        "budget_events_per_million": formulas.budget_events(objective.target, 1_000_000),
        "budget_minutes": formulas.budget_minutes(objective.target, objective.window_us),
        "burn_rate_max": formulas.greatest_burn_rate(objective.target),
        "preset": slo.preset, "pairs": [_pair(objective, pair) for pair in policy.pairs], **_evidence(policy),
        "timings": [_timing(objective, t) for t in told_timings(slo, error_ratios)],
        "sla": _sla(slo),
    }  # fmt: skip


def _timing(objective: Objective, timing: Timing) -> dict[str, Any]:
    share = bad_share(objective.timeslices, timing.error_ratio)
    return {
        "error_ratio": float(timing.error_ratio), "detection_s": timing.detection_s, "reset_s": timing.reset_s,
        "burn_rate": float(share / (1 - fraction(objective.target))),
        "time_to_exhaustion_s": exhaustion_s(objective.target, objective.window_us, share) if share else None,
    }  # fmt: skip


def _indicator(slo: Slo) -> dict[str, Any]:
    indicator = slo.objective.indicator
    where = {label: asdict(v) if isinstance(v, Selector) else list(v) for label, v in indicator.where}
    moved = {case.name.lower(): verdict.name.lower() for case, verdict in indicator.verdicts}
    metric = METRICS.get(indicator.metric)  # None: of a composite
    told = {"where": where, "verdicts": moved, "objectives": dict(indicator.objectives), "preset": slo.model_preset}
    unit = thresholds.KEPT_IN.get(metric.unit) if metric else None
    return {**asdict(indicator), **told, "unit": unit, "compared": thresholds.text_of(indicator)}


def _sla(slo: Slo) -> dict[str, Any] | None:
    """Tell what the contract promises, with a budget of its own."""
    if slo.sla is None:
        return None
    return {
        "target": float(slo.sla.target), "consequence": slo.sla.consequence,
        "budget_events_per_million": formulas.budget_events(slo.sla.target, 1_000_000),
        "budget_minutes": formulas.budget_minutes(slo.sla.target, slo.objective.window_us),
    }  # fmt: skip


def _pair(objective: Objective, pair: WindowPair) -> dict[str, Any]:
    return {
        "severity": pair.severity.name.lower(),
        "factor": float(pair.factor),
        "long_s": pair.long_us // 1_000_000,
        "short_s": pair.short_us // 1_000_000,
        "firing_error_ratio": float(firing_ratio(objective.target, pair)),
        "budget_spent_ratio": float(budget_spent(pair, objective.window_us)),
    }


def _evidence(policy: AlertPolicy) -> dict[str, Any]:
    guards, clear = policy.guards, policy.clear
    least = {
        "min_events": guards.min_events,
        "min_bad": guards.min_bad,
        "min_coverage": float(guards.min_coverage),
    }
    return {"guards": least, "clear": {"margin": float(clear.margin), "hold_s": clear.hold_s}}


def told_timings(slo: Slo, error_ratios: Sequence[Fraction] = ()) -> list[Timing]:
    """Return the times at some error ratios; without any, at the usual ones that fire something."""
    objective = slo.objective
    told = timings(objective.target, slo.policy, tuple(error_ratios) or ERROR_RATIOS, objective.timeslices)
    return [t for t in told if error_ratios or any(each is not None for each in t.detection_s)]


def sentence(slo: Slo) -> str:
    """Say what is promised: 99 % of chat requests have ttft of at most 1s, over 30d."""
    objective, indicator, slices = slo.objective, slo.objective.indicator, slo.objective.timeslices
    if slo.members:
        return f"{percent(fraction(objective.target))} of {together(slo)}, over {window_text(objective)}"
    target, when = objective.target, ""
    if slices is not None and slices.is_whole:
        when = f"{percent(fraction(target))} of slices of {duration_text(slices.slice_us)} of "
    elif slices is not None and slices.target is not None:
        when, target = f"in {percent(fraction(target))} of slices of {duration_text(slices.slice_us)} ", slices.target
    elif slices is not None:
        when = f"in the mean of slices of {duration_text(slices.slice_us)} "
    each = "" if slices is not None and slices.is_whole else f"{percent(fraction(target))} of "
    share = f"{when}{each}{objective.service} requests"
    chosen = " and ".join(f"{label} {chosen_values(accepted)}" for label, accepted in indicator.where)
    return f"{share}{f' with {chosen}' if chosen else ''} {promised(indicator)}, over {window_text(objective)}"


#: what good requests do, of metrics without a threshold
_PLAIN = {"shed_rate": "are not shed", "retry_amplification": "are first attempts"}


def promised(indicator: Indicator) -> str:
    """Say what a good request does, or a good slice of them."""
    compared = thresholds.text_of(indicator)
    if indicator.objectives:
        return f"are served with {compared}"
    return f"have {indicator.metric} of {compared}" if compared else _PLAIN.get(indicator.metric, "do not fail")


def together(slo: Slo) -> str:
    """Say what a composite is made of."""
    slices = slo.objective.timeslices
    if slices is not None:
        length = duration_text(slices.slice_us)
        return f"slices of {length} are good in the worst of {listed(member.ref for member in slo.members)}"
    parts = (f"{member.ref} x{written(fraction(member.weight))}" for member in slo.members)
    return f"the weighted mean of {listed(parts)}"


#: unit of a calendar -> in words
_UNITS = {"d": "day", "w": "week", "M": "month", "Q": "quarter", "Y": "year"}


def window_text(objective: Objective) -> str:
    """Say what compliance is judged over: 30d; each month of Europe/Berlin, from 2026-01-01 on."""
    calendar = objective.calendar
    if calendar is None:
        return duration_text(objective.window_us)
    periods = _UNITS[calendar.unit] if calendar.count == 1 else f"{calendar.count} {_UNITS[calendar.unit]}s"
    begin = calendar.start.isoformat(" ").removesuffix(" 00:00:00")
    return f"each {periods} of {calendar.zone}, from {begin} on"


def chosen_values(accepted: Accepted) -> str:
    """Say what a selector accepts of a label: zen or acme; llama-... but not llama-guard."""
    if not isinstance(accepted, Selector):
        return " or ".join(accepted)
    begins = " or ".join(f"{prefix}..." for prefix in accepted.prefixes)
    never = " or ".join(accepted.none_of)
    return " but ".join(filter(None, (begins, f"not {never}" if never else "")))


def _steps(kind: Kind) -> str:
    """Say which shares of a budget are told of."""
    return listed([percent(fraction(step.spent)) for step in STEPS[kind]])


def percent(ratio: Fraction) -> str:
    return f"{written(ratio * 100)} %"


def story(slo: Slo) -> list[str]:
    """Say everything but the tables, a line each."""
    objective, guards, clear = slo.objective, slo.policy.guards, slo.policy.clear
    indicator = objective.indicator
    grouped, own = ", ".join(indicator.group_by), policy_text(indicator.verdicts)
    events = formulas.budget_events(objective.target, 1_000_000)
    minutes = formulas.budget_minutes(objective.target, objective.window_us)
    most = formulas.greatest_burn_rate(objective.target)
    window = "window" if objective.calendar is None else "longest period"
    counted = "requests" if objective.timeslices is None else "slices"
    lines = [
        sentence(slo),
        f"counts {'final' if indicator.final_attempts_only else 'all'} attempts; "
        f"one instance{f' per {grouped}' if grouped else ''}{f'; a policy of its own: {own}' if own else ''}",
        f"budget: {events:,.1f} bad in a million {counted}, or {minutes:,.1f} min of outage in the {window}; "
        f"a total outage burns {most:,.1f}x",
        f"fires on {guards.min_events} {'events' if objective.timeslices is None else counted}, {guards.min_bad} bad, "
        f"{percent(fraction(guards.min_coverage))} coverage or more",
        f"clears {percent(fraction(clear.margin))} under the factor for {clear.hold_s} s",
        f"tells when {_steps(Kind.BUDGET)} of the budget are spent",
        f"owner {slo.owner or 'none'}; runbook {slo.runbook or 'none'}",
        f"revision {objective.revision}, of counts {objective.indicator_revision}; {slo.source}",
    ]
    if slo.sla is not None:
        events = formulas.budget_events(slo.sla.target, 1_000_000)
        minutes = formulas.budget_minutes(slo.sla.target, objective.window_us)
        sla = f"SLA: {percent(fraction(slo.sla.target))}, or {slo.sla.consequence}"
        budget = f"its own budget: {events:,.1f} bad in a million {counted}, or {minutes:,.1f} min"
        lines.insert(3, f"{sla}; {budget}; at risk when {_steps(Kind.SLA)} of it are spent")
    return lines
