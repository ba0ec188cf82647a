"""One site for all acceptance tests that can be told apart on it: each takes its own topics and SLO names."""

from collections.abc import Iterator

import pytest

pytest.register_assert_rewrite("tests.acceptance.harness")

from pipeline.embedded.site import Site  # noqa: E402


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("site")) as running:
        yield running
