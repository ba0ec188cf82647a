"""Kafka's jars: exactly those of infra/kafka.lock, fetched once, verified at every start.

Law: the class path holds no byte whose SHA-256 is not in the lock file. Fetched by jgo from the Maven
repository it is configured for; nothing is resolved, since the lock already names every jar.
`python -m pipeline.embedded.jars GROUP:ARTIFACT:VERSION...` resolves anew and prints a lock file.
"""

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import infra
from pipeline.embedded.lifeline import EmbeddedError, missing_extra

LOCK_HEADER = """\
# Every jar on the embedded Kafka's class path: Maven coordinates and SHA-256. Verified at every start.
# Made by: python -m pipeline.embedded.jars {coordinates}
"""
FETCHES_AT_ONCE = 8


class Jar(NamedTuple):
    """One locked artifact."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        """As Maven names it."""
        return f"{self.artifact}-{self.version}.jar"


def cache_directory() -> Path:
    """Return where jars are kept between runs: $XDG_CACHE_HOME/burnline/jars, or under ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "burnline" / "jars"


def parse_lock(text: str) -> list[Jar]:
    """Read `group:artifact:version sha256` lines; `#` begins a comment.

    Raises: ValueError with the line number for anything else.
    """
    jars = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.split("#")[0].strip()
        if not line:
            continue
        coordinates, _, digest = line.partition(" ")
        parts = coordinates.split(":")
        if len(parts) != 3 or len(digest.strip()) != 64:
            raise ValueError(f"line {number}: want group:artifact:version and a SHA-256, have {raw!r}")
        jars.append(Jar._make([*parts, digest.strip()]))
    return jars


def digest_of(path: Path) -> str | None:
    """Return the file's SHA-256; None when there is no such file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None


def class_path(lock: Path | None = None, cache: Path | None = None) -> str:
    """Return the class path of verified jars, after fetching what the cache lacks.

    Raises: EmbeddedError when a jar cannot be had, or is not the locked one.
    """
    jars = parse_lock((lock or infra.HOME / "kafka.lock").read_text(encoding="utf-8"))
    directory = cache or cache_directory()
    wanting = [jar for jar in jars if digest_of(directory / jar.file_name) != jar.sha256]
    if wanting:
        fetch(wanting, directory)
    return os.pathsep.join(str(directory / jar.file_name) for jar in jars)


def fetch(jars: Iterable[Jar], directory: Path) -> None:
    """Download jars beside the cache, verify them, and move them in one by one.

    jgo writes its files in place and trusts what it finds, so it gets an empty directory of its own; an
    interrupted or concurrent fetch then never leaves half a jar under a final name.
    """
    maven = _maven()
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        context = maven(Path(scratch))

        def one(jar: Jar) -> None:
            try:
                path = context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()
            except Exception as error:  # whatever the client raises for a network or a repository
                raise EmbeddedError(
                    f"cannot fetch {jar.file_name} for the embedded Kafka: {error}. Check the network, or a "
                    "repository in jgo's configuration"
                ) from error
            found = digest_of(path)
            if found != jar.sha256:
                raise EmbeddedError(
                    f"{jar.file_name} is not the locked one: SHA-256 {found}, infra/kafka.lock says "
                    f"{jar.sha256}. The repository or the way to it has changed the file: do not use it"
                )
            os.replace(path, directory / jar.file_name)

        with ThreadPoolExecutor(FETCHES_AT_ONCE) as pool:
            list(pool.map(one, jars))


def _maven() -> Callable[[Path], Any]:
    """Return a maker of jgo contexts on a directory, with the user's own repositories first."""
    try:
        from jgo.config import GlobalSettings
        from jgo.constants import MAVEN_CENTRAL_URL
        from jgo.maven import MavenContext
    except ImportError as error:
        raise missing_extra("jgo") from error
    repositories = {**GlobalSettings.load().repositories, "central": MAVEN_CENTRAL_URL}
    return lambda scratch: MavenContext(repo_cache=scratch, remote_repos=repositories, timeout=60)


def resolve(coordinates: list[str]) -> list[Jar]:
    """Resolve coordinates with all they depend on, for a new lock file."""
    import jgo

    with tempfile.TemporaryDirectory() as scratch:
        artifacts = jgo.resolve("+".join(coordinates))
        context = _maven()(Path(scratch))
        jars = []
        for found in sorted(artifacts, key=lambda a: (a.groupId, a.artifactId)):
            project = context.project(found.groupId, found.artifactId)
            path = project.at_version(found.version).artifact().resolve()
            jars.append(Jar(found.groupId, found.artifactId, found.version, str(digest_of(path))))
        return jars


def main(coordinates: list[str]) -> int:
    """Print a lock file for the coordinates."""
    sys.stdout.write(LOCK_HEADER.format(coordinates=" ".join(coordinates)))
    for jar in resolve(coordinates):
        sys.stdout.write(f"{jar.group}:{jar.artifact}:{jar.version} {jar.sha256}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
