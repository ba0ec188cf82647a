"""Where routes come from: a file, or the receivers that settings name; and secrets, from their files."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.alerts import Kind, Severity
from pipeline.delivery.holding import Promised
from pipeline.delivery.routes import Receiver, Routes
from pipeline.settings import Settings, SettingsError
from pipeline.sinks.routes import promised, routes_of, sheet_of
from pipeline.spec import SpecError, load

EXAMPLES = Path("schemas/slo")


def reached(routes: Routes, severity: Severity) -> set[str]:
    return set(routes.of({}, severity, Kind.BURN_RATE))


def test_without_a_file_those_are_told_whom_settings_name(tmp_path: Path) -> None:
    settings = Settings(
        alertmanager_url="http://am:9093", pagerduty_routing_key_file=tmp_path / "key",
        webhook_url="https://hooks.example", webhook_secret_file=tmp_path / "secret",
        receivers_allow="10.0.0.0/8, ::1/128",
    )  # fmt: skip
    routes = routes_of(settings)
    everybody = {"alertmanager", "pagerduty", "webhook"}
    assert reached(routes, Severity.CRITICAL) == reached(routes, Severity.WARNING) == everybody
    assert reached(routes, Severity.INFO) == {"alertmanager", "webhook"}
    by_name = {each.name: each for each in routes.receivers}
    assert by_name["webhook"].secret_file == tmp_path / "secret"
    assert by_name["pagerduty"].grouping.by == ("service",)
    assert all({"10.0.0.0/8", "::1/128"} <= set(each.allow) for each in routes.receivers)


def test_nobody_is_told_unless_somebody_is_named() -> None:
    assert routes_of(Settings()).receivers == ()
    assert [each.name for each in routes_of(Settings(webhook_url="https://hooks.example")).receivers] == ["webhook"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        pytest.param({"webhook_url": "hooks.example"}, "BURNLINE_WEBHOOK_URL must be an address", id="no address"),
        pytest.param({"alertmanager_url": "http://a:b@am"}, "no user or password", id="a password in an address"),
        pytest.param({"receivers_allow": "here"}, "BURNLINE_RECEIVERS_ALLOW must be a network", id="no network"),
        pytest.param({"alert_routes": "/no/such/file"}, "cannot be read: No such file", id="no file"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_said_with_its_variable(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        routes_of(Settings(**wrong))


def test_a_file_that_is_wrong_says_where(tmp_path: Path) -> None:
    file = tmp_path / "routes.yaml"
    file.write_text("apiVersion: burnline/v1\nkind: AlertRoutes\n")
    with pytest.raises(SpecError, match=r"routes\.yaml:1:1"):
        routes_of(Settings(alert_routes=file, webhook_url="https://ignored.example"))


def test_addresses_and_secrets_are_read_from_their_files_each_time(tmp_path: Path) -> None:
    receiver = Receiver("chat", "slack", url_file=tmp_path / "url", secret_file=tmp_path / "secret")
    with pytest.raises(SettingsError, match="address of receiver chat"):
        sheet_of(receiver, Promised())
    for secret in ("one", "two"):
        (tmp_path / "url").write_text("https://hooks.example/T0\n")
        (tmp_path / "secret").write_text(f"{secret}\n")
        sheet = sheet_of(receiver, Promised())
        assert (sheet.address, sheet.secret) == ("https://hooks.example/T0", secret)


def test_members_know_their_composites_and_alerts_the_labels_of_their_files() -> None:
    slos = load([EXAMPLES]).checked()
    known = promised(slos)
    for composite in slos.composites:
        assert all(composite.name in known.composites[member.ref] for member in composite.members)
    assert slos.composites
    assert known.labels[slos.slos[0].name] == dict(slos.slos[0].labels)
