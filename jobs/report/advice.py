"""What to do about a finding, in sentences. Rules are a table: the first that hold are said, at most three of them.

Pure.
"""

from collections.abc import Callable

from jobs.report.findings import BROKEN, KEPT, NO_DATA, UNTOLD, Finding
from pipeline.delivery.words_figures import share

MOST = 3
MANY_ALERTS = 4  #: more in a period that was kept are noise
PLENTY = 0.9  #: of a budget left


def _kept_without_planned_time(finding: Finding) -> bool:
    return finding.verdict == BROKEN and finding.corrected is not None and finding.corrected_verdict == KEPT


def _is_one_instance(finding: Finding) -> bool:
    return len(finding.lines) > 1 and 2 * finding.worst.tally.bad > finding.tally.bad > 0


def _of_one_instance(finding: Finding) -> str:
    part = share(finding.worst.tally.bad / finding.tally.bad)
    return f"Look at {finding.worst.instance or 'what has no labels'} first: {part} of what was bad is its."


#: when -> what to do
RULES: tuple[tuple[Callable[[Finding], bool], Callable[[Finding], str]], ...] = (
    (
        lambda f: f.sla_verdict == BROKEN,
        lambda f: f"The SLA is broken too: {f.consequence or 'its consequence is due'}.",
    ),
    (
        lambda f: f.verdict == BROKEN and bool(f.policy),
        lambda f: f"The team said what it does now: {f.policy}",
    ),
    (
        _kept_without_planned_time,
        lambda f: "It is kept when planned time is left out: say so to whoever reads the figure with it.",
    ),
    (lambda f: f.verdict == BROKEN and _is_one_instance(f), _of_one_instance),
    (
        lambda f: f.verdict == BROKEN and not any(alert["kind"] == "BURN_RATE" for alert in f.alerts),
        lambda f: "No burn-rate alert fired: it was lost slowly. `burnline slo show` says what its alerts can see.",
    ),
    (
        lambda f: f.verdict == BROKEN,
        lambda f: "Put reliability before features until the budget is back, or promise less.",
    ),
    (
        lambda f: f.verdict == NO_DATA,
        lambda f: "Nothing was counted: `burnline slo lint --seen` says whether any event fits this SLO.",
    ),
    (
        lambda f: f.verdict == UNTOLD,
        lambda f: "Its budget counts slices of time, or several SLOs as one: `burnline status` judges it.",
    ),
    (
        lambda f: f.verdict == KEPT and len([a for a in f.alerts if a["kind"] == "BURN_RATE"]) >= MANY_ALERTS,
        lambda f: "It was kept, and alerts fired often all the same: `burnline alerts replay` tries quieter rules.",
    ),
    (
        lambda f: f.verdict == KEPT and (f.least_left or 0) >= PLENTY,
        lambda f: "Most of the budget is unspent: there is room for riskier changes, or for a stricter target.",
    ),
    (lambda f: f.revisions > 1, lambda f: f"It was edited: {f.revisions} ways of counting are in this period."),
)


def advice(finding: Finding) -> list[str]:
    """What to do, the most pressing first."""
    return [said(finding) for holds, said in RULES if holds(finding)][:MOST]
