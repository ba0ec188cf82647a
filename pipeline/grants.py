"""What each role may do in Kafka, and nothing more; and whether the broker has granted a worker all of it.

Law: the table is the whole truth: infra/kafka-acls.md shows it, the tests grant exactly it. READ and WRITE bring
DESCRIBE with them. Transactional ids cannot be asked about: the broker answers when one is used.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.settings import Settings
from pipeline.topics import (
    ALERTS,
    CHANGES,
    COUNTS,
    DEAD_LETTERS,
    DELIVERIES,
    EVENTS,
    NAMES,
    SIGNALS,
    SLICES,
    SNAPSHOTS,
    STATE,
    STATUS,
    TIMEOUT_S,
    topic_name,
)

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

TOPIC, GROUP, TRANSACTIONAL_ID = "TOPIC", "GROUP", "TRANSACTIONAL_ID"
DOCUMENT = "infra/kafka-acls.md"
DRAIN = "drain-dead-letters"  #: its group and transactional id, like a step's


class Grant(NamedTuple):
    """One thing one may do. `is_prefix`: to everything whose name begins so."""

    resource: str
    name: str
    operation: str
    is_prefix: bool = False

    def __str__(self) -> str:
        """As the document writes it."""
        return f"{self.operation} on {self.resource.lower().replace('_', ' ')} {self.name}{'*' * self.is_prefix}"


#: what each step reads and writes
READS = {
    "ingest": (EVENTS,),
    "judge": (COUNTS, STATE),
    "store": (SLICES, COUNTS, STATUS, ALERTS, CHANGES, SNAPSHOTS, SIGNALS, DEAD_LETTERS),
    "deliver": (ALERTS, DELIVERIES),
    "control": (SIGNALS,),
}
WRITES = {
    "ingest": (COUNTS, SLICES, DEAD_LETTERS),
    "judge": (STATUS, ALERTS, STATE),
    "store": (),
    "deliver": (DELIVERIES, ALERTS),
    "control": (SIGNALS,),
}


def group_name(settings: Settings, step: str) -> str:
    """Consumer group and transactional ids: one per step, so that steps rebalance apart."""
    return f"{settings.group}-{settings.topic_prefix}{step}"


def worker(settings: Settings, steps: Iterable[str] | None = None) -> list[Grant]:
    """What a worker needs for its steps."""
    steps = tuple(steps or settings.step_names)
    read = {base for step in steps for base in READS[step]}
    written = {base for step in steps for base in WRITES[step]}
    found = [Grant(TOPIC, topic_name(settings, base), "DESCRIBE") for base in NAMES if base not in read | written]
    found += [Grant(TOPIC, topic_name(settings, base), "READ") for base in NAMES if base in read]
    found += [Grant(TOPIC, topic_name(settings, base), "WRITE") for base in NAMES if base in written]
    found += [_group(settings, step) for step in steps]
    found += [
        Grant(TRANSACTIONAL_ID, f"{group_name(settings, step)}-", "WRITE", True) for step in steps if WRITES[step]
    ]
    return found


def _group(settings: Settings, step: str) -> Grant:
    """A step's group; the deliverer has one for each receiver."""
    name = group_name(settings, step)
    return Grant(GROUP, f"{name}-", "READ", True) if step == "deliver" else Grant(GROUP, name, "READ")


def deliverer(settings: Settings) -> list[Grant]:
    """What a worker needs besides when it has receivers to tell."""
    return [grant for grant in worker(settings, ("deliver",)) if grant.operation != "DESCRIBE"]


def producer(settings: Settings) -> list[Grant]:
    """What somebody needs who sends events; `burnline simulate` and `produce` too."""
    return [Grant(TOPIC, topic_name(settings, EVENTS), "WRITE")]


def change_writer(settings: Settings) -> list[Grant]:
    """What somebody needs who tells of deploys and other changes; `burnline change add` too."""
    return [Grant(TOPIC, topic_name(settings, CHANGES), "WRITE")]


def snapshot_writer(settings: Settings) -> list[Grant]:
    """What somebody needs who tells how engines are; `burnline scrape` too."""
    return [Grant(TOPIC, topic_name(settings, SNAPSHOTS), "WRITE")]


def signal_writer(settings: Settings) -> list[Grant]:
    """What a job needs that publishes signals, as `burnline forecast` does."""
    return [Grant(TOPIC, topic_name(settings, SIGNALS), "WRITE")]


def signal_reader(settings: Settings, group: str = "signals-") -> list[Grant]:
    """What a router or a scaler needs that follows signals, in groups of its own."""
    return [Grant(TOPIC, topic_name(settings, SIGNALS), "READ"), Grant(GROUP, group, "READ", True)]


def alert_reader(settings: Settings, group: str = "alerts-") -> list[Grant]:
    """What a receiver of alerts needs, in groups of its own."""
    return [Grant(TOPIC, topic_name(settings, ALERTS), "READ"), Grant(GROUP, group, "READ", True)]


def drain(settings: Settings) -> list[Grant]:
    """What `burnline drain-dead-letters` needs: to read letters, to feed them, and to mark them where they lie."""
    return [
        Grant(TOPIC, topic_name(settings, DEAD_LETTERS), "READ"),
        Grant(TOPIC, topic_name(settings, DEAD_LETTERS), "WRITE"),
        Grant(TOPIC, topic_name(settings, EVENTS), "WRITE"),
        Grant(GROUP, group_name(settings, DRAIN), "READ"),
        Grant(TRANSACTIONAL_ID, group_name(settings, DRAIN), "WRITE"),
    ]


def admin(settings: Settings) -> list[Grant]:
    """What `burnline migrate` needs: to create topics, and to compare those that are there."""
    return [
        Grant(TOPIC, topic_name(settings, base), operation)
        for base in NAMES
        for operation in ("CREATE", "DESCRIBE", "DESCRIBE_CONFIGS")
    ]


ROLES = {
    "worker": worker,
    "deliverer": deliverer,
    "producer": producer,
    "change writer": change_writer,
    "snapshot writer": snapshot_writer,
    "signal writer": signal_writer,
    "signal reader": signal_reader,
    "alert reader": alert_reader,
    "drain": drain,
    "admin": admin,
}


def missing(admin_client: "AdminClient", wanted: Iterable[Grant]) -> list[Grant]:
    """Return the grants that the broker would not honour now, of topics and groups."""
    wanted = [grant for grant in wanted if grant.resource != TRANSACTIONAL_ID]
    allowed = dict(_allowed(admin_client, wanted))
    return [grant for grant in wanted if grant.operation not in allowed[grant.resource, grant.name]]


def _allowed(admin_client: "AdminClient", wanted: list[Grant]) -> Iterator[tuple[tuple[str, str], set[str]]]:
    from confluent_kafka import TopicCollection

    names = {kind: sorted({grant.name for grant in wanted if grant.resource == kind}) for kind in (TOPIC, GROUP)}
    options: dict[str, Any] = {"include_authorized_operations": True, "request_timeout": TIMEOUT_S}
    asked = {
        TOPIC: admin_client.describe_topics(TopicCollection(names[TOPIC]), **options),
        GROUP: admin_client.describe_consumer_groups(names[GROUP], **options) if names[GROUP] else {},
    }
    for kind, answers in asked.items():
        for name, future in answers.items():
            yield (kind, name), _operations(future)


def refusal(refused: Iterable[Grant]) -> str:
    """Say what is not granted, and where it is written what should be."""
    return (
        f"the broker does not allow us: {'; '.join(map(str, refused))}. Grant it to this user; {DOCUMENT} lists all "
        "that each role needs"
    )


#: ends the names of refusals; other errors say nothing of what is allowed: it is not there yet, or nobody to ask
REFUSED = "AUTHORIZATION_FAILED"
EVERYTHING = {"READ", "WRITE", "CREATE", "DESCRIBE", "DESCRIBE_CONFIGS"}


def _operations(future: Any) -> set[str]:
    from confluent_kafka import KafkaException

    try:
        operations = future.result(TIMEOUT_S).authorized_operations
    except KafkaException as error:
        return set() if error.args[0].name().endswith(REFUSED) else EVERYTHING
    return {operation.name for operation in operations} if operations else EVERYTHING
