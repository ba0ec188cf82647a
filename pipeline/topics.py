"""Topics: their names, what infra/topics.yaml wants of them, and the Kafka client options out of Settings.

Law: `create_topics` run twice changes nothing the second time. It creates what is missing and reports what
differs; it never alters or deletes a topic that exists, since its owner may have had reasons. slo.state has
as many partitions as slo.counts, or the judge's memory would be in another partition than what it judges.
"""

import functools
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ruamel.yaml import YAML

import infra
from pipeline.settings import PREFIX, Settings, SettingsError

if TYPE_CHECKING:
    from confluent_kafka import KafkaError
    from confluent_kafka.admin import AdminClient, ClusterMetadata, TopicMetadata

    from pipeline.credentials import TokenSource

EVENTS = "inference.events"
DEAD_LETTERS = "inference.events.dlq"
CHANGES = "inference.changes"
SNAPSHOTS = "inference.snapshots"
COUNTS = "slo.counts"
SLICES = "slo.slices"
STATE = "slo.state"
STATUS = "slo.status"
ALERTS = "slo.alerts"
DELIVERIES = "slo.deliveries"
SIGNALS = "slo.signals"
NAMES = (EVENTS, DEAD_LETTERS, CHANGES, SNAPSHOTS, COUNTS, SLICES, STATE, STATUS, ALERTS, DELIVERIES, SIGNALS)

TIMEOUT_S = 30.0
BROKERS_DEFAULT = -1  # replication factor: the broker's default.replication.factor


class TopicsError(RuntimeError):
    """Topics cannot be used as they are; the message says what to do."""


@dataclass(frozen=True)
class TopicSpec:
    """What a topic should be."""

    partitions: int
    config: Mapping[str, str] = field(default_factory=dict)


class Difference(NamedTuple):
    """Where an existing topic is not as infra/topics.yaml wants it."""

    topic: str
    setting: str
    wanted: str
    found: str


@dataclass(frozen=True)
class Report:
    """What create_topics did and saw; names with the prefix."""

    created: tuple[str, ...]
    existing: tuple[str, ...]
    differences: tuple[Difference, ...]


def topic_name(settings: Settings, base: str) -> str:
    """Put the prefix in front of one of NAMES."""
    return settings.topic_prefix + base


@functools.cache
def topics() -> Mapping[str, TopicSpec]:
    """Return what infra/topics.yaml says, by base name."""
    return load_topics(infra.HOME / "topics.yaml")


def load_topics(path: Path) -> dict[str, TopicSpec]:
    """Read a topics file.

    Raises: TopicsError for a missing or unknown topic, no partitions, or slo.state unlike slo.counts.
    """
    entries = YAML(typ="safe", pure=True).load(path)
    if set(entries) != set(NAMES):
        odd = ", ".join(sorted(set(entries) ^ set(NAMES)))
        raise TopicsError(f"{path.name}: topics must be exactly {', '.join(NAMES)}; missing or unknown: {odd}")
    specs = {
        name: TopicSpec(int(entry["partitions"]), _texts(entry.get("config", {}))) for name, entry in entries.items()
    }
    for name, spec in specs.items():
        if spec.partitions < 1:
            raise TopicsError(f"{path.name}: {name} has {spec.partitions} partitions; at least 1 is needed")
    if specs[STATE].partitions != specs[COUNTS].partitions:
        raise TopicsError(f"{path.name}: give {STATE} the {specs[COUNTS].partitions} partitions of {COUNTS}")
    return specs


def _texts(config: Mapping[str, Any]) -> dict[str, str]:
    """Write values as Kafka does, so that they can be compared with what a broker answers."""
    return {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in config.items()}


def create_topics(settings: Settings, specs: Mapping[str, TopicSpec] | None = None) -> Report:
    """Create missing topics; say which existing ones differ. Safe to run from many workers at once.

    Raises: TopicsError when a broker refuses, or slo.state and slo.counts do not match.
    """
    wanted = {topic_name(settings, base): spec for base, spec in (specs or topics()).items()}
    admin, found = cluster(settings)
    present = found.topics
    created = _create(admin, {name: spec for name, spec in wanted.items() if name not in present})
    present = _wait_for(admin, set(wanted))
    partitions = {name: len(present[name].partitions) for name in wanted}
    _check_state(settings, partitions)
    existing = tuple(name for name in wanted if name not in created)
    return Report(created, existing, tuple(differences(admin, wanted, partitions, existing)))


def _metadata(admin: "AdminClient") -> "dict[str, TopicMetadata]":
    from confluent_kafka import KafkaException

    try:
        found: dict[str, TopicMetadata] = admin.list_topics(timeout=TIMEOUT_S).topics
    except KafkaException as error:
        raise TopicsError(f"the brokers do not answer any more: {error.args[0].str()}") from error
    return found


def _wait_for(admin: "AdminClient", names: set[str]) -> "dict[str, TopicMetadata]":
    """Wait until the brokers know the topics, a moment after the controller's answer."""
    deadline = time.monotonic() + TIMEOUT_S
    while names - (present := _metadata(admin)).keys():
        if time.monotonic() > deadline:
            raise TopicsError(f"the brokers do not show {', '.join(sorted(names - present.keys()))}")
        time.sleep(0.05)
    return present


def _create(admin: "AdminClient", missing: Mapping[str, TopicSpec]) -> tuple[str, ...]:
    """Create topics; return those that we, and nobody at the same moment, have created."""
    from confluent_kafka import KafkaError, KafkaException
    from confluent_kafka.admin import NewTopic

    if not missing:
        return ()
    wanted = [
        NewTopic(name, num_partitions=spec.partitions, replication_factor=BROKERS_DEFAULT, config=spec.config)
        for name, spec in missing.items()
    ]
    created = []
    for name, future in admin.create_topics(wanted, operation_timeout=TIMEOUT_S).items():
        try:
            future.result()
            created.append(name)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise TopicsError(f"the broker refuses to create {name}: {error.args[0].str()}") from error
    return tuple(created)


def _check_state(settings: Settings, partitions: Mapping[str, int]) -> None:
    counts, state = topic_name(settings, COUNTS), topic_name(settings, STATE)
    if partitions[counts] != partitions[state]:
        raise TopicsError(
            f"{state} has {partitions[state]} partitions and {counts} has {partitions[counts]}: they must be "
            f"equal. Stop the workers, delete {state} and create it with {partitions[counts]} partitions"
        )


def differences(
    admin: "AdminClient",
    wanted: Mapping[str, TopicSpec],
    partitions: Mapping[str, int],
    names: tuple[str, ...],
) -> Iterable[Difference]:
    """Compare partitions and configuration of topics that were there before."""
    for name in names:
        if partitions[name] != wanted[name].partitions:
            yield Difference(name, "partitions", str(wanted[name].partitions), str(partitions[name]))
    for name, found in configurations(admin, names).items():
        for setting, value in wanted[name].config.items():
            if found.get(setting) != value:
                yield Difference(name, setting, value, str(found.get(setting)))


def configurations(admin: "AdminClient", names: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """Every setting of topics, by their full names.

    Raises: KafkaException, when we may not look at one of them too.
    """
    from confluent_kafka.admin import ConfigResource

    if not names:
        return {}
    asked = admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, name) for name in names])
    return {
        resource.name: {entry.name: entry.value for entry in future.result(TIMEOUT_S).values()}
        for resource, future in asked.items()
    }


def cluster(settings: Settings, timeout_s: float = TIMEOUT_S) -> "tuple[AdminClient, ClusterMetadata]":
    """Reach the brokers; return an admin client and what it sees.

    Raises: TopicsError: at once when we are refused, after `timeout_s` when nobody answers.
    """
    from confluent_kafka import KafkaException

    heard: list[KafkaError] = []  # librdkafka tries again whatever the reason; the reason comes by this way only
    admin = _admin(settings, heard.append)
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return admin, admin.list_topics(timeout=min(1.0, timeout_s))
        except KafkaException as error:
            admin.poll(0)
            refused = [said for said in heard if said.name() in REFUSALS]
            if refused or time.monotonic() > deadline:
                reasons = [said for said in heard if said.name() != "_ALL_BROKERS_DOWN"]
                raise TopicsError(unreachable(settings, (refused or reasons or [error.args[0]])[-1])) from None


def _admin(settings: Settings, hear: "Callable[[KafkaError], None]") -> "AdminClient":
    from confluent_kafka.admin import AdminClient

    try:
        if uses_tokens(settings):
            token_source(settings).current()  # librdkafka would wait for it in vain, and not say why
        return AdminClient({**confluent_config(settings), "log_level": 0, "error_cb": hear})
    except SettingsError as error:
        raise TopicsError(str(error)) from error


#: what a client hears when it may not come in, and what to do about it
REFUSALS = {
    "_AUTHENTICATION": f"check {PREFIX}KAFKA_SASL_MECHANISM, {PREFIX}KAFKA_SASL_USERNAME and the secret in "
    f"{PREFIX}KAFKA_SASL_PASSWORD_FILE, or {PREFIX}KAFKA_SASL_TOKEN_FILE",
    "_SSL": f"set {PREFIX}KAFKA_SSL_CAFILE to the certificate of who has signed the brokers', and reach them by a "
    "name that is in it",
}


def unreachable(settings: Settings, error: "KafkaError") -> str:
    """Say why no broker lets us in, and what to do."""
    place = f"at {PREFIX}KAFKA_BROKERS ({settings.kafka_brokers}), {settings.kafka_security_protocol}"
    if error.name() in REFUSALS:
        return f"the broker refuses us {place}: {error.str()}: {REFUSALS[error.name()]}"
    return (
        f"no broker answers {place}: {error.str()}: is one running there, and is {PREFIX}KAFKA_SECURITY_PROTOCOL "
        "what it speaks?"
    )


@functools.lru_cache(maxsize=8)
def token_source(settings: Settings) -> "TokenSource":
    """Return the one source of tokens of these settings: every client of the process asks it."""
    from pipeline.credentials import TokenSource

    return TokenSource(settings)


def uses_tokens(settings: Settings) -> bool:
    """Whether a token takes the place of a password."""
    return settings.kafka_security_protocol.startswith("SASL_") and settings.kafka_sasl_mechanism == "OAUTHBEARER"


def confluent_config(settings: Settings) -> dict[str, Any]:
    """Client options of confluent-kafka, for admin clients, producers and consumers alike."""
    options: dict[str, Any] = {
        "bootstrap.servers": settings.kafka_brokers,
        "security.protocol": settings.kafka_security_protocol,
    }
    if uses_tokens(settings):
        options["sasl.mechanism"] = settings.kafka_sasl_mechanism
        options["oauth_cb"] = token_source(settings).for_librdkafka
    elif settings.kafka_sasl_username:
        options["sasl.mechanism"] = settings.kafka_sasl_mechanism
        options["sasl.username"] = settings.kafka_sasl_username
        options["sasl.password"] = settings.secret("kafka_sasl_password")
    files = {
        "ssl.ca.location": settings.kafka_ssl_cafile,
        "ssl.certificate.location": settings.kafka_ssl_certfile,
        "ssl.key.location": settings.kafka_ssl_keyfile,
    }
    if settings.kafka_security_protocol.endswith("SSL"):
        options |= {option: str(path) for option, path in files.items() if path}
    return options


def aiokafka_config(settings: Settings) -> dict[str, Any]:
    """Client options of aiokafka's producers, consumers and admin client."""
    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_brokers,
        "security_protocol": settings.kafka_security_protocol,
    }
    if uses_tokens(settings):
        options["sasl_mechanism"] = settings.kafka_sasl_mechanism
        options["sasl_oauth_token_provider"] = token_source(settings)
    elif settings.kafka_sasl_username:
        options["sasl_mechanism"] = settings.kafka_sasl_mechanism
        options["sasl_plain_username"] = settings.kafka_sasl_username
        options["sasl_plain_password"] = settings.secret("kafka_sasl_password")
    if context := ssl_context(settings):
        options["ssl_context"] = context
    return options


def faust_config(settings: Settings) -> dict[str, Any]:
    """Security options of a faust.App: `App(..., **faust_config(settings))`; empty for PLAINTEXT."""
    import faust

    context = ssl_context(settings)
    if uses_tokens(settings):
        credentials = faust.OAuthCredentials(oauth_cb=token_source(settings), ssl_context=context)
        return {"broker_credentials": credentials}
    if settings.kafka_sasl_username:
        credentials = faust.SASLCredentials(
            username=settings.kafka_sasl_username,
            password=settings.secret("kafka_sasl_password"),
            mechanism=settings.kafka_sasl_mechanism,
            ssl_context=context,
        )
        return {"broker_credentials": credentials}
    return {"broker_credentials": faust.SSLCredentials(context)} if context else {}


def ssl_context(settings: Settings) -> ssl.SSLContext | None:
    """Build the TLS context, certificates verified and host names checked; None without TLS."""
    if not settings.kafka_security_protocol.endswith("SSL"):
        return None
    context = ssl.create_default_context(cafile=settings.kafka_ssl_cafile)
    if settings.kafka_ssl_certfile:
        context.load_cert_chain(settings.kafka_ssl_certfile, settings.kafka_ssl_keyfile)
    return context
