"""Plots of a report, drawn by matplotlib into SVG that takes its colours from the page, light or dark.

Pure but for matplotlib's own files. The same figures give the same bytes: no time, no random names.
"""

import re
from collections.abc import Sequence
from io import StringIO
from typing import Any

from jobs.report.findings import BROKEN, Finding, Report
from pipeline.delivery.words_figures import share

WIDTH_IN, ROW_IN = 9.0, 0.3
LINES_MOST, BARS_MOST = 6, 40
LEFT_LEAST = -1.0  #: what is overspent by more is drawn so far
#: stands for a colour until the page gives it one
INK, QUIET, RULE, KEPT, WARN, SERIES, BAD = (f"#01020{n}" for n in range(1, 8))
VARIABLES = {
    INK: "--ink", QUIET: "--quiet", RULE: "--rule", KEPT: "--kept", WARN: "--warn", SERIES: "--series", BAD: "--broken",
}  # fmt: skip
#: for a file that stands beside Markdown
ALONE = """\
<style>:root { --ink: #1b1f24; --quiet: #59636e; --rule: #d1d9e0; --kept: #1a7f37; --broken: #c62a32; --warn: #9a6700;
 --series: #0550ae; } @media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --quiet: #9198a1; --rule: #3d444d;
 --kept: #3fb950; --broken: #ff7b72; --warn: #d29922; --series: #79c0ff; } }</style>"""


def standing_alone(svg: str) -> str:
    """The same drawing with colours of its own."""
    return re.sub(r"(<svg [^>]*>)", rf"\1{ALONE}", svg, count=1)


def budgets_left(findings: Sequence[Finding]) -> str:
    """A bar an SLO: how much of its budget is left; below nothing: overspent."""
    shown = [f for f in findings if f.is_told and f.tally.budget_left is not None][:BARS_MOST]
    figure, axes = _figure(max(len(shown), 1) * ROW_IN + 0.9)
    for row, finding in enumerate(reversed(shown)):
        left = finding.tally.budget_left or 0.0
        colour = BAD if finding.verdict == BROKEN else WARN if left < 0.25 else KEPT
        drawn = max(left, LEFT_LEAST)
        axes.barh(row, drawn, height=0.6, color=colour)
        axes.text(max(drawn, 0) + 0.01, row, share(left), va="center", color=INK, fontsize=9)
    axes.set_yticks(range(len(shown)), [_short(f.slo) for f in reversed(shown)])
    axes.axvline(0, color=INK, linewidth=1)
    axes.set_xlim(min(min((f.tally.budget_left or 0 for f in shown), default=0), 0) and LEFT_LEAST, 1.15)
    axes.xaxis.set_major_formatter(_percent())
    return _svg(figure, "budgets")


def history(report: Report, finding: Finding) -> str:
    """How a budget went over the period: of what the period allows, the share not spent yet."""
    figure, axes = _figure(2.2)
    period, budget = report.period, (1 - finding.target) * finding.tally.eligible
    times, left, spent = [period.start_s], [1.0], 0
    for at_s, _, bad in finding.history:
        spent += bad
        times += [max(at_s, period.start_s), min(_end_of(period.step, at_s), report.until_s)]
        left += [left[-1], 1 - spent / budget]
    axes.plot(times, left, color=BAD if finding.verdict == BROKEN else SERIES, linewidth=1.6)
    axes.axhline(0, color=INK, linewidth=1)
    axes.set_ylim(min(*left, -0.05), 1.05)
    _time_axis(axes, report)
    axes.yaxis.set_major_formatter(_percent())
    return _svg(figure, f"history-{name_of(finding.slo)}")


def incidents(report: Report) -> str:
    """A line an SLO: when its burn-rate alerts were open."""
    names = list(dict.fromkeys(alert["slo"] for alert in report.incidents))[:BARS_MOST]
    figure, axes = _figure(max(len(names), 1) * ROW_IN + 0.9)
    least = report.period.length_s / 400  # so that a short one is seen
    for alert in report.incidents:
        if alert["slo"] in names:
            start = max(alert["fired_s"], report.period.start_s)
            end = min(alert["resolved_s"] or report.until_s, report.until_s)
            row, colour = len(names) - 1 - names.index(alert["slo"]), BAD if alert["severity"] == "CRITICAL" else WARN
            axes.barh(row, max(end - start, least), left=start, height=0.5, color=colour)
    axes.set_yticks(range(len(names)), [_short(name) for name in reversed(names)])
    axes.set_ylim(-0.6, len(names) - 0.4)
    _time_axis(axes, report)
    return _svg(figure, "incidents")


def _end_of(step: str, at_s: int) -> int:
    return at_s + (3_600 if step == "hour" else 86_400)


def _time_axis(axes: Any, report: Report) -> None:
    period = report.period
    ticks = [period.start_s + period.length_s * part // 6 for part in range(7)]
    axes.set_xlim(period.start_s, period.end_s)
    axes.set_xticks(ticks, [period.moment(at)[5 : 10 if period.step == "day" else 16] for at in ticks])


def _figure(height_in: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
    axes = figure.add_subplot()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(RULE)
    axes.tick_params(colors=QUIET, labelsize=9)
    axes.grid(axis="x", color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _percent() -> Any:
    from matplotlib.ticker import PercentFormatter

    return PercentFormatter(1.0, decimals=0, symbol=" %")


def _svg(figure: Any, name: str) -> str:
    """Text stays text, colours become the page's, and no two drawings of a page share a name."""
    import matplotlib as mpl

    out = StringIO()
    with mpl.rc_context({"svg.hashsalt": "burnline", "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    drawn = re.sub(r"<metadata>.*?</metadata>\s*", "", text[text.index("<svg ") :], flags=re.DOTALL)
    drawn = re.sub(r'(id="|url\(#|href="#)', rf"\1{name}-", drawn)
    for colour, variable in VARIABLES.items():
        drawn = drawn.replace(colour, f"var({variable})")
    return drawn.strip()


def name_of(text: str) -> str:
    """A name as files and ids have it."""
    return re.sub(r"[^A-Za-z0-9-]", "-", text)


def _short(text: str, most: int = 32) -> str:
    """A name as matplotlib takes it: a dollar sign would begin a formula."""
    return (text if len(text) <= most else f"{text[: most - 1]}…").replace("$", r"\$")
