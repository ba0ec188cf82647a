"""Which group members a worker is, written down, so that its successor can leave the groups for it.

A worker that is killed leaves no group: its partitions wait for the session to end, half a minute by default. Who holds
the lock of a place among the worker's files proves that the one before is dead, and says so to the broker. It proves
nothing of one on another machine, whose locks a network file system may not show here: what a worker of another kernel
wrote is left alone. There, where nothing was kept, and where nothing can be said, the session ends as ever.
"""

import asyncio
import fcntl
import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiokafka
import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, UnknownMemberIdError, for_code
from aiokafka.protocol.group import LeaveGroupRequest

PLACES_MOST = 64  #: workers that share one directory
KERNEL = Path("/proc/sys/kernel/random/boot_id")  #: one for all that see each other's locks, whatever the file system
LEAVE_S = 10.0  #: a start waits no longer for the broker's answers
BYTES_MOST = 1 << 16  #: what is longer is not ours

log = structlog.get_logger()


class Memberships:
    """A place among the workers of one directory; what a dead one of this kernel left in it is `left_behind`."""

    def __init__(self, home: Path, kernel: str = "") -> None:
        """Take the first free place of `home`; without one, and where files cannot be kept, nothing is written.

        `kernel`: which one we run on; empty: it is looked up.
        """
        self.members: dict[str, str] = {}  # group -> member of it
        self._kernel = kernel or _kernel()
        self._place = _taken_place(home)
        self.left_behind = {} if self._place is None else _read(self._place, self._kernel)

    def note(self, group: str, member: str) -> None:
        """We are this member of this group now."""
        if self._place is None or not member or self.members.get(group) == member:
            return
        told = json.dumps({"kernel": self._kernel, "members": {**self.members, group: member}}).encode()
        try:
            os.pwrite(self._place, told, 0)  # one that is torn is read as none
            os.ftruncate(self._place, len(told))
        except OSError as error:  # a full disk: a consumer that has just joined goes on
            log.warning("a membership is not kept: after a kill, partitions wait for the session", error=str(error))
            return
        self.members[group] = member

    def close(self) -> None:
        """Leave the place to the next."""
        if self._place is not None:
            os.close(self._place)
            self._place = None


def _taken_place(home: Path) -> int | None:
    try:
        home.mkdir(parents=True, exist_ok=True)
        for number in range(PLACES_MOST):
            place = os.open(home / f"{number}.json", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return place
            except OSError:
                os.close(place)
    except OSError as error:
        log.warning("memberships are not kept: after a kill, partitions wait for the session", error=str(error))
    return None


def _kernel() -> str:
    """Name the kernel we run on; where it has no name, the machine."""
    try:
        return KERNEL.read_text("ascii").strip()
    except OSError:
        return platform.node()


def _read(place: int, kernel: str) -> dict[str, str]:
    try:
        found = json.loads(os.pread(place, BYTES_MOST, 0))
        if found["kernel"] != kernel:
            return {}
        return {str(group): str(member) for group, member in found["members"].items()}
    except (ValueError, TypeError, LookupError, AttributeError):
        return {}


def member_of(consumer: aiokafka.AIOKafkaConsumer) -> str:
    """The member that a consumer is of its group; empty before it has joined."""
    return str(consumer._coordinator.member_id)


async def leave_for_the_dead(left_behind: Mapping[str, str], options: Mapping[str, Any]) -> list[str]:
    """Leave the groups for a worker that is dead; the groups that it was still a member of.

    `left_behind`: group -> member. `options`: aiokafka's, to connect with. What fails is logged, never raised.
    """
    if not left_behind:
        return []
    client = AIOKafkaAdminClient(**options)
    left: list[str] = []
    try:
        async with asyncio.timeout(LEAVE_S):
            await client.start()
            for group, member in left_behind.items():
                if await _left(client, group, member):
                    left.append(group)
    except (KafkaError, OSError, TimeoutError) as error:
        log.warning("a dead worker's groups are not left: its sessions end by themselves", error=repr(error))
    finally:
        await client.close()
    if left:
        log.info("left the groups of the worker that was here before", groups=left)
    return left


async def _left(client: AIOKafkaAdminClient, group: str, member: str) -> bool:
    """Leave one group; one that cannot be left keeps no other."""
    try:
        coordinator = await client.find_coordinator(group)
        answer = await client._send_request_to_node(coordinator, LeaveGroupRequest(group, member))
        if answer.error_code:
            raise for_code(answer.error_code)(f"{group}: {member} cannot leave")
    except UnknownMemberIdError:  # it left in order, or its session has ended
        return False
    except KafkaError as error:
        log.warning("a dead worker's group is not left: its session ends by itself", group=group, error=repr(error))
        return False
    return True
