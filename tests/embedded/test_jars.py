"""The class path holds locked jars only. The Maven repository here is a real HTTP server on loopback."""

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import infra
from pipeline.embedded import EmbeddedError, jars

GOOD = b"PK good jar"
LOCK = f"org.example:thing:1.0 {hashlib.sha256(GOOD).hexdigest()}\n"


class Quiet(SimpleHTTPRequestHandler):
    """Serves files, says nothing."""

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The directory of artifact org.example:thing:1.0 in a repository that jgo is configured for."""
    root, home = tmp_path / "repository", tmp_path / "home"
    artifact = root / "org" / "example" / "thing" / "1.0"
    artifact.mkdir(parents=True)
    home.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (home / ".jgorc").write_text(f"[repositories]\nlocal = http://127.0.0.1:{server.server_port}\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    yield artifact
    server.shutdown()
    server.server_close()


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """A lock file of one jar."""
    path = tmp_path / "test.lock"
    path.write_text(LOCK)
    return path


def serve(artifact: Path, content: bytes) -> None:
    """Put a jar into the repository, with the checksum a real repository gives."""
    (artifact / "thing-1.0.jar").write_bytes(content)
    (artifact / "thing-1.0.jar.sha1").write_text(hashlib.sha1(content).hexdigest())


def test_a_locked_jar_is_fetched_once(repository: Path, lock: Path, tmp_path: Path) -> None:
    serve(repository, GOOD)
    cache = tmp_path / "cache"
    assert jars.class_path(lock, cache) == str(cache / "thing-1.0.jar")
    serve(repository, b"never fetched again")
    assert Path(jars.class_path(lock, cache)).read_bytes() == GOOD
    assert [path.name for path in cache.iterdir()] == ["thing-1.0.jar"]


def test_a_jar_with_another_checksum_is_refused_and_not_kept(repository: Path, lock: Path, tmp_path: Path) -> None:
    serve(repository, b"PK evil jar")
    with pytest.raises(EmbeddedError, match=r"thing-1\.0\.jar is not the locked one"):
        jars.class_path(lock, tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_a_cached_jar_that_was_changed_is_fetched_again(repository: Path, lock: Path, tmp_path: Path) -> None:
    serve(repository, GOOD)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "thing-1.0.jar").write_bytes(b"half a j")
    assert Path(jars.class_path(lock, tmp_path / "cache")).read_bytes() == GOOD


def test_the_shipped_lock_names_kafka_and_no_jar_twice() -> None:
    locked = jars.parse_lock((infra.HOME / "kafka.lock").read_text())
    names = [jar.file_name for jar in locked]
    assert len(names) == len(set(names)) > 30
    assert any(jar.artifact == "kafka_2.13" for jar in locked)
    assert all(set(jar.sha256) <= set("0123456789abcdef") for jar in locked)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("org.example:thing 00", id="no version"),
        pytest.param(f"org.example:thing:jar:1.0 {'0' * 64}", id="a classifier"),
        pytest.param("org.example:thing:1.0 abc", id="a short checksum"),
        pytest.param("org.example:thing:1.0", id="no checksum"),
    ],
)
def test_a_lock_line_that_cannot_be_read_is_named(line: str) -> None:
    with pytest.raises(ValueError, match="line 2: want group:artifact:version"):
        jars.parse_lock(f"# comment\n{line}\n")
