"""The directory of compiled kernels is ours alone: what others could have written is never run."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.commands.private import NotPrivate, private_directory


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def test_a_new_directory_is_for_its_owner_only_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        made = private_directory(tmp_path / "a" / "kernels")
    finally:
        os.umask(before)
    assert mode(made) == 0o700


def test_a_directory_that_others_may_only_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "kernels"
    path.mkdir(mode=0o755)
    (path / "kernel.nbi").write_bytes(b"")
    (path / "kernel.nbi").chmod(0o644)
    assert mode(private_directory(path)) == 0o700
    private_directory(path)


def test_behind_a_closed_door_a_loose_umask_does_no_harm(tmp_path: Path) -> None:
    path = private_directory(tmp_path / "kernels")
    (path / "kernel.nbi").write_bytes(b"")
    (path / "kernel.nbi").chmod(0o664)
    assert mode(private_directory(path)) == 0o700


def test_drafts_that_other_processes_rename_meanwhile_are_no_failure(tmp_path: Path) -> None:
    path, is_over = private_directory(tmp_path / "kernels"), threading.Event()

    def compile_on() -> None:
        while not is_over.is_set():
            (path / "draft").write_bytes(b"")
            (path / "draft").replace(path / "kernel.nbi")

    other = threading.Thread(target=compile_on)
    other.start()
    try:
        for _ in range(300):
            private_directory(path)
    finally:
        is_over.set()
        other.join()


def writable_by_others(path: Path) -> None:
    path.mkdir()
    path.chmod(0o777)


def writable_by_the_group(path: Path) -> None:
    path.mkdir()
    path.chmod(0o770)


def with_a_planted_file(path: Path) -> None:
    path.mkdir(mode=0o755)
    (path / "kernel.nbc").write_bytes(b"pickle")
    (path / "kernel.nbc").chmod(0o666)


def with_an_open_folder(path: Path) -> None:
    path.mkdir(mode=0o755)
    (path / "counts_0123").mkdir()
    (path / "counts_0123").chmod(0o777)


def a_link(path: Path) -> None:
    (path.parent / "elsewhere").mkdir(mode=0o700)
    path.symlink_to(path.parent / "elsewhere")


def under_an_open_parent(path: Path) -> None:
    path.mkdir(mode=0o700)
    path.parent.chmod(0o777)


OPEN = [
    writable_by_others,
    writable_by_the_group,
    with_a_planted_file,
    with_an_open_folder,
    a_link,
    under_an_open_parent,
]


@pytest.mark.parametrize("make", OPEN)
def test_what_others_could_have_written_is_refused_with_a_remedy(make: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "parent" / "kernels"
    path.parent.mkdir()
    make(path)
    with pytest.raises(NotPrivate, match=r"chmod|remove|name the directory"):
        private_directory(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
@pytest.mark.parametrize("inside", [False, True], ids=["the directory", "a file in it"])
def test_what_belongs_to_somebody_else_is_refused(inside: bool, tmp_path: Path) -> None:
    path = private_directory(tmp_path / "kernels")
    if inside:
        (path / "kernel.nbc").write_bytes(b"pickle")
    os.chown(path / "kernel.nbc" if inside else path, 12345, 12345)
    with pytest.raises(NotPrivate, match=r"belongs to user 12345"):
        private_directory(path)


@pytest.mark.parametrize("arguments", [["slo", "schema"], ["drain-dead-letters", "--dry-run"], ["worker", "--warm"]])
def test_no_command_loads_kernels_that_others_could_have_written(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writable_by_others(tmp_path / "kernels")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "kernels"))
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 1 and "NUMBA_CACHE_DIR" in done.stderr and "chmod" in done.stderr


@pytest.mark.parametrize("variable", ["BURNLINE_DATA_DIR", "BURNLINE_KERNEL_CACHE", "NUMBA_CACHE_DIR"])
def test_a_worker_loads_nothing_from_an_open_directory(variable: str, tmp_path: Path) -> None:
    kernels = tmp_path / "kernels"
    writable_by_others(kernels)
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(kernels), "BURNLINE_DATA_DIR": str(tmp_path / "data")}
    environment.pop("BURNLINE_KERNEL_CACHE", None)
    if variable != "NUMBA_CACHE_DIR":
        del environment["NUMBA_CACHE_DIR"]
        environment[variable] = str(tmp_path if variable == "BURNLINE_DATA_DIR" else kernels)
    command = [sys.executable, "-m", "pipeline.cli", "worker", "--warm"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "others can write" in done.stderr and "Traceback" not in done.stderr
    assert [path for path in kernels.rglob("*") if path.is_file()] == []
