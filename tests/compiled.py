"""Kernels that are compiled once for all workers a session starts; a fixture for the folders that start many."""

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def compiled_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let workers of all processes of the session share compiled kernels, whatever their data directory is."""
    base = tmp_path_factory.getbasetemp()
    kernels = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "kernels"
    kernels.mkdir(mode=0o700, exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("NUMBA_CACHE_DIR", "BURNLINE_KERNEL_CACHE"):
            if name not in os.environ:
                patch.setenv(name, str(kernels))
        yield
