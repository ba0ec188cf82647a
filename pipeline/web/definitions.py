"""What SLO files say, as the API says it.

Pure. Figures are divided once, here, for reading; the engine works on the exact ones.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pipeline.series import parse_label_text
from pipeline.sli import METRICS, Kind
from pipeline.spec import thresholds
from pipeline.spec.explanation import chosen_values, sentence, window_text
from pipeline.web.answers import Condition, Definition, Guards, MemberOf, Pair, Promise
from pipeline.web.fleet import Known

if TYPE_CHECKING:
    from pipeline.spec import Slo

SKETCHES = {Kind.E2E: "e2e", Kind.TTFT: "ttft", Kind.TPOT: "tpot"}


def known_of(slos: Mapping[str, "Slo"]) -> dict[str, Known]:
    """What lists show of SLOs."""
    return {
        name: Known(dict(slo.labels), slo.objective.indicator.metric, slo.description) for name, slo in slos.items()
    }


def metric_shown(slo: "Slo | None") -> tuple[str, bool, int | None]:
    """Which sketch shows an SLO, whether it is what is judged, and the objective as its line in microseconds."""
    indicator = slo.objective.indicator if slo else None
    metric = METRICS.get(indicator.metric) if indicator else None
    if indicator is None or metric is None or metric.kind not in SKETCHES:
        return "e2e", False, None
    return SKETCHES[metric.kind], True, indicator.threshold


def pairs_of(slo: "Slo | None") -> list[Pair]:
    """Its windows and factors; none when there is no file."""
    return [
        Pair(
            severity=pair.severity.name, factor=float(pair.factor), long_s=pair.long_us // 1_000_000,
            short_s=pair.short_us // 1_000_000,
        )
        for pair in (slo.policy.pairs if slo else ())
    ]  # fmt: skip


def definition_of(slo: "Slo") -> Definition:
    """Everything about an SLO."""
    objective, guards = slo.objective, slo.policy.guards
    indicator, metric = objective.indicator, METRICS.get(objective.indicator.metric)
    return Definition(
        sentence=sentence(slo), description=slo.description, service=objective.service, metric=indicator.metric,
        threshold=indicator.threshold, threshold_unit=thresholds.KEPT_IN.get(metric.unit) if metric else None,
        threshold_text=thresholds.text_of(indicator),
        where=[Condition(label=name, condition=chosen_values(accepted)) for name, accepted in indicator.where],
        group_by=list(indicator.group_by), vantage=indicator.vantage, target=float(objective.target),
        window_s=objective.window_us // 1_000_000, window_text=window_text(objective),
        is_calendar=objective.calendar is not None, budgeting_method=_method(slo),
        sla=Promise(target=float(slo.sla.target), consequence=slo.sla.consequence) if slo.sla else None,
        pairs=pairs_of(slo),
        guards=Guards(
            min_events=guards.min_events, min_bad=guards.min_bad, min_coverage=float(guards.min_coverage)
        ),
        members=[MemberOf(slo=member.ref, weight=float(member.weight)) for member in slo.members],
        labels=dict(slo.labels), annotations=dict(slo.annotations), owner=slo.owner, runbook=slo.runbook,
        source=f"{slo.source.file.rpartition('/')[2]}:{slo.source.line}", revision=objective.revision,
        counts_revision=objective.indicator_revision,
    )  # fmt: skip


def _method(slo: "Slo") -> str:
    slices = slo.objective.timeslices
    if slices is None:
        return "Occurrences"
    return "RatioTimeslices" if slices.target is None and not slices.is_whole else "Timeslices"


def labels_of(instance: str) -> dict[str, str]:
    """The groupBy labels of an instance by its text."""
    return parse_label_text(instance)
