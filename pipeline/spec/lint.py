"""Lint: SLO files that work and are still likely to disappoint. Warnings, each with what to do.

Pure. A warning is a problem that stops nothing. Rules are a table: a rule looks at one SLO.
"""

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction

from pipeline.sli import METRICS, Kind
from pipeline.spec.detection import budget_spent, firing_ratio
from pipeline.spec.problems import Problem
from pipeline.spec.scalars import UNITS_US, duration_text, fraction, written
from pipeline.spec.slos import Slo, SloSet

Warned = tuple[str, str, str, str]  # path, value, rule, remedy
Rule = Callable[[Slo], Iterator[Warned]]

#: labels that have as many values as there are customers or replicas
HIGH_CARDINALITY = ("tenant_id", "endpoint_id", "adapter")
MANY_VALUES = "may have thousands of values, each an SLO instance; past the limit they count as `other`"
STRICTEST_TARGET = Fraction(99999, 100000)  # 26 s a month


def nobody_answers(slo: Slo) -> Iterator[Warned]:
    if not slo.owner:
        yield "metadata.labels", "", "names no owner", "write labels: {team: ...}, or owner: ..."
    if not slo.runbook:
        yield "metadata.annotations", "", "names no runbook", "write annotations: {runbook: https://...}"
    if not slo.description:
        yield "spec.description", "", "is missing", "say in a sentence what users get"


def many_instances(slo: Slo) -> Iterator[Warned]:
    indicator = slo.objective.indicator
    for label in indicator.group_by:
        bounded = dict(indicator.where).get(label)
        if label in HIGH_CARDINALITY and not isinstance(bounded, tuple):
            remedy = f"name the values that matter in where: {{{label}: [...]}}"
            yield "spec.indicator.groupBy", label, MANY_VALUES, remedy
        if label == "service" or (isinstance(bounded, tuple) and len(bounded) == 1):
            yield "spec.indicator.groupBy", label, "has one value only here", "remove it from groupBy"


def hardly_reachable(slo: Slo) -> Iterator[Warned]:
    target = fraction(slo.objective.target)
    if target > STRICTEST_TARGET:
        left_s = (1 - target) * slo.objective.window_us / UNITS_US["s"]
        rule = f"leaves {written(left_s, 1)} s of outage in {duration_text(slo.objective.window_us)}"
        yield "spec.target", written(target), rule, "lower it, unless the service is built for that"


def slow_is_good(slo: Slo) -> Iterator[Warned]:
    indicator = slo.objective.indicator
    if METRICS[indicator.metric].unit == "us" and not indicator.at_most:
        yield "spec.indicator.op", "gte or gt", "counts slow requests as good", "write op: lte"


def slices_hold_generations(slo: Slo) -> Iterator[Warned]:
    """All tokens of a request count when it is complete."""
    slices = slo.objective.timeslices
    if METRICS[slo.objective.indicator.metric].kind is Kind.TOKENS and slices and slices.slice_us < UNITS_US["m"]:
        rule = "is short for tokens: those of a long generation all land where it ends"
        yield "spec.timeSliceWindow", duration_text(slices.slice_us), rule, "write 1m or more"


def alerts_that_disappoint(slo: Slo) -> Iterator[Warned]:
    """Factors reached by near outage alone, or by ordinary burning; pairs that fire after the fact."""
    target, window_us = slo.objective.target, slo.objective.window_us
    for pair in slo.policy.pairs:
        said = f"{written(fraction(pair.factor))}x on {duration_text(pair.long_us)}"
        if firing_ratio(target, pair) > Fraction(1, 2):
            share = written(firing_ratio(target, pair) * 100, 1)
            yield "spec.alerting", said, f"fires only when {share} % of requests are bad", "lower the factor"
        if budget_spent(pair, window_us) >= 1:
            yield (
                "spec.alerting",
                said,
                "fires when the budget is already gone",
                "lower the factor or the long window",
            )
        elif pair.factor.numerator < pair.factor.scale:
            yield "spec.alerting", said, "fires although the budget lasts the whole window", "write 1 or more"
    if len(set(slo.policy.pairs)) < len(slo.policy.pairs):
        yield "spec.alerting", "", "has the same pair twice", "remove one of them"


def sla_without_room(slo: Slo) -> Iterator[Warned]:
    if slo.sla is not None and fraction(slo.sla.target) == fraction(slo.objective.target):
        rule = "equals the SLO's target: the SLO warns of nothing"
        yield "spec.sla.target", written(fraction(slo.sla.target)), rule, "raise spec.target above it"


RULES: tuple[Rule, ...] = (
    nobody_answers,
    many_instances,
    hardly_reachable,
    slow_is_good,
    slices_hold_generations,
    alerts_that_disappoint,
    sla_without_room,
)


def twins(slos: Iterable[Slo]) -> Iterator[Problem]:
    """Two SLOs that count the same and want the same are one, with two alerts."""
    first: dict[tuple[str, Fraction, int], Slo] = {}
    for slo in slos:
        objective = slo.objective
        sense = (objective.indicator_revision, fraction(objective.target), objective.window_us)
        other = first.setdefault(sense, slo)
        if other is not slo:
            rule = f"asks for the same as {other.name} ({other.source})"
            yield warning(slo, "metadata.name", slo.name, rule, "remove one of them")


def lint(found: SloSet) -> list[Problem]:
    """Return the warnings for every SLO of a set, in its order."""
    warnings = [warning(slo, *warned) for slo in found.slos for rule in RULES for warned in rule(slo)]
    return [*found.assumed, *warnings, *twins(found.slos)]


def warning(slo: Slo, path: str, value: str, rule: str, remedy: str) -> Problem:
    """Put what a rule says at its place in the file."""
    place, origin = slo.place_of(path), slo.origin_of(path)
    return Problem(origin.file, place.line, place.column, origin.path, value, rule, remedy)
