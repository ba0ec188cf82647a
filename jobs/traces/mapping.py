"""Mapping files: what a trace's columns mean, as declarations. No expressions, no code.

    apiVersion: burnline/v1
    kind: Mapping
    metadata: {name, source, licence}
    spec:
      csv: {columns: [...], fewest: 7}      # where the header is wrong, or rows are ragged
      time: {field: received_at, column: timestamp, format: iso}
      fields:                               # target field: one source
        e2e_us: {column: total_ms, unit: ms, missing: 0}
      outcomes:                             # first row whose conditions all hold
        - {when: {error: {empty: true}}, set: {outcome: SUCCESS}}
      attributes: {note: text}

Pure but for `load_mapping`. Every problem of a file is reported at once.
"""

from collections.abc import Mapping as MappingType
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobs.fleet.incidents import ScenarioError, duration_us
from jobs.traces.fields import FIELDS, UNITS
from jobs.traces.times import TimeError, read_time_us
from pipeline.spec.plain import BYTES_MAX, plain_document
from schemas import HOME

TIME_FIELDS = ("received_at", "completed_at")
TIME_FORMATS = ("iso", "unix_s", "unix_ms", "unix_us", "relative_s")
CONDITIONS = ("empty", "equals", "one_of", "contains", "at_least", "less_than")
SOURCES = ("column", "constant", "file", "linear")
NUMBER_END = 1e15  # larger ones are no durations, counts or prices
_SOURCE_KEYS = {
    "column": {"column", "unit", "map", "missing"},
    "constant": {"constant"},
    "file": {"file"},
    "linear": {"linear"},
}


class MappingError(ValueError):
    """A mapping file that cannot be used: every problem, one a line."""


@dataclass(frozen=True)
class TimeRule:
    """When an event was: which of its two times a column gives, and how it is written.

    Relative times count from the start of their session; sessions start `every_us` after one another from
    `start_us`, in the order in which the file first names them.
    """

    field: str
    column: str
    format: str
    session: str | None = None
    start_us: int = 0
    every_us: int = 0


@dataclass(frozen=True)
class Linear:
    """constant + sum of coefficient x value: of columns, or of fields mapped before."""

    constant: float
    terms: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Source:
    """Where a field's value comes from: exactly one of column, constant, file, linear."""

    column: str | None = None
    unit: str | None = None
    map: MappingType[str, Any] | None = None
    missing: Any = None  # when the cell is empty; None: the field stays absent
    constant: Any = None
    file: MappingType[str, Any] | None = None  # part of the file's name -> value
    linear: Linear | None = None


@dataclass(frozen=True)
class OutcomeRule:
    """Conditions over columns that must all hold, and the fields they then set."""

    when: tuple[tuple[str, str, Any], ...]  # column, condition, operand
    set: MappingType[str, Any]


@dataclass(frozen=True)
class Mapping:
    """A mapping file, read."""

    name: str
    time: TimeRule
    fields: MappingType[str, Source]
    outcomes: tuple[OutcomeRule, ...]
    attributes: MappingType[str, str] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    fewest: int = 0


def mapping_path(name: str) -> Path:
    """Find a mapping: a file, or the name of a shipped one."""
    given = Path(name)
    return given if given.suffix in {".yaml", ".yml"} else HOME / "mappings" / f"{name}.yaml"


def load_mapping(path: Path | str) -> Mapping:
    """Read a mapping file, or a shipped one by name.

    Raises: MappingError with every problem of the file.
    """
    found = mapping_path(str(path))
    try:
        document = _document(found)
    except (OSError, ValueError) as error:
        raise MappingError(f"{found}: {error}") from error
    reading = _Reading()
    mapping = reading.mapping(document)
    if reading.problems or mapping is None:
        raise MappingError("\n".join(f"{found}: {problem}" for problem in reading.problems))
    return mapping


def _document(path: Path) -> Any:
    with path.open("rb") as file:
        return plain_document(file.read(BYTES_MAX + 1))


class _Reading:
    """One pass over a document that collects problems."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def mapping(self, document: Any) -> Mapping | None:
        if not isinstance(document, dict) or document.get("kind") != "Mapping":
            self.problems.append("kind: expected a document of kind Mapping")
            return None
        self._only(document, {"apiVersion", "kind", "metadata", "spec"}, "")
        spec = self._table(document.get("spec"), "spec")
        self._only(spec, {"csv", "time", "fields", "outcomes", "attributes"}, "spec.")
        time = self._time(self._table(spec.get("time"), "spec.time"))
        wanted = self._table(spec.get("fields"), "spec.fields")
        fields = {name: self._source(name, given) for name, given in wanted.items()}
        rules = tuple(self._rule(i, rule) for i, rule in enumerate(self._list(spec.get("outcomes"), "spec.outcomes")))
        given_by_rules = {name for rule in rules for name in rule.set}
        for name in ("service", "request_model", "e2e_us", "outcome"):
            if name not in fields and name not in given_by_rules:
                self.problems.append(f"spec.fields.{name}: missing; every event needs it")
        shape = self._table(spec.get("csv"), "spec.csv")
        self._only(shape, {"columns", "fewest"}, "spec.csv.")
        return Mapping(
            str(self._table(document.get("metadata"), "metadata").get("name", "")), time, fields, rules,
            {str(k): str(v) for k, v in self._table(spec.get("attributes"), "spec.attributes").items()},
            tuple(map(str, self._list(shape.get("columns"), "spec.csv.columns"))),
            int(self._number(shape.get("fewest"), "spec.csv.fewest")),
        )  # fmt: skip

    def _table(self, given: Any, where: str) -> dict[Any, Any]:
        if given is not None and not isinstance(given, dict):
            self.problems.append(f"{where}: {given!r}; expected names with values")
        return given if isinstance(given, dict) else {}

    def _list(self, given: Any, where: str) -> list[Any]:
        if given is not None and not isinstance(given, list):
            self.problems.append(f"{where}: {given!r}; expected a list")
        return given if isinstance(given, list) else []

    def _number(self, given: Any, where: str) -> float:
        """A finite number; 0 when there is none."""
        is_number = isinstance(given, int | float) and not isinstance(given, bool)
        if given is not None and not (is_number and abs(given) < NUMBER_END):
            self.problems.append(f"{where}: {given!r}; expected a number")
            return 0.0
        return given or 0.0

    def _only(self, given: Any, allowed: Any, where: str) -> None:
        for key in sorted(set(given) - set(allowed), key=str):
            self.problems.append(f"{where}{key}: unknown; expected {', '.join(sorted(allowed))}")

    def _time(self, given: Any) -> TimeRule:
        where = "spec.time."
        self._only(given, {"field", "column", "format", "session", "start", "every"}, where)
        written = str(given.get("format", "iso"))
        self._one_of(given.get("field"), TIME_FIELDS, where + "field")
        self._one_of(written, TIME_FORMATS, where + "format")
        if not given.get("column"):
            self.problems.append(f"{where}column: missing")
        start = every = 0
        try:
            start = read_time_us(str(given["start"]), "iso") if "start" in given else 0
            every = duration_us(str(given["every"])) if "every" in given else 0
        except (TimeError, ScenarioError, OverflowError) as error:
            self.problems.append(f"{where}start, every: {error}")
        if written == "relative_s" and not given.get("session"):
            self.problems.append(f"{where}session: missing; relative times count from a session's start")
        return TimeRule(str(given.get("field")), str(given.get("column")), written, given.get("session"), start, every)

    def _one_of(self, value: Any, accepted: Any, where: str) -> None:
        if value not in accepted:
            self.problems.append(f"{where}: {value!r}; expected {', '.join(accepted)}")

    def _source(self, name: str, given: Any) -> Source:
        where = f"spec.fields.{name}"
        if name not in FIELDS or name in {*TIME_FIELDS, "attributes"}:
            self.problems.append(f"{where}: no field that a mapping can fill")
        kinds = [kind for kind in SOURCES if isinstance(given, dict) and kind in given]
        if len(kinds) != 1:
            self.problems.append(f"{where}: expected exactly one of {', '.join(SOURCES)}")
            return Source()
        self._only(given, _SOURCE_KEYS[kinds[0]], f"{where}.")
        if "unit" in given:
            self._one_of(given["unit"], UNITS, f"{where}.unit")
        linear = given.get("linear")
        if linear is not None:
            linear = self._table(linear, f"{where}.linear")
            self._only(linear, {"constant", "terms"}, f"{where}.linear.")
            given_terms = self._table(linear.get("terms"), f"{where}.linear.terms")
            terms = tuple((str(n), float(self._number(c, f"{where}.linear.terms.{n}"))) for n, c in given_terms.items())
            linear = Linear(float(self._number(linear.get("constant"), f"{where}.linear.constant")), terms)
        if set(map(str, given)) - _SOURCE_KEYS[kinds[0]]:
            return Source()  # said above
        return Source(**{**given, "linear": linear})

    def _rule(self, index: int, given: Any) -> OutcomeRule:
        where = f"spec.outcomes[{index}]"
        given = self._table(given, where)
        self._only(given, {"when", "set"}, f"{where}.")
        conditions = []
        for column, asked in self._table(given.get("when"), f"{where}.when").items():
            tests = self._table(asked, f"{where}.when.{column}")
            self._only(tests, CONDITIONS, f"{where}.when.{column}.")
            conditions += [(column, test, operand) for test, operand in tests.items()]
        effects = self._table(given.get("set"), f"{where}.set")
        for name, value in effects.items():
            kind = FIELDS.get(name)
            if kind is None:
                self.problems.append(f"{where}.set.{name}: no such field")
            elif kind.symbols and value not in kind.symbols:
                self.problems.append(f"{where}.set.{name}: {value!r}; expected {', '.join(kind.symbols)}")
        return OutcomeRule(tuple(conditions), effects)
