"""A real ClickHouse server, from the engine in the chdb-core wheel.

Three users, whose passwords are made once and kept in files of mode 0600 under the data directory. Refuses to
know tables: those are the migrations' work.
"""

import importlib.util
import json
import secrets
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pipeline.embedded import clickhouse_server, diskwatch
from pipeline.embedded.clickhouse_config import ADMIN, DATABASE, READER, WRITER, ServerSpec, config_xml, users_xml
from pipeline.embedded.lifeline import EmbeddedError, Lifeline, locked, log_tail, missing_extra, write_secret

if TYPE_CHECKING:
    from clickhouse_driver import Client

HOST = "127.0.0.1"


def engine_path() -> str:
    """Find the wheel's extension module without importing it.

    Raises: EmbeddedError when the `embedded` extra is not installed.
    """
    spec = importlib.util.find_spec("chdb")
    for place in (spec.submodule_search_locations if spec else None) or ():
        for found in sorted(Path(place).glob("_chdb*.so")):
            return str(found)
    raise missing_extra("chdb-core")


def secret(path: Path) -> str:
    """Return the password in `path`; make one when there is none."""
    try:
        if text := path.read_text(encoding="utf-8").strip():
            return text
    except FileNotFoundError:
        pass
    write_secret(path, secrets.token_urlsafe(24))
    return path.read_text(encoding="utf-8")


class EmbeddedClickHouse:
    """One server on one directory. Start again after stop or kill to go on, on the same ports."""

    def __init__(
        self,
        data_dir: Path | str,
        port: int = 0,
        http_port: int = 0,
        memory_bytes: int = 3072 << 20,
        peers: Sequence[int] = (),
    ) -> None:
        """Prepare a server that keeps everything under `data_dir`; ports 0: any free ones.

        `peers`: the only ports it may connect to, those of the other servers of its cluster.
        """
        self.data_dir = Path(data_dir).resolve()
        self.port = port
        self.http_port = http_port
        self.memory_bytes = memory_bytes
        self._peers = tuple(peers)
        self.version = ""
        self.is_confined = False  # to its own files: else every user of it can read what this process may read
        self.pid = 0
        self._lifeline: Lifeline | None = None

    @property
    def url(self) -> str:
        """The writer's native address, as BURNLINE_CLICKHOUSE_URL wants it; no password in it."""
        return f"clickhouse://{WRITER}@{HOST}:{self.port}/{DATABASE}"

    @property
    def admin_url(self) -> str:
        """The native address of who migrates; the password is in `admin_password_file`."""
        return f"clickhouse://{ADMIN}@{HOST}:{self.port}/{DATABASE}"

    @property
    def reader_url(self) -> str:
        """The reader's native address; the password is in `reader_password_file`."""
        return f"clickhouse://{READER}@{HOST}:{self.port}/{DATABASE}"

    @property
    def http_url(self) -> str:
        """The address for HTTP clients."""
        return f"http://{HOST}:{self.http_port}"

    @property
    def password_file(self) -> Path:
        """The writer's password."""
        return self.data_dir / "writer.password"

    @property
    def admin_password_file(self) -> Path:
        """The password of who migrates."""
        return self.data_dir / "admin.password"

    @property
    def reader_password_file(self) -> Path:
        """The reader's password."""
        return self.data_dir / "reader.password"

    @property
    def password(self) -> str:
        """The writer's password itself; made with the server's directory."""
        return self.password_file.read_text(encoding="utf-8")

    def client(self, user: str = ADMIN, **options: Any) -> "Client":
        """Return a new clickhouse-driver client of one of the three users."""
        from clickhouse_driver import Client

        files = {ADMIN: self.admin_password_file, WRITER: self.password_file, READER: self.reader_password_file}
        file = files[user]
        login = {"database": DATABASE, "user": user, "password": file.read_text(encoding="utf-8")}
        return Client(HOST, self.port, **{**login, **options})

    @property
    def running(self) -> bool:
        """Whether the server runs."""
        return self._lifeline is not None and self._lifeline.alive

    def start(self) -> Self:
        """Start the server and wait until it listens.

        Raises: EmbeddedError with the engine's reason when it does not.
        """
        if self.running:
            return self
        engine = engine_path()
        with locked(self.data_dir) as lock:
            self._prepare()
            environment = {"HOME": str(self.data_dir / "tmp"), "TMPDIR": str(self.data_dir / "tmp"), "LANG": "C.UTF-8"}
            arguments = [engine, str(self.data_dir), *map(str, self._peers)]
            self._lifeline = Lifeline(Path(clickhouse_server.__file__), arguments, lock, environment)
        line = self._lifeline.first_line()
        if not line:
            reason = self._lifeline.errors() or log_tail(self.data_dir / "log" / "server.err.log")
            self.kill()
            raise EmbeddedError(f"ClickHouse did not start in {self.data_dir}: {reason[-3000:]}")
        said = json.loads(line)
        self.port, self.http_port = said["tcp_port"], said["http_port"]
        self.version, self.pid, self.is_confined = said["version"], said["pid"], said["is_confined"]
        return self

    def stop(self) -> None:
        """Shut the server down in order. Idempotent."""
        if self._lifeline is not None:
            self._lifeline.stop(clickhouse_server.STOP_S + 5)
            self._lifeline = None

    def kill(self) -> None:
        """Kill the server as kill -9 does. Idempotent."""
        if self._lifeline is not None:
            self._lifeline.kill()
            self._lifeline = None

    def _prepare(self) -> None:
        from pipeline.sinks.migrations import load, views  # needs the driver, which starting alone does not

        for part in ("etc", "log", "store/metadata", "backup", "tmp"):
            (self.data_dir / part).mkdir(parents=True, exist_ok=True)
        spec = ServerSpec(
            self.data_dir,
            self.port,
            self.http_port,
            self.memory_bytes,
            secret(self.admin_password_file),
            secret(self.password_file),
            secret(self.reader_password_file),
            views(load()),
            diskwatch.kept_bytes(self.data_dir),
        )
        write_secret(self.data_dir / "etc" / "config.xml", config_xml(spec))
        write_secret(self.data_dir / "etc" / "users.xml", users_xml(spec))
        for name in ("system", DATABASE):
            self._seed_database(name)

    def _seed_database(self, name: str) -> None:
        """Create an empty database before the first start.

        `system` is in memory otherwise, and its log tables would be orphaned at every start; the users'
        default database must exist for the first of them to log in.
        """
        path = self.data_dir / "store" / "metadata" / f"{name}.sql"
        if not path.exists():
            path.write_text(f"ATTACH DATABASE _ UUID '{uuid.uuid4()}'\nENGINE = Atomic\n")

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()
