"""Memberships outlive the worker that wrote them, and nobody leaves a group for one that lives."""

import asyncio
import json
import resource
from pathlib import Path

import aiokafka
import pytest
from confluent_kafka.admin import NewTopic
from structlog.testing import capture_logs

from pipeline.embedded.kafka import EmbeddedKafka
from pipeline.transport.memberships import BYTES_MOST, Memberships, leave_for_the_dead, member_of
from tests.transport.counting import create

GROUP = "burnline-judge"


def test_what_a_dead_worker_was_a_member_of_is_found_by_the_next(tmp_path: Path) -> None:
    first = Memberships(tmp_path)
    first.note(GROUP, "consumer-17")
    first.note("burnline-ingest", "consumer-18")
    first.note(GROUP, "consumer-with-a-much-longer-name-19")
    first.note(GROUP, "c-20")  # shorter than what stood there
    first.close()
    assert Memberships(tmp_path).left_behind == {GROUP: "c-20", "burnline-ingest": "consumer-18"}


def test_nothing_is_found_of_a_worker_that_lives(tmp_path: Path) -> None:
    living, other = Memberships(tmp_path), Memberships(tmp_path)
    living.note(GROUP, "consumer-17")
    other.note(GROUP, "consumer-18")
    assert Memberships(tmp_path).left_behind == {}
    other.close()
    assert Memberships(tmp_path).left_behind == {GROUP: "consumer-18"}, "the place of the dead one, not of the living"


def test_the_group_of_a_worker_of_another_machine_is_not_left_though_its_lock_is_not_seen(tmp_path: Path) -> None:
    here, there = tmp_path / "as it is here", tmp_path / "as it is there"
    living = Memberships(here, "kernel-a")
    living.note(GROUP, "consumer-17")
    there.mkdir()
    (there / "0.json").write_bytes((here / "0.json").read_bytes())  # the same file, and a lock that stayed behind
    other = Memberships(there, "kernel-b")
    assert other.left_behind == {}
    other.note(GROUP, "consumer-18")
    other.close()
    assert Memberships(there, "kernel-b").left_behind == {GROUP: "consumer-18"}


def test_a_member_that_is_none_yet_is_not_written(tmp_path: Path) -> None:
    first = Memberships(tmp_path)
    first.note(GROUP, "")
    first.close()
    assert Memberships(tmp_path).left_behind == {}


@pytest.mark.parametrize(
    "torn",
    [
        b"", b'{"a": "b', b"[1]", b"{}", b'{"kernel": "k", "members": 1}', b"\xff\xfe",
        b'{"a": "' + b"x" * BYTES_MOST + b'"}',
    ],
    ids=["empty", "cut off", "another shape", "nothing", "no members", "no text", "too long"],
)  # fmt: skip
def test_what_cannot_be_read_is_nothing(tmp_path: Path, torn: bytes) -> None:
    (tmp_path / "0.json").write_bytes(torn)
    found = Memberships(tmp_path, "k")
    assert found.left_behind == {}
    found.note(GROUP, "consumer-17")
    assert json.loads((tmp_path / "0.json").read_bytes())["members"] == {GROUP: "consumer-17"}


def test_where_nothing_can_be_kept_a_worker_goes_on_without(tmp_path: Path) -> None:
    (tmp_path / "members").write_text("a file, where a directory should be")
    found = Memberships(tmp_path / "members")
    found.note(GROUP, "consumer-17")
    assert found.left_behind == {}


def test_a_worker_whose_disk_is_full_joins_all_the_same(tmp_path: Path) -> None:
    found = Memberships(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))  # nothing can be written, as on a full disk
    try:
        with capture_logs() as logged:  # which would be written to a file too
            found.note(GROUP, "consumer-17")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [each["log_level"] for each in logged] == ["warning"]
    found.note(GROUP, "consumer-17")
    found.close()
    assert Memberships(tmp_path).left_behind == {GROUP: "consumer-17"}, "written once there is room again"


def test_a_broker_that_is_away_holds_up_no_start() -> None:
    options = {"bootstrap_servers": "127.0.0.1:1"}
    assert asyncio.run(leave_for_the_dead({GROUP: "consumer-17"}, options)) == []


@pytest.mark.servers
def test_a_group_is_left_for_the_dead_once_and_the_next_owns_its_partitions_at_once(
    kafka: EmbeddedKafka, topic_prefix: str
) -> None:
    topic, group, options = f"{topic_prefix}t", f"{topic_prefix}g", {"bootstrap_servers": kafka.brokers}
    create(kafka.brokers, [NewTopic(topic, 1)])

    async def owned_by_the_next() -> tuple[list[list[str]], int]:
        joining = {**options, "group_id": group, "session_timeout_ms": 300_000}  # longer than a test may take
        dead = aiokafka.AIOKafkaConsumer(topic, **joining)
        await dead.start()
        while not dead.assignment():
            await asyncio.sleep(0.02)
        member = member_of(dead)
        await dead._client.close()  # as a killed process: it says nothing any more
        of_none = {"": member}  # no group may have that name: others are left all the same
        left = [await leave_for_the_dead({**of_none, group: member}, options) for _ in range(2)]
        async with asyncio.timeout(60), aiokafka.AIOKafkaConsumer(topic, **joining) as following:
            while not following.assignment():
                await asyncio.sleep(0.02)
            return left, len(following.assignment())

    assert asyncio.run(owned_by_the_next()) == ([[group], []], 1)
