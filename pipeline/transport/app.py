"""A Faust app around one step: its block topics, an agent each, its own consumer group.

Several of them run in one process and one event loop; each is made anew after a failure. Signals are the
caller's.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faust
import structlog

from pipeline.transport.consumer import POLL_BLOCKS, FetchSpec, block_topic
from pipeline.transport.steps import Step, StepFailed

STOP_S = 30.0
METADATA_MS = 20_000  #: new partitions are found by then; Faust's default is five minutes

log = structlog.get_logger()


@dataclass(frozen=True)
class GroupSpec:
    """Membership of a consumer group."""

    name: str
    session_s: float = 30.0
    heartbeat_s: float = 3.0
    joined: Callable[[str], None] = lambda member: None  # told which member we are, at every assignment


def step_app(
    step: Step, group: GroupSpec, brokers: str, security: Mapping[str, Any], fetch: FetchSpec, data_dir: Path
) -> faust.App:
    """Build the app; `security` are faust's credentials options.

    The agent only hands blocks to the step: no acks, since the step's ledger keeps the offsets.
    """
    home = data_dir / "faust" / group.name
    home.mkdir(parents=True, exist_ok=True)  # Faust makes the last part only
    app = faust.App(
        group.name,
        broker=[f"kblock://{address.strip()}" for address in brokers.split(",")],
        datadir=str(home),
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        value_serializer="raw",
        stream_wait_empty=False,
        broker_session_timeout=group.session_s,
        broker_heartbeat_interval=group.heartbeat_s,
        broker_request_timeout=max(40.0, group.session_s + 10.0),
        broker_max_poll_records=POLL_BLOCKS,
        consumer_metadata_max_age_ms=METADATA_MS,
        **security,
    )
    app.__dict__["block_step"], app.__dict__["block_joined"] = step, group.joined
    for name in step.spec.topics:
        app.agent(block_topic(app, name, fetch), name=f"{step.spec.name} of {name}")(_handing_to(step))
    return app


def _handing_to(step: Step) -> Any:
    async def hand(stream: Any) -> None:
        async for event in stream.noack().events():
            message, block = event.message, event.value
            event.value = message.value = None  # Faust keeps events for a while; a block is megabytes
            await step.take(message.tp, block)

    return hand


async def run_step(step: Step, app: faust.App, stop: asyncio.Event) -> None:
    """Run until told to stop.

    Raises: StepFailed when the step's memory is void or its consumer cannot go on; whatever a start raises.
    """
    stopping, crashed = asyncio.create_task(stop.wait()), asyncio.create_task(app.wait_until_stopped())
    starting = asyncio.create_task(app.start())
    try:
        await asyncio.wait([stopping, starting, step.failed], return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            await starting
            step.start()
        await asyncio.wait([stopping, crashed, step.failed], return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            return
        if step.failed.done():
            await step.failed
        raise StepFailed(f"{step.spec.name}: {app.crash_reason!r}") from app.crash_reason
    finally:
        await _stopped(step, app)
        for task in (stopping, crashed, starting):
            task.cancel()
        await asyncio.wait([stopping, crashed, starting])


async def _stopped(step: Step, app: faust.App) -> None:
    """Flush and leave the group; a shutdown that hangs is left behind, its fences hold."""
    for what, work in (("step", step.stop()), ("consumer", app.stop())):
        await _in_order(step.spec.name, what, work)


async def _in_order(step: str, what: str, work: Coroutine[Any, Any, None]) -> None:
    try:
        await asyncio.wait_for(work, STOP_S)
    except Exception as error:  # whatever a broken connection raises on the way out
        log.warning("a step did not stop in order", step=step, part=what, error=repr(error))
