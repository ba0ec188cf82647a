"""The edge: SLO files and preset files, from disk. Everything else in this package takes text.

A file that cannot be read is a problem like any other, so that one set of messages says all there is to mend.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import schemas
from pipeline.spec.build import model_presets, parse, preset
from pipeline.spec.document import BYTES_MAX
from pipeline.spec.problems import Problem, SpecError
from pipeline.spec.rules import Presets
from pipeline.spec.slos import SloSet

FILES_MAX = 4096
SUFFIXES = (".yaml", ".yml")
NONE_YET = "write one: `burnline slo new NAME`, or set BURNLINE_SLO_DIR"


@cache
def presets() -> Presets:
    """Return the shipped alert policies and thresholds by name."""
    windows, models = ((schemas.HOME / folder).glob("*.yaml") for folder in ("alert_windows", "slo_presets"))
    thresholds = [model_presets(file.stem, file.read_text(encoding="utf-8")) for file in sorted(models)]
    return Presets(
        {file.stem: preset(file.stem, file.read_text(encoding="utf-8")) for file in sorted(windows)},
        {name: made for each in thresholds for name, made in each.items()},
    )


class Files(NamedTuple):
    """What SLO files hold, by name, and which could not be read."""

    texts: dict[str, bytes]
    problems: tuple[Problem, ...]


def load(paths: Iterable[Path | str]) -> SloSet:
    """Read SLO files and directories of them; what is wrong is in `.problems`, of all files at once."""
    return loaded(read(paths))


def read(paths: Iterable[Path | str]) -> Files:
    """Read the bytes of SLO files and of directories of them.

    Hidden files and directories are left out: Kubernetes keeps former versions of a mounted directory there.
    """
    problems: list[Problem] = []
    texts: dict[str, bytes] = {}
    for path in map(Path, paths):
        before = len(texts)
        for file in _files(path, problems):
            if str(file) not in texts:
                _read(file, texts, problems)
        if path.is_dir() and len(texts) == before and not problems:
            problems.append(_about(path, f"holds no SLO file (*{', *'.join(SUFFIXES)})", NONE_YET))
    return Files(texts, tuple(problems))


def loaded(files: Files) -> SloSet:
    """Make SLOs of what was read."""
    texts, problems = files.texts, list(files.problems)
    found = parse(texts, presets())
    holds = found.slos or found.unmeasured or found.others or found.corrections
    if texts and not (holds or found.problems or problems):
        problems.append(_about(Path(next(iter(texts))), "holds no SLO", NONE_YET))
    unmeasured = found.unmeasured
    if found.others and not (found.slos or unmeasured or found.problems or problems):
        unmeasured = (_about(Path(next(iter(texts))), "holds OpenSLO, but no SLO", NONE_YET),)
    return replace(found, problems=(*problems, *found.problems), unmeasured=unmeasured)


def _files(path: Path, problems: list[Problem]) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    candidates = (file for suffix in SUFFIXES for file in path.rglob(f"*{suffix}"))
    visible = (file for file in candidates if not any(part.startswith(".") for part in file.relative_to(path).parts))
    files = sorted(file for file in visible if not file.is_dir())
    if len(files) > FILES_MAX:
        problems.append(_about(path, f"holds {len(files)} SLO files; at most {FILES_MAX} are read", "join files"))
    yield from files[:FILES_MAX]


def _read(file: Path, texts: dict[str, bytes], problems: list[Problem]) -> None:
    """Read one file, never more of it than allowed."""
    if file.exists() and not file.is_file():  # opening a pipe would wait for its writer
        problems.append(_about(file, "is no regular file", "name a file or a directory"))
        return
    try:
        with file.open("rb") as stream:
            texts[str(file)] = stream.read(BYTES_MAX + 1)
    except FileNotFoundError:
        problems.append(_about(file, "does not exist", NONE_YET))
    except OSError as error:
        problems.append(_about(file, f"cannot be read: {error.strerror}", "check the path and its permissions"))


def bytes_of(path: Path) -> bytes:
    """Read a file that somebody named.

    Raises: SpecError.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise SpecError([_about(path, f"cannot be read: {error.strerror}", "name a file that can be")]) from error


def stamp_of(path: Path | None) -> tuple[int, ...] | None:
    """What differs once a file is written again; None: there is none, or reading it says why."""
    try:
        found = path.stat() if path else None
    except OSError:
        return None
    return found and (found.st_mtime_ns, found.st_size, found.st_ino)


def _about(path: Path, rule: str, remedy: str) -> Problem:
    return Problem(str(path), 1, 1, "", "", rule, remedy)
