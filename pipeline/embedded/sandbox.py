"""Confine this process to the files it needs, by Landlock: what is not listed cannot be opened, whoever asks for it.

The engine of the embedded ClickHouse is that of a command line tool: its function file() reads whatever the process
may read, and asks no grant. Standard library only; loaded by path. Linux 5.13 or newer; elsewhere `confine` says no.
Source: https://docs.kernel.org/userspace-api/landlock.html
"""

import ctypes
import os
import stat
from collections.abc import Iterable

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same on every architecture
VERSION = 1  # flag of CREATE_RULESET
PATH_BENEATH, NET_PORT = 1, 2
NO_NEW_PRIVILEGES = 38  # prctl(2)

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, TRUNCATE, IOCTL = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 14, 1 << 15
#: rights of files and directories that each version of Landlock knows; handled without a rule: refused
FILE_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
CONNECT_TCP, CONNECT_TCP_SINCE = 1 << 1, 4
ON_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL
READING = EXECUTE | READ_FILE | READ_DIR


class Ruleset(ctypes.Structure):
    """What is handled at all."""

    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64))


class Beneath(ctypes.Structure):
    """One rule: these rights on what is beneath an open directory, or on an open file."""

    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("rights", ctypes.c_uint64), ("fd", ctypes.c_int32))


class Port(ctypes.Structure):
    """One rule: these rights on a TCP port, of whatever host."""

    _fields_ = (("rights", ctypes.c_uint64), ("port", ctypes.c_uint64))


def confine(reads: Iterable[str], writes: Iterable[str], ports: Iterable[int] = ()) -> bool:
    """Let this process and all it starts read `reads`, write `writes`, connect to `ports`, and nothing else, for good.

    Paths that do not exist are left out. Returns False where the system cannot do it; nothing has changed then.
    """
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        version = libc.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(VERSION))
    except (OSError, AttributeError):
        return False
    if version < 1:
        return False
    handled = FILE_RIGHTS[min(version, max(FILE_RIGHTS))]
    network = CONNECT_TCP if version >= CONNECT_TCP_SINCE else 0
    wanted = Ruleset(handled, network)
    size = ctypes.sizeof(Ruleset) if network else 8
    rules = libc.syscall(CREATE_RULESET, ctypes.byref(wanted), ctypes.c_size_t(size), ctypes.c_uint32(0))
    if rules < 0:
        return False
    for paths, rights in ((reads, READING), (writes, handled)):
        for path in paths:
            _allow(libc, rules, path, rights & handled)
    for port in ports if network else ():
        _add(libc, rules, NET_PORT, Port(CONNECT_TCP, port), f"port {port}")
    is_done = libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0
    is_done = is_done and libc.syscall(RESTRICT_SELF, ctypes.c_int(rules), ctypes.c_uint32(0)) == 0
    os.close(rules)
    return bool(is_done)


def _allow(libc: ctypes.CDLL, rules: int, path: str, rights: int) -> None:
    """Add a rule; raises OSError when a path that exists cannot be added, since what needs it would fail later."""
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            rights &= ON_FILES
        _add(libc, rules, PATH_BENEATH, Beneath(rights, fd), path)
    finally:
        os.close(fd)


def _add(libc: ctypes.CDLL, rules: int, kind: int, rule: ctypes.Structure, what: str) -> None:
    if libc.syscall(ADD_RULE, ctypes.c_int(rules), ctypes.c_int(kind), ctypes.byref(rule), ctypes.c_uint32(0)):
        raise OSError(ctypes.get_errno(), f"cannot allow {what}")
