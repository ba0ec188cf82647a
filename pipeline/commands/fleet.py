"""The fleet as a table: every SLO instance with its state in words, compliance, budget, burn now and trend.

Pure: rows of views in, a table out; the time is ClickHouse's. Law: what is unknown looks unknown. A row without data,
without coverage, or judged too long ago is dim whatever its numbers say, and never green.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from pipeline.commands.tables import Table
from pipeline.delivery.words_figures import lasting, promised, share, times
from pipeline.standing import STANDINGS, Freshness, standing, trend

FLEET_SQL = """\
SELECT c.slo AS slo, c.instance AS instance, c.service AS service, c.labels AS labels, c.state AS alert_state,
       c.severity AS severity, c.compliance_ratio AS compliance_ratio, c.target AS target,
       c.coverage_ratio AS coverage_ratio, b.budget_remaining_ratio AS budget_remaining_ratio,
       b.time_to_exhaustion_s AS time_to_exhaustion_s, b.exhaustion_burn_rate AS exhaustion_burn_rate,
       b.exhaustion_window_s AS exhaustion_window_s, b.sla_target AS sla_target,
       b.sla_budget_remaining_ratio AS sla_budget_remaining_ratio, w.burn.1 AS burn_rate, w.burn.2 AS burn_window_s,
       c.good AS good, c.bad AS bad, c.window_end AS window_end, c.judged_at AS judged_at
FROM compliance AS c
INNER JOIN error_budget AS b USING (slo, instance)
LEFT JOIN (
    SELECT slo, instance, argMin((burn_rate, toNullable(window_s)), window_s) AS burn
    FROM burn_rate WHERE {slo:String} = '' OR slo = {slo:String} GROUP BY slo, instance
) AS w USING (slo, instance)
WHERE ({slo:String} = '' OR c.slo = {slo:String}) AND ({service:String} = '' OR c.service = {service:String})"""

#: the last hour up to event time, five minutes a cell, of some instances or of all; of an SLO that was edited within
#: it, as it is counted now
TREND_SQL = """\
WITH (SELECT toStartOfMinute(least(max(window_end), now64(6, 'UTC'))) FROM compliance) AS until
SELECT slo, instance, argMax(cells, last) AS cells
FROM (
    SELECT slo, instance, revision, max(slice_start) AS last,
           sumMap([intDiv(dateDiff('second', until - INTERVAL 1 HOUR, slice_start), 300)], [good], [bad]) AS cells
    FROM slo_counts_1m
    WHERE slice_start >= until - INTERVAL 1 HOUR AND slice_start < until AND {which}
    GROUP BY slo, instance, revision
)
GROUP BY slo, instance"""
#: which instances: pairs of names as JSON
SOME_SQL = "(slo, instance) IN (SELECT arrayJoin(JSONExtract({pairs:String}, 'Array(Tuple(String, String))')))"
SOME_MOST = 1_000  #: more are asked for as all: a question has at most 256 KiB
CELLS = 12

COLOURS = {
    "critical": "bold red", "warning": "yellow", "info": "cyan", "spent": "red", "recovering": "cyan",
    "pending": "yellow", "stale": "dim", "frozen": "dim", "no data": "dim", "ok": "green",
}  # fmt: skip
STATES = tuple(word.replace("_", " ") for word in STANDINGS)  #: the worst first
UNKNOWN = frozenset({"stale", "frozen", "no data"})

#: burn rate -> how high a cell of the trend is, and its colour: 1x spends the budget exactly in the period, warnings
#: come at 2x and pages at 10x by default
STEPS = (
    (10.0, "\N{FULL BLOCK}", "red"),
    (7.0, "\N{LOWER SEVEN EIGHTHS BLOCK}", "yellow"),
    (4.0, "\N{LOWER THREE QUARTERS BLOCK}", "yellow"),
    (2.0, "\N{LOWER FIVE EIGHTHS BLOCK}", "yellow"),
    (1.0, "\N{LOWER HALF BLOCK}", "yellow"),
    (0.5, "\N{LOWER THREE EIGHTHS BLOCK}", "green"),
    (0.1, "\N{LOWER ONE QUARTER BLOCK}", "green"),
    (0.0, "\N{LOWER ONE EIGHTH BLOCK}", "green"),
)
NOTHING = "\N{MIDDLE DOT}"  #: a cell without data
COLUMNS = ("state", "SLO", "instance", "service", "compliance", "target", "budget left", "burn now", "last hour",
           "exhausted in", "coverage", "good", "bad")  # fmt: skip
SPARE = ("good", "bad", "service", "coverage", "target", "exhausted in", "compliance", "last hour", "burn now")
WORDS = frozenset({"state", "instance"})  #: may take several lines
NUMBERS = frozenset({"compliance", "target", "budget left", "burn now", "coverage", "good", "bad"})


class Choice(NamedTuple):
    """Which rows of a fleet, in which order."""

    labels: tuple[tuple[str, str], ...] = ()
    states: tuple[str, ...] = ()
    sort: str = "state"


def _low(value: float | None) -> tuple[bool, float]:
    """Order by what is least, and what is unknown last."""
    return value is None, value or 0.0


def _high(value: float | None) -> tuple[bool, float]:
    return value is None, -(value or 0.0)


#: name -> what a row is ordered by
SORTS: dict[str, Callable[[dict[str, Any]], tuple[Any, ...]]] = {
    "state": lambda row: (STATES.index(row["state"]), _low(row["budget_remaining_ratio"])),
    "budget": lambda row: _low(row["budget_remaining_ratio"]),
    "burn": lambda row: _high(row["burn_rate"]),
    "compliance": lambda row: _low(row["compliance_ratio"]),
    "coverage": lambda row: _low(row["coverage_ratio"]),
    "slo": lambda row: (),
}


def fleet(found: Iterable[dict[str, Any]], fresh: Freshness, is_stale: bool) -> list[dict[str, Any]]:
    """Rows of FLEET_SQL, each with its state in words, and with when anything was judged and asked for."""
    when = {"fleet_judged_at": fresh.judged_at, "asked_at": fresh.asked_at}
    return [{"state": state_of(row, is_stale), **row, **when} for row in found]


def trend_question(rows: Sequence[dict[str, Any]]) -> tuple[str, dict[str, str]]:
    """What to ask for the trends of these rows, and with which parameters."""
    if len(rows) > SOME_MOST:
        return TREND_SQL.format(which="true"), {}
    return TREND_SQL.format(which=SOME_SQL), {"pairs": json.dumps([[row["slo"], row["instance"]] for row in rows])}


def with_trends(rows: Iterable[dict[str, Any]], trends: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of a fleet and of TREND_SQL together: each gets its trend in burn rates."""
    cells = {(row["slo"], row["instance"]): row["cells"] for row in trends}
    empty = ((), (), ())
    return [
        {**row, "trend_burn_rate": trend(row["target"], cells.get((row["slo"], row["instance"]), empty), CELLS)}
        for row in rows
    ]


def state_of(row: dict[str, Any], is_stale: bool) -> str:
    """Say in a word how an SLO instance is."""
    word = standing(
        row["alert_state"], row["severity"], row["compliance_ratio"], row["budget_remaining_ratio"], is_stale
    )
    return word.replace("_", " ")


def chosen(fleet: Iterable[dict[str, Any]], choice: Choice) -> list[dict[str, Any]]:
    """Rows that fit, in order."""
    fitting = [
        row
        for row in fleet
        if (not choice.states or row["state"] in choice.states)
        and all(row["labels"].get(name) == value for name, value in choice.labels)
    ]
    return sorted(fitting, key=lambda row: (SORTS[choice.sort](row), row["slo"], row["instance"]))


def sparkline(rates: Iterable[float | None], is_known: bool = True) -> str:
    """Draw burn rates, the same height for the same rate in every row."""
    drawn = ""
    for rate in rates:
        if rate is None:
            drawn += f"[dim]{NOTHING}[/dim]"
            continue
        _, block, colour = next(step for step in STEPS if rate >= step[0])
        drawn += f"[{colour}]{block}[/{colour}]" if is_known else f"[dim]{block}[/dim]"
    return drawn


def table(rows: Iterable[dict[str, Any]]) -> Table:
    """Lay a fleet out for people."""
    laid = Table(spare=SPARE)
    for name in COLUMNS:
        laid.add_column(name, justify="right" if name in NUMBERS else "left", no_wrap=name not in WORDS)
    for row in rows:
        laid.add_row(*cells_of(row))
    return laid


def cells_of(row: dict[str, Any]) -> list[str]:
    """Write a row for people."""
    state, budget = row["state"], row["budget_remaining_ratio"]
    is_known = state not in UNKNOWN
    burn = times(row["burn_rate"]) + ("" if row["burn_rate"] is None else f" in {lasting(row['burn_window_s'])}")
    return [
        _in(COLOURS[state], _state_words(row)),
        row["slo"], labelled(row["instance"]), row["service"],
        _in("" if is_known else "dim", share(row["compliance_ratio"], 5)), promised(row["target"]),
        _in(_budget_colour(budget) if is_known else "dim", share(budget, 3)),
        _in(_burn_colour(row["burn_rate"]) if is_known else "dim", burn),
        sparkline(row["trend_burn_rate"], is_known),
        exhausted_in(row), _in("" if is_known else "dim", share(row["coverage_ratio"])),
        f"{row['good']:,}", f"{row['bad']:,}",
    ]  # fmt: skip


def labelled(instance: str) -> str:
    """Write the labels of an instance so that a narrow column has one a line."""
    return instance.replace(",", ", ") or "-"


def _state_words(row: dict[str, Any]) -> str:
    """A state, and of what cannot be said now how it was last."""
    severity = row["severity"].lower()
    was = {"recovering": severity, "frozen": severity, "stale": severity}.get(row["state"], "none")
    return row["state"] if was == "none" else f"{row['state']}, was {was}"


def _budget_colour(left: float | None) -> str:
    return "dim" if left is None else "red" if left <= 0 else "yellow" if left < 0.5 else "green"


def _burn_colour(rate: float | None) -> str:
    return "dim" if rate is None else next(colour for least, _, colour in STEPS if rate >= least)


def _in(colour: str, text: str) -> str:
    return f"[{colour}]{text}[/{colour}]" if colour else text


def exhausted_in(row: dict[str, Any]) -> str:
    """Say how long the budget lasts, and the burn rate that this assumes: 3 d 4 h at 1.4x; or that it is spent."""
    if row["time_to_exhaustion_s"] is None:
        return "-"
    if row["time_to_exhaustion_s"] <= 0:
        return "spent"
    rest, rate = lasting(row["time_to_exhaustion_s"]), row["exhaustion_burn_rate"]
    return rest if rate is None else f"{rest} at {times(rate)}"


def freshness(fresh: Freshness, staleness: str) -> str:
    """Say up to when the fleet is judged, and whether that says how it is now."""
    if fresh.event_time is None or fresh.judged_before_s is None:
        return f"[yellow]{staleness}[/yellow]"
    told = f"event time {fresh.event_time:%Y-%m-%d %H:%M:%S} UTC, judged {lasting(fresh.judged_before_s)} ago"
    if not staleness:
        return f"[dim]{told}[/dim]"
    return f"[yellow]{told}; {staleness}: nothing here says how it is now; `burnline doctor` says why[/yellow]"
