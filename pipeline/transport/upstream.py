"""What this package leans on in faust and aiokafka that is not their public face; checked at import.

A name that upstream renames must fail here, with a sentence, and not as silence in a consumer's thread.
"""

from importlib.metadata import version
from types import FunctionType
from typing import Any

import aiokafka.consumer.consumer as consumer_module
import aiokafka.consumer.fetcher as fetcher_module
from faust.transport.drivers import aiokafka as driver


def rebound(function: FunctionType, package: str, **names: Any) -> FunctionType:
    """Return the function's own code with some of its globals replaced: no copy of upstream, no global patch.

    Raises: ImportError when the function no longer uses one of the names.
    """
    missing = [n for n in names if n not in function.__code__.co_names or n not in function.__globals__]
    if missing:
        raise _changed(package, f"{function.__qualname__} no longer uses {', '.join(missing)}")
    new = FunctionType(
        function.__code__, {**function.__globals__, **names}, function.__name__, function.__defaults__, function.__closure__
    )
    new.__kwdefaults__ = function.__kwdefaults__
    return new


def _changed(package: str, what: str) -> ImportError:
    return ImportError(
        f"kblock:// does not fit {package} {version(package)}: {what}. Install the locked version, or adapt pipeline.transport"
    )


#: package, where, names that must be there
LEANED_ON: tuple[tuple[str, Any, tuple[str, ...]], ...] = (
    ("aiokafka", fetcher_module, ("PartitionRecords", "MemoryRecords", "Fetcher")),
    ("aiokafka", fetcher_module.Fetcher, ("_proc_fetch_request",)),
    ("aiokafka", consumer_module, ("AIOKafkaConsumer", "Fetcher")),
    ("aiokafka", consumer_module.AIOKafkaConsumer, ("start", "highwater", "last_stable_offset", "committed", "seek")),
    ("faust-streaming", driver, ("AIOKafkaConsumerThread", "Consumer", "Transport")),
    ("faust-streaming", driver.AIOKafkaConsumerThread, ("_create_worker_consumer", "call_thread", "_ensure_consumer")),
    (
        "faust-streaming",
        driver.Consumer,
        ("_to_message", "on_buffer_full", "perform_seek", "on_partitions_revoked", "_new_consumer_thread"),
    ),
)


def check(leaned_on: tuple[tuple[str, Any, tuple[str, ...]], ...] = LEANED_ON) -> None:
    """Look for every name.

    Raises: ImportError naming the package, its version and the first name that is gone.
    """
    for package, place, names in leaned_on:
        for name in names:
            if not hasattr(place, name):
                raise _changed(package, f"{getattr(place, '__qualname__', place.__name__)}.{name} is gone")


check()
