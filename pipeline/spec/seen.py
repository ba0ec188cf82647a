"""What SLO files ask for beside what came: services, label values and metrics that no event had. Warnings.

Pure. Silent where it cannot know: about labels that views do not keep, values that were counted as `other`, and
before anything came. A name that is written wrong is good YAML, and would be told by nobody.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from pipeline.series import BASE_LABELS, OTHER
from pipeline.sli import METRICS
from pipeline.slo import Accepted
from pipeline.spec.explanation import chosen_values
from pipeline.spec.lint import Warned, warning
from pipeline.spec.problems import Problem
from pipeline.spec.scalars import listed, nearest
from pipeline.spec.slos import Slo, SloSet

VALUES_TOLD = 8  # of a label, in a remedy

Labels = dict[str, str]


class Seen(NamedTuple):
    """What came in the last days."""

    days: int
    requests: Mapping[tuple[str, ...], int]  # by the values of BASE_LABELS; empty: nothing is known of labels
    counts: Mapping[tuple[str, str], tuple[int, int]]  # by SLO and revision of its indicator: eligible, excluded


def unseen(found: SloSet, seen: Seen) -> list[Problem]:
    """Return a warning for every SLO that nothing of what came is good or bad for, in the order of the SLOs."""
    series = [(dict(zip(BASE_LABELS, values, strict=True)), n) for values, n in seen.requests.items()]
    return [warning(slo, *warned) for slo in found.slos for warned in _unseen(slo, seen, series)]


def _unseen(slo: Slo, seen: Seen, series: list[tuple[Labels, int]]) -> Iterator[Warned]:
    objective = slo.objective
    if series:
        mine = [(labels, n) for labels, n in series if labels["service"] in {objective.service, OTHER}]
        if not mine:
            services = {labels["service"] for labels, _ in series}
            rule = f"is the service of none of the {_events(series, seen)}"
            yield "spec.service", objective.service, rule, _remedy(objective.service, services)
            return
        unmatched = list(_unmatched(slo, seen, mine))
        if unmatched:
            yield from unmatched
            return
    eligible, excluded = seen.counts.get((slo.name, objective.indicator_revision), (0, 0))
    if excluded and not eligible:
        metric = METRICS[objective.indicator.metric]
        rule = f"judged none of {excluded:,} events of the last {seen.days} days: all were excluded"
        remedy = f"see that producers send what it is made of: {metric.formula}"
        yield "spec.indicator.metric", metric.name, rule, remedy


def _unmatched(slo: Slo, seen: Seen, mine: list[tuple[Labels, int]]) -> Iterator[Warned]:
    """Tell of conditions that no event of the service meets; of all of them together, where each is met by some."""
    indicator, of = slo.objective.indicator, f"{_events(mine, seen)} of service {slo.objective.service}"
    wanted: dict[str, Accepted] = {label: accepted for label, accepted in indicator.where if label in BASE_LABELS}
    if indicator.vantage is not None:
        wanted["vantage"] = (indicator.vantage,)
    alone = True
    for label, accepted in wanted.items():
        values = {labels[label] for labels, _ in mine}
        if not any(_is_met(accepted, value) for value in values):
            alone = False
            path = "spec.indicator.vantage" if label == "vantage" else f"spec.indicator.where.{label}"
            text = chosen_values(accepted)
            yield path, text, f"none of the {of} has it", _remedy(text, values)
    if alone and not any(
        all(_is_met(accepted, labels[name]) for name, accepted in wanted.items()) for labels, _ in mine
    ):
        rule = f"is met in part by some, as a whole by none of the {of}"
        yield "spec.indicator.where", listed(wanted), rule, "ask the view sli_1h what comes together"


def _is_met(accepted: Accepted, value: str) -> bool:
    """Tell whether a label can be what is wanted; behind `other` stands any value."""
    return value in accepted or value == OTHER


def _events(series: list[tuple[Labels, int]], seen: Seen) -> str:
    return f"{sum(n for _, n in series):,} events of the last {seen.days} days"


def _remedy(word: str, values: set[str]) -> str:
    known = sorted(values - {""})
    meant = nearest(word, known)
    if meant:
        return f"did you mean {meant}?"
    more = f", and {len(known) - VALUES_TOLD} more" if len(known) > VALUES_TOLD else ""
    return f"what came has {listed(known[:VALUES_TOLD])}{more}" if known else "what came has none at all"
