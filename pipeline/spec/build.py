"""SLO files to SLOs and problems: read, check, build. A document makes SLOs, or at least one problem.

Pure. Text in, objects and problems out; files are read in `pipeline.spec.files`. One document makes one SLO,
or a composite; with a matrix, one for each combination. What is wrong in all of them is said once.
"""

from collections.abc import Mapping as Named
from dataclasses import dataclass, field, replace

from pipeline.alerts import AlertPolicy, ClearRule, Guards, WindowPair
from pipeline.slo import Indicator, Objective
from pipeline.spec import calendars, corrections, language, rules, thresholds
from pipeline.spec.classification import verdicts
from pipeline.spec.composites import good_composites
from pipeline.spec.corrections import Correction
from pipeline.spec.document import NODES_MAX, Mapping, Node, Report, read_documents, text_of
from pipeline.spec.matrix import Expansion, expand
from pipeline.spec.openslo_lowering import Lowering, lower
from pipeline.spec.openslo_references import Library, is_openslo
from pipeline.spec.problems import FILE_START, Refused, SpecError
from pipeline.spec.reading import Reading, read
from pipeline.spec.rules import ModelPreset, Presets
from pipeline.spec.selectors import selected
from pipeline.spec.slos import Composite, Member, Sla, Slo, SloSet, Source, with_revisions

SLOS_MAX = 10_000  # of all files: what a judge partition has room for


@dataclass
class _Found:
    """What the files read so far hold."""

    presets: Presets
    slos: list[Slo] = field(default_factory=list)
    composites: list[tuple[Composite, Reading]] = field(default_factory=list)
    corrections: list[tuple[Correction, Reading]] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    openslo: Library = field(default_factory=Library)
    names: dict[str, Source] = field(default_factory=dict)  # who had a name first
    correction_names: dict[str, Source] = field(default_factory=dict)


def parse(files: Named[str, bytes], presets: Presets) -> SloSet:
    """Read every document of every file, given as name -> bytes; report everything that is wrong at once."""
    found = _Found(presets)
    for file, data in files.items():
        found.reports.append(Report(file))
        _file(data, found.reports[-1], found)
    lowering = _openslo(found)
    composites = tuple(good_composites(found.composites, found.slos, found.names))
    corrected = tuple(corrections.check_names(found.corrections, found.slos, set(found.names)))
    problems = tuple(problem for report in found.reports for problem in report.all())
    told = tuple(lowering.unmeasured), tuple(lowering.assumed), found.openslo.others
    return SloSet(tuple(found.slos), problems, composites, *told, corrected)


def preset(name: str, text: str) -> AlertPolicy:
    """Read a preset file.

    Raises: SpecError.
    """
    report = Report(f"{name}.yaml")
    policies = [_policy(read(language.PRESET, node, report), "", ()) for node in read_documents(text, report)]
    if report.problems or len(policies) != 1:
        raise SpecError(report.all())
    return policies[0]


def model_presets(name: str, text: str) -> dict[str, ModelPreset]:
    """Read a file of thresholds by model.

    Raises: SpecError.
    """
    report = Report(f"{name}.yaml")
    made: dict[str, ModelPreset] = {}
    for node in read_documents(text, report):
        reading = read(language.MODEL_PRESETS, node, report)
        for model in reading.keys.get("presets", ()):
            path = f"presets.{model}"
            given = {key: reading.get(f"{path}.{key}") for key in language.MODEL_METRICS}
            thresholds = {key: value for key, value in given.items() if value is not None}
            made[model] = ModelPreset(thresholds, reading.get("source"), reading.get(f"{path}.note", ""))
    if report.problems:
        raise SpecError(report.all())
    return made


def _file(data: bytes, report: Report, found: _Found) -> None:
    try:
        text = text_of(data)
    except Refused as refused:
        report.refuse(FILE_START, "", f"{len(data)} bytes", refused)
        return
    made = 0
    for node in read_documents(text, report):
        if report.is_full:
            return
        if is_openslo(node):
            found.openslo.add(node, report)
            continue
        for expansion in expand(node, report) if _is_ours(node, report) else ():
            made += 1
            if len(found.slos) >= SLOS_MAX or made > NODES_MAX // language.NODES_MIN:
                report.add(node.place, "", "", f"is past the limit of {SLOS_MAX} SLOs", "write fewer SLOs")
                return
            read_kind = _correction if corrections.is_correction(expansion.node) else _document
            read_kind(expansion, report, found)


def _openslo(found: _Found) -> Lowering:
    """Read what OpenSLO documents come to, once all of them are known; SLOs stay in the order of the files."""
    order = {report.file: index for index, report in enumerate(found.reports)}
    lowering = lower(found.openslo, {report.file: report for report in found.reports})
    for lowered in lowering.slos:
        made = len(found.slos)
        _document(Expansion(lowered.node, {}), lowered.report, found)
        found.slos[made:] = [replace(slo, origins=tuple(lowered.report.origins.items())) for slo in found.slos[made:]]
    if lowering.slos:
        found.slos.sort(key=lambda slo: (order[slo.source.file], slo.source.line))
    return lowering


def _document(expansion: Expansion, report: Report, found: _Found) -> None:
    before, node = report.refusals, expansion.node
    is_composite = _is_composite(node)
    reading = read(language.COMPOSITE if is_composite else language.SLO, node, report)
    for rule in rules.PROMISE if is_composite else rules.RULES:
        rule(reading, found.presets)
    source = Source(report.file, node.place.line)
    _check_name(reading, expansion, source, found.names)
    if reading.is_incomplete or report.refusals > before or report.is_full:
        return
    if is_composite:
        found.composites.append((_composite(reading, found.presets, source), reading))
    else:
        found.slos.append(_slo(reading, found.presets, source))


def _correction(expansion: Expansion, report: Report, found: _Found) -> None:
    before, node = report.refusals, expansion.node
    reading = read(corrections.LANGUAGE, node, report)
    corrections.check(reading)
    source = Source(report.file, node.place.line)
    _check_name(reading, expansion, source, found.correction_names)
    if not (reading.is_incomplete or report.refusals > before or report.is_full):
        found.corrections.append((corrections.build(reading, source), reading))


def _check_name(reading: Reading, expansion: Expansion, source: Source, names: dict[str, Source]) -> None:
    name = reading.get("metadata.name")
    first = names.setdefault(name, source) if name is not None else source
    if first is not source:
        remedy = f"write $({next(iter(expansion.values))}) in it" if expansion.values else "rename one of them"
        reading.refuse("metadata.name", f"must be unique; {first} has this name too", remedy)


def _is_composite(node: Node) -> bool:
    spec = node.get("spec") if isinstance(node, Mapping) else None
    return isinstance(spec, Mapping) and spec.get("composite") is not None


def _is_ours(node: Node, report: Report) -> bool:
    """Read apiVersion and kind alone: a document of another language would have only wrong keys."""
    if isinstance(node, Mapping):
        entries = tuple(entry for entry in node.entries if entry[0].text in language.ENVELOPE.fields)
        node = Mapping(entries, node.place)
    reading = read(language.ENVELOPE, node, report)
    return len(reading.values) == len(language.ENVELOPE.fields)


def _slo(reading: Reading, presets: Presets, source: Source) -> Slo:
    name, policy = _policy_in_force(reading, presets)
    return Slo(
        with_revisions(_objective(reading, presets), policy),
        policy,
        source,
        reading.get("spec.description", "").strip(),
        name,
        _sla(reading),
        _texts(reading, "metadata.labels"),
        _texts(reading, "metadata.annotations"),
        tuple(reading.places.items()),
        reading.get(rules.MODEL),
    )


def _policy_in_force(reading: Reading, presets: Presets) -> tuple[str | None, AlertPolicy]:
    """Return the name of the preset, None for pairs of its own, and the policy."""
    own = reading.is_given(rules.PAIRS)
    name = None if own else reading.get("spec.alerting.preset", rules.DEFAULT_PRESET)
    policy = _policy(reading, "spec.alerting.", presets.windows[name].pairs if name else ())
    if name and not reading.is_given("spec.alerting.clear"):
        policy = AlertPolicy(policy.pairs, policy.guards, presets.windows[name].clear)
    return name, policy


def _sla(reading: Reading) -> Sla | None:
    if not reading.is_given("spec.sla"):
        return None
    return Sla(reading.get("spec.sla.target"), reading.get("spec.sla.consequence"))


def _composite(reading: Reading, presets: Presets, source: Source) -> Composite:
    path = "spec.composite.objectives"
    members = [f"{path}[{index}]" for index in range(reading.lengths[path])]
    return Composite(
        reading.get("metadata.name"),
        reading.get("spec.composite.rule"),
        tuple(Member(reading.get(f"{m}.ref"), reading.get(f"{m}.weight", Member.weight)) for m in members),
        reading.get("spec.target"),
        calendars.window_us(reading) or 0,
        source,
        calendars.read_calendar(reading),
        calendars.timeslices(reading),
        reading.get("spec.description", "").strip(),
        *_policy_in_force(reading, presets),
        _sla(reading),
        _texts(reading, "metadata.labels"),
        _texts(reading, "metadata.annotations"),
    )


def _objective(reading: Reading, presets: Presets) -> Objective:
    return Objective(
        reading.get("metadata.name"),
        reading.get("spec.service"),
        _indicator(reading, presets),
        reading.get("spec.target"),
        calendars.window_us(reading) or 0,
        calendar=calendars.read_calendar(reading),
        timeslices=calendars.timeslices(reading),
        sla_target=reading.get("spec.sla.target"),
    )


def _indicator(reading: Reading, presets: Presets) -> Indicator:
    path = "spec.indicator."
    return replace(
        thresholds.indicator_of(reading, presets),
        where=selected(reading),
        group_by=reading.get(f"{path}groupBy", ()),
        vantage=reading.get(f"{path}vantage"),
        verdicts=verdicts(reading),
    )


def _policy(reading: Reading, prefix: str, pairs: tuple[WindowPair, ...]) -> AlertPolicy:
    """Build a policy of the pairs that are written out, else of those given."""
    written = range(reading.lengths.get(f"{prefix}pairs", 0))
    own = tuple(_pair(reading, f"{prefix}pairs[{index}].") for index in written)
    pairs = own or pairs
    slices, clear = calendars.timeslices(reading), ClearRule()
    plain = calendars.guards(slices, min((pair.long_us for pair in pairs), default=0))
    guards = Guards(
        reading.get("spec.guards.minEvents", plain.min_events),
        reading.get("spec.guards.minBad", plain.min_bad),
        reading.get("spec.guards.minCoverage", plain.min_coverage),
    )
    clear = ClearRule(
        reading.get(f"{prefix}clear.margin", clear.margin), reading.get(f"{prefix}clear.hold", clear.hold_us)
    )
    return AlertPolicy(pairs, guards, clear)


def _pair(reading: Reading, path: str) -> WindowPair:
    severity, factor, long_us, short_us = (reading.get(path + key) for key in ("severity", "factor", "long", "short"))
    return WindowPair(severity, factor, long_us, short_us)


def _texts(reading: Reading, path: str) -> tuple[tuple[str, str], ...]:
    return tuple((key, reading.get(f"{path}.{key}")) for key in reading.keys.get(path, ()))
