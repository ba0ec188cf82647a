"""SLOs as files hold them: an objective, its alert policy, its SLA, its owner. Revisions are made here.

Pure. Frozen throughout. SLO and SLA are kept apart: an SLA has its own target and is never judged as an SLO.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from pipeline.alerts import AlertPolicy, Composed, Watched
from pipeline.periods import Calendar
from pipeline.slo import PART, Accepted, Indicator, Objective, Ratio, Selector, Timeslices
from pipeline.spec.problems import Origin, Place, Problem, SpecError, origin_of

if TYPE_CHECKING:
    from pipeline.spec.corrections import Correction

REVISION_CHARS = 12  # 48 bits: one collision expected in 20 million revisions of one SLO
CLASSIFICATION = 1  # version of sli.VERDICTS; a new one makes new revisions, so no rule rewrites history


@dataclass(frozen=True)
class Sla:
    """A contract with consequences, looser than the SLO."""

    target: Ratio
    consequence: str


@dataclass(frozen=True)
class Source:
    """Where an SLO is written."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Member:
    """One SLO of a composite."""

    ref: str
    weight: Ratio = Ratio(1, 1)  # noqa: RUF009 - frozen


@dataclass(frozen=True)
class Slo:
    """One SLO of a file."""

    objective: Objective
    policy: AlertPolicy
    source: Source
    description: str = ""
    preset: str | None = "default"  # None: pairs of its own
    sla: Sla | None = None
    labels: tuple[tuple[str, str], ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    places: tuple[tuple[str, Place], ...] = field(default=(), compare=False, repr=False)  # path -> where it is
    model_preset: str | None = None  # whose threshold it is
    origins: tuple[tuple[str, Origin], ...] = field(default=(), compare=False, repr=False)  # of what was lowered
    members: tuple[Member, ...] = ()  # of a composite, as people are told of it

    def place_of(self, path: str) -> Place:
        """Return where a path stands, or the nearest branch above it that is written."""
        places = dict(self.places)
        while path and path not in places:
            path = path.rpartition(".")[0]
        return places.get(path, Place(self.source.line, 1))

    def origin_of(self, path: str) -> Origin:
        """Return the file and the path where a path of burnline/v1 is written."""
        return origin_of(dict(self.origins), path) if self.origins else Origin(self.source.file, path)

    @property
    def name(self) -> str:
        return self.objective.name

    @property
    def owner(self) -> str:
        """Who answers for it: the label `owner`, else `team`; empty when nobody is named."""
        labels = dict(self.labels)
        return labels.get("owner") or labels.get("team", "")

    @property
    def runbook(self) -> str:
        return dict(self.annotations).get("runbook", "")


@dataclass(frozen=True)
class Composite:
    """One composite SLO of a file."""

    name: str
    rule: str  # weightedMean or worstOf
    members: tuple[Member, ...]
    target: Ratio
    window_us: int
    source: Source
    calendar: Calendar | None = None
    timeslices: Timeslices | None = None
    description: str = ""
    preset: str | None = None  # None: pairs of its own
    policy: AlertPolicy = AlertPolicy(())  # noqa: RUF009 - frozen
    sla: Sla | None = None
    labels: tuple[tuple[str, str], ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class SloSet:
    """Every SLO of some files, in the order of files and lines, and everything that is wrong with them."""

    slos: tuple[Slo, ...] = ()
    problems: tuple[Problem, ...] = ()
    composites: tuple[Composite, ...] = ()
    unmeasured: tuple[Problem, ...] = ()  # OpenSLO that is valid and says that others measure it: one for each SLO
    assumed: tuple[Problem, ...] = ()  # what the reader of OpenSLO took for granted, for lint to say
    others: int = 0  # OpenSLO documents that are no SLO
    corrections: tuple["Correction", ...] = ()

    @cached_property
    def objectives(self) -> tuple[Objective, ...]:
        """What is counted: for SLOs, and for composites of each member."""
        parts = (part for composed in self.composed for part in composed.parts)
        return (*(slo.objective for slo in self.slos), *parts)

    @cached_property
    def composed(self) -> tuple[Composed, ...]:
        """What the judge is told of composites."""
        return tuple(_composed(each, self.by_name) for each in self.composites)

    @cached_property
    def told(self) -> dict[str, Slo]:
        """Everything that is promised, by name: SLOs, and composites as such."""
        composites = zip(self.composites, self.composed, strict=True)
        made = (
            Slo(replace(whole.watched.objective, timeslices=each.timeslices), each.policy, each.source,
                each.description, each.preset, each.sla, each.labels, each.annotations, members=each.members)
            for each, whole in composites
        )  # fmt: skip
        return self.by_name | {slo.name: slo for slo in made}

    @cached_property
    def watched(self) -> tuple[Watched, ...]:
        """What the judge is told."""
        return tuple(Watched(slo.objective, slo.policy, slo.runbook or None) for slo in self.slos)

    @cached_property
    def policies(self) -> dict[str, AlertPolicy]:
        """SLO name -> policy."""
        return {slo.name: slo.policy for slo in self.slos}

    @cached_property
    def by_name(self) -> dict[str, Slo]:
        return {slo.name: slo for slo in self.slos}

    def checked(self) -> "SloSet":
        """Return itself when nothing is wrong, and something can be judged.

        Raises: SpecError with every problem.
        """
        if self.problems or (self.unmeasured and not self.slos):
            raise SpecError(self.problems or self.unmeasured)
        return self


def with_revisions(objective: Objective, policy: AlertPolicy) -> Objective:
    """Return the objective with its revisions.

    Law: the order of `where`, ways of writing a number, names and descriptions change no revision.
    """
    indicator = objective.indicator
    is_whole = objective.timeslices is not None and objective.timeslices.is_whole  # its counts know no threshold
    counted = _digest(
        CLASSIFICATION, objective.service, indicator.metric, None if is_whole else indicator.threshold,
        indicator.at_most,
        sorted((label, _selection(accepted)) for label, accepted in indicator.where), indicator.group_by,
        indicator.vantage, indicator.final_attempts_only, *_given(indicator.verdicts),
        *_given(indicator.objectives), *_given("strict" if indicator.is_strict else ""),
    )  # fmt: skip
    pairs = [(p.severity.name, _exact(p.factor), p.long_us, p.short_us) for p in policy.pairs]
    guards, clear = policy.guards, policy.clear
    judged = _digest(
        counted, _exact(objective.target), objective.window_us, sorted(pairs),
        guards.min_events, guards.min_bad, _exact(guards.min_coverage), _exact(clear.margin), clear.hold_us,
        *_given(objective.calendar and _period(objective.calendar)), *_given(_slices(objective.timeslices)),
        *_given(objective.sla_target and _exact(objective.sla_target)),
        *_given([indicator.threshold, indicator.offered] if is_whole else ()),
    )  # fmt: skip
    return replace(objective, revision=judged, indicator_revision=counted)


ALL = Ratio(1, 1)  #: a slice is good when all of its members' are


def _composed(composite: Composite, slos: Mapping[str, Slo]) -> Composed:
    """Put a composite as the judge wants it. Law: the order of members changes no revision."""
    members = [slos[member.ref].objective for member in composite.members]
    parts = tuple(_part(composite, objective) for objective in members)
    scale = max(member.weight.scale for member in composite.members)
    weights = tuple(member.weight.numerator * (scale // member.weight.scale) for member in composite.members)
    service = ",".join(sorted({objective.service for objective in members}))
    promised = with_revisions(
        Objective(
            composite.name, service, Indicator(composite.rule), composite.target, composite.window_us,
            calendar=composite.calendar, timeslices=composite.timeslices and replace(composite.timeslices, target=ALL),
            sla_target=composite.sla.target if composite.sla else None,
        ),
        composite.policy,
    )  # fmt: skip
    counted = _digest(composite.rule, sorted((part.name, part.indicator_revision) for part in parts))
    judged = _digest(promised.revision, counted, sorted((m.ref, _exact(m.weight)) for m in composite.members))
    objective = replace(promised, revision=judged, indicator_revision=counted)
    runbook = dict(composite.annotations).get("runbook")
    return Composed(Watched(objective, composite.policy, runbook), parts, weights)


def _part(composite: Composite, member: Objective) -> Objective:
    """What is counted of a member: all its instances together."""
    part = replace(
        member, name=f"{composite.name}{PART}{member.name}", indicator=replace(member.indicator, group_by=()),
        target=composite.target, timeslices=composite.timeslices, sla_target=None,
    )  # fmt: skip
    return with_revisions(part, AlertPolicy(()))


def _given(part: Any) -> tuple[Any, ...]:
    """A part that a digest has only where it says something, so that new parts leave old revisions alone."""
    return (part,) if part else ()


def _selection(accepted: Accepted) -> Any:
    if isinstance(accepted, Selector):
        return {"none_of": sorted(accepted.none_of), "prefixes": sorted(accepted.prefixes)}
    return sorted(accepted)


def _period(calendar: Calendar) -> tuple[int, str, str, str]:
    return calendar.count, calendar.unit, calendar.start.isoformat(), calendar.zone


def _slices(timeslices: Timeslices | None) -> tuple[int, str] | None:
    if timeslices is None:
        return None
    return timeslices.slice_us, _exact(timeslices.target) if timeslices.target else ""


def _exact(ratio: Ratio) -> str:
    return str(Fraction(ratio.numerator, ratio.scale))


def _digest(*parts: Any) -> str:
    return sha256(json.dumps(parts, separators=(",", ":")).encode()).hexdigest()[:REVISION_CHARS]
