"""Alert policies of OpenSLO as `alerting` of burnline/v1: one window pair for each policy.

Pure. An AlertCondition has one lookback window; it is the pair's long one. The short one is in the annotation
`burnline.dev/short-window` of the policy or the condition, else a twelfth of the long one, which lint says.
`alertAfter` is not kept: the short window is what makes Burnline wait, and stop. A burn of exactly the
threshold fires, so `gt` is judged as `gte`. Alerts that resolve and the absence of data are always told.
"""

from dataclasses import dataclass, field

from pipeline.spec import scalars
from pipeline.spec.document import Mapping, Node, Scalar, Sequence, Unknown
from pipeline.spec.openslo_references import Library, Part
from pipeline.spec.openslo_rules import PREFIX
from pipeline.spec.problems import Origin, Place, Problem, Refused
from pipeline.spec.scalars import UNITS_US, duration_text, listed

SHORT_WINDOW, SEVERITY = f"{PREFIX}short-window", f"{PREFIX}severity"
SHORT_OF_LONG = 12  # the SRE Workbook's ratio of windows

#: what files call severities; OpenSLO leaves it to them
SEVERITIES = {
    **dict.fromkeys(("critical", "crit", "page", "emergency", "fatal", "high", "sev0", "sev1", "p0", "p1"), "critical"),
    **dict.fromkeys(("warning", "warn", "ticket", "medium", "sev2", "sev3", "p2", "p3"), "warning"),
    **dict.fromkeys(("info", "information", "notice", "low", "sev4", "sev5", "p4", "p5"), "info"),
}
#: what is told although it was asked not to
ALWAYS = {"alertWhenResolved": "that it is over", "alertWhenNoData": "that there is no data"}


#: what is said by which field of a condition
FIELDS = {
    "severity": "spec.severity",
    "factor": "spec.condition.threshold",
    "long": "spec.condition.lookbackWindow",
    "short": "spec.condition.lookbackWindow",
}


@dataclass
class Pairs:
    """Window pairs so far, where each part of them is written, and what had to be assumed."""

    nodes: list[Node] = field(default_factory=list)
    origins: dict[str, Origin] = field(default_factory=dict)
    assumed: list[Problem] = field(default_factory=list)
    is_incomplete: bool = False

    def assume(self, part: Part, path: str, rule: str, remedy: str) -> None:
        self.assumed.append(warning(part, path, rule, remedy))


def warning(part: Part, path: str, rule: str, remedy: str) -> Problem:
    where = part.path(path)
    place = part.reading.at(where, part.prefix.removesuffix("."))
    found = part.reading.values.get(where)
    value = "" if found is None else found.text
    return Problem(part.file, place.line, place.column, where, value, rule, remedy)


def pairs_of(slo: Part, library: Library) -> Pairs:
    """Return the pairs of the alert policies of an SLO that is to be judged; problems go to the reports."""
    pairs = Pairs()
    for item in slo.items("spec.alertPolicies"):
        policy = library.resolve(item, "alertPolicyRef", "AlertPolicy", must_be_here=True)
        if policy is None:
            pairs.is_incomplete = True
        else:
            _policy(policy, library, pairs)
    if slo.is_given("spec.alertPolicies") and not (pairs.nodes or pairs.is_incomplete):
        pairs.is_incomplete = True
        remedy = "write alertWhenBreaching: true, or remove alertPolicies to alert by preset default"
        slo.refuse("spec.alertPolicies", "alert on nothing that burns", remedy)
    return pairs


def _policy(policy: Part, library: Library, pairs: Pairs) -> None:
    library.check_policy(policy)
    for name, what in ALWAYS.items():
        if policy.get(f"spec.{name}") is False:
            pairs.assume(
                policy, f"spec.{name}", f"changes nothing: Burnline always tells {what}", "silence it downstream"
            )
    if policy.get("spec.alertWhenBreaching") is False:
        return
    item = next(policy.items("spec.conditions"), None)
    condition = item and library.resolve(item, "conditionRef", "AlertCondition", must_be_here=True)
    if condition is None:
        pairs.is_incomplete = True
        return
    at = condition.reading.at(condition.path("spec.condition"))
    nodes = {
        "severity": _severity(policy, condition),
        "factor": _factor(condition, pairs),
        "long": condition.node("spec.condition.lookbackWindow"),
        "short": _short(policy, condition, pairs),
    }
    pair = f"spec.alerting.pairs[{len(pairs.nodes)}]"
    pairs.origins[pair] = Origin(condition.file, condition.path("spec.condition"))
    for name, path in FIELDS.items():
        pairs.origins[f"{pair}.{name}"] = Origin(condition.file, condition.path(path))
    for part in (condition, policy):
        for name, key in (("short", SHORT_WINDOW), ("severity", SEVERITY)):
            if part.is_given(f"metadata.annotations.{key}"):
                pairs.origins[f"{pair}.{name}"] = Origin(part.file, part.path(f"metadata.annotations.{key}"))
    written = ((Scalar(name, True, at), node or Unknown(at)) for name, node in nodes.items())
    pairs.nodes.append(Mapping(tuple(written), at))


def _annotated(policy: Part, condition: Part, key: str) -> Node | None:
    """Return an annotation of the policy, else of its condition, which others may share."""
    path = f"metadata.annotations.{key}"
    return policy.node(path) or condition.node(path)


def _severity(policy: Part, condition: Part) -> Node:
    annotated, node = _annotated(policy, condition, SEVERITY), condition.node("spec.severity")
    if annotated is not None or not isinstance(node, Scalar):
        return annotated or Unknown(condition.place)
    known = SEVERITIES.get(node.text.lower())
    if known is None:
        rule = f"must mean critical, warning or info, as {listed(SEVERITIES)} do"
        condition.refuse("spec.severity", rule, f'write one of them, or annotations: {{{SEVERITY}: "critical"}}')
        return Unknown(node.place)
    return Scalar(known, True, node.place)


def _factor(condition: Part, pairs: Pairs) -> Node:
    op = condition.get("spec.condition.op", "gte")
    if op in {"lt", "lte"}:
        rule = "fires when the burn is low; Burnline alerts on high burn"
        condition.refuse("spec.condition.op", rule, "write op: gte")
    elif op == "gt":
        pairs.assume(condition, "spec.condition.op", "is judged as gte: a burn of exactly it fires", "write op: gte")
    if condition.is_given("spec.condition.alertAfter"):
        rule = "is not kept: the short window takes its place"
        pairs.assume(
            condition, "spec.condition.alertAfter", rule, f"write it as annotation {SHORT_WINDOW}, or leave it"
        )
    return condition.node("spec.condition.threshold") or Unknown(condition.place)


def _short(policy: Part, condition: Part, pairs: Pairs) -> Node:
    annotated = _annotated(policy, condition, SHORT_WINDOW)
    if annotated is not None:
        return annotated
    path = "spec.condition.lookbackWindow"
    place: Place = condition.reading.at(condition.path(path))
    try:
        long_us = scalars.window(str(condition.get(path, "")))
    except Refused:
        return Unknown(place)  # refused as the long window, if not before
    short_us = max(long_us // SHORT_OF_LONG // UNITS_US["s"], 1) * UNITS_US["s"]
    text = duration_text(short_us)
    rule = f"has no short window; a twelfth of it is taken, {text}"
    pairs.assume(condition, path, rule, f'write annotations: {{{SHORT_WINDOW}: "{text}"}}')
    return Scalar(text, True, place)


def sequence(pairs: Pairs, place: Place) -> Node:
    return Unknown(place) if pairs.is_incomplete else Sequence(tuple(pairs.nodes), place)
