"""Upstream's own files are told apart as upstream labels them; skipped where they are not beside the project."""

import json
from pathlib import Path

import pytest

from pipeline.spec import load

FIXTURES = Path(__file__).parents[3] / "shared" / "fixtures" / "openslo-spec"
LABELLED = FIXTURES / "historic-v1-schema"
FILES = sorted(FIXTURES.rglob("*.yaml"))

SCHEMA_IS_STALE = (
    "the retired schema refuses it (no RatioTimeslices; `counter` required); the text of v1 and the go-sdk do not"
)
OP_ON_A_RATIO = (
    f"{SCHEMA_IS_STALE}; the go-sdk forbids `op` beside an inline ratioMetric, its text only does not need it"
)
GOOD_AND_BAD = "upstream has no label for it and the go-sdk allows it; text and schema say that good excludes bad"

#: upstream's contradictions: what we say, and why
EXCEPTIONS = {
    "examples/budgeting-method/occurences-slo.yaml": ("valid", "an example, that the retired schema accepts too"),
    "examples/budgeting-method/ratio-timeslices.yaml": ("valid", OP_ON_A_RATIO),
    "examples/budgeting-method/timeslices-slo.yaml": (
        "valid",
        f"{OP_ON_A_RATIO}; its 1m means a month and says minute",
    ),
    "examples/treat-low-traffic-as-equally-important/timeslices-slo.yaml": ("valid", OP_ON_A_RATIO),
    "historic-v1-schema/schema-test/spec-files/v1/sli/sli-ratio-good-and-bad.yaml": ("invalid", GOOD_AND_BAD),
    "historic-v1-schema/schema-test/spec-files/v1/sli/sli-description-ratio-inline-metricsource.yaml": (
        "invalid",
        f"{GOOD_AND_BAD}; its total has no spec, which all three require",
    ),
}

needs_fixtures = pytest.mark.skipif(not FILES, reason="the OpenSLO files of upstream are not beside the project")


def name_of(file: Path) -> str:
    return str(file.relative_to(FIXTURES))


def expected_of(file: Path) -> str:
    """Say what upstream's label for a file is, or ours where upstream contradicts itself."""
    if name_of(file) in EXCEPTIONS:
        return EXCEPTIONS[name_of(file)][0]
    labels = json.loads((LABELLED / "expectations.json").read_text(encoding="utf-8"))
    return str(labels[str(file.relative_to(LABELLED))]["upstream_expect"])


@needs_fixtures
@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_a_file_is_what_upstream_says_it_is(file: Path) -> None:
    found = load([file])
    assert ("invalid" if found.problems else "valid") == expected_of(file), found.problems
    assert found.slos == ()  # none of them has a source that Burnline measures


@needs_fixtures
def test_every_exception_is_there_and_is_one() -> None:
    labels = json.loads((LABELLED / "expectations.json").read_text(encoding="utf-8"))
    agreed = {f"historic-v1-schema/{name}" for name, label in labels.items() if label["upstream_expect"] != "unlisted"}
    assert {name_of(file) for file in FILES} == agreed | set(EXCEPTIONS)
    assert not agreed & set(EXCEPTIONS)


@needs_fixtures
def test_valid_slos_of_upstream_are_not_judged_and_say_why() -> None:
    slos = [
        file for file in FILES if "kind: SLO\n" in file.read_text(encoding="utf-8") and expected_of(file) == "valid"
    ]
    assert len(slos) == 12
    for file in slos:
        (note,) = load([file]).unmeasured
        assert "not measured by Burnline" in note.rule
