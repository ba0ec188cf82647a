"""`burnline doctor` reads the routes file, the secrets that it names, and knocks at each receiver's door."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.commands.doctor_receivers import check_receivers
from pipeline.settings import Settings
from tests.delivery.listening import Listening, listening

ROUTES = """\
apiVersion: burnline/v1
kind: AlertRoutes
receivers:
  - name: hook
    webhook: {{url: "{url}", secretFile: {secret}}}
    allow: [127.0.0.0/8]
routes:
  - receivers: [hook]
"""


@pytest.fixture
def server() -> Iterator[Listening]:
    with listening() as made:
        yield made


def settings_for(tmp_path: Path, text: str) -> Settings:
    (tmp_path / "routes.yaml").write_text(text)
    (tmp_path / "secret").write_text("s3cret")
    return Settings(alert_routes=tmp_path / "routes.yaml")


def routes(tmp_path: Path, url: str) -> str:
    return ROUTES.format(url=url, secret=tmp_path / "secret")


def test_a_receiver_that_listens_is_well_and_is_told_nothing(tmp_path: Path, server: Listening) -> None:
    found = check_receivers(settings_for(tmp_path, routes(tmp_path, server.url("/hidden"))))
    assert (found.ok, found.detail, found.remedy) == (True, "1 can be reached: hook (webhook)", "")
    assert server.heard == []


def test_a_receiver_that_is_away_is_something_to_look_at(tmp_path: Path, server: Listening) -> None:
    server.close()
    found = check_receivers(settings_for(tmp_path, routes(tmp_path, server.url("/hidden"))))
    assert found.ok and found.detail.startswith(f"hook does not answer at 127.0.0.1 port {server.port}")
    assert "told later" in found.remedy and "hidden" not in found.detail


def test_an_address_that_may_not_be_called_is_said(tmp_path: Path) -> None:
    text = routes(tmp_path, "http://127.0.0.1:9/x").replace("    allow: [127.0.0.0/8]\n", "")
    found = check_receivers(settings_for(tmp_path, text))
    assert found.ok and "loopback" in found.detail and found.remedy


def test_a_secret_that_cannot_be_read_is_wrong(tmp_path: Path, server: Listening) -> None:
    settings = settings_for(tmp_path, routes(tmp_path, server.url()))
    (tmp_path / "secret").unlink()
    found = check_receivers(settings)
    assert not found.ok and "secret of receiver hook" in found.detail


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: AlertRoutes\n", "apiVersion"),
        (ROUTES.format(url="http://x", secret="s").replace("[hook]", "[hok]"), "did you mean hook?"),
    ],
    ids=["half of a file", "a receiver that nobody has"],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    found = check_receivers(settings_for(tmp_path, text))
    assert not found.ok and said in found.detail


def test_a_site_that_tells_nobody_is_something_to_look_at() -> None:
    found = check_receivers(Settings())
    assert (found.ok, found.detail) == (True, "nobody is told of alerts") and found.remedy
