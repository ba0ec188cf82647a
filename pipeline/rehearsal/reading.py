"""Reading: a rehearsal file to rehearsals, or to problems, all of them at once, as of an SLO file.

Pure. The SLO files that one names are read by whoever has the disk: `find` gets their names.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

from pipeline.alerts import AlertPolicy, Composed, Guards, Kind, Watched
from pipeline.rehearsal import language, sums
from pipeline.rehearsal.notation import Rate
from pipeline.rehearsal.streams import (
    COUNTS,
    NOTHING,
    Samples,
    Stream,
    Stretch,
    after,
    of_series,
    of_stretches,
    together,
)
from pipeline.slo import PART, Indicator, Objective
from pipeline.spec import Problem, SloSet
from pipeline.spec.document import Mapping, Node, Report, read_documents, text_of
from pipeline.spec.problems import FILE_START, Refused
from pipeline.spec.reading import Reading
from pipeline.spec.reading import read as read_node
from pipeline.spec.rules import Presets, never, never_fires
from pipeline.spec.scalars import UNITS_US, duration_text, fraction, listed, nearest, written

Find = Callable[[tuple[str, ...]], SloSet]
INLINE_WINDOW_US = 30 * UNITS_US["d"]
BEGINS_S = 1_700_000_000  #: second 0 of a stream that does not say: no cell size divides it
WITHIN_S = 10  # an alert may be so late: windows above 5 min move in steps


@dataclass(frozen=True)
class Expected:
    """One alert event that is to come: at a second, or up to `within_s` later."""

    event: str
    severity: str
    at_s: int
    within_s: int
    kind: str = Kind.BURN_RATE.name

    def __str__(self) -> str:
        return event_text(self.event, self.severity, self.kind, self.at_s)


@dataclass(frozen=True)
class Status:
    """What a judgement is to be, when all before a second is judged: texts and numbers as they are written."""

    at_s: int
    words: tuple[tuple[str, str], ...]  # state, severity
    counts: tuple[tuple[str, int], ...]  # of the compliance window
    figures: tuple[tuple[str, str], ...]  # to the decimals that are written
    burns: tuple[tuple[int, str], ...]  # window in seconds -> burn rate


@dataclass(frozen=True)
class Rehearsal:
    """One test: an SLO, a stream, and what is to come of it."""

    name: str
    watched: Watched
    stream: Stream  # of a composite, of its members together
    expected: tuple[Expected, ...] | None  # None: alerts are not looked at
    statuses: tuple[Status, ...]
    begins_s: int = BEGINS_S  # second 0, since the epoch
    composed: Composed | None = None
    members: tuple[Stream, ...] = ()  # of a composite, in the order of its parts

    @property
    def counted(self) -> list[tuple[Objective, Stream]]:
        """What is counted, under which name."""
        if self.composed is None:
            return [(self.watched.objective, self.stream)]
        return list(zip(self.composed.parts, self.members, strict=True))


@dataclass(frozen=True)
class Suite:
    """The tests of one file, and all that is wrong with it."""

    rehearsals: tuple[Rehearsal, ...] = ()
    problems: tuple[Problem, ...] = ()


def event_text(event: str, severity: str, kind: str, at_s: int) -> str:
    """Write an alert event as a file expects it."""
    of = "" if kind == Kind.BURN_RATE.name else f" of {kind}"
    return f"{event} {severity} at {clock(at_s)}{of}"


def clock(second: int) -> str:
    """Write a second of a test as its file does."""
    return duration_text(second * UNITS_US["s"])


def read(file: str, data: bytes, presets: Presets, find: Find, ignored: tuple[str, ...] = ()) -> Suite:
    """Read one file; `ignored`: keys of a test that are somebody else's business."""
    report = Report(file)
    found: list[Rehearsal] = []
    try:
        nodes = read_documents(text_of(data), report)
    except Refused as refused:
        report.refuse(FILE_START, "", f"{len(data)} bytes", refused)
        nodes = []
    problems: list[Problem] = []
    for node in nodes:
        found += _document(_without(node, ignored), report, presets, find, problems)
    if not nodes and not report.problems:
        report.add(FILE_START, "", "", "holds no test", "write tests: [{slo: NAME, stream: [...], expect: [...]}]")
    wrong = (*problems, *report.all())
    return Suite(() if wrong else tuple(found), wrong)


def _without(node: Node, ignored: tuple[str, ...]) -> Node:
    if not isinstance(node, Mapping):
        return node
    return Mapping(tuple(entry for entry in node.entries if entry[0].text not in ignored), node.place)


def _document(node: Node, report: Report, presets: Presets, find: Find, problems: list[Problem]) -> list[Rehearsal]:
    is_suite = isinstance(node, Mapping) and node.get("tests") is not None
    reading = read_node(language.SUITE if is_suite else language.SINGLE, node, report)
    prefixes = [f"tests[{index}]." for index in range(reading.lengths.get("tests", 0))] if is_suite else [""]
    needs_files = any(reading.get(f"{prefix}slo") is not None for prefix in prefixes)
    slos = find(reading.get("slos", ())) if needs_files else SloSet()
    problems += [problem for problem in slos.problems if problem not in problems]
    made = [_rehearsal(reading, prefix, index, presets, slos) for index, prefix in enumerate(prefixes)]
    return [each for each in made if each is not None]


def _rehearsal(reading: Reading, prefix: str, index: int, presets: Presets, slos: SloSet) -> Rehearsal | None:
    composed = _composed(reading, prefix, slos)
    watched = _watched(reading, prefix, presets, slos) if composed is None else composed.watched
    if not reading.is_given(f"{prefix}expect") and not reading.is_given(f"{prefix}status"):
        place = reading.at(prefix.rstrip("."))
        reading.refuse(f"{prefix}expect", "is missing", language.EXPECT_NEEDED, place, "")
    members = None if composed is None else _members(reading, prefix, composed)
    stream = _stream(reading, prefix, prefix) if composed is None else together(members) if members else None
    if watched is not None and composed is None:
        stretches = [*_items(reading, f"{prefix}stream"), *_items(reading, f"{prefix}history")]
        series = [f"{prefix}{name}" for name in COUNTS if reading.is_given(f"{prefix}{name}")]
        sums.check(reading, stretches, series, watched.objective.indicator.metric)
    if watched is None or stream is None or reading.report.problems or reading.is_incomplete:
        return None
    name = reading.get(f"{prefix}name") or f"{watched.objective.name} {index + 1}"
    told = reading.is_given(f"{prefix}expect")
    expected = tuple(_expected(reading, path) for path in _items(reading, f"{prefix}expect")) if told else None
    statuses = tuple(_status(reading, path, watched, stream) for path in _items(reading, f"{prefix}status"))
    begins: datetime | None = reading.get(f"{prefix}begins")
    begins_s = BEGINS_S if begins is None else int(begins.replace(tzinfo=UTC).timestamp())
    return Rehearsal(name, watched, stream, expected, statuses, begins_s, composed, tuple(members or ()))


def _items(reading: Reading, path: str) -> list[str]:
    return [f"{path}[{index}]" for index in range(reading.lengths.get(path, 0))]


def _composed(reading: Reading, prefix: str, slos: SloSet) -> Composed | None:
    """The composite that a test is about; None: it is about one SLO."""
    name = reading.get(f"{prefix}slo")
    composed = next((each for each in slos.composed if each.watched.objective.name == name), None)
    if composed is None and reading.is_given(f"{prefix}members") and not slos.problems:
        reading.refuse(f"{prefix}members", "are of a composite, and this is one SLO", "write its stream")
    return composed


def _members(reading: Reading, prefix: str, composed: Composed) -> list[Stream] | None:
    """Streams of a composite's members, in the order of its parts."""
    path, names = f"{prefix}members", [part.name.rpartition(PART)[2] for part in composed.parts]
    given = reading.keys.get(path, ())
    for key in (name for name in ("stream", *COUNTS) if reading.is_given(f"{prefix}{name}")):
        reading.refuse(f"{prefix}{key}", "is of one SLO, and this is a composite", "move it to members")
    for name in (name for name in given if name not in names):
        meant = nearest(name, names)
        remedy = f"did you mean {meant}?" if meant else f"its members are {listed(names)}"
        reading.refuse(f"{path}.{name}", f"is no member of {composed.watched.objective.name}", remedy)
    if not given:
        place = reading.at(path, prefix.rstrip("."))
        reading.refuse(
            path, "are missing: this is a composite", f"write members: {{{names[0]}: {{stream: [...]}}}}", place, ""
        )
    streams = {name: _stream(reading, f"{path}.{name}.", prefix) for name in given}
    found = {name: each for name, each in streams.items() if each is not None}
    if len(found) < len(given) or not found:
        return None
    lengths = {each.end: name for name, each in found.items()}
    if len(lengths) > 1:
        rule = f"must all be as long: {listed(f'{name} is {clock(end)}' for end, name in sorted(lengths.items()))}"
        reading.refuse(path, rule, "lengthen the shorter ones")
        return None
    first = next(iter(found.values()))
    none = of_stretches([Stretch(len(first.good), NOTHING, NOTHING, NOTHING)], first.first)
    return [found.get(name, none) for name in names]


def _watched(reading: Reading, prefix: str, presets: Presets, slos: SloSet) -> Watched | None:
    path = f"{prefix}slo"
    name = reading.get(path)
    if name is not None:
        by_name = {each.objective.name: each for each in slos.watched}
        if name not in by_name and not slos.problems:
            meant = nearest(name, by_name)
            remedy = f"did you mean {meant}?" if meant else f"known are {listed(by_name) or 'none'}"
            reading.refuse(path, "is the name of no SLO of these files", remedy)
        return by_name.get(name)
    target = reading.get(f"{path}.target")
    if target is None:
        if not reading.is_given(path):
            place = reading.at(prefix.rstrip("."))
            reading.refuse(path, "is missing", 'write slo: NAME, or slo: {target: "0.999"}', place, "")
        return None
    preset = reading.get(f"{path}.preset", "default")
    if preset not in presets.windows:
        reading.refuse(f"{path}.preset", f"must be one of {listed(presets.windows)}", "write one of them")
        return None
    policy, plain = presets.windows[preset], Guards()
    for pair in policy.pairs:
        if never_fires(target, pair.factor):
            rule = f"{written(fraction(pair.factor))}x of preset {preset} {never(target)}"
            reading.refuse(f"{path}.target", rule, "raise the target")
    guards = Guards(
        reading.get(f"{path}.guards.minEvents", plain.min_events),
        reading.get(f"{path}.guards.minBad", plain.min_bad),
        reading.get(f"{path}.guards.minCoverage", plain.min_coverage),
    )
    window_us = reading.get(f"{path}.window", INLINE_WINDOW_US)
    objective = Objective("slo", "service", Indicator("error_rate"), target, window_us, "inline", "inline")
    return Watched(objective, AlertPolicy(policy.pairs, guards, policy.clear))


def _stream(reading: Reading, prefix: str, home: str) -> Stream | None:
    """Read a stream under `prefix`; `home`: of the test, which says what is common to all of its streams."""
    given = [name for name in COUNTS if reading.is_given(f"{prefix}{name}")]
    stream_path = f"{prefix}stream"
    if reading.is_given(stream_path) == bool(given):
        rule = "must be given, or series of good and bad" if not given else f"must not be given beside {given[0]}"
        place = reading.at(stream_path, prefix.rstrip("."))
        reading.refuse(stream_path, rule, "write stream: [{for: 10m, rate: 100, bad: 15}]", place)
        return None
    times = reading.get(f"{home}repeat", 1)
    if given:
        samples = _samples(reading, prefix)
        interval_s = reading.get(f"{home}interval", 60)
        if samples is None or not _is_short(reading, home, len(samples[0]) * interval_s, times):
            return None
        first = Rate(*[Fraction(samples[0][0] or 0, interval_s)] * 2)
        good, bad, excluded = (each * times for each in samples)
        return _with_history(reading, home, of_series((good, bad, excluded), interval_s), first)
    parts = [_stretch(reading, path) for path in _items(reading, stream_path)]
    stretches = [part for part in parts if part is not None]
    if not stretches or len(stretches) < len(parts):
        return None
    if not _is_short(reading, home, sum(each.seconds for each in stretches), times):
        return None
    begin = stretches[0]
    quiet, load = Rate(begin.rate.first, begin.rate.first), NOTHING
    if sums.rates(reading, f"{stream_path}[0]") is not None:  # what is held against it goes on too
        load = Rate(begin.bad.first, begin.bad.first)
    return _with_history(reading, home, of_stretches(stretches * times, 0), quiet, begin.every, load)


def _stretch(reading: Reading, path: str) -> Stretch | None:
    is_silent = reading.get(f"{path}.silent", False)
    rate, bad, excluded = (reading.get(f"{path}.{name}", NOTHING) for name in ("rate", "bad", "excluded"))
    rate, bad = sums.rates(reading, path) or (rate, bad)
    seconds = reading.get(f"{path}.for")
    if seconds is None:
        return None
    if is_silent and (rate, bad, excluded) != (NOTHING, NOTHING, NOTHING):
        reading.refuse(f"{path}.silent", "leaves no room for a rate: nobody reports", "remove rate, or silent")
        return None
    if bad.first + excluded.first > rate.first or bad.last + excluded.last > rate.last:
        rule = "must be at least bad and excluded together, which it includes"
        reading.refuse(f"{path}.rate", rule, "raise it", reading.at(f"{path}.rate", path))
        return None
    return Stretch(
        seconds, rate, bad, excluded, reading.get(f"{path}.every", 1), reading.get(f"{path}.late", 0), is_silent
    )


def _samples(reading: Reading, prefix: str) -> tuple[Samples, Samples, Samples] | None:
    found = [reading.get(f"{prefix}{name}") for name in COUNTS if reading.is_given(f"{prefix}{name}")]
    if None in found:
        return None
    lengths = {len(each) for each in found}
    if len(lengths) > 1:
        path = next(f"{prefix}{name}" for name in COUNTS if reading.is_given(f"{prefix}{name}"))
        reading.refuse(
            path, f"must all have as many samples: they have {listed(map(str, sorted(lengths)))}", "mend one"
        )
        return None
    nothing: Samples = (None,) * lengths.pop()
    good, bad, excluded = (reading.get(f"{prefix}{name}", nothing) for name in COUNTS)
    return good, bad, excluded


def _is_short(reading: Reading, prefix: str, seconds: int, times: int) -> bool:
    history = reading.get(f"{prefix}history", 0)
    history += sum(reading.get(f"{path}.for", 0) for path in _items(reading, f"{prefix}history"))
    if seconds * times > 0 and seconds * times + history <= language.TEST_S_MAX:
        return True
    most = clock(language.TEST_S_MAX)
    rule = f"must be 1s to {most} long with history and repeats, and is {clock(seconds * times + history)}"
    place = reading.at(f"{prefix}stream", prefix.rstrip("."))
    reading.refuse(f"{prefix}stream", rule, "shorten it", place, "")
    return False


def _with_history(
    reading: Reading, prefix: str, stream: Stream, quiet: Rate, every: int = 1, load: Rate = NOTHING
) -> Stream | None:
    path = f"{prefix}history"
    if reading.lengths.get(path):
        parts = [_stretch(reading, each) for each in _items(reading, path)]
    else:
        parts = [Stretch(reading.get(path, 0), quiet, load, NOTHING, every)]
    stretches = [part for part in parts if part is not None]
    if len(stretches) < len(parts):
        return None
    return after(of_stretches(stretches, -sum(each.seconds for each in stretches)), stream)


def _expected(reading: Reading, path: str) -> Expected:
    event, severity, at_s = (reading.get(f"{path}.{key}") for key in ("event", "severity", "at"))
    kind = reading.get(f"{path}.kind", Kind.BURN_RATE.name)
    return Expected(event, severity, at_s, reading.get(f"{path}.within", WITHIN_S), kind)


def _status(reading: Reading, path: str, watched: Watched, stream: Stream) -> Status:
    status = Status(
        reading.get(f"{path}.at"),
        _given(reading, path, ("state", "severity")),
        _given(reading, path, COUNTS),
        _given(reading, path, language.FIGURES),
        tuple(
            (language.length(window), reading.get(f"{path}.burnRate.{window}"))
            for window in reading.keys.get(f"{path}.burnRate", ())
        ),
    )
    if not 0 < status.at_s <= stream.end:
        reading.refuse(f"{path}.at", f"must be after 0s and within the stream, {clock(stream.end)}", "move it")
    known = {us // UNITS_US["s"] for pair in watched.policy.pairs for us in (pair.long_us, pair.short_us)}
    for window_s, _ in status.burns:
        if window_s not in known:
            rule = f"is no window of this SLO's alerts: they are {listed(map(clock, sorted(known)))}"
            reading.refuse(f"{path}.burnRate", rule, "write one of them", value=clock(window_s))
    return status


def _given(reading: Reading, path: str, names: tuple[str, ...]) -> tuple[tuple[str, Any], ...]:
    pairs = ((name, reading.get(f"{path}.{name}")) for name in names)
    return tuple((name, value) for name, value in pairs if value is not None)
