"""What `burnline doctor` looks at in Kafka: brokers, topics, partitions, permissions, clocks, and who waits for what.

Nothing is changed, and nothing is asked for but what a worker's own user may ask.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from pipeline.commands.findings import WAIT_S, Finding
from pipeline.delivery.words_figures import lasting
from pipeline.settings import Settings

TIMESTAMP_TYPE, APPEND_TIME = "message.timestamp.type", "LogAppendTime"
AHEAD_S = 2.0  #: what a clock of the brokers may be in front of ours
COMMITTING = ("ingest", "judge")  #: steps whose place is a consumer group's; others keep it with what they write


def check_kafka(settings: Settings) -> Finding:
    from pipeline.topics import cluster

    found = cluster(settings, WAIT_S)[1]
    return Finding(
        "kafka",
        True,
        f"{len(found.brokers)} broker(s) at {settings.kafka_brokers}, {len(found.topics)} topics",
    )


def check_topics(settings: Settings) -> Finding:
    from pipeline.topics import cluster, topic_name, topics

    present = cluster(settings, WAIT_S)[1].topics
    missing = [name for name in (topic_name(settings, base) for base in topics()) if name not in present]
    if missing:
        return Finding(
            "topics", False, f"not there, or not shown to us: {', '.join(missing)}", "run `burnline migrate`"
        )
    return Finding("topics", True, "all present")


def check_partitions(settings: Settings) -> Finding:
    from confluent_kafka import KafkaException

    from pipeline.topics import COUNTS, STATE, cluster, differences, topic_name, topics

    admin, seen = cluster(settings, WAIT_S)
    wanted = {topic_name(settings, base): spec for base, spec in topics().items()}
    partitions = {name: len(seen.topics[name].partitions) for name in wanted}
    counts, state = topic_name(settings, COUNTS), topic_name(settings, STATE)
    if partitions[counts] != partitions[state]:
        return Finding(
            "partitions", False, f"{state} has {partitions[state]}, {counts} has {partitions[counts]}: must be equal",
            f"stop the workers, delete {state}, create it with {partitions[counts]} partitions",
        )  # fmt: skip
    found, unseen = [], ""
    try:
        for each in differences(admin, wanted, partitions, tuple(wanted)):
            found.append(f"{each.topic}: {each.setting} is {each.found}, not {each.wanted}")
    except KafkaException as error:
        unseen = f"; settings cannot be looked at: {error.args[0].str()}"
    if found:
        told = f"{len(found)} difference(s) to infra/topics.yaml, the first: {found[0]}{unseen}"
        return Finding("partitions", True, told, "see that each is meant; nothing is altered, as owners have reasons")
    return Finding("partitions", True, f"as infra/topics.yaml has them{unseen}")


def check_permissions(settings: Settings) -> Finding:
    from pipeline import grants
    from pipeline.topics import cluster

    wanted = [*grants.worker(settings), *(grants.change_writer(settings) if settings.takes_changes else ())]
    refused = grants.missing(cluster(settings, WAIT_S)[0], wanted)
    if refused:
        return Finding(
            "permissions", False, f"a worker would need: {'; '.join(map(str, refused))}", f"see {grants.DOCUMENT}"
        )
    return Finding("permissions", True, "this user may do what a worker does")


def check_duplicates(settings: Settings) -> Finding:
    from confluent_kafka import KafkaException

    from pipeline.topics import EVENTS, cluster, configurations, topic_name

    if not settings.duplicates_window_s:
        return Finding("duplicates", True, "no window is set: producers are trusted to be idempotent")
    name = topic_name(settings, EVENTS)
    try:
        kind = configurations(cluster(settings, WAIT_S)[0], (name,))[name].get(TIMESTAMP_TYPE)
    except KafkaException as error:
        look = f"see that {TIMESTAMP_TYPE} of {name} is {APPEND_TIME}"
        return Finding("duplicates", True, f"{name} cannot be looked at: {error.args[0].str()}", look)
    told = f"{settings.duplicates_window_s} s of event ids, by the times of {name}"
    if kind == APPEND_TIME:
        return Finding("duplicates", True, f"{told}, which are the broker's")
    return Finding(
        "duplicates", True, f"{told}, which are the producers' ({kind}): one wrong clock makes retries count, or not",
        f"set {TIMESTAMP_TYPE}={APPEND_TIME} on {name}",
    )  # fmt: skip


def check_events(settings: Settings) -> Finding:
    """The newest event, whose time of append is the broker's clock."""
    from confluent_kafka.admin import OffsetSpec

    from pipeline.topics import EVENTS, cluster, topic_name

    admin, seen = cluster(settings, WAIT_S)
    topic = topic_name(settings, EVENTS)
    newest_ms = max(
        (found.timestamp for found in _offsets(admin, seen, topic, OffsetSpec.max_timestamp()).values()), default=-1
    )
    if newest_ms < 0:
        return Finding("events", True, f"{topic} is empty", "send some: `burnline simulate`, or a producer of yours")
    age_s = datetime.now(UTC).timestamp() - newest_ms / 1000
    if age_s < -AHEAD_S:
        return Finding(
            "events", False, f"the newest of {topic} is of {lasting(-age_s)} from now",
            f"set the clocks of the brokers and of this machine, and {TIMESTAMP_TYPE}={APPEND_TIME} on {topic}",
        )  # fmt: skip
    return Finding("events", True, f"the newest of {topic} came {lasting(age_s)} ago")


def check_lag(settings: Settings) -> Finding:
    """What waits in Kafka for steps whose place is a consumer group's, and whether anybody is in the group."""
    from pipeline.topics import cluster

    admin, seen = cluster(settings, WAIT_S)
    steps = [step for step in COMMITTING if step in settings.step_names]
    found = {step: _group(settings, admin, seen, step) for step in steps}
    told = "; ".join(f"{step}: {members} member(s), {lag:,} records wait" for step, (members, lag) in found.items())
    alone = [step for step, (members, _) in found.items() if not members]
    if alone:
        return Finding("lag", True, told, f"nobody runs {' and '.join(alone)}: start `burnline worker`")
    return Finding("lag", True, told or "no step of this worker has a group of its own")


def _group(settings: Settings, admin: Any, seen: Any, step: str) -> tuple[int, int]:
    """Members, and records behind what they have committed."""
    from confluent_kafka import ConsumerGroupTopicPartitions
    from confluent_kafka.admin import OffsetSpec

    from pipeline.grants import group_name
    from pipeline.topics import COUNTS, EVENTS, topic_name

    group = group_name(settings, step)
    topic = topic_name(settings, {"ingest": EVENTS, "judge": COUNTS}[step])
    members = _members(admin, group)
    places = [ConsumerGroupTopicPartitions(group)]
    asked = _answers(lambda: admin.list_consumer_group_offsets(places))[group]
    committed = {each.partition: each.offset for each in asked.topic_partitions if each.topic == topic}
    ends = _offsets(admin, seen, topic, OffsetSpec.latest())
    begins = _offsets(admin, seen, topic, OffsetSpec.earliest())
    reached = {number: max(committed.get(number, -1), begins[number].offset) for number in ends}
    return members, sum(max(ends[number].offset - reached[number], 0) for number in ends)


def _members(admin: Any, group: str) -> int:
    """How many are in a group; a group that never was has none."""
    from confluent_kafka import KafkaException

    try:
        return len(_answers(lambda: admin.describe_consumer_groups([group]))[group].members)
    except KafkaException as error:
        if error.args[0].name() == "GROUP_ID_NOT_FOUND":
            return 0
        raise


def _offsets(admin: Any, seen: Any, topic: str, spec: Any) -> dict[int, Any]:
    from confluent_kafka import TopicPartition

    places = [TopicPartition(topic, number) for number in seen.topics[topic].partitions]
    found = _answers(lambda: admin.list_offsets(dict.fromkeys(places, spec)))
    return {place.partition: answer for place, answer in found.items()}


#: what brokers answer for a moment: of topics that are new or whose leader moves, and of groups
MOMENTARY = {
    "NOT_LEADER_FOR_PARTITION", "LEADER_NOT_AVAILABLE", "UNKNOWN_TOPIC_OR_PART", "COORDINATOR_LOAD_IN_PROGRESS",
    "COORDINATOR_NOT_AVAILABLE", "NOT_COORDINATOR",
}  # fmt: skip


def _answers(ask: Callable[[], dict[Any, Any]]) -> dict[Any, Any]:
    """Ask, again for a while when the answer is that somebody is not ready.

    Raises: KafkaException.
    """
    from confluent_kafka import KafkaException

    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            return {asked: future.result(WAIT_S) for asked, future in ask().items()}
        except KafkaException as error:
            if error.args[0].name() not in MOMENTARY or time.monotonic() > deadline:
                raise
            time.sleep(0.1)
