"""Matrix: one document is what the documents written out would be; limits; faults at their place, once."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.spec import parse, presets
from pipeline.spec.build import SLOS_MAX
from pipeline.spec.document import NODES_MAX, PROBLEMS_MAX
from pipeline.spec.matrix import EXPANSIONS_MAX
from tests.spec.samples import SHORT, load_text, problems

TEMPLATE = """\
apiVersion: burnline/v1
kind: SLO
matrix: {MATRIX}
metadata:
  name: ttft-$(model)-$(region)
  annotations: {note: "$(model) in $(region), literally $$(model)"}
spec:
  service: chat
  indicator:
    metric: ttft
    op: lte
    threshold: 1s
    where:
      request_model: $(model)
      region: [$(region), "$(region)-1"]
  target: 0.99
  timeWindow: {duration: 30d}
"""


def template(matrix: str, text: str = TEMPLATE) -> str:
    return text.replace("{MATRIX}", matrix)


words = st.from_regex(r"[a-z0-9]{1,6}", fullmatch=True)
lists = st.lists(words, min_size=1, max_size=4, unique=True)


@given(lists, lists)
def test_a_matrix_is_what_its_documents_written_out_are(models: list[str], regions: list[str]) -> None:
    found = load_text(template(f"{{model: [{', '.join(models)}], region: [{', '.join(regions)}]}}"))
    written = "---\n".join(
        template("null").replace("$$(model)", "KEPT").replace("$(model)", m).replace("$(region)", r)
        .replace("KEPT", "$(model)").replace("matrix: null\n", "")
        for m, r in product(models, regions)
    )  # fmt: skip
    if len({f"{m}-{r}" for m, r in product(models, regions)}) == len(models) * len(regions):
        assert found.problems == ()
        assert found.objectives == load_text(written).objectives
        assert [slo.annotations for slo in found.slos] == [slo.annotations for slo in load_text(written).slos]


def test_rows_give_values_that_belong_together() -> None:
    text = template("[{model: a, region: eu, limit: 50ms}, {model: b, region: us, limit: 25ms}]")
    found = load_text(text.replace("threshold: 1s", "threshold: $(limit)"))
    assert found.problems == ()
    assert [(slo.name, slo.objective.indicator.threshold) for slo in found.slos] == [
        ("ttft-a-eu", 50_000), ("ttft-b-us", 25_000),
    ]  # fmt: skip


def test_a_fault_that_all_documents_have_is_said_once_and_makes_no_slo() -> None:
    found = load_text(template("{model: [a, b, c], region: [eu, us]}").replace("target: 0.99", "target: 99"))
    assert [(problem.line, problem.path) for problem in found.problems] == [(16, "spec.target")]
    assert found.slos == ()


def test_a_fault_of_one_document_leaves_the_others_good() -> None:
    found = load_text(template("{model: [a, B, c], region: eu}"))
    assert [slo.name for slo in found.slos] == ["ttft-a-eu", "ttft-c-eu"]
    assert [(problem.line, problem.path, problem.value) for problem in found.problems] == [
        (5, "metadata.name", "ttft-B-eu")
    ]


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        ("{}", "3:1  matrix  must have 1 to 500 combinations; it has 0  -> write {model: [a, b]}"),
        ("{model: [a], region: [eu], colour: [red]}",
         "3:1  matrix.colour  is used nowhere  -> write $(colour) in metadata.name, or remove the key"),
        ("{modell: [a], region: [eu]}", "5:9  $(model)  is no key of matrix  -> did you mean $(modell)?"),
        ("{model: [a, a], region: eu}", "3:21  matrix.model[1]  a  is given twice  -> remove one of them"),
        ("{model: [], region: eu}", "3:17  matrix.model  […]  must be 1 to 1000 values  -> write [one, two]"),
        ("{Model: [a], region: eu}",
         "3:10  matrix.Model  Model  must be a letter, then up to 31 letters, digits or _"
         "  -> write a name such as model"),
        ("[{model: a, region: eu}, {model: b}]",
         "3:34  matrix[1]  model  must have the same keys as the first, model, region"
         "  -> write a value for each of them"),
        ("chat", "3:9  matrix  chat  must be a mapping  -> write `name: value` lines"),
        (f"{{model: [{', '.join(f'm{i}' for i in range(100))}], region: [{', '.join(f'r{i}' for i in range(6))}]}}",
         "3:1  matrix  must have 1 to 500 combinations; it has 600  -> write fewer values"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_matrix(matrix: str, expected: str) -> None:
    assert problems(template(matrix))[0] == f"f.yaml:{expected}"


def test_names_must_differ_and_the_remedy_is_the_parameter() -> None:
    found = problems(template("{model: [a, b], region: [eu]}").replace("name: ttft-$(model)-$(region)", "name: ttft"))
    assert found == [
        "f.yaml:5:9  metadata.name  ttft  must be unique; f.yaml:1 has this name too  -> write $(model) in it"
    ]


def test_without_a_matrix_nothing_is_replaced() -> None:
    (slo,) = load_text(SHORT.replace("spec:", "spec:\n  description: costs $(model)")).slos
    assert slo.description == "costs $(model)"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        pytest.param(
            template(f"{{model: [{', '.join(f'm{i}' for i in range(EXPANSIONS_MAX))}], region: eu}}").replace(
                "service: chat", "service: chat\n  zzz: [" + "1," * 200 + "1]"
            ),
            f"must not make more than {NODES_MAX} YAML nodes",
            id="many nodes",
        ),
        pytest.param(
            template(f"{{model: {'m' * 200}, region: eu}}").replace("service: chat", "service: " + "$(model)" * 400),
            "must not make a value of more than 8192 characters",
            id="a long value",
        ),
    ],
)
def test_a_matrix_has_limits_and_says_them(text: str, rule: str) -> None:
    (problem,) = load_text(text).problems
    assert problem.rule.startswith(rule)


def test_many_faulty_documents_are_a_few_problems() -> None:
    matrix = f"{{model: [{', '.join(f'm{i}' for i in range(EXPANSIONS_MAX))}], region: eu}}"
    broken = template(matrix).replace("target: 0.99", "target: 9$(model)")
    assert len(load_text(broken).problems) == PROBLEMS_MAX + 1


def test_all_files_together_have_a_limit_of_slos() -> None:
    matrix = f"{{model: [{', '.join(f'm{i}' for i in range(EXPANSIONS_MAX))}], region: [eu]}}"
    files = {
        f"{n}.yaml": template(matrix).replace("name: ttft", f"name: s{n}").encode()
        for n in range(SLOS_MAX // EXPANSIONS_MAX + 1)
    }
    found = parse(files, presets())
    assert len(found.slos) == SLOS_MAX
    assert [problem.rule for problem in found.problems] == [f"is past the limit of {SLOS_MAX} SLOs"]
