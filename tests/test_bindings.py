"""Which objectives apply to a series, and as which instance."""

import zlib
from typing import Any

import pytest

from pipeline.bindings import (
    Bindings,
    Instance,
    applies,
    columns_needed,
    labels_needed,
    route,
    smaller_keys,
)
from pipeline.kernels.verdicts import VALUE_BYTES
from pipeline.series import BASE_LABELS, OTHER
from pipeline.sli import Case, Kind, Verdict
from pipeline.slo import Indicator, Objective, Ratio


def objective(name: str = "o", service: str = "chat", **indicator: Any) -> Objective:
    return Objective(name, service, Indicator("e2e", 5, **indicator), Ratio.parse("0.9"), 1, "r", "i")


LABELS = {"service": "chat", "tenant_id": "acme", "region": "eu", "vantage": "GATEWAY"}


@pytest.mark.parametrize(
    ("found", "indicator", "service"),
    [
        pytest.param(True, {}, "chat", id="no selector"),
        pytest.param(False, {}, "embed", id="another service"),
        pytest.param(True, {"where": (("tenant_id", ("zen", "acme")),)}, "chat", id="one of several values"),
        pytest.param(False, {"where": (("tenant_id", ("zen",)),)}, "chat", id="another value"),
        pytest.param(False, {"where": (("tenant_id", ("acme",)), ("region", ("us",)))}, "chat", id="all must match"),
        pytest.param(True, {"vantage": "GATEWAY"}, "chat", id="its vantage"),
        pytest.param(False, {"vantage": "ENGINE"}, "chat", id="another vantage"),
    ],
)
def test_a_selector_matches_by_service_labels_and_vantage(found: bool, indicator: dict[str, Any], service: str) -> None:
    assert applies(objective(service=service, **indicator), LABELS) is found


def test_series_have_the_labels_of_views_and_those_that_objectives_use() -> None:
    wanted = (objective(group_by=("endpoint_id", "region")), objective(where=(("stream", ("true",)),)))
    assert labels_needed(wanted) == (*BASE_LABELS, "endpoint_id", "stream")
    assert labels_needed(()) == BASE_LABELS


def test_durations_are_needed_by_the_objectives_about_them() -> None:
    about = [
        Objective(m, "chat", Indicator(m, 5), Ratio.parse("0.9"), 1) for m in ("e2e", "queue", "itl_max", "decode")
    ]
    assert columns_needed(about) == {"queue_us", "itl_max_us", "decode_us"}
    assert columns_needed(about[:1]) == frozenset()


def test_smaller_keys_first_drop_what_no_objective_uses_then_groups() -> None:
    wanted = (objective(group_by=("region",), where=(("tenant_id", ("a",)),), vantage="ENGINE"),)
    assert smaller_keys(wanted) == (
        ("service", "tenant_id", "region", "vantage"),
        ("service", "tenant_id", "vantage"),
    )
    assert smaller_keys(()) == (("service",),)


def bound(bindings: Bindings, series: int) -> list[tuple[list[int], int]]:
    """Rules and instances of a series."""
    start, first, count = bindings.starts[series], bindings.programs[series] >> 32, bindings.counts[series]
    assert bindings.programs[series] & 0xFFFFFFFF == count
    rules = bindings.rules[first : first + count].tolist()
    return list(zip(rules, bindings.bound[start : start + count].tolist(), strict=True))


def test_a_series_is_bound_once_to_every_objective_that_applies() -> None:
    objectives = (
        objective("a", group_by=("region",)), objective("b", "embed"),
        objective("c", at_most=False, final_attempts_only=False, verdicts=((Case.CANCELLED, Verdict.BAD),)),
    )  # fmt: skip
    bindings = Bindings(objectives, ("service", "region"), 100)
    eu = bindings.series_of(("chat", "eu"))
    assert bindings.series_of(("chat", "eu")) == eu
    assert bound(bindings, eu) == [
        ([Kind.E2E * VALUE_BYTES, 5, 0, 1, 0], 0),
        ([Kind.E2E * VALUE_BYTES, 5, -1, 0, 3 << 2 * Case.CANCELLED], 1),
    ]
    assert bindings.instances == [Instance("a", "i", "region=eu"), Instance("c", "i", "")]
    us = bindings.series_of(("chat", "us"))
    assert [row[-1] for row in bound(bindings, us)] == [2, 1]  # c is one instance for both
    assert len(bindings.rules) == 2  # shared
    assert bound(bindings, 0) == [] and bindings.labels[0] == (OTHER, OTHER)


def test_arrays_grow_with_the_series() -> None:
    bindings = Bindings((objective(group_by=("region",)),), ("service", "region"), 10_000)
    ids = [bindings.series_of(("chat", str(i))) for i in range(500)]
    assert ids == list(range(1, 501))
    assert [bound(bindings, i)[0][-1] for i in ids] == list(range(500))


def test_past_the_limit_of_instances_groups_become_other_and_are_counted() -> None:
    bindings = Bindings((objective(group_by=("region",)), objective("all")), ("service", "region"), 2)
    for region in "abcd":
        bindings.series_of(("chat", region))
    assert [i.labels for i in bindings.instances] == ["region=a", "", f"region={OTHER}"]
    assert bindings.instances_refused == 3


def test_a_key_is_routed_by_its_crc() -> None:
    assert [route(text, 7) for text in ("", "a|b=c", "é")] == [zlib.crc32(t.encode()) % 7 for t in ("", "a|b=c", "é")]
