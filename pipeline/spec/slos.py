"""SLOs as files hold them: an objective, its alert policy, its SLA, its owner. Revisions are made here.

Pure. Frozen throughout. SLO and SLA are kept apart: an SLA has its own target and is never judged as an SLO.
"""

import json
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from hashlib import sha256
from typing import Any

from pipeline.alerts import AlertPolicy, Watched
from pipeline.slo import Objective, Ratio
from pipeline.spec.problems import Place, Problem, SpecError

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

    def place_of(self, path: str) -> Place:
        """Return where a path stands, or the nearest branch above it that is written."""
        places = dict(self.places)
        while path and path not in places:
            path = path.rpartition(".")[0]
        return places.get(path, Place(self.source.line, 1))

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
class SloSet:
    """Every SLO of some files, in the order of files and lines, and everything that is wrong with them."""

    slos: tuple[Slo, ...] = ()
    problems: tuple[Problem, ...] = ()

    @cached_property
    def objectives(self) -> tuple[Objective, ...]:
        return tuple(slo.objective for slo in self.slos)

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
        """Return itself when nothing is wrong.

        Raises: SpecError with every problem.
        """
        if self.problems:
            raise SpecError(self.problems)
        return self


def with_revisions(objective: Objective, policy: AlertPolicy) -> Objective:
    """Return the objective with its revisions.

    Law: the order of `where`, ways of writing a number, names and descriptions change no revision.
    """
    indicator = objective.indicator
    counted = _digest(
        CLASSIFICATION, objective.service, indicator.metric, indicator.threshold_us, indicator.at_most,
        sorted((label, sorted(accepted)) for label, accepted in indicator.where), indicator.group_by,
        indicator.vantage, indicator.final_attempts_only,
    )  # fmt: skip
    pairs = [(p.severity.name, _exact(p.factor), p.long_us, p.short_us) for p in policy.pairs]
    guards, clear = policy.guards, policy.clear
    judged = _digest(
        counted, _exact(objective.target), objective.window_us, sorted(pairs),
        guards.min_events, guards.min_bad, _exact(guards.min_coverage), _exact(clear.margin), clear.hold_us,
    )  # fmt: skip
    return replace(objective, revision=judged, indicator_revision=counted)


def _exact(ratio: Ratio) -> str:
    return str(Fraction(ratio.numerator, ratio.scale))


def _digest(*parts: Any) -> str:
    return sha256(json.dumps(parts, separators=(",", ":")).encode()).hexdigest()[:REVISION_CHARS]
