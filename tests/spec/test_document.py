"""YAML to trees: places, and input that means harm."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def test_a_file_of_the_largest_size_is_read() -> None:
    assert len(text_of(b"#" * BYTES_MAX)) == BYTES_MAX
