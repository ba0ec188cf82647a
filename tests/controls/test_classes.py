"""Law: the first row that fits decides, what is not known fits no condition, and priority is never turned around."""

import pytest

from pipeline.controls.classes import DEFAULT, ClassRule, ServiceClass, class_of
from pipeline.series import PRIORITY_CLASSES
from pipeline.spec.problems import Refused

C = ServiceClass


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        pytest.param({"priority_class": "critical", "objective": "batch"}, C.CRITICAL, id="whatever its objective"),
        pytest.param({"priority_class": "standard", "objective": "interactive"}, C.HIGH_FAST, id="fast"),
        pytest.param({"priority_class": "standard", "objective": "throughput"}, C.HIGH_SLOW, id="slow"),
        pytest.param({"priority_class": "standard", "objective": ""}, C.HIGH_FAST, id="says nothing"),
        pytest.param({"priority_class": "standard"}, C.HIGH_FAST, id="objective not known"),
        pytest.param({"priority_class": "sheddable", "objective": "batch"}, C.LOW, id="promised something"),
        pytest.param({"priority_class": "sheddable", "objective": ""}, C.NO_SLO, id="promised nothing"),
        pytest.param({"priority_class": "sheddable"}, C.LOW, id="sheddable, objective not known"),
        pytest.param({"objective": "interactive"}, None, id="priority not known: no class"),
        pytest.param({}, None, id="nothing known"),
    ],
)
def test_the_first_row_that_fits_decides(labels: dict[str, str], found: ServiceClass | None) -> None:
    assert class_of(DEFAULT, labels) is found


@pytest.mark.parametrize("objective", ["", "interactive", "throughput", "batch", "agent"])
def test_a_lower_priority_never_makes_a_class_of_more_worth(objective: str) -> None:
    found = [class_of(DEFAULT, {"priority_class": name, "objective": objective}) for name in PRIORITY_CLASSES.values()]
    assert None not in found
    assert found == sorted(found, reverse=True, key=lambda each: -1 if each is None else each)


def test_tenants_and_slos_make_classes_too() -> None:
    rules = (ClassRule("NO_SLO", tenant_id=("free",)), ClassRule("CRITICAL", slo=("checkout",)), *DEFAULT)
    assert class_of(rules, {"tenant_id": "free", "priority_class": "critical"}) is C.NO_SLO
    assert class_of(rules, {"slo": "checkout"}) is C.CRITICAL
    assert class_of(rules, {"slo": "other"}) is None


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        pytest.param({"name": "BEST"}, "class of service", id="no such class"),
        pytest.param({"name": "LOW", "priority_class": ("high",)}, "sign of a priority", id="no such priority"),
    ],
)
def test_rows_that_cannot_be_are_refused(changes: dict[str, str], rule: str) -> None:
    with pytest.raises(Refused, match=rule):
        ClassRule(**changes)  # type: ignore[arg-type]
