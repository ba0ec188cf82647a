"""The house rules that no linter knows: sizes, names, docstrings, and what must not be in the code."""

import ast
import re
import statistics
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("pipeline", "jobs", "schemas", "infra")
PRODUCT = sorted(path for folder in FOLDERS for path in ROOT.glob(f"{folder}/**/*.py"))
SOURCES = PRODUCT + sorted(ROOT.glob("tests/**/*.py"))
NAMES = {path: str(path.relative_to(ROOT)) for path in SOURCES}

FILE_LINES_MAX, FUNCTION_LINES_MAX, MEDIAN_LINES_MAX = 400, 60, 9
BANNED = {"base", "common", "core", "helpers", "interfaces", "misc", "models", "services", "types", "utils"}
PRINTING = ("pipeline/cli.py", "pipeline/commands/", "jobs/", "tests/bench")  # what talks to a terminal
# An absolute path into somebody's own machine.
MACHINE_PATH = re.compile(r"""(?<![\w.])/(?:home|root|work|Users)/[\w.-]+""")
# Code, not prose: an assignment, a call or an import that stands alone behind the #.
COMMENTED_OUT = re.compile(
    r"^\s*#\s*(?:(?:from [\w.]+ )?import \w+|return\b[^.]*|[\w.]+ = [\w.\[\]()'\", ]+|[\w.]+\([\w., =]*\))$"
)


def where(paths: Iterable[Path], found: Callable[[Path], Any]) -> dict[str, Any]:
    """What is found in each of these files that has any of it: thousands of tests otherwise."""
    return {NAMES[path]: each for path in paths if (each := found(path))}


@cache
def tree(path: Path) -> ast.Module:
    """A file's code; read by tests, not by every process that collects them."""
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method of a file."""
    return [n for n in ast.walk(tree(path)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from the signature to the end, without the docstring."""
    doc = node.body[0] if ast.get_docstring(node) is not None else None
    length = (node.end_lineno or node.lineno) - node.lineno + 1
    return length - ((doc.end_lineno or 0) - doc.lineno + 1 if doc else 0)


def test_files_and_functions_are_short() -> None:
    assert where(SOURCES, lambda path: max(0, len(path.read_text("utf-8").splitlines()) - FILE_LINES_MAX)) == {}
    assert where(SOURCES, lambda path: [f.name for f in functions(path) if body_lines(f) > FUNCTION_LINES_MAX]) == {}


def test_the_median_function_is_short() -> None:
    lengths = [body_lines(f) for path in PRODUCT for f in functions(path)]
    assert statistics.median(lengths) < MEDIAN_LINES_MAX


def test_modules_have_a_meaningful_name_and_say_what_they_are() -> None:
    def docstring_lines(path: Path) -> int:
        return len((ast.get_docstring(tree(path)) or "").splitlines())

    assert where(SOURCES, lambda path: BANNED & {part.removesuffix(".py") for part in Path(NAMES[path]).parts}) == {}
    assert where(SOURCES, lambda path: not 1 <= docstring_lines(path) <= 20) == {}


def test_nothing_is_left_lying_about() -> None:
    def left(path: Path) -> list[str]:
        text = path.read_text("utf-8")
        marks = r"#.*\b(?:TODO|FIXME|XXX|HACK)\b"
        said = [] if path == Path(__file__) else MACHINE_PATH.findall(text) + re.findall(marks, text)
        return said + [line for line in text.splitlines() if COMMENTED_OUT.match(line)]

    assert where(SOURCES, left) == {}


def test_only_commands_print() -> None:
    def prints(path: Path) -> int:
        calls = [n.func for n in ast.walk(tree(path)) if isinstance(n, ast.Call)]
        return sum(isinstance(f, ast.Name) and f.id == "print" for f in calls)

    assert where([path for path in PRODUCT if not NAMES[path].startswith(PRINTING)], prints) == {}


def test_every_kernel_has_tests() -> None:
    kernels = {path.stem for path in PRODUCT if path.parent.name == "kernels" and functions(path)}
    tested = {path.stem.removeprefix("test_") for path in (ROOT / "tests" / "kernels").glob("test_*.py")}
    assert kernels - tested == set()


@pytest.mark.parametrize("folder", ["pipeline", "jobs", "tests"])
def test_every_folder_of_modules_is_a_package(folder: str) -> None:
    folders = {path.parent for path in SOURCES if path.is_relative_to(ROOT / folder)}
    assert [str(f.relative_to(ROOT)) for f in sorted(folders) if not (f / "__init__.py").exists()] == []


@pytest.mark.parametrize(
    ("line", "is_code"),
    [
        ("# value = other", True),
        ("    # from a.b import c", True),
        ("# flush()", True),
        ("# return value", True),
        ("# alpha in the paper", False),
        ("# return early: nothing has come yet.", False),
        ("# As Kafka writes them: lower case.", False),
    ],
)
def test_code_in_comments_is_told_from_prose(line: str, is_code: bool) -> None:
    assert bool(COMMENTED_OUT.match(line)) == is_code
