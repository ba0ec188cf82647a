"""What a change of SLO files would have done to the last window: stored counts, judged by old and by new rules.

Asks ClickHouse; judges nothing itself: sums are judged by `pipeline.slo`, alerts by `pipeline.rehearsal.history`. Where
what is counted changes, stored counts cannot answer, and that is said.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from pipeline.commands.screen import screen
from pipeline.commands.status import rows, shown
from pipeline.commands.tables import Table
from pipeline.rehearsal import history
from pipeline.rehearsal.history import Counted, Judged, Period, Rules, Sums
from pipeline.rehearsal.playing import Told
from pipeline.spec import Slo, SloSet
from pipeline.spec.difference import Difference
from pipeline.windows import cell_s

HOUR_S = 3_600
ALERTS_SHOWN = 10  #: of those that come with one set of rules only

UNCOUNTED = (
    "history cannot answer: what is counted changes, and stored counts are of what was counted. Make the change, and "
    "`burnline replay` recounts what the log still holds"
)
UNKNOWN = {
    "added": "history cannot answer: nothing was counted for it. `burnline replay` counts what the log still holds",
    "removed": "its history stays readable, and is judged no more",
    "renamed": "its history stays under the former name: nothing is judged otherwise",
}
COMPOSED = "history cannot answer: a composite is judged of its members, second by second"
SAME = "nothing is judged otherwise, so history is as it was"
NOTHING = "history cannot answer: no counts are stored of it"

LAST_SQL = """\
SELECT toUnixTimestamp(slice_start) AS last FROM slo_counts_1m
WHERE slo = {slo:String} AND revision = {counted:String} ORDER BY slice_start DESC LIMIT 1"""
#: whole hours of a window as such, the rest of it by the minute
SUMS_SQL = """\
SELECT instance, sum(good) AS good, sum(bad) AS bad FROM (
    SELECT instance, good, bad FROM slo_counts_1h WHERE slo = {slo:String} AND revision = {counted:String}
    AND slice_start >= fromUnixTimestamp({hours_since:Int64}) AND slice_start < fromUnixTimestamp({hours_until:Int64})
    UNION ALL
    SELECT instance, good, bad FROM slo_counts_1m WHERE slo = {slo:String} AND revision = {counted:String}
    AND slice_start >= fromUnixTimestamp({since:Int64}) AND slice_start < fromUnixTimestamp({until:Int64})
    AND (slice_start < fromUnixTimestamp({hours_since:Int64}) OR slice_start >= fromUnixTimestamp({hours_until:Int64}))
) GROUP BY instance"""
SLICES_SQL = """\
SELECT toUnixTimestamp(slice_start) AS slice_start_s, good, bad, excluded FROM slo_counts
WHERE slo = {slo:String} AND revision = {counted:String} AND instance = {instance:String}
AND slice_start >= fromUnixTimestamp({first:Int64}) AND slice_start < fromUnixTimestamp({until:Int64})"""
MEASURED_SQL = """\
SELECT DISTINCT toUnixTimestamp(slice_start) AS minute FROM counts_1m
WHERE slice_start >= fromUnixTimestamp({first:Int64}) AND slice_start < fromUnixTimestamp({until:Int64})"""


class Instance(NamedTuple):
    """One SLO instance under both rules."""

    instance: str
    old: Rules
    new: Rules


NONE = Sums(0, 0)


class Answer(NamedTuple):
    """What history says of one SLO that differs."""

    name: str
    text: str
    period: Period | None = None
    instances: tuple[Instance, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return it by name, for machines."""
        period = self.period
        told = {"name": self.name, "text": self.text, "instances": [_instance(each) for each in self.instances]}
        return told if period is None else {**told, "since": _time(period.since), "until": _time(period.until)}


def answers(old: SloSet, new: SloSet, found: Iterable[Difference], most: int) -> list[Answer]:
    """Ask history of every SLO that differs; alerts are played for the `most` instances that are worst."""
    told = []
    for each in found:
        was, now = old.by_name.get(each.name), new.by_name.get(each.name)
        told.append(_answer(was, now, most) if was and now else Answer(each.name, UNKNOWN.get(each.kind, COMPOSED)))
    return told


def _answer(was: Slo, now: Slo, most: int) -> Answer:
    if was.objective.indicator_revision != now.objective.indicator_revision:
        return Answer(was.name, UNCOUNTED)
    if was.objective.revision == now.objective.revision:
        return Answer(was.name, SAME)
    of = {"slo": was.name, "counted": was.objective.indicator_revision}
    last = rows(LAST_SQL, **of)
    if not last:
        return Answer(was.name, NOTHING)
    period = history.period_of((was, now), last[0]["last"] + history.MINUTE_S)
    sums = [_sums(slo, of, period.until) for slo in (was, now)]
    worst = sorted(set(sums[0]) | set(sums[1]), key=lambda each: -sums[1].get(each, NONE).bad)
    judged = played((was, now), of, worst[:most], period)
    instances = tuple(_under_both(was, now, each, sums, judged.get(each)) for each in worst)
    left = f"; alerts of the {most} worst of {len(worst)} instances" if len(worst) > most else ""
    return Answer(was.name, f"judged by both rules, out of stored counts{left}", period, instances)


def _under_both(
    was: Slo, now: Slo, name: str, sums: Sequence[dict[str, Sums]], played: Sequence[Judged] | None
) -> Instance:
    sides = []
    for side, slo in enumerate((was, now)):
        told = played[side] if played else None
        is_sliced = slo.objective.timeslices is not None  # slices are made by the judge alone
        counts = (told.sums if told else NONE) if is_sliced else sums[side].get(name, NONE)
        sides.append(history.rules(slo, counts, told.alerts if told else None))
    old, new = sides
    return Instance(name, old, new)


def _sums(slo: Slo, of: dict[str, str], until: int) -> dict[str, Sums]:
    """Ask for the counts of the compliance window that ends at `until`, as the judge has it, by instance."""
    objective = slo.objective
    if objective.calendar is not None:
        since = objective.calendar.period(until * 1_000_000 - 1)[0] // 1_000_000
    else:
        window_s = objective.window_us // 1_000_000
        cell = max(cell_s(window_s), history.MINUTE_S)
        since = (until - window_s) // cell * cell
    hours_since = -(-since // HOUR_S) * HOUR_S
    hours_until = max(until // HOUR_S * HOUR_S, hours_since)
    found = rows(SUMS_SQL, **of, since=since, until=until, hours_since=hours_since, hours_until=hours_until)
    return {row["instance"]: Sums(row["good"], row["bad"]) for row in found}


def played(
    slos: Sequence[Slo], of: dict[str, str], instances: Sequence[str], period: Period
) -> dict[str, tuple[Judged, ...]]:
    """Play the slices of some instances under the rules of each SLO; all count the same."""
    measured = measured_in(period)
    watched = [SloSet((slo,)).watched[0] for slo in slos]
    console, found = Console(stderr=True), dict[str, tuple[Judged, ...]]()
    for name in track(instances, f"playing {slos[-1].name}", console=console, disable=not console.is_terminal):
        counted = stored(of, name, period)
        found[name] = tuple(history.judged(each, counted, measured, period) for each in watched)
    return found


def stored(of: dict[str, str], instance: str, period: Period) -> Counted:
    """What is stored of one instance."""
    slices = rows(SLICES_SQL, **of, first=period.first, until=period.until, instance=instance)
    names = ("slice_start_s", "good", "bad", "excluded")
    return Counted(instance, *(np.array([row[column] for row in slices], np.int64) for column in names))


def measured_in(period: Period) -> NDArray[np.int64]:
    """Starts of the minutes in which anything was counted."""
    found = rows(MEASURED_SQL, first=period.first, until=period.until)
    return np.array([row["minute"] for row in found], np.int64)


def print_answers(told: Sequence[Answer]) -> None:
    """Lay answers out for people: a table an SLO, and the alerts that come with one set of rules only."""
    console = screen()
    for each in told:
        period = f", {_time(each.period.since)} to {_time(each.period.until)}" if each.period else ""
        typer.echo(f"{each.name}: {each.text}{period}")
        if each.instances:
            console.print(_table(each.instances))
        for line in _only_one(each.instances):
            typer.echo(f"  {line}")


def _table(instances: Sequence[Instance]) -> Table:
    table = Table("instance", "compliance", "target met", "budget left", "alerts")
    for each in instances:
        sides = (each.old, each.new)
        table.add_row(
            each.instance or "-", _change([shown(side.compliance_ratio, "percent") for side in sides]),
            _change([{True: "yes", False: "no", None: "no data"}[side.is_met] for side in sides]),
            _change([shown(side.budget_remaining_ratio, "percent") for side in sides]),
            _change([_counted(side.alerts) for side in sides]),
        )  # fmt: skip
    return table


def _change(texts: Sequence[str]) -> str:
    return texts[0] if texts[0] == texts[1] else " -> ".join(texts)


def _counted(alerts: tuple[Told, ...] | None) -> str:
    return "not played" if alerts is None else str(sum(each.event == "FIRED" for each in alerts))


def _only_one(instances: Sequence[Instance]) -> list[str]:
    """Alerts that fire with one set of rules only."""
    lines = []
    for each in instances:
        old, new = ({(t.at_s, t.severity) for t in side.alerts or () if t.event == "FIRED"} for side in each[1:])
        for fired, word in ((old - new, "no more"), (new - old, "newly")):
            lines += [f"{_time(at)}  {each.instance or '-'}  {severity} fires {word}" for at, severity in sorted(fired)]
    more = len(lines) - ALERTS_SHOWN
    return [*sorted(lines)[:ALERTS_SHOWN], *([f"and {more} more; --json has all"] if more > 0 else [])]


def _instance(each: Instance) -> dict[str, Any]:
    sides = {"old": each.old, "new": each.new}
    return {"instance": each.instance, **{side: _rules(found) for side, found in sides.items()}}


def _rules(found: Rules) -> dict[str, Any]:
    played = None if found.alerts is None else [{**asdict(each), "at": _time(each.at_s)} for each in found.alerts]
    ratios = {name: getattr(found, name) for name in ("compliance_ratio", "budget_remaining_ratio", "is_met")}
    return {**found.sums._asdict(), **ratios, "alerts": played}


def _time(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat().replace("+00:00", "Z")
