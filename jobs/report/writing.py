"""A report in words: what was promised, what was kept and broken, what spent it, and what to do.

Pure. Every figure says what it is of; what is not known says so.
"""

from collections import Counter
from collections.abc import Iterator

from jobs.report import plots, provisioning
from jobs.report.advice import advice
from jobs.report.asking import FAILED, Row
from jobs.report.document import Block, Heading, Items, Paragraph, Plot, Table
from jobs.report.findings import BROKEN, KEPT, NO_DATA, UNTOLD, Finding, Line, Report, Tally
from jobs.report.period import length_words
from pipeline.delivery.words_figures import many, promised, share, times

INCIDENTS_MOST, INSTANCES_MOST = 50, 10
NOTHING, NOT_KNOWN = "-", "not known"


def title(report: Report) -> str:
    return f"Service levels, {report.period.text}"


def blocks(report: Report) -> Iterator[Block]:
    """The whole report."""
    yield Heading(1, title(report))
    yield Paragraph(_when(report))
    yield from _summary(report)
    if report.findings:
        yield from _promises(report)
        yield from _roll_ups(report)
        yield from _budgets(report)
    yield from _incidents(report)
    yield from _slas(report)
    yield from provisioning.blocks(report.provisions)
    yield from _drivers(report)
    yield from _corrections(report)
    yield from _complexity(report)
    yield Heading(2, "How to read this")
    yield Items(READING)


READING = (
    "Compliance is good / (good + bad), counted exactly; what is excluded is neither. The budget is (1 - target) of "
    "what was counted in this period: 100 % left: nothing was bad; less than 0 %: more was bad than was promised.",
    "An SLO is kept when every instance of it that has data is, and so is an SLA: a contract beside it, with a looser "
    "target. Instances that fell silent count by what they had.",
    "No data is neither kept nor broken. Targets are those in force now.",
    "Figures are of event time, out of the views slo_counts_1h, slo_counts_1m, alert_log, sli_1h, correction_ranges.",
)


def _when(report: Report) -> str:
    period = report.period
    if report.is_over:
        return f"The period is {period.said}."
    return f"The period is {period.said}. It is not over, or its data ends early: at {period.moment(report.until_s)}."


def _summary(report: Report) -> Iterator[Block]:
    found = report.verdicts
    yield Heading(2, "In short")
    if not report.findings:
        yield Paragraph("No data: no SLO that fits was judged yet. `burnline doctor` says whether anything is wrong.")
        return
    said = [f"{many(found[KEPT], 'SLOs')} kept, {found[BROKEN]} broken, {found[NO_DATA]} without data"]
    said += [f"{found[UNTOLD]} not told by requests"] if found[UNTOLD] else []
    slas = [f for f in report.findings if f.sla_verdict == BROKEN]
    said += [f"{many(len(slas), 'SLAs')} broken"] if slas else []
    yield Paragraph(f"{', '.join(said)}; {many(len(report.incidents), 'incidents')}.")
    todo = [f"{f.slo}: {said}" for f in report.findings if f.verdict != KEPT for said in advice(f)]
    if todo:
        yield Heading(3, "What to do")
        yield Items(tuple(todo))


def _promises(report: Report) -> Iterator[Block]:
    yield Heading(2, "Promises")
    columns = ("SLO", "verdict", "promised ", "was ", "budget left ", "eligible ", "bad ", "data in ", "alerts ",
               "firing ", "without planned time ")  # fmt: skip
    rows = tuple(_promise_row(report, finding) for finding in report.findings)
    yield Table(
        "Every SLO in the period, the broken first: one instance breaks it; figures are of all of them together",
        columns,
        rows,
    )
    for finding in report.findings:
        if len(finding.lines) > 1 and finding.verdict == BROKEN:
            yield _instances(finding)
    said = [f"{f.slo} ({f.service}, {f.owner}): {f.promise}." for f in report.findings if f.promise]
    if said:
        yield Heading(3, "In words")
        yield Items(tuple(said))
    kept = [f"{f.slo}: {said}" for f in report.findings if f.verdict == KEPT for said in advice(f)]
    if kept:
        yield Heading(3, "Of those that were kept")
        yield Items(tuple(kept))
    if report.withdrawn:
        yield Paragraph(f"Counted, but no longer in force, so not judged: {', '.join(report.withdrawn)}.")


def _promise_row(report: Report, finding: Finding) -> tuple[str, ...]:
    tally, told = finding.tally, finding.is_told
    lasted_s = max(report.until_s - report.period.start_s, 1)
    covered = max((line.minutes for line in finding.lines), default=0) * 60 / lasted_s
    return (
        finding.slo, finding.verdict, promised(finding.target),
        share(tally.compliance, 5) if told else UNTOLD, share(tally.budget_left, 3) if told else UNTOLD,
        f"{tally.eligible:,}", f"{tally.bad:,}", share(min(covered, 1.0)) if tally.eligible else NO_DATA,
        str(len(finding.alerts)), length_words(finding.firing_s) if finding.firing_s else NOTHING,
        _without_planned_time(finding),
    )  # fmt: skip


def _without_planned_time(finding: Finding) -> str:
    if not finding.is_told:
        return NOTHING
    if finding.is_forgotten:
        return NOT_KNOWN
    corrected = finding.corrected
    return f"{share(corrected.compliance, 5)}, {finding.corrected_verdict}" if corrected else NOTHING


def _instances(finding: Finding) -> Table:
    worst = sorted(finding.lines, key=lambda line: (-line.tally.bad, line.instance))[:INSTANCES_MOST]
    rows = tuple(
        (line.instance or NOTHING, line.tally.verdict, *_tally_cells(line.tally), share(_part(line, finding)))
        for line in worst
    )
    columns = ("instance", "verdict", "was ", "budget left ", "eligible ", "bad ", "share of bad ")
    kept = f"{finding.kept_instances} of {many(finding.counted_instances, 'instances')} with data kept it"
    return Table(f"{finding.slo}: who spent the budget; {kept}", columns, rows)


def _tally_cells(tally: Tally) -> tuple[str, ...]:
    return share(tally.compliance, 5), share(tally.budget_left, 3), f"{tally.eligible:,}", f"{tally.bad:,}"


def _part(line: Line, finding: Finding) -> float | None:
    return line.tally.bad / finding.tally.bad if finding.tally.bad else None


def _roll_ups(report: Report) -> Iterator[Block]:
    yield Heading(2, "By team and service")
    for by, name in (("owner", "team"), ("service", "service")):
        columns = (name, "SLOs ", "kept ", "broken ", "no data ", "incidents ", "firing ", "least budget left ", "of")
        rows = tuple(_roll_up(key, group) for key, group in report.rolled_up(by).items())
        yield Table(f"Promises by {name}", columns, rows)


def _roll_up(name: str, group: list[Finding]) -> tuple[str, ...]:
    found = Counter(finding.verdict for finding in group)
    known = [(f.least_left, f.slo) for f in group if f.is_told and f.least_left is not None]
    least, of = min(known, default=(None, NOTHING))
    incidents = sum(alert["kind"] == "BURN_RATE" for finding in group for alert in finding.alerts)
    firing_s = sum(finding.firing_s for finding in group)
    return (
        name, str(len(group)), str(found[KEPT]), str(found[BROKEN]), str(found[NO_DATA]), str(incidents),
        length_words(firing_s) if firing_s else NOTHING, share(least, 3), of,
    )  # fmt: skip


def _budgets(report: Report) -> Iterator[Block]:
    told = [f for f in report.findings if f.is_told and f.tally.budget_left is not None]
    if not told:
        return
    yield Heading(2, "Budget history")
    left = ", ".join(f"{f.slo} {share(f.tally.budget_left, 3)}" for f in told[: plots.LINES_MOST])
    caption = f"Budget left of each SLO, all its instances together, the least first: {left}."
    yield Plot("budgets", caption, plots.budgets_left(told))
    for finding in told[: plots.LINES_MOST]:
        alt = (
            f"Budget of {finding.slo} over the period by the {report.period.step}: it ends at "
            f"{share(finding.tally.budget_left, 3)}; {_steepest(report, finding)}"
        )
        yield Plot(f"history-{plots.name_of(finding.slo)}", alt, plots.history(report, finding))


def _steepest(report: Report, finding: Finding) -> str:
    at_s, _, bad = max(finding.history, key=lambda cell: (cell[2], -cell[0]), default=(0, 0, 0))
    if not bad:
        return "nothing was bad."
    when = f"{report.period.step} from {report.period.moment(at_s)}"
    return f"most was bad in the {when}: {share(bad / sum(cell[2] for cell in finding.history))}."


def _incidents(report: Report) -> Iterator[Block]:
    yield Heading(2, "Incidents")
    found = report.incidents
    if not found:
        yield Paragraph("No burn-rate alert fired.")
    else:
        names = Counter(alert["slo"] for alert in found)
        alt = "When burn-rate alerts were open: " + ", ".join(f"{slo} {count}" for slo, count in names.most_common(10))
        yield Plot("incidents", f"{alt}.", plots.incidents(report))
        worst = sorted(found, key=lambda a: (a["severity"] != "CRITICAL", -(a["peak_burn_rate"] or 0), a["fired_s"]))
        shown = sorted(worst[:INCIDENTS_MOST], key=lambda alert: alert["fired_s"])
        left = len(found) - len(shown)
        caption = "Burn-rate alerts in order of time" + (f"; {left:,} milder ones are left out" if left else "")
        columns = ("fired", "SLO", "instance", "severity", "lasted ", "peak burn ", "delay ", "who", "in words")
        yield Table(caption, columns, tuple(_incident(report, alert) for alert in shown))
    if report.other_alerts:
        others = ", ".join(f"{kind.lower().replace('_', ' ')}: {n}" for kind, n in report.other_alerts.items())
        yield Paragraph(f"Other alerts: {others}.")


def _incident(report: Report, alert: Row) -> tuple[str, ...]:
    delay, end_s = alert["detection_delay_ms"], alert["resolved_s"]
    lasted = length_words(end_s - alert["fired_s"]) if end_s else "still open"
    notes = "; ".join(alert["notes"])
    planned = f" In planned time: {', '.join(alert['corrections'])}." if alert["corrections"] else ""
    return (
        report.period.moment(alert["fired_s"]), alert["slo"], alert["instance"] or NOTHING, alert["severity"].lower(),
        lasted, times(alert["peak_burn_rate"]), NOTHING if delay is None else f"{delay / 1000:.1f} s",
        alert["acknowledged_by"] or NOTHING, f"{alert['reason']}{planned}{f' {notes}' if notes else ''}",
    )  # fmt: skip


def _slas(report: Report) -> Iterator[Block]:
    bound = [(f, f.sla_verdict, *f.nearest_sla) for f in report.findings if f.sla_verdict and f.nearest_sla]
    yield Heading(2, "SLAs")
    if not bound:
        yield Paragraph("No SLO has an SLA beside it.")
        return
    rows = tuple(
        (f.slo, verdict, promised(sla.target), instance or NOTHING,
         *(_tally_cells(sla)[:2] if f.is_told else (UNTOLD, UNTOLD)), f.consequence or NOTHING)
        for f, verdict, instance, sla in bound
    )  # fmt: skip
    columns = ("SLO", "verdict", "contract ", "instance", "was ", "its budget left ", "consequence")
    yield Table("Contracts, each with the instance that has the least of its budget left", columns, rows)


def _drivers(report: Report) -> Iterator[Block]:
    yield Heading(2, "What spent it")
    rows = [row for row in _of_one_vantage(report.drivers.get("all", ())) if row["requests"]]
    if not rows:
        yield Paragraph("No data: no request of these services was stored in whole hours of the period.")
        return
    cells = tuple(
        (row["service"], f"{row['requests']:,}", share(row["failed"] / row["requests"]),
         *(f"{row[name]:,}" for name in FAILED), _cost(row))
        for row in rows
    )  # fmt: skip
    outcomes = ("service", "requests ", "failed ", *(f"{name} " for name in FAILED), "cost a 1,000 output tokens ")
    yield Table("Requests that failed, by outcome", outcomes, cells)
    for by in ("model", "tenant", "variant"):
        found = tuple(_driver(row, rows) for row in _of_one_vantage(report.drivers.get(by, ())) if row["failed"])
        if found:
            columns = ("service", by, "requests ", "failed ", "share of the service's failures ")
            yield Table(f"Requests that failed, by {by}: the most of each service", columns, found)


def _of_one_vantage(rows: tuple[Row, ...]) -> list[Row]:
    """Rows of each service as its gateway saw them, else as most were seen; vantages are never added up."""
    seen: dict[str, Counter[str]] = {}
    for row in rows:
        seen.setdefault(row["service"], Counter())[row["vantage"]] += row["requests"]
    chosen = {s: "GATEWAY" if "GATEWAY" in found else found.most_common(1)[0][0] for s, found in seen.items()}
    return [row for row in rows if row["vantage"] == chosen[row["service"]]]


def _driver(row: Row, whole: list[Row]) -> tuple[str, ...]:
    failed = next((each["failed"] for each in whole if each["service"] == row["service"]), 0)
    part = share(row["failed"] / failed) if failed else NO_DATA
    return row["service"], row["name"] or NOTHING, f"{row['requests']:,}", f"{row['failed']:,}", part


def _cost(row: Row) -> str:
    if not row["output_tokens"] or not row["cost_picousd"]:
        return NO_DATA
    return f"{row['cost_picousd'] / row['output_tokens'] / 1e9:.3g} USD"


def _corrections(report: Report) -> Iterator[Block]:
    if not report.corrections:
        return
    yield Heading(2, "Planned time")
    rows = tuple(
        (c["correction"], report.period.moment(c["start_s"]), report.period.moment(c["end_s"]), c["who"], c["reason"])
        for c in report.corrections
    )
    yield Table("Corrections in force that touch the period", ("correction", "from", "to", "who", "why"), rows)
    if any(finding.is_forgotten for finding in report.findings):
        said = "Planned time is left out by the minute, and minutes are kept for 120 days"
        yield Paragraph(f"{said}: what compliance was without older planned time is not known.")


def _complexity(report: Report) -> Iterator[Block]:
    yield Heading(2, "How much there is to look after")
    instances = sum(len(finding.lines) for finding in report.findings)
    edited = sum(finding.revisions > 1 for finding in report.findings)
    yield Items((
        f"{many(len(report.findings), 'SLOs')}, {many(instances, 'instances')}, {many(report.series, 'series')}",
        f"{many(sum(f.revisions for f in report.findings), 'ways')} of counting; {many(edited, 'SLOs')} edited",
        f"{many(len({c['correction'] for c in report.corrections}), 'corrections')}, "
        f"{many(len(report.corrections), 'times')}",
    ))  # fmt: skip
    known = [f for f in report.findings if f.metric]
    if known:
        rows = tuple((f.slo, f.metric, f.cost_driver, f.complexity) for f in known)
        columns = ("SLO", "metric", "what drives its cost", "how hard it is to watch")
        yield Table("What each metric costs, and how hard it is to watch", columns, rows)
