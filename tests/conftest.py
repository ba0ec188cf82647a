"""Shared by every test: the hypothesis profile and the real servers.

Servers start at the first test that asks for them and serve the whole session, so a test takes its own topic
prefix and its own SLO names instead of an empty server.
"""

import os
import uuid
from collections.abc import Iterator

import pytest
from hypothesis import settings

from pipeline.embedded import EmbeddedClickHouse, EmbeddedKafka
from tests.compiled import KERNELS, java_options

os.environ.setdefault("JAVA_TOOL_OPTIONS", java_options())
# The first call of a kernel compiles it: no deadline. In plain Python a few examples find an index out of bounds.
IS_PLAIN = os.environ.get("NUMBA_DISABLE_JIT") == "1"
settings.register_profile("burnline", deadline=None, max_examples=15 if IS_PLAIN else 50)
settings.load_profile("burnline")


def pytest_report_header() -> str:
    return f"compiled kernels: {KERNELS}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: at the end of a run no process waits long for the last file of another.

    With them come those that share the servers of a folder, which would start once more for the rest of it.
    """
    first = {
        item.path for item in items if item.get_closest_marker("slow") or "site" in getattr(item, "fixturenames", ())
    }
    items.sort(key=lambda item: item.path not in first)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    """One real broker, without topics; `.brokers` is its address."""
    with EmbeddedKafka(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


@pytest.fixture(scope="session")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedClickHouse]:
    """One real ClickHouse, migrated; `.client()` is the writer's client."""
    with EmbeddedClickHouse(tmp_path_factory.mktemp("clickhouse")) as server:
        from pipeline.sinks.migrations import migrate  # only tests that need a server need its driver

        migrate(server.client())
        yield server


@pytest.fixture
def topic_prefix() -> str:
    """A prefix for topic and group names that no other test has."""
    return f"t{uuid.uuid4().hex[:10]}."
