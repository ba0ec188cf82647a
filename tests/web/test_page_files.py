"""The page's files: small, without anything that its policy forbids or that another host would have to answer, and the
libraries of others as their packages have them."""

import hashlib
import re
from pathlib import Path

import pytest

import pipeline.web
from pipeline.alerts import Kind

PAGE = Path(pipeline.web.__file__).parent / "page"
VENDOR = PAGE / "vendor"
OURS = sorted(path for path in PAGE.rglob("*.*") if VENDOR not in path.parents)
MODULES = [path for path in OURS if path.suffix == ".js"]
NAMES = {path: path.relative_to(PAGE).as_posix() for path in OURS}
LINES_MAX = 400
IMPORT = re.compile(r'(?:from|import)\s*\(?\s*"(\.[^"]+)"')
INLINE = re.compile(r"<style|\son\w+=|\sstyle=|<script(?! type=\"module\" src=)|javascript:|\beval\(|new Function")
ELSEWHERE = re.compile(r"(?:https?:)?//(?!www\.w3\.org/2000/svg)[a-z0-9.-]+\.[a-z]{2,}", re.IGNORECASE)


@pytest.mark.parametrize("path", OURS, ids=NAMES.get)
def test_a_file_is_short_and_says_what_it_is(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= LINES_MAX
    if path.suffix in (".js", ".css"):
        assert lines[0].startswith(("// ", "/* "))


def test_alerts_have_a_word_for_every_kind_there_is() -> None:
    text = (PAGE / "views" / "alerts.js").read_text(encoding="utf-8")
    words = re.search(r"const KINDS = \{(.*?)\};", text, re.DOTALL)
    assert words and set(re.findall(r"([A-Z_]+): ", words[1])) == {kind.name for kind in Kind}


@pytest.mark.parametrize("path", OURS, ids=NAMES.get)
def test_nothing_is_inline_and_no_other_host_is_named(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert INLINE.findall(text) == []
    assert ELSEWHERE.findall(text) == []


@pytest.mark.parametrize("path", MODULES, ids=NAMES.get)
def test_a_module_imports_files_that_are_there(path: Path) -> None:
    found = IMPORT.findall(path.read_text(encoding="utf-8"))
    assert [name for name in found if not (path.parent / name).resolve().is_file()] == []


def test_the_fleets_modules_are_fetched_at_once_and_no_others() -> None:
    said = re.findall(r'rel="modulepreload" href="/([^"]+)"', (PAGE / "index.html").read_text(encoding="utf-8"))
    wanted, seen = [PAGE / "main.js"], set[Path]()
    while wanted:
        path = wanted.pop()
        seen.add(path)
        text = path.read_text(encoding="utf-8")
        static = re.findall(r'(?:from|import)\s*"(\.[^"]+)"', text)
        wanted += [found for name in static if (found := (path.parent / name).resolve()) not in seen]
    assert sorted(said) == sorted(path.relative_to(PAGE).as_posix() for path in seen)


def test_libraries_are_what_their_packages_have() -> None:
    sums = dict(reversed(line.split("  ")) for line in (VENDOR / "SHA256SUMS").read_text(encoding="utf-8").splitlines())
    found = {path.relative_to(VENDOR).as_posix(): path for path in VENDOR.glob("*/**/*") if path.is_file()}
    assert {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in found.items()} == sums
    packages = [line.split()[0] for line in (VENDOR / "packages.txt").read_text(encoding="utf-8").splitlines()]
    assert all((VENDOR / name / "LICENSE").is_file() for name in packages)
    assert {name.partition("/")[0] for name in sums} == set(packages)
