"""A Faust app around one step: its block topics, an agent each, its own consumer group.

Several of them run in one process and one event loop; each is made anew after a failure.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faust
import structlog

from pipeline.transport.consumer import FetchSpec, block_topic
from pipeline.transport.steps import Step

STOP_S = 30.0

log = structlog.get_logger()


@dataclass(frozen=True)
class GroupSpec:
    """Membership of a consumer group."""

    name: str
    session_s: float = 30.0
    heartbeat_s: float = 3.0


def step_app(
    step: Step, group: GroupSpec, brokers: str, security: Mapping[str, Any], fetch: FetchSpec, data_dir: Path
) -> faust.App:
    """Build the app; `security` are faust's credentials options.

    The agent only hands blocks to the step: no acks, since the step's ledger keeps the offsets.
    """
    directory = data_dir.resolve() / "faust" / group.name
    directory.mkdir(parents=True, exist_ok=True)
    app = faust.App(
        group.name,
        broker=[f"kblock://{address}" for address in brokers.split(",")],
        datadir=str(directory),
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        value_serializer="raw",
        stream_wait_empty=False,
        broker_session_timeout=group.session_s,
        broker_heartbeat_interval=group.heartbeat_s,
        broker_request_timeout=max(40.0, group.session_s + 10.0),
        **security,
    )
    app.__dict__["block_step"] = step
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

    Raises: StepFailed when the step's memory is void.
    """
    stopping = asyncio.create_task(stop.wait())
    try:
        await app.start()
        step.start()
        await asyncio.wait([stopping, step.failed], return_when=asyncio.FIRST_COMPLETED)
        if step.failed.done() and not stop.is_set():
            await step.failed
    finally:
        stopping.cancel()
        await _stopped(step, app)


async def _stopped(step: Step, app: faust.App) -> None:
    """Flush and leave the group; a shutdown that hangs is left behind, its fences hold."""
    try:
        await asyncio.wait_for(step.stop(), STOP_S)
        await asyncio.wait_for(app.stop(), STOP_S)
    except Exception as error:  # noqa: BLE001 - whatever a broken connection raises on the way out
        log.warning("a step did not stop in order", step=step.spec.name, error=repr(error))
