"""What this package leans on in faust and aiokafka that is not their public face; checked at import.

A name that upstream renames must fail here, with a sentence, and not as silence in a consumer's thread.
"""

import asyncio
import platform
from importlib.metadata import version
from types import FunctionType
from typing import Any, NamedTuple

import aiokafka
import aiokafka.admin.client as admin_module
import aiokafka.client as client_module
import aiokafka.conn as conn_module
import aiokafka.consumer.consumer as consumer_module
import aiokafka.consumer.fetcher as fetcher_module
import aiokafka.consumer.group_coordinator as group_module
import aiokafka.protocol.group as protocol_module
from faust.transport.drivers import aiokafka as driver

FAUST, AIOKAFKA, PYTHON = "faust-streaming", "aiokafka", "Python"


class LeanedOn(NamedTuple):
    """Names that a class or module must have."""

    package: str
    place: Any
    names: tuple[str, ...]


LEANED_ON = (
    LeanedOn(AIOKAFKA, fetcher_module, ("PartitionRecords", "MemoryRecords", "Fetcher")),
    LeanedOn(AIOKAFKA, fetcher_module.Fetcher, ("_proc_fetch_request",)),
    LeanedOn(AIOKAFKA, fetcher_module.FetchResult, ("getall", "check_assignment")),
    LeanedOn(
        AIOKAFKA,
        consumer_module.AIOKafkaConsumer,
        (
            "start", "committed", "seek", "beginning_offsets", "end_offsets", "partitions_for_topic", "highwater",
            "last_stable_offset", "last_poll_timestamp", "_fetch_min_bytes", "_fetch_max_wait_ms", "_fetch_max_bytes",
            "_max_partition_fetch_bytes", "_isolation_level", "_coordinator",
        ),
    ),
    LeanedOn(AIOKAFKA, conn_module.AIOKafkaConnection, ("connect", "_handle_frame")),
    LeanedOn(AIOKAFKA, client_module.AIOKafkaClient, ("_get_conn",)),
    LeanedOn(AIOKAFKA, group_module.GroupCoordinator, ("member_id",)),
    LeanedOn(AIOKAFKA, admin_module.AIOKafkaAdminClient, ("find_coordinator", "_send_request_to_node")),
    LeanedOn(AIOKAFKA, protocol_module, ("LeaveGroupRequest",)),
    LeanedOn(
        PYTHON,
        asyncio.StreamReader,
        ("_buffer", "_eof", "_exception", "_wait_for_data", "_wakeup_waiter", "_maybe_resume_transport"),
    ),
    LeanedOn(PYTHON, asyncio.StreamReaderProtocol, ("_stream_reader",)),
    LeanedOn(AIOKAFKA, aiokafka.AIOKafkaProducer, ("transaction", "send_offsets_to_transaction")),
    LeanedOn(FAUST, driver.AIOKafkaConsumerThread, ("_create_worker_consumer", "_ensure_consumer", "call_thread")),
    LeanedOn(
        FAUST,
        driver.Consumer,
        (
            "_to_message", "on_buffer_full", "perform_seek", "on_partitions_revoked", "on_partitions_assigned",
            "_new_consumer_thread", "assignment", "_thread", "_read_offset",
        ),
    ),
    LeanedOn(FAUST, driver.Transport, ("Consumer",)),
)  # fmt: skip


def check(leaned_on: tuple[LeanedOn, ...] = LEANED_ON) -> None:
    """Look for every name.

    Raises: ImportError naming the package, its version and the first name that is gone.
    """
    for package, place, names in leaned_on:
        for name in names:
            found = getattr(place, name, None)
            is_gone = found is None and name not in _made_at_start(place) and not hasattr(place, name)
            if is_gone or getattr(found, "__isabstractmethod__", False):
                raise changed(package, f"{getattr(place, '__qualname__', place.__name__)}.{name} is gone")


def _made_at_start(place: Any) -> set[str]:
    """Names that the constructors of a class and its bases mention."""
    makers = [vars(kind).get("__init__") for kind in getattr(place, "__mro__", ())]
    return {name for maker in makers if isinstance(maker, FunctionType) for name in maker.__code__.co_names}


def rebound(function: FunctionType, **names: Any) -> FunctionType:
    """Return a function of aiokafka with some of its globals replaced: no copy of upstream, no global patch.

    Raises: ImportError when the function no longer uses one of the names.
    """
    for name in names:
        if name not in function.__code__.co_names or name not in function.__globals__:
            raise changed(AIOKAFKA, f"{function.__qualname__} no longer uses {name}")
    new = FunctionType(
        function.__code__,
        {**function.__globals__, **names},
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    new.__kwdefaults__ = function.__kwdefaults__
    return new


def changed(package: str, what: str) -> ImportError:
    """Make the error."""
    return ImportError(
        f"kblock:// does not fit {package} {version_of(package)}: {what}. "
        "Install the version that pyproject.toml pins, or adapt pipeline.transport"
    )


def version_of(package: str) -> str:
    """Return what is installed."""
    return platform.python_version() if package == PYTHON else version(package)


check()
