"""The shipped schema: in step with the tables, a valid schema, and of one mind with the language on every file."""

import json
from datetime import date, datetime
from io import StringIO
from typing import Any

import pytest
from hypothesis import given, settings
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

import schemas
from pipeline.spec import presets
from pipeline.spec.corrections import LANGUAGE
from pipeline.spec.json_schema import ABOUT, json_schema, written
from pipeline.spec.language import COMPOSITE, SLO
from tests.spec.samples import GOOD, SHORT, spoiled
from tests.spec.test_build import documents
from tests.spec.test_classification import ERRORS
from tests.spec.test_composites import JOURNEY
from tests.spec.test_matrix import TEMPLATE, template
from tests.spec.test_problems import ONE_FAULT
from tests.spec.test_promises import CALENDAR, RATIOS, SLICES

SHIPPED = schemas.HOME / "slo.schema.json"
VALIDATOR = Draft202012Validator(json.loads(SHIPPED.read_text(encoding="utf-8")))


def as_json(node: Any) -> Any:
    """What an editor makes of YAML: dates are text."""
    if isinstance(node, dict):
        return {key: as_json(value) for key, value in node.items()}
    if isinstance(node, list):
        return [as_json(value) for value in node]
    return node.isoformat() if isinstance(node, date | datetime) else node


def errors(text: str) -> list[str]:
    loaded = [as_json(each) for each in YAML(typ="safe").load_all(StringIO(text)) if each is not None]
    return [error.message for each in loaded for error in VALIDATOR.iter_errors(each)]


def test_the_shipped_schema_is_what_the_tables_make() -> None:
    """`burnline slo schema > schemas/slo.schema.json` after a change of the language."""
    assert SHIPPED.read_text(encoding="utf-8") == written(presets())


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(json_schema(presets()))


@pytest.mark.parametrize(
    "path", [*sorted((schemas.HOME / "slo").glob("*.yaml")), schemas.HOME / "demo" / "slos.yaml"], ids=lambda p: p.stem
)
def test_every_example_is_valid(path: Any) -> None:
    assert errors(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "text",
    [
        GOOD, SHORT, JOURNEY, CALENDAR, SLICES, RATIOS, ERRORS, template("{model: [a, b], region: eu}"),
        template("[{model: a, region: eu}]"), SHORT + "  description:\n  sla: ~\n",
        spoiled(("{operation: chat, tenant_id: [zen, acme]}", "{region: {not: eu, prefix: [a, b]}, tenant_id: 7}")),
        spoiled(("{metric: error_rate}", "{metric: ttft, preset: llama2-70b/server}"), text=SHORT),
        TEMPLATE.replace("{MATRIX}", "{model: a, region: eu}").replace("target: 0.99", "target: $(model)"),
    ],
)  # fmt: skip
def test_everything_the_language_has_is_valid(text: str) -> None:
    assert errors(text) == []


#: faults that no schema of one document can see: rules over several values, limits, features still to come
UNSEEN = (
    "never fire", "must be shorter than long", "equals long", "is missing: ", "must not be given", "already said",
    "must not be longer", "must not be stricter", "not supported yet", "must be at most", "given twice", "given once",
    "anchors are", "aliases are", "tags are", "decimals", "whole number of micro", "whole seconds", "longer than 0",
    "must be true or false", "needs a calendar", "differ in length", "must be one of true, false",
    "must be one of sheddable", "can never be met", "no boolean", "must be a key",
)  # fmt: skip
SEEN = [row for row in ONE_FAULT if not any(part in row[3] for part in UNSEEN) and "key must be plain" not in row[3]]


@pytest.mark.parametrize(("old", "new"), [pytest.param(row[1], row[2], id=row[0]) for row in SEEN])
def test_what_the_language_refuses_by_its_tables_the_schema_refuses(old: str, new: str) -> None:
    assert errors(GOOD.replace(old, new, 1)) != []


def test_most_faults_are_seen_by_an_editor() -> None:
    assert len(SEEN) >= 35


@settings(max_examples=50)
@given(documents())
def test_any_valid_slo_is_valid(document: dict[str, Any]) -> None:
    assert list(VALIDATOR.iter_errors(document)) == []


def test_what_is_said_about_fields_is_about_fields_that_exist() -> None:
    languages = (SLO, COMPOSITE, LANGUAGE)
    known = {path for each in languages for path in (*each.fields, *each.children)}
    assert set(ABOUT) <= known
