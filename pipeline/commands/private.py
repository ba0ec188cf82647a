"""Directories whose files are run as code: ours alone, or not used.

Numba keeps compiled kernels as pickles, and reading a pickle runs what is in it: whoever can write there is us.
"""

import contextlib
import os
import stat
from pathlib import Path

OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class NotPrivate(RuntimeError):
    """Somebody else can write where we read code; the message says what to do."""


def private_directory(path: Path) -> Path:
    """Create a directory for its owner only, or make ours so; return it.

    What others could already have written there is not trusted: it is refused, not mended.
    Raises: NotPrivate.
    """
    for missing in reversed([parent for parent in path.absolute().parents if not parent.exists()]):
        missing.mkdir(mode=0o755, exist_ok=True)
    path.mkdir(exist_ok=True, mode=0o700)
    check_private(path)
    path.chmod(0o700)
    return path


def check_private(path: Path) -> None:
    """See that nobody else could have written what is in a directory, or can replace it.

    Raises: NotPrivate.
    """
    if path.is_symlink():
        raise NotPrivate(f"{path} is a symbolic link: name the directory itself")
    _check(path, "")
    is_closed = not path.stat().st_mode & 0o077  # nobody else has come this far: what it holds is ours
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            with contextlib.suppress(FileNotFoundError):  # a draft of another process, which has its final name now
                _check(Path(folder) / name, f"; remove {path}, it is only a cache", is_closed)
    for parent in path.resolve().parents:
        found = parent.stat()
        if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
            raise NotPrivate(f"everybody can write in {parent}, and so replace {path.name}: chmod o-w {parent}")


def _check(path: Path, remedy: str, is_behind_a_closed_door: bool = False) -> None:
    found = path.lstat()
    if found.st_uid != os.geteuid():
        raise NotPrivate(f"{path} belongs to user {found.st_uid}, and code is run from it{remedy or _ELSEWHERE}")
    if found.st_mode & OTHERS_WRITE and not stat.S_ISLNK(found.st_mode) and not is_behind_a_closed_door:
        raise NotPrivate(f"others can write in {path}, and code is run from it{remedy or f'; chmod go-w {path}'}")


_ELSEWHERE = "; set BURNLINE_DATA_DIR to a directory of your own"
