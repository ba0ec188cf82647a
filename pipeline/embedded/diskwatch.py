"""While the disk of the embedded ClickHouse is nearly full, its engine stands still.

The engine of the chdb-core wheel takes a write(2) that fails with ENOSPC for done: on a full disk a merge that runs, an
insert or a new table end well, and their files are empty or cut. So it is never to write on a full disk. Below what is
kept free it refuses inserts and merges itself (keep_free_space_bytes); what is running then may end; below half of
that, whoever fills the disk, this process of its own stops it by SIGSTOP, and continues it once all of that is free
again. Who waits for an answer meanwhile waits, or gives up and tries again.

Standard library only; loaded by path. It ends with the server, or when the lifeline says anything: the server, going
on, hears that too.
"""

import ctypes
import os
import select
import signal
import sys
import time
from pathlib import Path

MOST_KEPT_BYTES = 256 << 20
KEPT_OF_DISK = 8  #: or this part of a small disk, if that is less
FASTEST_BYTES_S = 4 << 30  #: that anybody fills a disk at; for how long not to look
LEAST_S, MOST_S = 0.01, 1.0  #: between two looks
PR_SET_PDEATHSIG = 1  # prctl(2)


def kept_bytes(place: Path) -> int:
    """How much of the disk that `place` is on is kept free."""
    disk = os.statvfs(place)
    return min(MOST_KEPT_BYTES, disk.f_frsize * disk.f_blocks // KEPT_OF_DISK)


def free_bytes(place: Path) -> int:
    """How much we may still write there."""
    disk = os.statvfs(place)
    return disk.f_frsize * disk.f_bavail


def stands(free: int, kept: int, is_standing: bool) -> bool:
    """Whether the engine is to stand still with so many bytes free."""
    return free < (kept if is_standing else kept // 2)


def pause_s(free: int, kept: int) -> float:
    """How long nobody can fill the disk so far that the engine must stand still."""
    return min(max((free - kept // 2) / FASTEST_BYTES_S, LEAST_S), MOST_S)


def start(lifeline: int, root: Path) -> int:
    """Watch over the calling process, which has no threads yet, from a child of its own; return the child's id."""
    server = os.getpid()
    if watcher := os.fork():
        return watcher
    try:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.setsid()
        _leave_files(lifeline)
        watch(lifeline, server, root)
    finally:
        os._exit(0)


def _leave_files(lifeline: int) -> None:
    """Close what was inherited: the directory's lock, and pipes whose ends others wait for."""
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.closerange(3, lifeline)
    os.closerange(lifeline + 1, 1024)


def watch(lifeline: int, server: int, root: Path) -> None:
    """Stop and continue the server until it has gone, or the lifeline says anything."""
    said = select.poll()
    said.register(lifeline, select.POLLIN)
    kept, is_standing = kept_bytes(root), False
    while os.getppid() == server:
        free = free_bytes(root)
        if stands(free, kept, is_standing) != is_standing:
            is_standing = not is_standing
            os.kill(server, signal.SIGSTOP if is_standing else signal.SIGCONT)
            _tell(root, is_standing, free, kept)
        if said.poll(1000 * pause_s(free, kept)):
            os.kill(server, signal.SIGCONT)
            return


def _tell(root: Path, is_standing: bool, free: int, kept: int) -> None:
    """What happened, for whoever wonders why nobody answers."""
    does = f"stands still until {kept >> 20} MB are free" if is_standing else "goes on"
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    try:
        with open(root / "log" / "disk.log", "a", encoding="utf-8") as log:
            log.write(f"{at} the disk of {root} has {free >> 20} MB free: ClickHouse {does}\n")
    except OSError:  # the disk is full
        return
