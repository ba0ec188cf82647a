"""The deploy gate: may something be changed now? Open, caution or frozen, with the reason in words.

Law: the first rule that holds decides for an SLO instance, the worst instance for a service. A policy is total: its
last rule always holds. Rules stand the strictest first and each condition only grows with what is bad, so less budget,
more burn, less coverage, a worse alert or a costlier change never opens what was closed. What is unknown is never open,
and says that it is unknown. Pure: the time of the week is an argument.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

from pipeline.alerts import Severity
from pipeline.controls.comparison import NOBODY, Blames
from pipeline.delivery.words_figures import lasting, share, times

if TYPE_CHECKING:
    from pipeline.spec import Slo

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
DAY = 24 * 60  #: minutes
UNKNOWN = "unknown"  #: stands for a rule where nothing is known
BURN_COVERAGE_LEAST = 0.5  #: of the shortest window: a burn rate over less of it says nothing of now


class Verdict(IntEnum):
    """The worse, the greater."""

    OPEN = 0
    CAUTION = 1
    FROZEN = 2

    @property
    def word(self) -> str:
        return self.name.lower()


class Span(NamedTuple):
    """Minutes of the week, half open."""

    start: int
    end: int


@dataclass(frozen=True)
class Rule:
    """Conditions that must all hold; without any it always holds."""

    name: str
    verdict: Verdict
    reason: str
    budget_at_most: float | None = None
    burn_at_least: float | None = None
    coverage_at_most: float | None = None
    alert_at_least: Severity | None = None
    change_spent_at_least: float | None = None  # by a change that made it worse
    during: tuple[Span, ...] = ()

    @property
    def is_conditional(self) -> bool:
        numbers = (self.budget_at_most, self.burn_at_least, self.coverage_at_most, self.change_spent_at_least)
        return bool(self.during) or any(each is not None for each in (*numbers, self.alert_at_least))


@dataclass(frozen=True)
class Policy:
    """A table of rules, the strictest first; the last one always holds."""

    rules: tuple[Rule, ...]
    unknown: Verdict = Verdict.CAUTION
    time_zone: str = "UTC"
    source: str = ""
    file: str = ""


class Facts(NamedTuple):
    """What is known of one SLO instance now. None: it is not known."""

    slo: str
    instance: str
    budget_remaining_ratio: float | None
    burn_rate: float | None  # over the shortest window
    burn_window_s: int | None
    burn_coverage_ratio: float | None  # of that window
    coverage_ratio: float | None  # of the SLO's own
    alert: Severity = Severity.NONE  # the worst that is open
    is_frozen: bool = False  # its alert: too little data to judge
    staleness: str = ""  # why all this is not of now; empty: it is
    change: str = ""  # in force, and made it worse
    change_spent_ratio: float | None = None  # what that cost of the budget; None: no change made it worse


class Reason(NamedTuple):
    """What was decided for one SLO instance, by which rule, and why."""

    verdict: Verdict
    slo: str
    instance: str
    rule: str
    text: str

    @property
    def told(self) -> dict[str, str]:
        """As JSON says it."""
        return {**self._asdict(), "verdict": self.verdict.word}


class Decision(NamedTuple):
    """What was decided for a service: the worst of its reasons, which come first."""

    verdict: Verdict
    reasons: tuple[Reason, ...]

    @property
    def is_known(self) -> bool:
        return not any(each.rule == UNKNOWN for each in self.reasons)


def facts_of(row: Mapping[str, Any], staleness: str, blames: Blames = NOBODY) -> Facts:
    """Read a row of infra/clickhouse/page/gate.sql; `blames`: changes in force that made something worse."""
    blame = blames.get((row["slo"], row["instance"]))
    return Facts(
        slo=row["slo"],
        instance=row["instance"],
        budget_remaining_ratio=row["budget_remaining_ratio"],
        burn_rate=row["burn_rate"],
        burn_window_s=row["burn_window_s"],
        burn_coverage_ratio=row["burn_coverage_ratio"],
        coverage_ratio=row["coverage_ratio"],
        alert=max((Severity[each] for each in row["severities"]), default=Severity.NONE),
        is_frozen=bool(row["is_frozen"]),
        staleness=staleness,
        change=blame.title if blame else "",
        change_spent_ratio=blame.spent_ratio if blame else None,
    )


def services_of(slos: "Mapping[str, Slo]") -> dict[str, str]:
    """The services, with commas between them, that each SLO is about."""
    return {name: slo.objective.service for name, slo in slos.items()}


def promised(services: Mapping[str, str], service: str) -> set[str]:
    """Which SLOs, of those that are known with the services they are about, are about a service."""
    return {name for name, about in services.items() if service in about.split(",")}


def decide_all(
    policy: Policy,
    rows: Iterable[Mapping[str, Any]],
    about: Mapping[str, str],
    staleness: str,
    minute: int,
    blames: Blames = NOBODY,
) -> dict[str, Decision]:
    """Decide for every service of which anything is known.

    `rows`: of infra/clickhouse/page/gate.sql, for all services; `about`: of each SLO that is known, judged or not, the
    services it is about.
    """
    found: dict[str, list[Facts]] = {service: [] for service in _services(about.values())}
    for row in rows:
        for service in _services([row["service"]]):
            found.setdefault(service, []).append(facts_of(row, staleness, blames))
    return {service: decide(policy, facts, minute, promised(about, service)) for service, facts in found.items()}


def _services(texts: Iterable[str]) -> list[str]:
    return [service for text in texts for service in text.split(",") if service]


def decide(policy: Policy, facts: Iterable[Facts], minute: int, known: Iterable[str] = ()) -> Decision:
    """Decide for a service whose SLO instances are as `facts`, at a minute of the week. No facts: nothing is known.

    `known`: SLOs that are about it, judged or not.
    """
    facts, floor = tuple(facts), max(policy.unknown, Verdict.CAUTION)
    never = sorted(set(known) - {each.slo for each in facts})
    found = [
        *(_reason(policy, each, minute) for each in facts),
        *(Reason(floor, slo, "", UNKNOWN, "it has never been judged") for slo in never),
    ] or [Reason(floor, "", "", UNKNOWN, "no SLO of it has ever been judged")]
    found.sort(key=lambda each: (-each.verdict, each[1:]))
    return Decision(found[0].verdict, tuple(found))


def _reason(policy: Policy, facts: Facts, minute: int) -> Reason:
    rule = next(each for each in policy.rules if holds(each, facts, minute))
    missing, floor = unknowns(facts), max(policy.unknown, Verdict.CAUTION)
    text = f"{rule.reason}: {'; '.join([*_said(rule, facts, minute), *missing])}"
    if missing and floor >= rule.verdict:  # no rule is sure of what is not known
        text = text if floor == rule.verdict and rule.is_conditional else "; ".join(missing)
        return Reason(floor, facts.slo, facts.instance, UNKNOWN, text)
    return Reason(rule.verdict, facts.slo, facts.instance, rule.name, text)


def holds(rule: Rule, facts: Facts, minute: int) -> bool:
    """Whether every condition of a rule holds; of what is not known none does."""
    budget, burn, coverage = facts.budget_remaining_ratio, facts.burn_rate, facts.coverage_ratio
    spent, spent_least = facts.change_spent_ratio, rule.change_spent_at_least
    return (
        (rule.budget_at_most is None or (budget is not None and budget <= rule.budget_at_most))
        and (rule.burn_at_least is None or (burn is not None and burn >= rule.burn_at_least))
        and (rule.coverage_at_most is None or (coverage is not None and coverage <= rule.coverage_at_most))
        and (rule.alert_at_least is None or facts.alert >= rule.alert_at_least)
        and (spent_least is None or (spent is not None and spent >= spent_least))
        and (not rule.during or any(each.start <= minute < each.end for each in rule.during))
    )


def unknowns(facts: Facts) -> list[str]:
    """Say what is not known of an instance. A window that was measured and empty is known: nothing was bad in it."""
    said = []
    if facts.staleness:
        said.append(facts.staleness)
    if facts.budget_remaining_ratio is None:
        said.append("no data: nothing was eligible in its window")
    if facts.is_frozen:
        said.append("too little data to judge it")
    if not facts.burn_window_s:
        said.append("no burn rate")
    elif not facts.burn_coverage_ratio:
        said.append(f"no data of the last {lasting(facts.burn_window_s)}")
    elif facts.burn_coverage_ratio < BURN_COVERAGE_LEAST:
        said.append(f"data of only {share(facts.burn_coverage_ratio)} of the last {lasting(facts.burn_window_s)}")
    return said


def _said(rule: Rule, facts: Facts, minute: int) -> list[str]:
    """Say what a rule looked at; of one without conditions, how things are."""
    is_plain = not rule.is_conditional
    said = []
    if facts.alert > Severity.NONE and (is_plain or rule.alert_at_least is not None):
        said.append(f"a {facts.alert.name.lower()} alert is open")
    if facts.change_spent_ratio is not None and (is_plain or rule.change_spent_at_least is not None):
        said.append(f"{facts.change!r} made it worse, for {share(facts.change_spent_ratio)} of the budget so far")
    if facts.budget_remaining_ratio is not None and (is_plain or rule.budget_at_most is not None):
        said.append(f"{share(facts.budget_remaining_ratio)} of the budget left")
    if facts.burn_rate is not None and (is_plain or rule.burn_at_least is not None):
        over = f" over {lasting(facts.burn_window_s)}" if facts.burn_window_s else ""
        said.append(f"burns at {times(facts.burn_rate)}{over}")
    if facts.coverage_ratio is not None and rule.coverage_at_most is not None:
        said.append(f"{share(facts.coverage_ratio)} of its window has data")
    return [*said, *([f"it is {clock(minute)}"] if rule.during else [])]


def clock(minute: int) -> str:
    """Write a minute of the week: Fri 16:05."""
    day, rest = divmod(minute, DAY)
    return f"{DAYS[day]} {rest // 60:02}:{rest % 60:02}"


def minute_of_week(at: datetime, time_zone: str) -> int:
    """Return how many minutes of the local week have passed; `at` says its own zone."""
    local = at.astimezone(ZoneInfo(time_zone))
    return local.weekday() * DAY + local.hour * 60 + local.minute
