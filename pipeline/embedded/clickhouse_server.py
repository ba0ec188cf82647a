"""The ClickHouse engine of the chdb-core wheel as a server process: `clickhouse_server.py FD ENGINE ROOT PORT..`.

The wheel's extension module has `_chdb.query()`, which runs a whole clickhouse-local application in this
process; that knows SYSTEM START LISTEN and reads config.xml of the current directory, so ports, users and
limits come from ROOT/etc. Run by path, standard library only: no second engine, no pandas. One a process.

It may open the directories that it needs, and connect to PORT.. alone, as a rule to nobody (sandbox.py): ROOT
itself, where the passwords are, is not among them. While its disk is nearly full it stands still (diskwatch.py). Its
first line on stdout, once it listens, is JSON with pid, tcp_port, http_port, version and is_confined. SIGTERM, SIGINT
or EOF on FD shut it down in order; a byte on FD kills it.
"""

import importlib.machinery
import importlib.util
import json
import os
import signal
import sys
import sysconfig
import threading
import time
from pathlib import Path
from types import ModuleType

START_S = 60.0
STOP_S = 20.0  # the engine leaves by itself after 5 s, whatever clients do; this is for an engine that hangs
STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
PROCESS_FILES = ("self", "meminfo", "cpuinfo", "stat", "loadavg", "uptime", "vmstat", "diskstats", "cgroups", "sys/vm",
                 "sys/kernel", "filesystems", "version", "pressure")  # fmt: skip
WRITTEN = ("store", "log", "backup", "tmp")  # of ROOT
ENDED = signal.SIGUSR1  # the engine's thread tells the main thread that it has ended

# System logs have their tables from the first moment on, not only once the disk may be full.
# The last statement costs nothing and lasts while the pipe's write end is open; KILL QUERY cannot end it.
SCRIPT = """
SYSTEM FLUSH LOGS;
SYSTEM START LISTEN TCP;
SYSTEM START LISTEN HTTP;
SELECT getServerPort('tcp_port'), getServerPort('http_port'), version()
INTO OUTFILE '{ready}' TRUNCATE FORMAT TSV;
SELECT count() FROM file('/dev/fd/{pipe}', 'LineAsString', 'x String')
SETTINGS storage_file_read_method = 'pread', max_execution_time = 0;
"""


def load_engine(path: str) -> ModuleType:
    """Load only the extension module: `import chdb` would start an engine of its own."""
    sys.setdlopenflags(os.RTLD_NOW | os.RTLD_LOCAL | getattr(os, "RTLD_DEEPBIND", 0))
    loader = importlib.machinery.ExtensionFileLoader("_chdb", path)
    spec = importlib.util.spec_from_loader("_chdb", loader, origin=path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def beside(name: str) -> ModuleType:
    """Load a module of this directory by its path."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def confine(engine_path: str, root: Path, ports: list[int]) -> bool:
    """Leave this process only what the engine needs; False where the system has no means for it."""
    library = [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), str(Path(engine_path).parents[1])]
    # Which processors, how much memory; not /proc itself, since other processes' environments are there.
    system = [
        *(f"/proc/{name}" for name in PROCESS_FILES),
        "/sys",
        "/usr",
        "/lib",
        "/lib64",
        "/etc/ld.so.cache",
        "/etc/localtime",
        "/etc/nsswitch.conf",
    ]
    reads = [*library, *system, "/etc/hosts", "/dev/urandom", str(root / "etc")]
    writes = [*(str(root / part) for part in WRITTEN), "/dev/null", "/dev/shm"]
    return bool(beside("sandbox").confine(reads, writes, ports))


def announce(ready: Path, engine: threading.Thread, is_confined: bool) -> None:
    """Print the ports once the engine has written them; ask for an end when it does not."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and engine.is_alive():
        try:
            tcp_port, http_port, version = ready.read_text().split()
        except (OSError, ValueError):
            time.sleep(0.01)
            continue
        ports = {"tcp_port": int(tcp_port), "http_port": int(http_port)}
        said = {"pid": os.getpid(), **ports, "version": version, "is_confined": is_confined}
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()
        return
    if engine.is_alive():
        os.kill(os.getpid(), signal.SIGTERM)


def follow(lifeline: int) -> None:
    """Turn EOF on the lifeline into an orderly end, and a byte into a sudden one."""
    os.kill(os.getpid(), signal.SIGKILL if os.read(lifeline, 1) else signal.SIGTERM)


def main(arguments: list[str]) -> int:
    """Serve until told to stop; return 0 after an orderly end."""
    lifeline, engine_path, root = int(arguments[0]), arguments[1], Path(arguments[2])
    ports = [int(port) for port in arguments[3:]]
    diskwatch = beside("diskwatch")
    free, kept = diskwatch.free_bytes(root), diskwatch.kept_bytes(root)
    if diskwatch.stands(free, kept, False):
        sys.stderr.write(f"its disk has {free >> 20} MB free; make room: it needs {kept >> 20} MB\n")
        return 1
    diskwatch.start(lifeline, root)
    # Every thread, the engine's included, inherits the mask, so that only sigwait below sees these signals.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS | {ENDED})
    pipe, hold = os.pipe()
    ready = root / "log" / "ready.tsv"
    ready.unlink(missing_ok=True)
    os.environ["TZ"] = "UTC"  # <timezone> in config.xml has no effect here
    is_confined = confine(engine_path, root, ports)
    module = load_engine(engine_path)
    os.chdir(root / "etc")
    errors: list[str] = []

    def run() -> None:
        try:
            result = module.query(SCRIPT.format(ready=ready, pipe=pipe), "TSV")
            errors.extend([str(result.error_message())] if result.has_error() else [])
        except Exception as error:  # whatever the extension throws
            errors.append(str(error))
        os.kill(os.getpid(), ENDED)

    engine = threading.Thread(target=run, name="engine", daemon=True)
    engine.start()
    threading.Thread(target=announce, args=(ready, engine, is_confined), daemon=True).start()
    threading.Thread(target=follow, args=(lifeline,), daemon=True).start()
    received = signal.sigwait(STOP_SIGNALS | {ENDED})
    os.close(hold)
    engine.join(STOP_S)
    ready.unlink(missing_ok=True)
    if errors or received == ENDED:
        sys.stderr.write((errors[0] if errors else "the engine ended by itself") + "\n")
        return 1
    return 0


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)  # the engine's own threads would otherwise outlive the interpreter's teardown
