"""One site for all acceptance tests that can be told apart on it: each takes its own topics and SLO names."""

import os
from collections.abc import Iterator

import pytest

pytest.register_assert_rewrite("tests.acceptance.harness")

from pipeline.embedded.site import Site  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def compiled_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let all workers of the session share the compiled kernels, whatever their data directory is."""
    with pytest.MonkeyPatch.context() as patch:
        if "NUMBA_CACHE_DIR" not in os.environ:
            patch.setenv("NUMBA_CACHE_DIR", str(tmp_path_factory.mktemp("kernels")))
        yield


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("site")) as running:
        yield running
