"""Composite SLOs: one promise over several SLOs, by a rule that the file names (definition 5.3).

    weightedMean   weighted mean of the members' compliance (Occurrences)
    worstOf        a slice is as good as its worst member (Timeslices)

Pure. Members are SLOs of the same files and the same window, never composites: nothing can go in a circle.
"""

from collections.abc import Iterable, Iterator, Mapping

from pipeline.spec.reading import Reading
from pipeline.spec.scalars import nearest
from pipeline.spec.slos import Composite, Slo, Source

#: rule -> the budgeting method it is defined for
METHODS = {"weightedMean": "Occurrences", "worstOf": "Timeslices"}
MEMBERS = "spec.composite.objectives"


def good_composites(
    composites: Iterable[tuple[Composite, Reading]], slos: Iterable[Slo], names: Mapping[str, Source]
) -> Iterator[Composite]:
    """Report what is wrong between composites and the SLOs they are made of; yield those without fault."""
    by_name = {slo.name: slo for slo in slos}
    for composite, reading in composites:
        before = reading.report.refusals
        _check_rule(composite, reading)
        _check_members(composite, reading, by_name, names)
        if reading.report.refusals == before:
            yield composite


def _check_members(
    composite: Composite, reading: Reading, by_name: Mapping[str, Slo], names: Mapping[str, Source]
) -> None:
    seen: set[str] = set()
    for index, member in enumerate(composite.members):
        path = f"{MEMBERS}[{index}].ref"
        if member.ref in seen:
            reading.refuse(path, "is given twice", "remove one of them, or raise the weight")
        seen.add(member.ref)
        if member.ref in by_name:
            _check_window(composite, by_name[member.ref], path, reading)
        elif member.ref in names:
            reading.refuse(path, "is no SLO that can be used", f"mend {names[member.ref]}; composites do not nest")
        else:
            meant = nearest(member.ref, by_name)
            reading.refuse(path, "is the name of no SLO", f"did you mean {meant}?" if meant else "write its name")


def _check_rule(composite: Composite, reading: Reading) -> None:
    method = reading.get("spec.budgetingMethod", METHODS["weightedMean"])
    if method != METHODS[composite.rule]:
        place = reading.at("spec.budgetingMethod", "spec.composite.rule")
        rule = f"must be {METHODS[composite.rule]} for {composite.rule}"
        reading.refuse("spec.budgetingMethod", rule, f"write budgetingMethod: {METHODS[composite.rule]}", place)
    for index in range(len(composite.members)):
        path = f"{MEMBERS}[{index}].weight"
        if composite.rule == "worstOf" and reading.is_given(path):
            reading.refuse(path, "must not be given: worstOf weighs nothing", "remove it")
    if len(composite.members) < 2:
        reading.refuse(MEMBERS, "must be a list of 2 to 25 items", "add a member", value="[…]")


def _check_window(composite: Composite, slo: Slo, path: str, reading: Reading) -> None:
    objective = slo.objective
    if (objective.window_us, objective.calendar) != (composite.window_us, composite.calendar):
        rule = f"has another window than this composite ({slo.source})"
        reading.refuse(path, rule, "give both the same timeWindow")
    if objective.timeslices is not None and objective.timeslices.is_whole:
        rule = f"compares slices as a whole, and a composite counts requests ({slo.source})"
        reading.refuse(path, rule, "give it an SLO of requests")
    elif objective.timeslices is not None and composite.timeslices is None:
        rule = f"counts slices, and this composite counts events ({slo.source})"
        reading.refuse(path, rule, "give it an SLO with budgetingMethod: Occurrences")
