"""Engines' own metrics as snapshots: tables of series, one an engine, and an exposition read by them.

Law: a figure is that of the first series that is there, so names that an engine gave up still count, and names that
come twice count once; what an engine does not say is None, never 0. Whatever comes is read within a second or two: of
lines that no table names none is parsed. Pure but for reading the tables, which are data. Refuses to know how an
exposition came.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

import schemas
from pipeline.spec import scalars
from pipeline.spec.document import Report, only_document
from pipeline.spec.problems import Refused, SpecError
from pipeline.spec.reading import Field, Language, Reading, read

HOME = schemas.HOME / "engines"
COMBINE: Mapping[str, Callable[[list[float]], float]] = {"sum": sum, "max": max, "min": min}
#: keys of a table -> fields of a snapshot; None: what only says whether it is ready
FIGURES = {
    "running": "running", "waiting": "waiting", "kvUsage": "kv_usage", "finished": "finished",
    "outputTokens": "output_tokens", "startedAt": "started_at", "oldestInflight": "oldest_inflight_ms", "ready": None,
}  # fmt: skip
WHOLE = {"running": 1, "waiting": 1, "finished": 1, "output_tokens": 1, "started_at": 1_000_000,
         "oldest_inflight_ms": 1_000}  # fmt: skip  # what a value is times, as a whole number
SHARED = {"startedAt"}  #: figures whose series many programs have
GREATEST = 1 << 62
MODEL_BYTES = 256  #: a longer name is none
#: what is parsed: a MB takes a second, and a line a time that grows with the square of its length
MEANT_CHARACTERS, LINE_CHARACTERS = 1 << 20, 4_096
_SERIES = re.compile(r"[ \t]*([A-Za-z_:][A-Za-z0-9_:]*)")

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Pick:
    """Some series, and how their samples become one figure."""

    series: tuple[str, ...]  # all that are there together
    where: Labels = ()  # an empty value: the label is empty, or not there
    once: tuple[str, ...] = ()  # labels whose values repeat the same thing
    combine: str = "sum"
    per: "Pick | None" = None  # the figure is held against this one


@dataclass(frozen=True)
class Engine:
    """One table."""

    name: str
    path: str  # where it answers
    hint: str  # what to look at when nothing known is there
    model: str  # label that names the model; "": none does
    figures: Mapping[str, tuple[Pick, ...]]  # by the keys of FIGURES: the first that is there


class Sample(NamedTuple):
    """One line of an exposition."""

    labels: Mapping[str, str]
    value: float


Samples = Mapping[str, Sequence[Sample]]  #: by name of the series


class Unreadable(ValueError):
    """What came is no exposition of an engine; the message says what to do."""


# -- expositions
def samples_of(text: str) -> Samples:
    """Read what tables name of an exposition in Prometheus' text form. Raises: Unreadable."""
    found: dict[str, list[Sample]] = {}
    meant = _meant(text)
    try:
        for family in text_string_to_metric_families(meant):
            for sample in family.samples:
                found.setdefault(sample.name, []).append(Sample(sample.labels, float(sample.value)))
    except (ValueError, IndexError, KeyError, OverflowError) as error:  # what the parser raises of what it cannot read
        raise Unreadable(f"no metrics in Prometheus' text form: {str(error)[:80] or type(error).__name__}") from error
    return found


def _meant(text: str) -> str:
    """The lines of series that tables name; without any the first one, which tells whether it is an exposition."""
    names, lines, first = _names(), list[str](), ""
    for line in text.split("\n"):
        name = _SERIES.match(line)
        if name is not None and name[1] in names:
            lines.append(line)
        elif not first and not line.lstrip().startswith("#"):
            first = line[:LINE_CHARACTERS].strip()
    if max(map(len, lines), default=0) > LINE_CHARACTERS:
        raise Unreadable(f"a line has more than {LINE_CHARACTERS} characters: are these an engine's metrics?")
    if sum(map(len, lines)) > MEANT_CHARACTERS:
        raise Unreadable(f"an engine's series take more than {MEANT_CHARACTERS >> 20} MB: has a label so many values?")
    return "\n".join(lines or [first])


@cache
def _names() -> frozenset[str]:
    """Series that a table names, by either name that a counter may have."""
    picks = [pick for engine in all_engines().values() for some in engine.figures.values() for pick in some]
    picks += [pick.per for pick in picks if pick.per is not None]
    return frozenset(f"{name}{end}" for pick in picks for name in pick.series for end in ("", "_total"))


def recognised(samples: Samples, engines: Iterable[Engine] | None = None) -> Engine:
    """Tell whose metrics they are: whose figures most are there of. Raises: Unreadable."""
    some = list(engines or all_engines().values())
    counts = {each.name: len(set(_figures(each, samples)) - SHARED) for each in some}
    best = max(some, key=lambda each: counts[each.name])
    if not counts[best.name]:
        raise Unreadable(f"no series of {scalars.listed(counts)}: name the engine, and look at its port and path")
    return best


def snapshot_of(engine: Engine, samples: Samples) -> dict[str, Any]:
    """Return what an exposition says of a snapshot's fields: model, ready, and figures. Raises: Unreadable."""
    figures = _figures(engine, samples)
    if not set(figures) - SHARED:
        raise Unreadable(f"no series of {engine.name}: {engine.hint}")
    columns: dict[str, Any] = dict.fromkeys(filter(None, FIGURES.values()))
    for key, field in FIGURES.items():
        if field is not None and key in figures:
            columns[field] = _column(field, figures[key])
    return {**columns, "engine": engine.name, "model": _model(engine, samples), "ready": figures.get("ready", 1) > 0}


def _column(field: str, figure: float) -> float | int | None:
    times = WHOLE.get(field)
    if times is None:
        return figure
    return round(figure * times) if 0 <= figure * times < GREATEST else None


def _figures(engine: Engine, samples: Samples) -> dict[str, float]:
    told = {key: (_figure(pick, samples) for pick in picks) for key, picks in engine.figures.items()}
    found = {key: next((each for each in some if each is not None), None) for key, some in told.items()}
    return {key: figure for key, figure in found.items() if figure is not None}


def _figure(pick: Pick, samples: Samples) -> float | None:
    """The figure of some series; None: none of them is there."""
    values = [value for name in pick.series for value in _values(pick, _named(samples, name))]
    if not values:
        return None
    figure = COMBINE[pick.combine](values)
    if pick.per is not None:
        whole = _figure(pick.per, samples)
        if not whole:
            return None
        figure /= whole
    return figure if math.isfinite(figure) else None


def _named(samples: Samples, name: str) -> Sequence[Sample]:
    """Samples of a series. Counters end with _total, or do not: that depends on the library an engine uses."""
    return samples.get(name) or samples.get(f"{name}_total") or ()


def _values(pick: Pick, samples: Sequence[Sample]) -> list[float]:
    """What each sample that is meant says, once."""
    once: dict[Labels, list[float]] = {}
    for sample in samples:
        if math.isfinite(sample.value) and all(sample.labels.get(name, "") == value for name, value in pick.where):
            key = tuple(sorted((name, value) for name, value in sample.labels.items() if name not in pick.once))
            once.setdefault(key, []).append(sample.value)
    return [max(each) for each in once.values()]


def _model(engine: Engine, samples: Samples) -> str:
    """The one model that its series name; "": none, or several, or what is no name."""
    names = {
        sample.labels[engine.model]
        for pick in engine.figures["running"]
        for name in pick.series
        for sample in _named(samples, name)
        if engine.model in sample.labels
    }
    model = names.pop() if len(names) == 1 else ""
    return model if model.isprintable() and len(model.encode()) <= MODEL_BYTES else ""


# -- tables
def _pair(value: str) -> tuple[str, str]:
    name, sign, rest = value.partition("=")
    if not (name and sign):
        raise Refused("must be a label and its value", "write request_type=waiting; priority= for an empty one")
    return name, rest


def _fields() -> dict[str, Field]:
    found = {
        "apiVersion": Field(scalars.one_of(("burnline/v1",)), "write apiVersion: burnline/v1"),
        "kind": Field(scalars.one_of(("EngineMetrics",)), "write kind: EngineMetrics"),
        "name": Field(scalars.name, "write name: vllm"),
        "path": Field(scalars.word, "write path: /metrics"),
        "hint": Field(scalars.word, "write hint: and what to look at when nothing of it is there"),
        "model": Field(scalars.text),
    }
    for key in FIGURES:
        for place in (f"{key}.#", f"{key}.#.per"):
            found[f"{place}.series"] = Field(scalars.word, many=True)
            found[f"{place}.where"] = Field(_pair, many=True)
            found[f"{place}.once"] = Field(scalars.word, many=True)
            found[f"{place}.combine"] = Field(scalars.one_of(COMBINE))
    return found


LANGUAGE = Language(fields=_fields(), required={"running": "write running: [{series: ..}]"})


def table(name: str, data: bytes) -> Engine:
    """Read the table of an engine. Raises: SpecError with every problem."""
    report, built = Report(name), Engine("", "", "", "", {})
    if (node := only_document(data, report, "EngineMetrics")) is not None:
        reading = read(LANGUAGE, node, report)
        engine, path, hint, model = (reading.get(key, "") for key in ("name", "path", "hint", "model"))
        built = Engine(engine, path, hint, model, {key: _picks(reading, key) for key in FIGURES})
    if report.problems:
        raise SpecError(report.all())
    return built


def _picks(reading: Reading, key: str) -> tuple[Pick, ...]:
    return tuple(_pick(reading, f"{key}[{number}]") for number in range(reading.lengths.get(key, 0)))


def _pick(reading: Reading, path: str) -> Pick:
    series, where, once = (tuple(reading.get(f"{path}.{name}", ())) for name in ("series", "where", "once"))
    per = _pick(reading, f"{path}.per") if reading.is_given(f"{path}.per") else None
    return Pick(series, where, once, reading.get(f"{path}.combine", "sum"), per)


@cache
def all_engines(home: Path = HOME) -> Mapping[str, Engine]:
    """Read every table that is shipped, by the engine's name."""
    tables = (table(file.name, file.read_bytes()) for file in sorted(home.glob("*.yaml")))
    return {each.name: each for each in tables}
