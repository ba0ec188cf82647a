"""What a period was: of every SLO what was promised, kept or broken, what spent its budget, and what to do.

Pure: rows and SLO files in, findings out. Law: ratios are of sums, divided once; what was not counted is no data, and
neither kept nor broken; an SLO whose budget counts slices of time is not judged by its requests.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jobs.report.asking import Gathered, Row, is_about
from jobs.report.period import Period
from pipeline.sli import METRICS
from pipeline.spec import Slo
from pipeline.spec.explanation import sentence

if TYPE_CHECKING:
    from jobs.report.provisioning import Provision

KEPT, BROKEN, NO_DATA, UNTOLD = "kept", "broken", "no data", "not told"
VERDICTS = (BROKEN, NO_DATA, UNTOLD, KEPT)  #: in the order that they are shown
NOBODY = "nobody named"
_MILLIONTHS = 10_000_000  #: a target has at most 7 decimals


@dataclass(frozen=True)
class Tally:
    """Good and bad of something promised."""

    good: int
    bad: int
    target: float

    @property
    def eligible(self) -> int:
        return self.good + self.bad

    @property
    def compliance(self) -> float | None:
        return self.good / self.eligible if self.eligible else None

    @property
    def _allowed(self) -> int:
        return _MILLIONTHS - round(self.target * _MILLIONTHS)

    @property
    def budget_left(self) -> float | None:
        """Share of the period's budget; negative when overspent."""
        budget = self._allowed * self.eligible
        return (budget - self.bad * _MILLIONTHS) / budget if budget else None

    @property
    def verdict(self) -> str:
        if not self.eligible:
            return NO_DATA
        return KEPT if self.bad * _MILLIONTHS <= self._allowed * self.eligible else BROKEN

    def without(self, good: int, bad: int) -> "Tally":
        return Tally(self.good - good, self.bad - bad, self.target)


@dataclass(frozen=True)
class Line:
    """One SLO instance in the period."""

    instance: str
    tally: Tally
    sla: Tally | None  # the same by the contract's target
    corrected: Tally | None  # with planned time left out; None: no correction is about it, or not known
    minutes: int  # that have counts


@dataclass(frozen=True)
class Finding:
    """One SLO in the period."""

    slo: str
    service: str
    owner: str
    promise: str  # in words
    target: float
    is_told: bool  # requests are what its budget counts
    lines: tuple[Line, ...]
    tally: Tally
    corrected: Tally | None
    is_forgotten: bool  # it had planned time, and its minutes are no longer kept
    consequence: str
    alerts: tuple[Row, ...]
    firing_s: int  # some burn-rate alert was open
    revisions: int
    history: tuple[tuple[int, int, int], ...]  # second, good, bad
    metric: str
    cost_driver: str
    complexity: str
    policy: str  # what people said they do about a spent budget

    @property
    def verdict(self) -> str:
        """Of all its instances: a promise to one region is not kept by another."""
        return _of_all(line.tally for line in self.lines) if self.is_told else UNTOLD

    @property
    def corrected_verdict(self) -> str:
        """With planned time left out."""
        return _of_all(line.corrected or line.tally for line in self.lines)

    @property
    def sla_verdict(self) -> str | None:
        """A contract, too, is one with every instance; None: there is none."""
        bound = [line.sla for line in self.lines if line.sla]
        return None if not bound else _of_all(bound) if self.is_told else UNTOLD

    @property
    def nearest_sla(self) -> tuple[str, Tally] | None:
        """The contract with the least of its budget left, and whose it is; None: there is none."""
        bound = [(line.instance, line.sla) for line in self.lines if line.sla]
        return min(bound, key=lambda each: _left(each[1]), default=None)

    @property
    def least_left(self) -> float | None:
        """Budget left of the instance with the least."""
        return min((left for line in self.lines if (left := line.tally.budget_left) is not None), default=None)

    @property
    def kept_instances(self) -> int:
        return sum(line.tally.verdict == KEPT for line in self.lines)

    @property
    def counted_instances(self) -> int:
        return sum(line.tally.eligible > 0 for line in self.lines)

    @property
    def worst(self) -> Line:
        """The instance with the most that was bad."""
        return max(self.lines, key=lambda line: line.tally.bad)


def _of_all(tallies: Iterable[Tally]) -> str:
    found = {tally.verdict for tally in tallies}
    return BROKEN if BROKEN in found else KEPT if KEPT in found else NO_DATA


def _left(tally: Tally) -> float:
    """What is left, to order by: of nothing, more than there can be."""
    return 2.0 if tally.budget_left is None else tally.budget_left


@dataclass(frozen=True)
class Report:
    """All of it."""

    period: Period
    until_s: int  # where the data ends, if that is within the period
    findings: tuple[Finding, ...]
    incidents: tuple[Row, ...]  # of burn rates
    other_alerts: Mapping[str, int]  # kind -> how many
    corrections: tuple[Row, ...]
    drivers: Mapping[str, tuple[Row, ...]]
    series: int
    withdrawn: tuple[str, ...] = field(default=())  # SLOs with counts whose target nobody knows any more
    provisions: "tuple[Provision, ...]" = ()  # what each service should do

    @property
    def verdicts(self) -> Counter[str]:
        return Counter(finding.verdict for finding in self.findings)

    @property
    def is_over(self) -> bool:
        return self.until_s >= self.period.end_s

    def rolled_up(self, by: str) -> dict[str, list[Finding]]:
        """Findings by `owner` or `service`, by name."""
        groups: dict[str, list[Finding]] = defaultdict(list)
        for finding in self.findings:
            groups[getattr(finding, by)].append(finding)
        return dict(sorted(groups.items()))


def report_of(
    gathered: Gathered, period: Period, files: Mapping[str, Slo], team: str = "", service: str = ""
) -> Report:
    """Find out what the period was; `team` and `service` choose SLOs, empty: all."""
    until_s = min(gathered.data_end_s, period.end_s)
    by_slo: dict[str, list[Row]] = defaultdict(list)
    for row in gathered.promised:
        by_slo[row["slo"]].append(row)
    every = (_finding(slo, rows, gathered, files.get(slo), period, until_s) for slo, rows in by_slo.items())
    findings = tuple(f for f in every if team in {"", f.owner} and service in {"", f.service})
    mine = {finding.slo for finding in findings}
    services = {finding.service for finding in findings}
    told = [alert for alert in gathered.alerts if alert["slo"] in mine]
    drivers = {by: tuple(row for row in rows if row["service"] in services) for by, rows in gathered.drivers.items()}
    corrections = tuple(_about(gathered.corrections, (row for row in gathered.promised if row["slo"] in mine)))
    series = sum(count for name, count in gathered.series.items() if name in services)
    gone = {slo for slo, _ in gathered.totals} - set(by_slo) if not team and not service else set()
    return Report(
        period, until_s,
        tuple(sorted(findings, key=lambda f: (VERDICTS.index(f.verdict), _left(f.tally), f.slo))),
        tuple(alert for alert in told if alert["kind"] == "BURN_RATE"),
        dict(sorted(Counter(a["kind"] for a in told if a["kind"] != "BURN_RATE").items())),
        corrections, drivers, series, tuple(sorted(gone)),
    )  # fmt: skip


def _about(corrections: Iterable[Row], promised: Iterable[Row]) -> Iterator[Row]:
    names = [{**row["labels"], "slo": row["slo"], "service": row["service"]} for row in promised]
    yield from (each for each in corrections if any(is_about(each, name) for name in names))


def _finding(slo: str, rows: list[Row], gathered: Gathered, file: Slo | None, period: Period, until_s: int) -> Finding:
    target = rows[0]["target"]
    lines = tuple(_line(row, gathered) for row in rows)
    alerts = tuple(alert for alert in gathered.alerts if alert["slo"] == slo)
    is_forgotten = any(gathered.left_out.get((slo, row["instance"]), ()) is None for row in rows)
    is_corrected = any(line.corrected for line in lines) and not is_forgotten
    tally = _sum((line.tally for line in lines), target)
    metric = METRICS.get(file.objective.indicator.metric) if file else None
    return Finding(
        slo, rows[0]["service"], (file.owner if file else "") or NOBODY,
        sentence(file) if file else "", target, _is_told(gathered.counted.get(slo), file), lines, tally,
        _sum((line.corrected or line.tally for line in lines), target) if is_corrected else None,
        is_forgotten,
        file.sla.consequence if file and file.sla else "",
        alerts, _firing_s(alerts, period, until_s), gathered.revisions.get(slo, 0),
        tuple(gathered.history.get(slo, ())),
        metric.name if metric else "", metric.cost_driver if metric else "",
        metric.monitoring_complexity if metric else "",
        dict(file.annotations).get("budget-policy", "") if file else "",
    )  # fmt: skip


def _line(row: Row, gathered: Gathered) -> Line:
    key = row["slo"], row["instance"]
    counts: Mapping[str, Any] = gathered.totals.get(key, {"good": 0, "bad": 0, "minutes": 0})
    tally = Tally(counts["good"], counts["bad"], row["target"])
    out = gathered.left_out.get(key)
    sla = Tally(tally.good, tally.bad, row["sla_target"]) if row["sla_target"] else None
    return Line(row["instance"], tally, sla, tally.without(*out) if out else None, counts["minutes"])


def _is_told(counts: str | None, file: Slo | None) -> bool:
    """Whether requests are what its budget counts; of an SLO that is silent its file knows."""
    return counts == "REQUESTS" if counts else file is None or file.objective.timeslices is None


def _sum(tallies: Iterable[Tally], target: float) -> Tally:
    every = list(tallies)
    return Tally(sum(each.good for each in every), sum(each.bad for each in every), target)


def _firing_s(alerts: Iterable[Row], period: Period, until_s: int) -> int:
    """Seconds of the period in which some burn-rate alert was open."""
    seconds, reached = 0, period.start_s
    for alert in sorted((a for a in alerts if a["kind"] == "BURN_RATE"), key=lambda alert: alert["fired_s"]):
        start, end = max(alert["fired_s"], reached), min(alert["resolved_s"] or until_s, until_s)
        seconds, reached = seconds + max(end - start, 0), max(reached, end)
    return seconds
