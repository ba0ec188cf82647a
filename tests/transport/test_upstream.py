"""What the transport leans on in other packages is looked for when it is imported."""

import subprocess
import sys
from typing import Any

import aiokafka.consumer.fetcher as fetcher_module
import pytest

from pipeline.transport import upstream
from pipeline.transport.upstream import LEANED_ON, LeanedOn, check, rebound

EVERY_NAME = [pytest.param(each, name, id=name) for each in LEANED_ON for name in each.names]


def test_the_installed_versions_have_every_name() -> None:
    check()


@pytest.mark.parametrize(("leaned_on", "name"), EVERY_NAME)
def test_a_name_that_is_gone_is_told_with_its_package_and_version(leaned_on: LeanedOn, name: str) -> None:
    version = upstream.version_of(leaned_on.package)
    with pytest.raises(ImportError, match=rf"{leaned_on.package} {version}: .*{name}_as_it_was is gone"):
        check((leaned_on._replace(names=(f"{name}_as_it_was",)),))


def test_a_rename_is_found_in_the_package_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(fetcher_module.Fetcher, "_proc_fetch_request")
    with pytest.raises(ImportError, match=r"aiokafka .*Fetcher\._proc_fetch_request is gone"):
        check()


def test_a_function_that_uses_other_globals_is_refused() -> None:
    def newer() -> Any:
        return fetcher_module

    with pytest.raises(ImportError, match="newer no longer uses PartitionRecords"):
        rebound(newer, PartitionRecords=object)  # type: ignore[arg-type]


def test_a_rebound_function_leaves_the_original_alone() -> None:
    function = rebound(check, changed=None)  # type: ignore[arg-type]
    assert function.__globals__["changed"] is None
    assert check.__globals__["changed"] is upstream.changed


@pytest.mark.parametrize(
    "change",
    [
        pytest.param("import aiokafka.consumer.fetcher as m; del m.Fetcher._proc_fetch_request", id="a method"),
        pytest.param("import aiokafka.conn as m; m.AIOKafkaConnection.connect = lambda self: None", id="a body"),
        pytest.param("import faust.transport.drivers.aiokafka as m; del m.Consumer._to_message", id="faust"),
    ],
)
def test_the_package_cannot_be_imported_beside_a_changed_upstream(change: str) -> None:
    code = f"{change}\nimport pipeline.transport"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ImportError: kblock:// does not fit" in done.stderr
