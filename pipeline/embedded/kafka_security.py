"""The embedded Kafka's listeners, as text: open on loopback, or TLS with SASL users and an authorizer.

Pure. Law: with a SecuritySpec nobody gets in without TLS, and with users nobody without a password or a signed
token. The broker's own listeners, for itself and its controller, are loopback with a password made at every start.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
OWN_USER = "broker"
SCRAM = ("SCRAM-SHA-256", "SCRAM-SHA-512")
LOGIN = "org.apache.kafka.common.security"
TOKENS = f"{LOGIN}.oauthbearer.OAuthBearerValidatorCallbackHandler"

OPEN = """\
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
"""
GUARDED = """\
listeners=CLIENT://{host}:{port},OWN://{host}:{own_port},CONTROLLER://{host}:{controller_port}
advertised.listeners=CLIENT://{host}:{port},OWN://{host}:{own_port}
listener.security.protocol.map=CLIENT:{protocol},OWN:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT
inter.broker.listener.name=OWN
sasl.mechanism.inter.broker.protocol=PLAIN
sasl.mechanism.controller.protocol=PLAIN
listener.name.own.sasl.enabled.mechanisms=PLAIN
listener.name.own.plain.sasl.jaas.config={own_login}
listener.name.controller.sasl.enabled.mechanisms=PLAIN
listener.name.controller.plain.sasl.jaas.config={own_login}
listener.name.client.ssl.keystore.type=PEM
listener.name.client.ssl.keystore.location={keystore}
"""
USERS = """\
listener.name.client.sasl.enabled.mechanisms={mechanisms}
listener.name.client.scram-sha-256.sasl.jaas.config={login}.scram.ScramLoginModule required;
listener.name.client.scram-sha-512.sasl.jaas.config={login}.scram.ScramLoginModule required;
"""
SIGNED = """\
listener.name.client.oauthbearer.sasl.jaas.config={login}.oauthbearer.OAuthBearerLoginModule required;
listener.name.client.oauthbearer.sasl.server.callback.handler.class={handler}
listener.name.client.oauthbearer.sasl.oauthbearer.jwks.endpoint.url={keys}
listener.name.client.oauthbearer.sasl.oauthbearer.expected.audience=kafka
"""
AUTHORIZER = """\
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users={super_users}
"""


@dataclass(frozen=True)
class SecuritySpec:
    """Who gets in, and how.

    `keystore`: one PEM file with a PKCS 8 key and its certificate, for 127.0.0.1. `users`: SCRAM users and their
    passwords; none: TLS alone. `token_keys`: a JWKS file; tokens signed by its keys get in too, as their `sub`.
    `super_users`: None: everybody may do everything; else only these, and the others what access lists grant them.
    """

    keystore: Path
    users: Mapping[str, str] = field(default_factory=dict, repr=False)
    token_keys: Path | None = None
    super_users: tuple[str, ...] | None = None

    @property
    def java_options(self) -> list[str]:
        """Kafka reads keys from files only when it is told which."""
        if self.token_keys is None:
            return []
        return [f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={self.token_keys.as_uri()}"]

    @property
    def format_options(self) -> list[str]:
        """SCRAM users exist from the first record of the log on: a broker cannot be asked before it has one."""
        return [
            f"--add-scram={mechanism}=[name={name},password={password}]"
            for name, password in self.users.items()
            for mechanism in SCRAM
        ]


@dataclass(frozen=True)
class Ports:
    """Where one start listens."""

    client: int
    controller: int
    own: int


def listeners(spec: SecuritySpec | None, ports: Ports, own_password: str) -> str:
    """Write the listeners' part of server.properties."""
    places = {"host": HOST, "port": ports.client, "own_port": ports.own, "controller_port": ports.controller}
    if spec is None:
        return OPEN.format(**places)
    own_login = (
        f'{LOGIN}.plain.PlainLoginModule required username="{OWN_USER}" password="{own_password}" '
        f'user_{OWN_USER}="{own_password}";'
    )
    has_users = bool(spec.users or spec.token_keys)
    protocol = "SASL_SSL" if has_users else "SSL"
    text = GUARDED.format(**places, protocol=protocol, own_login=own_login, keystore=spec.keystore)
    if has_users:
        mechanisms = [*SCRAM, *(["OAUTHBEARER"] if spec.token_keys else [])]
        text += USERS.format(mechanisms=",".join(mechanisms), login=LOGIN)
    if spec.token_keys:
        text += SIGNED.format(login=LOGIN, handler=TOKENS, keys=spec.token_keys.as_uri())
    if spec.super_users is not None:
        names = ";".join(f"User:{name}" for name in (OWN_USER, *spec.super_users))
        text += AUTHORIZER.format(super_users=names)
    return text


def own_options(spec: SecuritySpec | None, ports: Ports, own_password: str) -> dict[str, Any]:
    """Client options of confluent-kafka for the one who has started the broker, and may do everything."""
    if spec is None:
        return {"bootstrap.servers": f"{HOST}:{ports.client}"}
    return {
        "bootstrap.servers": f"{HOST}:{ports.own}",
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": OWN_USER,
        "sasl.password": own_password,
    }
