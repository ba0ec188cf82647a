"""SLO files to SLOs and problems: read, check, build. A document is one SLO or at least one problem.

Pure. Text in, objects and problems out; files are read in `pipeline.spec.files`.
"""

from collections.abc import Mapping as Named
from dataclasses import dataclass, field

from pipeline.alerts import AlertPolicy, ClearRule, Guards, WindowPair
from pipeline.slo import Indicator, Objective
from pipeline.spec import language, rules
from pipeline.spec.document import Mapping, Node, Report, read_documents, text_of
from pipeline.spec.problems import FILE_START, Problem, Refused, SpecError
from pipeline.spec.reading import Reading, read
from pipeline.spec.rules import Presets
from pipeline.spec.slos import Sla, Slo, SloSet, Source, with_revisions


@dataclass
class _Found:
    """What the files read so far hold."""

    slos: list[Slo] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    names: dict[str, Source] = field(default_factory=dict)  # who had a name first


def parse(files: Named[str, bytes], presets: Presets) -> SloSet:
    """Read every document of every file, given as name -> bytes; report everything that is wrong at once."""
    found = _Found()
    for file, data in files.items():
        report = Report(file)
        _file(data, report, presets, found)
        found.problems += report.all()
    return SloSet(tuple(found.slos), tuple(found.problems))


def preset(name: str, text: str) -> AlertPolicy:
    """Read a preset file.

    Raises: SpecError.
    """
    report = Report(f"{name}.yaml")
    policies = [_policy(read(language.PRESET, node, report), "", ()) for node in read_documents(text, report)]
    if report.problems or len(policies) != 1:
        raise SpecError(report.all())
    return policies[0]


def _file(data: bytes, report: Report, presets: Presets, found: _Found) -> None:
    try:
        text = text_of(data)
    except Refused as refused:
        report.refuse(FILE_START, "", f"{len(data)} bytes", refused)
        return
    for node in read_documents(text, report):
        if report.is_full:
            return
        if _is_ours(node, report):
            _document(node, report, presets, found)


def _document(node: Node, report: Report, presets: Presets, found: _Found) -> None:
    before = len(report.problems)
    reading = read(language.SLO, node, report)
    for rule in rules.RULES:
        rule(reading, presets)
    source = Source(report.file, node.place.line)
    name = reading.get("metadata.name")
    first = found.names.setdefault(name, source) if name is not None else source
    if first is not source:
        reading.refuse("metadata.name", f"must be unique; {first} has this name too", "rename one of them")
    if not reading.is_incomplete and len(report.problems) == before and not report.is_full:
        found.slos.append(_slo(reading, presets, source))


def _is_ours(node: Node, report: Report) -> bool:
    """Read apiVersion and kind alone: a document of another language would have only wrong keys."""
    if isinstance(node, Mapping):
        entries = tuple(entry for entry in node.entries if entry[0].text in language.ENVELOPE.fields)
        node = Mapping(entries, node.place)
    reading = read(language.ENVELOPE, node, report)
    return len(reading.values) == len(language.ENVELOPE.fields)


def _slo(reading: Reading, presets: Presets, source: Source) -> Slo:
    own = reading.is_given(rules.PAIRS)
    name = None if own else reading.get("spec.alerting.preset", rules.DEFAULT_PRESET)
    policy = _policy(reading, "spec.alerting.", presets[name].pairs if name else ())
    if name and not reading.is_given("spec.alerting.clear"):
        policy = AlertPolicy(policy.pairs, policy.guards, presets[name].clear)
    return Slo(
        with_revisions(_objective(reading), policy),
        policy,
        source,
        reading.get("spec.description", "").strip(),
        name,
        Sla(reading.get("spec.sla.target"), reading.get("spec.sla.consequence"))
        if reading.is_given("spec.sla")
        else None,
        _texts(reading, "metadata.labels"),
        _texts(reading, "metadata.annotations"),
        tuple(reading.places.items()),
    )


def _objective(reading: Reading) -> Objective:
    return Objective(
        reading.get("metadata.name"),
        reading.get("spec.service"),
        _indicator(reading),
        reading.get("spec.target"),
        reading.get("spec.timeWindow.duration"),
    )


def _indicator(reading: Reading) -> Indicator:
    path = "spec.indicator."
    op, threshold_us = reading.get(f"{path}op"), reading.get(f"{path}threshold")
    strictly = {"lt": -1, "gt": 1}.get(op, 0)  # times are whole microseconds: < x is <= x - 1
    labels = sorted(reading.keys.get(f"{path}where", ()))
    return Indicator(
        reading.get(f"{path}metric"),
        None if threshold_us is None else threshold_us + strictly,
        op not in {"gte", "gt"},
        tuple((label, reading.get(f"{path}where.{label}")) for label in labels),
        reading.get(f"{path}groupBy", ()),
        reading.get(f"{path}vantage"),
        reading.get(f"{path}attempts", "final") == "final",
    )


def _policy(reading: Reading, prefix: str, pairs: tuple[WindowPair, ...]) -> AlertPolicy:
    """Build a policy of the pairs that are written out, else of those given."""
    written = range(reading.lengths.get(f"{prefix}pairs", 0))
    own = tuple(_pair(reading, f"{prefix}pairs[{index}].") for index in written)
    plain, clear = Guards(), ClearRule()
    guards = Guards(
        reading.get("spec.guards.minEvents", plain.min_events),
        reading.get("spec.guards.minBad", plain.min_bad),
        reading.get("spec.guards.minCoverage", plain.min_coverage),
    )
    clear = ClearRule(
        reading.get(f"{prefix}clear.margin", clear.margin), reading.get(f"{prefix}clear.hold", clear.hold_us)
    )
    return AlertPolicy(own or pairs, guards, clear)


def _pair(reading: Reading, path: str) -> WindowPair:
    severity, factor, long_us, short_us = (reading.get(path + key) for key in ("severity", "factor", "long", "short"))
    return WindowPair(severity, factor, long_us, short_us)


def _texts(reading: Reading, path: str) -> tuple[tuple[str, str], ...]:
    return tuple((key, reading.get(f"{path}.{key}")) for key in reading.keys.get(path, ()))
