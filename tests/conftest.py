"""Shared by every test: the hypothesis profile and the real servers.

Servers start at the first test that asks for them and serve the whole session, so a test takes its own topic
prefix and its own SLO names instead of an empty server.
"""

import uuid
from collections.abc import Iterator

import pytest
from hypothesis import settings

from pipeline.embedded import EmbeddedClickHouse, EmbeddedKafka

settings.register_profile("burnline", deadline=None)  # the first call of a kernel compiles it
settings.load_profile("burnline")


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
