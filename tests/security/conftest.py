"""One guarded site for all tests of this folder; each takes topics of its own."""

from collections.abc import Iterator

import pytest

from tests.security.guarded import Guarded, guarded


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with guarded(tmp_path_factory.mktemp("guarded")) as running:
        yield running
