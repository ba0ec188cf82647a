"""`where`: what is written against a reading of it by hand, over any labels; and selections that select nothing."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.bindings import applies
from pipeline.slo import Objective, Selector
from pipeline.spec.selectors import CLOSED
from tests.spec.samples import GOOD, load_text, problems, spoiled

WHERE = "{operation: chat, tenant_id: [zen, acme]}"
VALUES = ("", "a", "ab", "abc", "b", "llama-3", "llama-guard", "gpt")


def objective(where: str) -> Objective:
    found = load_text(spoiled((WHERE, where)))
    assert found.problems == ()
    return found.objectives[0]


def accepted(where: str) -> Any:
    return dict(objective(where).indicator.where)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        pytest.param("{region: eu}", ("eu",), id="a value"),
        pytest.param("{region: [eu, us]}", ("eu", "us"), id="a list"),
        pytest.param("{region: {in: [eu, us]}}", ("eu", "us"), id="the same, spelt out"),
        pytest.param("{region: {not: eu}}", Selector(("eu",)), id="not a value"),
        pytest.param("{region: {notIn: [us, eu]}}", Selector(("eu", "us")), id="none of a list, in any order"),
        pytest.param("{region: {not: eu, notIn: [eu, us]}}", Selector(("eu", "us")), id="both"),
        pytest.param("{region: {prefix: eu-}}", Selector((), ("eu-",)), id="a prefix"),
        pytest.param("{region: {prefix: [us-, eu-]}}", Selector((), ("eu-", "us-")), id="one of some prefixes"),
        pytest.param("{region: {prefix: eu-, not: eu-1}}", Selector(("eu-1",), ("eu-",)), id="all must hold"),
        pytest.param("{region: {in: [eu-1, us, eu-2], prefix: eu, not: eu-2}}", ("eu-1",), id="a list is narrowed"),
        pytest.param("{region: {not: ''}}", Selector(("",)), id="any value, but there must be one"),
    ],
)  # fmt: skip
def test_conditions_of_a_label(where: str, expected: Any) -> None:
    assert accepted(where) == {"region": expected}


def test_of_a_closed_vocabulary_the_rest_is_selected() -> None:
    where = "{priority_class: {not: sheddable}, stream: {notIn: ['true']}}"
    assert accepted(where) == {"priority_class": ("standard", "critical"), "stream": ("false",)}


def by_hand(conditions: dict[str, Any], value: str) -> bool:
    many = {key: said if isinstance(said, list) else [said] for key, said in conditions.items()}
    if "in" in many and value not in many["in"]:
        return False
    if value in many.get("not", []) or value in many.get("notIn", []):
        return False
    return "prefix" not in many or any(value[: len(prefix)] == prefix for prefix in many["prefix"])


some = st.one_of(st.sampled_from(VALUES), st.lists(st.sampled_from(VALUES), min_size=1, max_size=3, unique=True))
prefixes = st.lists(st.sampled_from(VALUES[1:]), min_size=1, max_size=2, unique=True)


@given(st.fixed_dictionaries({}, optional={"in": some, "not": some, "notIn": some, "prefix": prefixes}))
def test_a_series_is_selected_when_all_conditions_hold(conditions: dict[str, Any]) -> None:
    found = load_text(spoiled((WHERE, f"{{tenant_id: {conditions!r}}}")))
    chosen = [value for value in VALUES if by_hand(conditions, value)]
    if found.problems:
        assert not conditions or not [value for value in chosen if value in conditions.get("in", VALUES)]
        return
    (slo,) = found.objectives
    labels = {"service": "chat", "vantage": "GATEWAY"}
    assert [value for value in VALUES if applies(slo, {**labels, "tenant_id": value})] == chosen


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("{region: {}}", "14:21  spec.indicator.where.region  selects everything"
         "  -> write one of in, not, notIn, prefix, or remove the label"),
        ("{region: {in: [eu], not: eu}}", "14:21  spec.indicator.where.region  {…}"
         "  selects nothing: no value meets all of it  -> remove a condition"),
        ("{stream: {notIn: ['true', 'false']}}", "14:21  spec.indicator.where.stream  {…}"
         "  selects nothing: no value meets all of it  -> remove a condition"),
        ("{stream: {prefix: t}}", "14:30  spec.indicator.where.stream.prefix  t"
         "  must not be given: stream is true, false  -> write the values"),
        ("{stream: {not: yes}}", "14:27  spec.indicator.where.stream.not  yes  must be one of true, false"
         "  -> write one of them"),
        ("{region: {prefix: ''}}", "14:30  spec.indicator.where.region.prefix  (empty)"
         "  must not be empty, as every value begins so  -> write how values begin"),
        ("{region: {nott: eu}}", "14:22  spec.indicator.where.region.nott  eu  is an unknown key"
         "  -> did you mean not?"),
        ("{region: {not: [eu, eu]}}", "14:32  spec.indicator.where.region.not[1]  eu  is given twice"
         "  -> remove one of them"),
        ("{service: {not: chat}}", "14:22  spec.indicator.where.service  is already said by spec.service"
         "  -> remove one of them"),
    ],
)  # fmt: skip
def test_what_selects_nothing_or_nothing_known_is_refused(where: str, expected: str) -> None:
    assert problems(spoiled((WHERE, where))) == [f"f.yaml:{expected}"]


@pytest.mark.parametrize("label", CLOSED)
def test_every_value_of_a_closed_vocabulary_can_be_selected(label: str) -> None:
    where = "{" + label + ": [" + ", ".join(f"'{value}'" for value in CLOSED[label]) + "]}"
    text = GOOD.replace("    vantage: GATEWAY\n", "").replace(WHERE, where)
    assert problems(text) == []


def test_what_is_selected_is_part_of_the_revision_and_its_order_is_not() -> None:
    def revision(where: str) -> str:
        return objective(where).indicator_revision

    assert revision("{region: {notIn: [a, b]}}") == revision("{region: {notIn: [b], not: a}}")
    different = ("{region: a}", "{region: {not: a}}", "{region: {prefix: a}}", "{region: {not: a, prefix: a}}")
    assert len({revision(where) for where in different}) == len(different)
