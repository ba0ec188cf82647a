"""A broker with TLS, users and access lists, a ClickHouse beside it, and workers who come in as somebody."""

import os
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from pipeline.commands.children import Worker, environment
from pipeline.embedded import EmbeddedClickHouse, EmbeddedKafka, SecuritySpec
from pipeline.grants import ROLES, Grant
from pipeline.settings import Settings
from tests.forking import ForkedWorker, ran
from tests.narrow import create_narrow_topics
from tests.security.certificates import Authority, Signer, authority

#: by role, each its own password; "admin" of the broker itself is somebody else again
PASSWORDS = {name: f"password-of-{name}-7c1f" for name in ("worker", "producer", "alerts", "drain", "admin", "nobody")}
SLO = """\
apiVersion: burnline/v1
kind: SLO
metadata: {name: guarded, labels: {owner: test}}
spec:
  service: chat
  indicator: {metric: error_rate, groupBy: [request_model, region]}
  target: 0.99
  timeWindow: {duration: 30d, isRolling: true}
  alerting: {preset: default}
"""


@dataclass
class Guarded:
    """The servers, and settings for who asks for them."""

    home: Path
    kafka: EmbeddedKafka
    clickhouse: EmbeddedClickHouse
    authority: Authority
    stranger: Authority
    signer: Signer

    def settings(self, user: str, **changes: Any) -> Settings:
        """Settings of a user with its password in a file; `changes` win."""
        password = self.home / f"{user}.password"
        password.write_text(PASSWORDS[user] + "\n")
        (self.home / "slo").mkdir(exist_ok=True)
        (self.home / "slo" / "slo.yaml").write_text(SLO)
        given = {
            "kafka_brokers": self.kafka.brokers,
            "kafka_security_protocol": "SASL_SSL",
            "kafka_sasl_mechanism": "SCRAM-SHA-512",
            "kafka_sasl_username": user,
            "kafka_sasl_password_file": password,
            "kafka_ssl_cafile": self.authority.file,
            "clickhouse_url": self.clickhouse.url,
            "clickhouse_password_file": self.clickhouse.password_file,
            "data_dir": self.home / "data",
            "slo_dir": self.home / "slo",
        }
        return Settings(**{**given, **changes})

    @property
    def admin(self) -> AdminClient:
        """The client of who has started the broker, and may do everything."""
        return AdminClient({**self.kafka.own_options, "log_level": 0})

    def grant(self, user: str, grants: Iterable[Grant]) -> None:
        """Allow a user exactly these, beside what it was allowed before."""
        admin, wanted = self.admin, [binding(user, grant) for grant in grants]  # futures end with the client
        for future in admin.create_acls(wanted).values():
            future.result(60)
        self._wait_applied(admin, wanted, True)

    def revoke(self, user: str, grant: Grant) -> None:
        """Take one of them away."""
        admin, made = self.admin, binding(user, grant)
        for future in admin.delete_acls([filter_of(made)]).values():
            assert len(future.result(60)) == 1, grant
        self._wait_applied(admin, [made], False)

    def _wait_applied(self, admin: AdminClient, bindings: Iterable[AclBinding], are_there: bool) -> None:
        """The controller answers; the broker applies a change a moment later, and tells what it has applied."""
        deadline = time.monotonic() + 60
        for each in bindings:
            while bool(admin.describe_acls(filter_of(each)).result(60)) != are_there:
                assert time.monotonic() < deadline, each
                time.sleep(0.02)

    def prepare(self, prefix: str) -> None:
        """Create the topics of a prefix as the admin of Burnline, with its grants alone, and let the roles in."""
        settings = self.settings("admin", topic_prefix=prefix)
        for user, role in {
            "admin": "admin",
            "worker": "worker",
            "producer": "producer",
            "alerts": "alert reader",
            "drain": "drain",
        }.items():
            self.grant(user, ROLES[role](settings))
        create_narrow_topics(settings)

    def worker(self, settings: Settings) -> Worker:
        """Begin to start a worker; its log is beside the others'."""
        logs = self.home / "log"
        return ForkedWorker(settings, logs / f"worker-{len(list(logs.glob('*'))) if logs.exists() else 0}.log")

    def run(self, settings: Settings, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run one command to its end."""
        done = ran({**os.environ, **environment(settings)}, arguments)
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def binding(user: str, grant: Grant) -> AclBinding:
    """A grant as Kafka writes it."""
    return AclBinding(
        ResourceType[grant.resource],
        grant.name,
        ResourcePatternType.PREFIXED if grant.is_prefix else ResourcePatternType.LITERAL,
        f"User:{user}",
        "*",
        AclOperation[grant.operation],
        AclPermissionType.ALLOW,
    )


def filter_of(made: AclBinding) -> AclBindingFilter:
    """What finds a grant again."""
    parts = (made.restype, made.name, made.resource_pattern_type, made.principal, made.host, made.operation)
    return AclBindingFilter(*parts, made.permission_type)


@contextmanager
def guarded(home: Path) -> Iterator[Guarded]:
    """Start both servers; stop them."""
    from pipeline.sinks.migrations import migrate

    ours, stranger = authority(home / "ca.pem"), authority(home / "stranger.pem")
    signer = Signer(home / "keys.json")
    security = SecuritySpec(ours.keystore(home / "broker.pem"), PASSWORDS, signer.file, super_users=())
    with (
        EmbeddedKafka(home / "kafka", security=security) as kafka,
        EmbeddedClickHouse(home / "clickhouse") as clickhouse,
    ):
        found = Guarded(home, kafka, clickhouse, ours, stranger, signer)
        migrate(clickhouse.client())
        yield found
