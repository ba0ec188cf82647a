"""One story in a database of its own for a process, one server and one browser for a module."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pipeline.embedded import EmbeddedClickHouse
from pipeline.settings import Settings
from tests.database import Database
from tests.web import story
from tests.web.chromium import chromium, opened
from tests.web.serving import Served, serving


@pytest.fixture(scope="session")
def told(clickhouse: EmbeddedClickHouse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Database, Path]]:
    """The story, and the SLO files that belong to it."""
    database, files = Database(clickhouse), story.write_files(tmp_path_factory.mktemp("slo"))
    with database.client() as client:
        story.tell(client, datetime.now(UTC), files)
    yield database, files
    database.drop()


@pytest.fixture(scope="session")
def reading(told: tuple[Database, Path]) -> Settings:
    database, files = told
    return database.settings(files)


@pytest.fixture(scope="module")
def page_server(reading: Settings) -> Iterator[Served]:
    with serving(reading) as served:
        yield served


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Ends with its module: while it runs, nobody else can have an event loop in this thread."""
    with chromium() as running:
        yield running


@pytest.fixture
def look(browser: Any, page_server: Served) -> Callable[..., AbstractContextManager[Any]]:
    """Open a page: `with look("/alerts") as page`."""
    return partial(opened, browser, page_server.address)
