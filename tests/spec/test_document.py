"""YAML to trees: places, and input that means harm."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from pipeline.spec import parse, presets
from pipeline.spec.document import (
    BYTES_MAX,
    DEPTH_MAX,
    DOCUMENTS_MAX,
    NODES_MAX,
    PROBLEMS_MAX,
    Mapping,
    Report,
    Scalar,
    Sequence,
    read_documents,
    text_of,
)
from pipeline.spec.language import SLO
from pipeline.spec.problems import Place
from tests.spec.samples import GOOD, SHORT, load_text

SOON_S = 20.0  # of CPU time; the slowest takes about two


@contextmanager
def soon() -> Iterator[None]:
    started = time.process_time()
    yield
    assert time.process_time() - started < SOON_S


def test_values_stay_as_they_are_written_and_know_their_place() -> None:
    report = Report("f")
    (node,) = read_documents("a: 0.990\nb:\n  - no\n  - '~'\n", report)
    assert report.problems == []
    assert isinstance(node, Mapping)
    assert node.get("a") == Scalar("0.990", True, Place(1, 4))
    assert node.get("b") == Sequence((Scalar("no", True, Place(3, 5)), Scalar("~", False, Place(4, 5))), Place(3, 3))


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_line_ends_and_byte_order_marks_move_no_place(line_end: str, mark: bytes) -> None:
    data = mark + GOOD.replace("target: 0.99", "target: 99").replace("\n", line_end).encode()
    (problem,) = parse({"f": data}, presets()).problems
    assert (problem.line, problem.column) == (18, 11)


def test_dashes_inside_a_block_of_text_divide_nothing() -> None:
    text = SHORT.replace("  service", "  description: |\n    a\n     ---\n    b\n  service")
    (slo,) = load_text(text).slos
    assert slo.description == "a\n ---\nb"


BILLION_LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefghij", "bcdefghijk", strict=True)
)

HOSTILE = [
    pytest.param(BILLION_LAUGHS.encode(), "anchors are not supported", id="a billion laughs"),
    pytest.param(b"a: &a {<<: *a}\n", "anchors are not supported", id="an anchor within itself"),
    pytest.param(b"x: y\n" * (BYTES_MAX // 5 * 2), f"must be at most {BYTES_MAX} bytes", id="two mebibytes"),
    pytest.param(b"[" * 100_000, f"must be nested at most {DEPTH_MAX} deep", id="deep brackets"),
    pytest.param(b"{a: " * 100_000, f"must be nested at most {DEPTH_MAX} deep", id="deep braces"),
    pytest.param(b"- " * 100_000, f"must be nested at most {DEPTH_MAX} deep", id="deep dashes"),
    pytest.param(b"? " * 20_000, f"must be nested at most {DEPTH_MAX} deep", id="deep question marks"),
    pytest.param(
        b"[" + b"a," * 500_000 + b"]",
        f"must hold at most {DOCUMENTS_MAX} documents and {NODES_MAX}",
        id="many nodes",
    ),
    pytest.param(b"---\nx\n" * 170_000, f"must hold at most {DOCUMENTS_MAX} documents", id="many documents"),
    pytest.param(b"---\n" * 250_000, f"must hold at most {DOCUMENTS_MAX} documents", id="many empty documents"),
    pytest.param(bytes(range(256)) * 100, "must be UTF-8 text; byte 128 is not", id="bytes"),
    pytest.param(b"\x7fELF\x01\x00\x00", "must be printable text", id="a program"),
    pytest.param("kind: SLO".encode("utf-16"), "must be UTF-8 text; byte 0 is not", id="UTF-16"),
    pytest.param(b'a: "' + b"x\n" * 500_000, "cannot be read as YAML", id="a quote that never ends"),
    pytest.param(b'a: "\\UFFFFFFFF"', "cannot be read as YAML", id="an impossible character"),
    pytest.param(b"a: *" + b"b" * 1_000_000, "aliases are not supported", id="a long alias"),
    pytest.param(b"!!python/object/apply:os.system [id]", "tags are not supported", id="a tag that would run"),
    pytest.param(b"%YAML 9.9\n---\na: 1\n", "cannot be read as YAML", id="a directive"),
    pytest.param(b"a: 1\n  b: 2\n\tc: [", "cannot be read as YAML", id="no YAML"),
]


@pytest.mark.parametrize(("data", "rule"), HOSTILE)
def test_hostile_files_are_problems_soon(data: bytes, rule: str) -> None:
    with soon():
        found = parse({"f": data}, presets())
    assert found.slos == ()
    assert any(problem.rule.startswith(rule) for problem in found.problems), found.problems[:3]
    assert all(problem.remedy for problem in found.problems)
    assert len(found.problems) <= PROBLEMS_MAX + 1
    assert all(len(str(problem)) < 700 and "\n" not in str(problem) for problem in found.problems)


def test_unknown_keys_without_end_are_a_few_problems() -> None:
    keys = "".join(f"  k{i}: 1\n" for i in range(90))
    with soon():
        found = load_text(f"{SHORT}{keys}---\n" * 300)
    assert len(found.problems) == PROBLEMS_MAX + 1
    assert found.problems[-1].rule.startswith("more problems may follow")


@given(st.binary(max_size=300))
def test_any_bytes_are_slos_or_problems(data: bytes) -> None:
    found = parse({"f": data}, presets())
    assert found.slos == ()


@given(st.data())
def test_a_damaged_file_never_raises(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(GOOD)))
    end = data.draw(st.integers(start, min(len(GOOD), start + 40)))
    junk = data.draw(st.text(alphabet="{}[]:,-?&*!|>'\"%@` \n#ab01", max_size=8))
    found = load_text(GOOD[:start] + junk + GOOD[end:])
    assert len(found.slos) <= 1 + junk.count("\n")
    for problem in found.problems:
        assert problem.line >= 1
        assert problem.column >= 1


#: keys and values of the language, put together without sense
KEYS = ("apiVersion", "kind", "matrix", "metadata", "spec", *{part for path in SLO.fields for part in path.split(".")})
SCALARS = (
    "burnline/v1", "SLO", "0.99", "99", "1s", "30d", "1M", "ttft", "error_rate", "$(a)", "", "default", "true",
    "2026-01-01", "llama2-70b/server", "UTC", "x" * 300, "\u202e", "1e999", "-0", "9" * 40,
)  # fmt: skip
trees = st.recursive(
    st.one_of(st.none(), st.sampled_from(SCALARS), st.text(max_size=10), st.integers(), st.floats(allow_nan=False)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(KEYS), inner, max_size=6)),
    max_leaves=40,
)


@given(st.dictionaries(st.sampled_from(KEYS), trees, max_size=6), trees)
def test_any_tree_of_words_of_the_language_is_slos_or_problems(spec: dict[str, Any], matrix: Any) -> None:
    document = {"apiVersion": "burnline/v1", "kind": "SLO", "matrix": matrix, "metadata": {"name": "a"}, "spec": spec}
    with soon():
        found = parse({"f": json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")}, presets())
    assert found.slos or found.composites or found.problems
    assert all("\n" not in str(problem) and problem.remedy for problem in found.problems)


def _paths(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    below = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in below:
        yield from _paths(child, (*path, key))


EVERYTHING = YAML(typ="safe").load(
    GOOD.replace("isRolling: true", "calendar: {startTime: '2026-01-01', timeZone: UTC}")
)
PATHS = [path for path in _paths(EVERYTHING) if path]


@given(st.lists(st.tuples(st.sampled_from(PATHS), trees), min_size=1, max_size=3))
def test_a_good_document_with_anything_in_some_place_is_slos_or_problems(changes: list[tuple[Any, Any]]) -> None:
    document = json.loads(json.dumps(EVERYTHING))
    for path, tree in changes:
        at = document
        for key in path[:-1]:
            at = at[key] if isinstance(at, dict) and key in at else {}
        if isinstance(at, dict):
            at[path[-1]] = tree
    with soon():
        found = parse({"f": json.dumps(document).encode()}, presets())
    assert found.slos or found.composites or found.problems


def test_characters_that_json_escapes_as_two_are_one() -> None:
    document = json.loads(json.dumps(EVERYTHING))
    document["spec"]["indicator"]["where"] = {"operation": "\U0001f600"}
    (slo,) = parse({"f": json.dumps(document).encode()}, presets()).slos
    assert dict(slo.objective.indicator.where)["operation"] == ("\U0001f600",)


def test_half_a_character_is_a_problem_with_its_place() -> None:
    found = parse({"f": json.dumps(EVERYTHING).replace('"chat"', '"\\ud800"', 1).encode()}, presets())
    assert [(each.rule, each.line) for each in found.problems] == [("holds half of a surrogate pair", 1)]


def test_a_file_of_the_largest_size_is_read() -> None:
    assert len(text_of(b"#" * BYTES_MAX)) == BYTES_MAX
