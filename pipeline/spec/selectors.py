"""Selectors: `where` to the values it accepts of each label: equality, lists, negation, prefix.

Pure. All that is said of one label must hold. What is closed becomes a tuple of values, what is open a
`slo.Selector`; both answer `value in accepted`. A selection that nothing can match is a problem.
"""

from pipeline.series import PRIORITY_CLASSES
from pipeline.sli import VANTAGES
from pipeline.slo import Accepted, Selector
from pipeline.spec.problems import Refused, shown
from pipeline.spec.reading import Reading, Value
from pipeline.spec.scalars import listed, one_of

WHERE = "spec.indicator.where"
OPERATORS = ("in", "not", "notIn", "prefix")

_BOOLEANS = dict.fromkeys(("stream", "cold_start", "final_attempt"), ("true", "false"))
#: labels whose values are known
CLOSED: dict[str, tuple[str, ...]] = {
    "vantage": VANTAGES, "priority_class": tuple(PRIORITY_CLASSES.values()), **_BOOLEANS,
}  # fmt: skip


def accepted(reading: Reading, label: str, where: str = WHERE) -> Accepted:
    """Return what one label may be."""
    path = f"{where}.{label}"
    plain: tuple[str, ...] | None = reading.get(path, reading.get(f"{path}.in"))
    none_of = (*reading.get(f"{path}.not", ()), *reading.get(f"{path}.notIn", ()))
    open_selector = Selector(tuple(sorted(set(none_of))), tuple(sorted(reading.get(f"{path}.prefix", ()))))
    values = plain if plain is not None else CLOSED.get(label)
    return open_selector if values is None else tuple(value for value in values if value in open_selector)


def selected(reading: Reading, where: str = WHERE) -> tuple[tuple[str, Accepted], ...]:
    """Return label -> accepted values, in label order."""
    return tuple((label, accepted(reading, label, where)) for label in sorted(reading.keys.get(where, ())))


def values(reading: Reading, label: str, where: str = WHERE) -> list[Value]:
    """Return every value that is written for a label, but for prefixes."""
    paths = (f"{where}.{label}", *(f"{where}.{label}.{operator}" for operator in OPERATORS[:3]))
    return [item for path in paths if path in reading.values for item in reading.values[path].items]


def check_values_exist(reading: Reading, where: str = WHERE) -> None:
    """A value outside a closed vocabulary selects nothing, ever."""
    for label in reading.keys.get(where, ()):
        if label not in CLOSED:
            continue
        for item in values(reading, label, where):
            try:
                one_of(CLOSED[label])(item.text)
            except Refused as refused:
                reading.refuse(item.path, refused.rule, refused.remedy, item.place, shown(item.text))
        prefix = f"{where}.{label}.prefix"
        if reading.is_given(prefix):
            reading.refuse(prefix, f"must not be given: {label} is {listed(CLOSED[label])}", "write the values")


def check_operators(reading: Reading, where: str = WHERE) -> None:
    """An empty condition says nothing; one that nothing meets counts nothing."""
    for label in reading.keys.get(where, ()):
        path = f"{where}.{label}"
        given = [operator for operator in OPERATORS if reading.is_given(f"{path}.{operator}")]
        if path in reading.values or not reading.is_given(path):
            continue
        if any(problem.path.startswith(f"{path}.") for problem in reading.report.problems):
            continue  # a condition was refused
        if not given:
            reading.refuse(path, "selects everything", f"write one of {listed(OPERATORS)}, or remove the label")
        elif accepted(reading, label, where) == ():
            reading.refuse(path, "selects nothing: no value meets all of it", "remove a condition", value="{…}")
