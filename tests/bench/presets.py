"""Benchmark `presets`: what alert policies are worth on the scenarios: detection, reset, precision, recall.

Every policy is judged by the real judge, from histories as long as its windows to the last alert's end: after a stream
its traffic goes on from the beginning, without a failure. The streams are those of tests/scenarios that count requests
over rolling windows, each once, whatever the preset and the trouble on the way that the file has it for.

An incident is what its scenario marks: 2 % of the month's budget spent, the least that the SRE Workbook would page for.
It is detected when an alert is open in it, or within 15 min of its end; detection is counted from its first failure,
reset from its last to the end of the last alert that was open. An alert is right when an incident has it.

What the Workbook prints for its strategies is quoted beside: The Site Reliability Workbook, chapter 5, "Alerting on
SLOs", https://sre.google/workbook/alerting-on-slos/, tables 5-1, 5-2, 5-5 and section 6; strategy 4's detection by the
formula above table 5-5.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from pipeline.alerts import AlertPolicy, ClearRule, Guards, Severity, WindowPair
from pipeline.slo import Ratio
from tests.bench import report
from tests.judging import preset, seconds
from tests.scenarios.delivery import episodes, told
from tests.scenarios.reading import FILES, Ints, Scenario, Stream, read

WITHIN_GRACE_S = 1
PUBLISHED = (
    "name", "incidents", "detected", "alerts", "right", "precision", "recall", "detection_median_s",
    "detection_most_s", "reset_median_s", "reset_most_s", "trouble", "measured_s", "printed",
)  # fmt: skip
AFTERWARDS_S = 900  #: an alert that comes so late still belongs to the incident
ANY = ("INFO", "WARNING", "CRITICAL")


class Strategy(NamedTuple):
    """A policy under a name, and what the Workbook prints for it: detection and reset, of which trouble."""

    name: str
    policy: AlertPolicy
    printed: str = ""
    trouble: str = "outage"  # of TROUBLES


def bare(*rules: tuple[str, str]) -> AlertPolicy:
    """Alert as soon and as long as a single window burns at a factor: no second window, margin, hold or guards."""
    pairs = tuple(
        WindowPair(Severity.CRITICAL, Ratio.parse(factor), seconds(span) * 1_000_000, seconds(span) * 1_000_000)
        for factor, span in rules
    )
    return AlertPolicy(pairs, Guards(1, 1, Ratio(0, 1)), ClearRule(Ratio(0, 1), 0))


STRATEGIES = (
    Strategy("default", preset("default"), trouble="errors"),
    Strategy("workbook (strategy 6)", preset("workbook"), "5 min / 5 min", "errors"),
    Strategy("error rate over 5 min", bare(("1", "5m"))),
    Strategy("error rate over 10 min (strategy 1)", bare(("1", "10m")), "0.6 s / -"),
    Strategy("error rate over 1 h", bare(("1", "1h"))),
    Strategy("error rate over 36 h (strategy 2)", bare(("1", "36h")), "130 s / 36 h"),
    Strategy("36x over 1 h (strategy 4)", bare(("36", "1h")), "130 s / 58 min"),
    Strategy("14.4x 1 h, 6x 6 h, 1x 3 d (strategy 5)", bare(("14.4", "1h"), ("6", "6h"), ("1", "3d"))),
)
#: seconds and bad requests of 100 a second, at 99.9 %
TROUBLES = {"outage": (300, 100), "errors": (600, 15)}


@dataclass
class Worth:
    """What a strategy did on all scenarios."""

    name: str
    printed: str
    trouble: str
    measured_s: tuple[int, int]  # detection and reset of that trouble
    incidents: int
    detected: int
    alerts: int
    right: int
    detection_s: list[int]
    reset_s: list[int]

    @property
    def precision(self) -> float | None:
        return self.right / self.alerts if self.alerts else None

    @property
    def recall(self) -> float:
        return self.detected / self.incidents


def measure(strategies: Sequence[Strategy] = STRATEGIES) -> dict[str, Any]:
    """Judge every distinct stream under every strategy."""
    scenarios = list(distinct([each for each in map(read, FILES) if each.is_plain]))
    return result_of([worth_of(each, scenarios) for each in strategies], [each.name for each in scenarios])


def result_of(worths: Sequence[Worth], scenarios: Sequence[str]) -> dict[str, Any]:
    """Make the result that is saved, shown and drawn."""
    strategies = [{**asdict(w), "precision": w.precision, "recall": w.recall, **_middles(w)} for w in worths]
    return {"scenarios": list(scenarios), "strategies": strategies}


def digest() -> str:
    """Name what the table is made of: scenarios that count, and policies."""
    told = sha256(repr([(each.name, each.policy, each.trouble) for each in STRATEGIES]).encode())
    for path in FILES:
        if "slos:" not in (text := path.read_text()):
            told.update(f"{path.stem}\0{text}".encode())
    return told.hexdigest()


def publish(result: dict[str, Any], home: Path) -> None:
    """Write the table and the plot that the README shows; tests tell when they are of other scenarios or policies."""
    figures = [{name: value for name, value in each.items() if name in PUBLISHED} for each in result["strategies"]]
    told = {"digest": digest(), "scenarios": len(result["scenarios"]), "strategies": figures}
    (home / "presets.json").write_text(json.dumps(told, indent=1) + "\n")
    plot(result, home / "presets.png")


def distinct(scenarios: Sequence[Scenario]) -> Iterator[Scenario]:
    """Leave out what another scenario has too, with another preset or more trouble on the way."""
    seen: set[tuple[Any, ...]] = set()
    for each in sorted(scenarios, key=lambda each: (bool(each.restarts or each.is_redelivered), each.name)):
        stream = each.stream
        delay_s = int((stream.heard_at - stream.seconds).max())
        columns = (column[-stream.end :].tobytes() for column in (stream.bad, stream.good, stream.is_heard))
        shown = (*columns, each.target, each.has_full_history, delay_s)
        if shown not in seen and delay_s != WITHIN_GRACE_S:
            seen.add(shown)
            yield each


def worth_of(strategy: Strategy, scenarios: Sequence[Scenario]) -> Worth:
    """Judge scenarios under a strategy."""
    worth = Worth(strategy.name, strategy.printed, strategy.trouble, reaction(strategy), 0, 0, 0, 0, [], [])
    for scenario in scenarios:
        alerts = alerts_of(scenario, strategy.policy)
        owned: set[tuple[int, int]] = set()
        for start, end in scenario.incidents:
            its = [alert for alert in alerts if alert[0] < end + AFTERWARDS_S and alert[1] > start]
            owned.update(its)
            worth.incidents += 1
            if its:
                worth.detected += 1
                worth.detection_s.append(max(its[0][0] - start, 0))
                worth.reset_s.append(max(its[-1][1] - end, 0))
        worth.alerts += len(alerts)
        worth.right += len(owned)
    return worth


def reaction(strategy: Strategy) -> tuple[int, int]:
    """(detection, reset) of the strategy's trouble, after a clean history."""
    length, bad = TROUBLES[strategy.trouble]
    none, good, counted = np.zeros(length, np.int64), np.full(length, 100 - bad), np.full(length, bad)
    trouble = Stream(0, good, counted, none, np.arange(length), np.ones(length, np.bool_))
    history = _quiet(-seconds("4d"), seconds("4d"), good + counted)
    quiet = replace(read(FILES[0]), stream=history.then(trouble), target="0.999")
    ((fired, cleared),) = alerts_of(quiet, strategy.policy)
    return fired, cleared - length


def alerts_of(scenario: Scenario, policy: AlertPolicy) -> list[tuple[int, int]]:
    """(from, to) of every alert, with as much quiet after the stream as the longest window needs to forget it."""
    longest = max(pair.long_us for pair in policy.pairs) // 1_000_000 + 600
    stream = scenario.stream
    cut = max(-longest - stream.first, 0)
    columns = (stream.good, stream.bad, stream.excluded, stream.heard_at, stream.is_heard)
    kept = Stream(stream.first + cut, *(column[cut:] for column in columns))
    whole = kept.then(_quiet(0, longest, stream.good + stream.bad))
    events = told(replace(scenario, stream=whole), policy)
    return episodes(events, ANY, whole.end)


def _quiet(first: int, length: int, sample: Ints) -> Stream:
    """Make a stream without a failure, with the sample's traffic over and over."""
    none, good = np.zeros(length, np.int64), np.resize(sample, length)
    return Stream(first, good, none, none, np.arange(first, first + length), np.ones(length, np.bool_))


def _middles(worth: Worth) -> dict[str, int | None]:
    times = {"detection": worth.detection_s, "reset": worth.reset_s}
    return {
        f"{name}_{which}_s": int(of(values)) if values else None
        for name, values in times.items()
        for which, of in (("median", median), ("most", max))
    }


def text_s(value: int | None) -> str:
    """Write seconds for people."""
    if value is None:
        return "-"
    return f"{value} s" if value < 600 else f"{value / 60:.0f} min" if value < 7_200 else f"{value / 3_600:.1f} h"


def rows(result: dict[str, Any]) -> Iterator[list[str]]:
    """Yield the table's rows."""
    for each in result["strategies"]:
        precision = "-" if each["precision"] is None else f"{each['precision']:.0%}"
        detection, reset = (
            f"{text_s(each[f'{name}_median_s'])} / {text_s(each[f'{name}_most_s'])}" for name in ("detection", "reset")
        )
        reaction_text = " / ".join(map(text_s, each["measured_s"]))
        yield [
            each["name"], f"{each['recall']:.0%} ({each['detected']}/{each['incidents']})",
            f"{precision} ({each['right']}/{each['alerts']})", detection, reset, each["trouble"], reaction_text,
            each["printed"] or "-",
        ]  # fmt: skip


def plot(result: dict[str, Any], path: Path) -> None:
    """Draw detection against reset, and precision beside recall."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    drawn, (times, shares) = pyplot.subplots(1, 2, figsize=(11, 4.4), layout="constrained", width_ratios=(1.2, 1))
    strategies = result["strategies"]
    colours = [report.OURS if number < 2 else report.THEIRS for number in range(len(strategies))]
    for number, (each, colour) in enumerate(zip(strategies, colours, strict=True), 1):
        x, y = each["detection_median_s"], each["reset_median_s"]
        times.scatter(x, y, s=260, color=colour, zorder=2)
        times.annotate(str(number), (x, y), ha="center", va="center", color="white", fontweight="bold")
    times.set(xscale="log", yscale="log", xlabel="seconds to detection, median", ylabel="seconds to reset, median")
    times.set_title(f"{strategies[0]['incidents']} incidents in {len(result['scenarios'])} scenarios", loc="left")
    names = [f"{each['name']}  {number}" for number, each in enumerate(strategies, 1)]
    at = np.arange(len(strategies))
    for offset, name, alpha in ((-0.2, "recall", 1.0), (0.2, "precision", 0.55)):
        bars = shares.barh(at + offset, [each[name] or 0 for each in strategies], 0.38, color=colours, alpha=alpha)
        shares.bar_label(bars, [f" {name} {each[name] or 0:.0%}" for each in strategies], fontsize=7)
    shares.set(yticks=at, yticklabels=names, xlim=(0, 1.35), xticks=[])
    shares.invert_yaxis()
    for axes in (times, shares):
        axes.spines[["top", "right"]].set_visible(False)
    report.finish(drawn, path)
