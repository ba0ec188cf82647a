"""A scenario file: what an SLO counted second by second, and what its alert has to say about it.

slo: {target: "0.999", preset: default}     # guards: {minEvents: 30, minBad: 3, minCoverage: 0.5}; or the name of one
slos: [slo/sliced.yaml]                     # of these files: budgets of slices, or of a calendar
begins: 2026-03-31 12:00                    # second 0, in UTC: where slices and calendars begin hangs on it
history: 4d            # before second 0, quiet, at the first rate of the stream; or stretches; 0s: a new SLO
stream:                # from second 0 on; a number, or from..to, evenly; fractions come when they are whole
  - {for: 10m, rate: 100, bad: 0..20}       # requests a second; of them bad, of them excluded
  - {for: 10m, rate: 1, every: 60}          # only in each 60th second
  - {for: 10m, rate: 100, bad: 5, late: 1m} # heard of a minute after it happened
  - {for: 10m, silent: true}                # nobody reports; with rate: 0 others do, so it is measured and empty
repeat: 6              # the stream as a whole
restart: [5m]          # the worker dies at these seconds
redelivered: true      # every block is read twice
incidents: [{from: 0s, to: 10m}]            # what a person should be told of
expect: [{event: FIRED, severity: CRITICAL, at: 240s, within: 10s, kind: BURN_RATE}]
differs: {because: [late], prometheus: [{severity: CRITICAL, from: 60s, to: 570s}]}   # of "at least" a severity
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from functools import cache
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ruamel.yaml import YAML

from pipeline.alerts import AlertPolicy, Guards, Watched
from pipeline.slo import Ratio
from pipeline.spec import load
from tests.judging import T0, preset, seconds, watched

FILES = sorted(Path(__file__).parent.glob("*.yaml"))
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Stream:
    """Counts by second, from second `first` on. Shapes: all (n,)."""

    first: int
    good: Ints
    bad: Ints
    excluded: Ints
    heard_at: Ints  # second at which the counts of each second arrive
    is_heard: NDArray[np.bool_]  # whether anybody reports

    @property
    def seconds(self) -> Ints:
        return np.arange(self.first, self.end)

    @property
    def end(self) -> int:
        return self.first + len(self.good)

    def then(self, other: "Stream") -> "Stream":
        """Append a stream, whatever second it thinks it begins at."""
        shift = self.end - other.first
        pairs = zip(self._columns, (*other._columns[:3], other.heard_at + shift, other.is_heard), strict=True)
        return Stream(self.first, *(np.concatenate(pair) for pair in pairs))

    @property
    def _columns(self) -> tuple[NDArray[Any], ...]:
        return self.good, self.bad, self.excluded, self.heard_at, self.is_heard


@dataclass(frozen=True)
class Scenario:
    """What a file says."""

    name: str
    target: str
    preset: str
    policy: AlertPolicy
    watched: Watched
    begins_s: int
    stream: Stream
    restarts: tuple[int, ...]
    is_redelivered: bool
    incidents: tuple[tuple[int, int], ...]
    expected: tuple[tuple[int, str, str, int], ...]  # second, event, severity, how much later it may be; of burn rates
    expected_of_budget: tuple[tuple[int, str, str], ...]
    because: tuple[str, ...]  # why Prometheus differs
    prometheus: tuple[tuple[str, int, int | None], ...]  # at least as severe, from, to; None: still firing at the end

    @property
    def is_plain(self) -> bool:
        """Whether requests are counted, over windows that roll: what a policy is worth is compared on these."""
        return self.watched.objective.timeslices is None and self.watched.objective.calendar is None

    @property
    def has_full_history(self) -> bool:
        """Whether every window is full and measured from second 0 on, and everything is heard in time."""
        stream, longest = self.stream, max(pair.long_us for pair in self.policy.pairs) // 1_000_000
        return -stream.first >= longest and bool(stream.is_heard.all() and (stream.heard_at == stream.seconds).all())


@cache
def read(path: Path) -> Scenario:
    """Read a scenario file; once, whoever asks: half of one is days of seconds."""
    data = YAML(typ="safe").load(path.read_text())
    differs, judged = data.get("differs", {}), _watched(data, path)
    alerts = [
        (seconds(e["at"]), e["event"], e["severity"], seconds(e.get("within", "10s")), e.get("kind", "BURN_RATE"))
        for e in data["expect"]
    ]
    begins = data.get("begins")
    return Scenario(
        path.stem, _text(judged.objective.target), _preset(judged.policy), judged.policy, judged,
        int(datetime.fromisoformat(str(begins)).replace(tzinfo=UTC).timestamp()) if begins else T0, _stream(data),
        tuple(map(seconds, data.get("restart", ()))), data.get("redelivered", False),
        tuple((seconds(each["from"]), seconds(each["to"])) for each in data.get("incidents", ())),
        tuple(each[:4] for each in alerts if each[4] == "BURN_RATE"),
        tuple(each[:3] for each in alerts if each[4] == "BUDGET"),
        tuple(differs.get("because", ())),
        tuple(
            (e["severity"], seconds(e["from"]), seconds(e["to"]) if "to" in e else None)
            for e in differs.get("prometheus", ())
        ),
    )  # fmt: skip


def _watched(data: dict[str, Any], path: Path) -> Watched:
    """The SLO: of a target and a preset, or of a file."""
    slo = data["slo"]
    if isinstance(slo, str):
        files = [path.parent / name for name in data["slos"]]
        return next(each for each in load(files).checked().watched if each.objective.name == slo)
    guards = {_SNAKE[name]: value for name, value in slo.get("guards", {}).items()}
    if "min_coverage" in guards:
        guards["min_coverage"] = Ratio.parse(str(guards["min_coverage"]))
    return watched(target=slo["target"], policy=preset(slo["preset"], replace(Guards(), **guards)))


def _preset(policy: AlertPolicy) -> str:
    return next(name for name in ("default", "workbook") if preset(name).pairs == policy.pairs)


def _text(target: Ratio) -> str:
    return f"{Decimal(target.numerator) / target.scale}"


_SNAKE = {"minEvents": "min_events", "minBad": "min_bad", "minCoverage": "min_coverage"}


def _stream(data: dict[str, Any]) -> Stream:
    parts = list(chain.from_iterable(repeat(data["stream"], data.get("repeat", 1))))
    history = data["history"]
    if isinstance(history, str):
        history = [{"for": history, "rate": parts[0]["rate"], "every": parts[0].get("every", 1)}]
    length = sum(seconds(part["for"]) for part in history)
    whole = Stream(-length, *(np.zeros(0, np.int64) for _ in range(4)), np.zeros(0, np.bool_))
    for part in (*history, *parts):
        if seconds(part["for"]):
            whole = whole.then(_stretch(part))
    return whole


def _stretch(part: dict[str, Any]) -> Stream:
    n, is_silent = seconds(part["for"]), part.get("silent", False)
    kept = np.arange(n) % part.get("every", 1) == 0
    rate, bad, excluded = (_amounts(part.get(name, 0), n) * kept for name in ("rate", "bad", "excluded"))
    good = rate - bad - excluded
    if good.min(initial=0) < 0 or (is_silent and rate.any()):
        raise ValueError(f"{part}: more than there is")
    return Stream(0, good, bad, excluded, np.arange(n) + seconds(part.get("late", "0s")), np.full(n, not is_silent))


def _amounts(text: Any, n: int) -> Ints:
    """Whole numbers, one a second, whose running sum is the integral of a number or of from..to, rounded down."""
    first, last = (Fraction(each) for each in (str(text).split("..") * 2)[:2])
    t, scale = np.arange(n + 1, dtype=np.int64), first.denominator * last.denominator
    start, slope = int(2 * n * first * scale), int((last - first) * scale)
    sums: Ints = (start * t + slope * t * t) // (2 * n * scale)
    return np.diff(sums)
