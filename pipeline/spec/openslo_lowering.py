"""OpenSLO to burnline/v1: each objective of an SLO becomes one document of our own language, read as any other.

Pure. Nodes keep their places; a path of the lowered document has an *origin*, so that problems are told in the
words of the file. What was refused is lowered as `Unknown`, about which nothing more is said.

An SLO is judged when a metric source has `type: burnline`: its `spec` is an indicator. In `good`, and in `raw`
of successes, what the indicator calls good is the numerator; in `bad`, and in `raw` of failures, its `op` selects
what is bad, and is turned round. `total` names the same events, without a condition. In a thresholdMetric each
objective gives `op` and `value`, in the `unit` beside the metric. What OpenSLO has no word for is said in
annotations of the SLO, as YAML: burnline.dev/alerting, guards and sla are those of burnline/v1; group-by, where,
vantage, attempts and policy are of its indicator.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from pipeline.sli import METRICS
from pipeline.spec import openslo_rules as rules
from pipeline.spec.document import Mapping, Node, Report, Scalar, Sequence, Unknown, read_documents
from pipeline.spec.openslo_alerts import Pairs, pairs_of, sequence, warning
from pipeline.spec.openslo_language import name as object_name
from pipeline.spec.openslo_references import Library, Part, sources
from pipeline.spec.openslo_rules import BURNLINE, PREFIX
from pipeline.spec.problems import Origin, Place, Problem, Refused, origin_of
from pipeline.spec.scalars import listed, written

#: annotation -> the branch of burnline/v1 that it holds
BRANCHES = {
    "alerting": "spec.alerting", "guards": "spec.guards", "sla": "spec.sla",
    "group-by": "spec.indicator.groupBy", "where": "spec.indicator.where",
    "vantage": "spec.indicator.vantage", "attempts": "spec.indicator.attempts", "policy": "spec.indicator.policy",
}  # fmt: skip
TURNED = {"lt": "gte", "lte": "gt", "gt": "lte", "gte": "lt"}
#: unit of a metric -> what to write beside it
UNITS = {"us": "ms, or another,", "1/s": "/s", "USD": "USD"}
#: keys of an indicator that say which events are good
CONDITION = {"op", "threshold", "objectives", "strict", "offered"}
SLICES = {"Timeslices": ("timeSliceTarget", "timeSliceWindow"), "RatioTimeslices": ("timeSliceWindow",)}
NAME_CHARS_MAX = 100  # of an SLO
HOW = f"to have Burnline judge it, write metricSource: {{type: {BURNLINE}, spec: {{metric: ...}}}}"


@dataclass
class Retold(Report):
    """Problems of a lowered document, told in the files, and by the paths, that it comes from."""

    origins: dict[str, Origin] = field(default_factory=dict)
    reports: dict[str, Report] = field(default_factory=dict)

    def add(self, place: Place, path: str, value: str, rule: str, remedy: str) -> None:
        super().add(place, path, value, rule, remedy)
        origin = origin_of(self.origins, path)
        self.reports[origin.file].add(place, origin.path, value, rule, remedy)


@dataclass
class Draft:
    """A document in the making: nodes and origins by path, places of its branches."""

    place: Place
    branches: dict[str, Place]
    nodes: dict[tuple[str, ...], Node] = field(default_factory=dict)
    origins: dict[str, Origin] = field(default_factory=dict)

    def put(self, path: tuple[str, ...], node: Node | None, part: Part, source: str) -> None:
        if node is not None:
            self.nodes[path] = node
            self.origins[".".join(path)] = Origin(part.file, part.path(source))

    def mapping(self) -> Mapping:
        return self._nested(list(self.nodes.items()), self.place)

    def _nested(self, nodes: list[tuple[tuple[str, ...], Node]], place: Place) -> Mapping:
        entries: list[tuple[Scalar, Node]] = []
        for head in dict.fromkeys(path[0] for path, _ in nodes):
            below = [(path[1:], node) for path, node in nodes if path[0] == head]
            at = self.branches.get(head, place)
            entries.append((Scalar(head, True, at), below[0][1] if not below[0][0] else self._nested(below, at)))
        return Mapping(tuple(entries), place)


@dataclass(frozen=True)
class Lowered:
    """One document of burnline/v1, the report its problems go to, and where its paths are written."""

    node: Mapping
    report: Retold


@dataclass
class Lowering:
    """What OpenSLO files come to."""

    slos: list[Lowered] = field(default_factory=list)
    unmeasured: list[Problem] = field(default_factory=list)  # valid, and not judged: one for each SLO
    assumed: list[Problem] = field(default_factory=list)  # what lint says of the judged ones


def lower(library: Library, reports: dict[str, Report]) -> Lowering:
    """Lower every SLO that Burnline measures; problems go to the reports of their files."""
    lowering = Lowering()
    library.check()
    for slo in library.slos:
        for lowered in _slo(slo, library, reports, lowering):
            lowering.slos.append(lowered)
    lowering.assumed = list(dict.fromkeys(lowering.assumed))
    return lowering


def _slo(slo: Part, library: Library, reports: dict[str, Report], lowering: Lowering) -> Iterator[Lowered]:
    indicators = [slo.below("spec.indicator") if slo.is_given("spec.indicator") else slo]
    if rules.is_composite(slo.reading):
        parts = list(slo.items("spec.objectives"))
        indicators = [each.below("indicator") if each.is_given("indicator") else each for each in parts]
    slis = [_sli(slo, each, library) for each in indicators]
    types = [library.type_of(source) for sli in slis if sli is not None for source in sources(sli).values()]
    if BURNLINE not in types:
        _unmeasured(slo, slis, types, library, lowering)
    elif rules.is_composite(slo.reading):
        remedy = "write one SLO for each objective, or spec.composite of burnline/v1"
        slo.refuse("spec.objectives", "have indicators of their own, which is not judged from OpenSLO", remedy)
    elif slis[0] is not None:
        yield from _objectives(slo, slis[0], library, reports, lowering)


def _sli(slo: Part, part: Part, library: Library) -> Part | None:
    """Return the indicator of an SLO or an objective: inline, or the one that it names."""
    if part.is_given("spec") and part.prefix:
        return part
    reference = "spec.indicatorRef" if part is slo else "indicatorRef"
    return library.named(part, reference, "SLI", must_be_here=False)


def _unmeasured(slo: Part, slis: list[Part | None], types: list[str], library: Library, lowering: Lowering) -> None:
    """Say why an SLO is not judged, unless something is wrong with it anyway."""
    for item in slo.items("spec.alertPolicies"):
        policy = library.resolve(item, "alertPolicyRef", "AlertPolicy", must_be_here=False)
        if policy is item:
            library.check_policy(item)
    if slo.reading.report.problems:
        return
    named = listed(dict.fromkeys(each for each in types if each))
    why = f"its metric source is {named}" if named else "none of these files says what measures it"
    if None in slis:
        why = "none of these files holds its SLI"
    rule = f"is valid OpenSLO, and not measured by Burnline: {why}"
    lowering.unmeasured.append(warning(slo, "metadata.name", rule, HOW))


def _objectives(
    slo: Part, sli: Part, library: Library, reports: dict[str, Report], lowering: Lowering
) -> Iterator[Lowered]:
    for source in sources(sli).values():
        if library.type_of(source) != BURNLINE and not isinstance(source.node("type"), Unknown):
            source.refuse("type", f"must be {BURNLINE}, as another source of this SLI is", f"write type: {BURNLINE}")
    _total(sli)
    pairs = pairs_of(slo, library)
    lowering.assumed += pairs.assumed
    count = slo.reading.lengths.get("spec.objectives", 0)
    for index, objective in enumerate(slo.items("spec.objectives")):
        at = slo.reading.at
        draft = Draft(objective.place if count > 1 else slo.place, {"metadata": at("metadata"), "spec": at("spec")})
        draft.origins = {"": Origin(slo.file, ""), "spec": Origin(slo.file, objective.prefix[:-1]), **pairs.origins}
        _metadata(draft, slo, objective, str(index) if count > 1 else "")
        _common(draft, slo, library, lowering)
        _promise(draft, slo, objective, lowering)
        _indicator(draft, sli, objective, lowering)
        _annotations(draft, slo, pairs)
        yield Lowered(draft.mapping(), Retold(slo.file, origins=draft.origins, reports=reports))


def _metadata(draft: Draft, slo: Part, objective: Part, index: str) -> None:
    for key, value in (("apiVersion", "burnline/v1"), ("kind", "SLO")):
        draft.put((key,), Scalar(value, True, draft.place), slo, key)
    node = slo.node("metadata.name") or Unknown(slo.place)
    if isinstance(node, Scalar) and index:
        shown = objective.node("displayName")
        text = f"{node.text}-{_slug(shown.text)}" if isinstance(shown, Scalar) else ""
        is_usable = text and not text.endswith("-") and len(text) <= NAME_CHARS_MAX
        place = shown.place if is_usable and shown is not None else objective.place
        draft.put(
            ("metadata", "name"),
            Scalar(text if is_usable else f"{node.text}-{index}", True, place), objective, "displayName",
        )  # fmt: skip
    else:
        draft.put(("metadata", "name"), node, slo, "metadata.name")


def _slug(text: str) -> str:
    """Write a display name as part of a name."""
    try:
        return object_name(text)
    except Refused:
        words = "".join(char if char.isascii() and char.isalnum() else " " for char in text.lower())
        return "-".join(words.split())


def _common(draft: Draft, slo: Part, library: Library, lowering: Lowering) -> None:
    """What all objectives of an SLO share; labels that the Service has hold for its SLOs."""
    service = library.parts.get(("Service", str(slo.get("spec.service"))))
    if service is None and any(kind == "Service" for kind, _ in library.parts) and slo.get("spec.service"):
        rule = "names no Service of these files"
        lowering.assumed.append(warning(slo, "spec.service", rule, "add the Service, or mend the name"))
    for part in (slo, *([service] if service is not None else [])):
        for key in part.reading.keys.get("metadata.labels", ()):
            path = f"metadata.labels.{key}"
            if ("metadata", "labels", key) not in draft.nodes:
                draft.put(("metadata", "labels", key), part.node(path), part, path)
    for key in slo.reading.keys.get("metadata.annotations", ()):
        if not key.startswith(PREFIX):
            path = f"metadata.annotations.{key}"
            draft.put(("metadata", "annotations", key), slo.node(path), slo, path)
    draft.origins["spec.description"] = Origin(slo.file, "spec.description")
    for path in ("spec.description", "metadata.displayName"):
        if ("spec", "description") not in draft.nodes:
            draft.put(("spec", "description"), slo.node(path), slo, path)
    for path in ("spec.service", "spec.budgetingMethod"):
        draft.put(tuple(path.split(".")), slo.node(path) or Unknown(slo.place), slo, path)
    _time_window(draft, slo)


def _time_window(draft: Draft, slo: Part) -> None:
    where = ("spec", "timeWindow")
    window = next(slo.items("spec.timeWindow"), None)
    if window is None or not rules.has_parts(slo.reading, window.prefix[:-1]):
        if not slo.is_given("spec.timeWindow"):
            remedy = "write timeWindow: [{duration: 30d, isRolling: true}]"
            slo.refuse("spec.timeWindow", "is missing: Burnline judges over a window", remedy)
        draft.put(where, Unknown(slo.place), slo, "spec.timeWindow")
        return
    draft.origins["spec.timeWindow"] = Origin(slo.file, window.prefix[:-1])
    for path in ("duration", "isRolling", "calendar.startTime", "calendar.timeZone"):
        draft.put((*where, *path.split(".")), window.node(path), window, path)


def _promise(draft: Draft, slo: Part, objective: Part, lowering: Lowering) -> None:
    """The target of one objective, and how time is cut for it."""
    name = "target" if objective.is_given("target") else "targetPercent"
    node = objective.node(name) or Unknown(objective.place)
    if name == "targetPercent" and isinstance(node, Scalar):
        node = Scalar(written(Fraction(node.text) / 100, 14), False, node.place)
    draft.put(("spec", "target"), node, objective, name)
    method = str(slo.get("spec.budgetingMethod"))
    for key in ("timeSliceTarget", "timeSliceWindow"):
        if key in SLICES.get(method, ()):
            draft.put(("spec", key), objective.node(key), objective, key)
        elif objective.is_given(key):
            lowering.assumed.append(warning(objective, key, f"changes nothing: {method} does not use it", "remove it"))


def _indicator(draft: Draft, sli: Part, objective: Part, lowering: Lowering) -> None:
    metric = next((each for each in sources(sli) if each != "ratioMetric.total"), None)
    source = sources(sli)[metric] if metric else sli
    node = source.node("spec") if metric else None
    if not isinstance(node, Mapping):
        draft.put(("spec", "indicator"), Unknown(sli.place), sli, "spec")
        return
    entries = {key.text: (key, child) for key, child in node.entries}
    is_bad = metric == "ratioMetric.bad" or sli.get("spec.ratioMetric.rawType") == "failure"
    op = node.get("op")
    if is_bad and isinstance(op, Scalar) and op.text in TURNED:
        entries["op"] = (entries["op"][0], Scalar(TURNED[op.text], True, op.place))
    draft.put(("spec", "indicator"), node, source, "spec")
    if metric == "thresholdMetric":
        _threshold(draft, entries, source, objective)
    elif objective.is_given("value"):
        remedy = "remove it, and write op and threshold beside the metric"
        objective.refuse("value", "must not be given: a ratioMetric compares nothing", remedy)
    elif objective.is_given("op"):
        rule = "changes nothing: a ratioMetric compares nothing"
        lowering.assumed.append(warning(objective, "op", rule, "remove it"))
    draft.nodes["spec", "indicator"] = Mapping(tuple(entries.values()), node.place)


def _threshold(draft: Draft, entries: dict[str, tuple[Scalar, Node]], source: Part, objective: Part) -> None:
    """Put `op` and `value` of an objective into its indicator."""
    unit = entries.pop("unit", (None, None))[1]
    for name, key in (("op", "op"), ("value", "threshold")):
        node = objective.node(name)
        if node is None:
            continue
        if key in entries:
            said = f"is already said by {source.path('spec')}.{key}"
            objective.refuse(name, said, "remove one of them")
        if name == "value" and isinstance(node, Scalar):
            node = _with_unit(node, unit, entries, objective)
        draft.origins[f"spec.indicator.{key}"] = Origin(objective.file, objective.path(name))
        entries[key] = (Scalar(key, True, node.place), node)


def _with_unit(value: Scalar, unit: Node | None, entries: dict[str, tuple[Scalar, Node]], objective: Part) -> Node:
    metric = entries["metric"][1] if "metric" in entries else None
    found = METRICS.get(metric.text) if isinstance(metric, Scalar) else None
    if unit is None and found is not None and found.unit in UNITS:
        remedy = f"write unit: {UNITS[found.unit]} beside metric: {found.name}"
        objective.refuse("value", "has no unit", remedy)
        return Unknown(value.place)
    return Scalar(value.text + (unit.text if isinstance(unit, Scalar) else ""), False, value.place)


def _total(sli: Part) -> None:
    """`total` selects the same events as the numerator: Burnline counts good and bad of one selection."""
    given = sources(sli)
    part = next((given[each] for each in ("ratioMetric.good", "ratioMetric.bad") if each in given), None)
    total = given.get("ratioMetric.total")
    if part is None or total is None:
        return
    ours, theirs = part.node("spec"), total.node("spec")
    if not (isinstance(ours, Mapping) and isinstance(theirs, Mapping)):
        return
    for key in dict.fromkeys(key.text for key, _ in (*theirs.entries, *ours.entries)):
        mine, its = ours.get(key), theirs.get(key)
        if key in CONDITION:
            if its is not None:
                total.refuse("spec", f"must have no {key}: it counts good and bad", f"remove {key} from total")
        elif _plain(mine) != _plain(its):
            rule = f"must have the same {key} as the numerator: one selection of events is counted"
            total.refuse("spec", rule, f"write {key} in both, or in none")


def _plain(node: Node | None) -> object:
    """Write a tree without places and order, to compare it with another."""
    if isinstance(node, Mapping):
        return frozenset((key.text, _plain(child)) for key, child in node.entries)
    if isinstance(node, Sequence):
        return frozenset(each for item in node.items for each in (_plain(item),))
    return frozenset({node.text}) if isinstance(node, Scalar) else None


def _annotations(draft: Draft, slo: Part, pairs: Pairs) -> None:
    for name, path in BRANCHES.items():
        key = f"metadata.annotations.{PREFIX}{name}"
        if path not in draft.origins and "indicator" not in path:
            draft.origins[path] = Origin(slo.file, key)  # where it would be written
        node = _annotated(slo, key)
        if node is not None:
            _overlay(draft, tuple(path.split(".")), node, slo, key)
    if slo.is_given("spec.alertPolicies"):
        _overlay(draft, ("spec", "alerting", "pairs"), sequence(pairs, slo.place), slo, "spec.alertPolicies")


def _overlay(draft: Draft, path: tuple[str, ...], node: Node, slo: Part, source: str) -> None:
    """Put a node below a branch that may be there already; what is said twice is a problem."""
    branch = draft.nodes.get(path[:-1])
    if not isinstance(branch, Mapping):
        if not isinstance(branch, Unknown):
            draft.put(path, node, slo, source)
        return
    taken = {"pairs": ("pairs", "preset")}.get(path[-1], (path[-1],))
    if any(branch.get(each) is not None for each in taken):
        slo.refuse(source, f"is said twice: {path[-2]} has it too", "remove one of them")
        return
    draft.put(path, node, slo, source)
    del draft.nodes[path]
    draft.nodes[path[:-1]] = Mapping((*branch.entries, (Scalar(path[-1], True, node.place), node)), branch.place)


def _annotated(slo: Part, path: str) -> Node | None:
    """Read the YAML of an annotation; all of it is at the annotation's place."""
    node = slo.node(path)
    if not isinstance(node, Scalar):
        return node
    report = Report(slo.file)
    documents = read_documents(node.text, report)
    if len(documents) != 1 or report.problems:
        wrong = report.problems[0].rule if report.problems else "must hold one value"
        remedy = "write YAML of burnline/v1 between quotes, such as '{minEvents: 30}'"
        slo.refuse(path, wrong, remedy)
        return Unknown(node.place)
    return _placed(documents[0], node.place)


def _placed(node: Node, place: Place) -> Node:
    if isinstance(node, Scalar):
        return Scalar(node.text, node.plain, place)
    if isinstance(node, Sequence):
        return Sequence(tuple(_placed(item, place) for item in node.items), place)
    if isinstance(node, Mapping):
        entries = ((Scalar(key.text, key.plain, place), _placed(child, place)) for key, child in node.entries)
        return Mapping(tuple(entries), place)
    return Unknown(place)
