"""Classes of service: who is kept when there is not enough for everybody, by priority and objective, as a table.

    CRITICAL > HIGH_FAST > HIGH_SLOW > LOW > NO_SLO

Law: the first row of the table that fits decides; a label that is not known fits no condition, so an SLO that is not
grouped by what the table asks for speaks for no class. Whoever fits no row has no class, and is never shed. Pure.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from pipeline.series import PRIORITY_CLASSES
from pipeline.spec.problems import Refused
from pipeline.spec.scalars import listed

NONE = "none"  #: in a file: an event without it


class ServiceClass(IntEnum):
    """The less, the more it is worth."""

    CRITICAL = 0  # never shed
    HIGH_FAST = 1  # somebody waits for the first token
    HIGH_SLOW = 2  # somebody waits for the whole answer
    LOW = 3  # may wait, but something is promised
    NO_SLO = 4  # nothing is promised


@dataclass(frozen=True)
class ClassRule:
    """One row: all of its conditions must hold; without any it always fits."""

    name: str  # of ServiceClass
    priority_class: tuple[str, ...] = ()  # critical, standard, sheddable: the sign of the priority
    objective: tuple[str, ...] = ()
    tenant_id: tuple[str, ...] = ()
    request_model: tuple[str, ...] = ()
    slo: tuple[str, ...] = ()  # an SLO that is about one class, without saying so by its labels

    def __post_init__(self) -> None:
        if self.name not in ServiceClass.__members__:
            raise Refused("must be a class of service", f"write name: one of {listed(ServiceClass.__members__)}")
        if unknown := set(self.priority_class) - set(PRIORITY_CLASSES.values()):
            remedy = f"write one of {listed(PRIORITY_CLASSES.values())}"
            raise Refused(f"priorityClass must be the sign of a priority, not {listed(sorted(unknown))}", remedy)

    @property
    def service_class(self) -> ServiceClass:
        return ServiceClass[self.name]

    def fits(self, labels: Mapping[str, str]) -> bool:
        return all(
            labels.get(name) in {"" if value == NONE else value for value in values}
            for name in ("priority_class", "objective", "tenant_id", "request_model", "slo")
            if (values := getattr(self, name))
        )


#: what the shipped file says; the first row that fits. A low priority never makes a class above that of a high one
DEFAULT = (
    ClassRule("CRITICAL", ("critical",)),
    ClassRule("HIGH_SLOW", ("standard",), ("relaxed", "throughput", "agent", "long")),
    ClassRule("HIGH_FAST", ("standard",)),
    ClassRule("NO_SLO", ("sheddable",), (NONE,)),
    ClassRule("LOW", ("sheddable",)),
)


def class_of(rules: Iterable[ClassRule], labels: Mapping[str, str]) -> ServiceClass | None:
    """Return the class of requests with these labels; None: they have none."""
    return next((rule.service_class for rule in rules if rule.fits(labels)), None)
