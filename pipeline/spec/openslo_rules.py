"""Rules of OpenSLO that need more than one field. Each looks at one object, wherever it is written.

Pure. These say whether a document is OpenSLO v1; whether Burnline can judge it is another question, asked in
`pipeline.spec.openslo_lowering`. An object is a kind's `spec`, in a document of its own or inline.
"""

from collections.abc import Callable, Iterator, Sequence

from pipeline.spec.document import Mapping, Scalar, Unknown
from pipeline.spec.reading import Reading
from pipeline.spec.scalars import listed, nearest

BURNLINE = "burnline"  # the type of a metric source whose spec is an indicator of burnline/v1
PREFIX = "burnline.dev/"

#: kind -> annotations of it that say what OpenSLO cannot
ANNOTATIONS = {
    "SLO": ("alerting", "guards", "sla", "group-by", "where", "vantage", "attempts", "policy"),
    "AlertPolicy": ("short-window", "severity"),
    "AlertCondition": ("short-window", "severity"),
}


def exactly_one(reading: Reading, path: str, names: Sequence[str], remedy: str) -> None:
    """Report when none, or more than one, of some fields of an object is given."""
    given = [name for name in names if reading.is_given(f"{path}.{name}")]
    if not given:
        reading.refuse(path, f"must have {' or '.join(names)}", remedy)
    for name in given[1:]:
        reading.refuse(f"{path}.{name}", f"must not be given beside {given[0]}", "remove one of them")


def annotations(reading: Reading, path: str, kind: str) -> None:
    """Annotations are text, and those of Burnline are known by name."""
    for key in reading.keys.get(f"{path}annotations", ()):
        below = f"{path}annotations.{key}"
        found = reading.values.get(below)
        if found is not None and not isinstance(found.value, Scalar | Unknown):
            reading.refuse(below, "must be text", "put it between quotes")
        if key.startswith(PREFIX) and key.removeprefix(PREFIX) not in ANNOTATIONS.get(kind, ()):
            known = [PREFIX + each for each in ANNOTATIONS.get(kind, ())]
            meant = nearest(key.removeprefix(PREFIX), (each.removeprefix(PREFIX) for each in known))
            remedy = f"did you mean {PREFIX}{meant}?" if meant else f"known ones are {listed(known) or 'none'}"
            reading.refuse(below, f"is no annotation that Burnline knows on {kind}", remedy)


def sli(reading: Reading, path: str) -> None:
    exactly_one(reading, path, ("thresholdMetric", "ratioMetric"), "write ratioMetric: {good, total}")
    ratio = f"{path}.ratioMetric"
    if reading.is_given(ratio):
        exactly_one(reading, ratio, ("total", "raw"), "write total: with a metricSource")
        _ratio_parts(reading, ratio)
    for part in ("thresholdMetric", *(f"ratioMetric.{each}" for each in ("good", "bad", "total", "raw"))):
        if reading.is_given(f"{path}.{part}.metricSource"):
            metric_source(reading, f"{path}.{part}.metricSource")


def _ratio_parts(reading: Reading, path: str) -> None:
    if reading.is_given(f"{path}.raw"):
        if not reading.is_given(f"{path}.rawType"):
            reading.refuse(f"{path}.rawType", "is missing", "write rawType: success, or failure", reading.at(path))
        for name in ("good", "bad"):
            if reading.is_given(f"{path}.{name}"):
                reading.refuse(f"{path}.{name}", "must not be given beside raw", "remove one of them")
    elif reading.is_given(f"{path}.total"):
        exactly_one(reading, path, ("good", "bad"), "write good: with a metricSource")


def metric_source(reading: Reading, path: str) -> None:
    if not (reading.is_given(f"{path}.type") or reading.is_given(f"{path}.metricSourceRef")):
        reading.refuse(path, "must have type or metricSourceRef", f"write type: {BURNLINE}")
    found = reading.values.get(f"{path}.spec")
    is_mapping = found is not None and isinstance(found.value, Mapping) and found.value.entries
    if found is not None and not is_mapping and not isinstance(found.value, Unknown):
        reading.refuse(f"{path}.spec", "must be a mapping with at least one key", "write spec: {metric: error_rate}")


def alert_policy(reading: Reading, path: str) -> None:
    for many, reference, kind in (
        ("conditions", "conditionRef", "AlertCondition"),
        ("notificationTargets", "targetRef", "AlertNotificationTarget"),
    ):
        for each in items(reading, f"{path}.{many}"):
            reference_or_inline(reading, each, reference, kind)


def reference_or_inline(reading: Reading, path: str, reference: str, kind: str) -> None:
    """Report what is neither a reference nor a whole object of a kind."""
    if not has_parts(reading, path):
        return
    exactly_one(reading, path, (reference, "spec"), f"write {reference}: and its name")
    annotations(reading, f"{path}.metadata.", kind)
    for key, remedy in (("kind", f"write kind: {kind}"), ("metadata", "write metadata: {name: ...}")):
        if reading.is_given(f"{path}.spec") and not reading.is_given(f"{path}.{key}"):
            reading.refuse(f"{path}.{key}", "is missing", remedy, reading.at(path))


def has_parts(reading: Reading, path: str) -> bool:
    """Tell whether a mapping is written at a path; anything else is a name, or was refused already."""
    if any(each.startswith(f"{path}.") for each in reading.places):
        return True
    place = reading.at(path)
    is_refused = any((each.line, each.column) == place for each in reading.report.problems)
    return path not in reading.values and not is_refused  # an empty one


def slo(reading: Reading, path: str) -> None:
    objectives = items(reading, f"{path}.objectives")
    indicators = ("indicator", "indicatorRef")
    if is_composite(reading):
        for name in indicators:
            if reading.is_given(f"{path}.{name}"):
                rule = "must not be given beside indicators of objectives"
                reading.refuse(f"{path}.{name}", rule, "remove one of them")
    else:
        exactly_one(reading, path, indicators, "write indicatorRef: and the name of an SLI")
    for each in items(reading, f"{path}.timeWindow"):
        time_window(reading, each)
    for each in objectives:
        objective(reading, each)
        if is_composite(reading):
            exactly_one(reading, each, indicators, "write indicatorRef: and the name of an SLI")
    for each in items(reading, f"{path}.alertPolicies"):
        reference_or_inline(reading, each, "alertPolicyRef", "AlertPolicy")


def is_composite(reading: Reading) -> bool:
    """Tell whether an SLO's objectives have indicators of their own."""
    return any(
        reading.is_given(f"{each}.{name}")
        for each in items(reading, "spec.objectives")
        for name in ("indicator", "indicatorRef")
    )


def time_window(reading: Reading, path: str) -> None:
    is_rolling, calendar = reading.get(f"{path}.isRolling"), f"{path}.calendar"
    if is_rolling is True and reading.is_given(calendar):
        reading.refuse(calendar, "must not be given beside isRolling: true", "remove one of them")
    elif is_rolling is not True and not reading.is_given(calendar) and has_parts(reading, path):
        remedy = "write isRolling: true, or calendar: {startTime, timeZone}"
        reading.refuse(path, "must roll or have a calendar", remedy)


def objective(reading: Reading, path: str) -> None:
    exactly_one(reading, path, ("target", "targetPercent"), "write target: 0.99")
    method = reading.get("spec.budgetingMethod")
    needed = {"Timeslices": ("timeSliceTarget", "timeSliceWindow"), "RatioTimeslices": ("timeSliceWindow",)}
    for name in needed.get(method, ()):
        if not reading.is_given(f"{path}.{name}"):
            example = {"timeSliceTarget": "0.95", "timeSliceWindow": "1m"}[name]
            rule = f"is missing: {method} needs it"
            reading.refuse(f"{path}.{name}", rule, f"write {name}: {example}", reading.at(path))


def items(reading: Reading, path: str) -> list[str]:
    """Return the paths of the items of a list."""
    return [f"{path}[{index}]" for index in range(reading.lengths.get(path, 0))]


_RULES: dict[str, Callable[[Reading, str], None]] = {"SLO": slo, "SLI": sli, "AlertPolicy": alert_policy}


def check(reading: Reading, kind: str) -> None:
    """Apply every rule to a document and to each object that is written in it."""
    if not reading.is_given("spec"):
        return
    annotations(reading, "metadata.", kind)
    for each, path in objects(reading, kind):
        _RULES[each](reading, path)


def objects(reading: Reading, kind: str) -> Iterator[tuple[str, str]]:
    """Return the kind and the path of the specs of a document that have rules, those written inline too."""
    if kind in _RULES:
        yield kind, "spec"
    if kind == "SLO":
        indicators = ["spec.indicator", *(f"{each}.indicator" for each in items(reading, "spec.objectives"))]
        for path in indicators:
            if reading.is_given(f"{path}.spec"):
                yield "SLI", f"{path}.spec"
        for path in items(reading, "spec.alertPolicies"):
            if reading.is_given(f"{path}.spec"):
                yield "AlertPolicy", f"{path}.spec"
