"""Settings come from BURNLINE_* only, refuse what cannot work, and never show a secret."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.settings import STEPS, Settings, documented

SECRET = "hunter2-very-secret"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the variables of whoever runs the tests."""
    for line in documented():
        monkeypatch.delenv(line.variable, raising=False)


def test_every_setting_has_a_default_and_a_description() -> None:
    Settings()
    assert all(line.variable.startswith("BURNLINE_") and line.description for line in documented())


def test_variables_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BURNLINE_KAFKA_BROKERS", "kafka-1:9092,kafka-2:9092")
    monkeypatch.setenv("BURNLINE_UNIT_BYTES", "1048576")
    settings = Settings()
    assert (settings.kafka_brokers, settings.unit_bytes) == ("kafka-1:9092,kafka-2:9092", 1 << 20)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().grace_s = 3.0  # type: ignore[misc]


def test_a_secret_is_never_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(SECRET)
    monkeypatch.setenv("BURNLINE_CLICKHOUSE_PASSWORD", SECRET)
    settings = Settings(kafka_sasl_password_file=tmp_path / "password")
    shown = [repr(settings), str(settings), repr(settings.model_dump()), settings.model_dump_json()]
    shown += [str(documented())]
    assert not any(SECRET in text for text in shown)
    assert settings.secret("clickhouse_password") == settings.secret("kafka_sasl_password") == SECRET


def test_a_password_file_wins_and_its_last_newline_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("from the file\n")
    settings = Settings(clickhouse_password="given", clickhouse_password_file=tmp_path / "password")
    assert settings.secret("clickhouse_password") == "from the file"
    assert Settings().secret("clickhouse_password") == ""


def test_steps_are_read_in_the_order_given() -> None:
    assert Settings().step_names == tuple(name for name in STEPS if name != "deliver")
    assert Settings(webhook_url="https://hooks.example").step_names == STEPS
    assert Settings(steps=" store, ingest ,").step_names == ("store", "ingest")


CANNOT_WORK = [
    pytest.param({"steps": "ingest,juge"}, "use some of ingest, judge, store", id="an unknown step"),
    pytest.param({"steps": " , "}, "use some of ingest, judge, store", id="no step"),
    pytest.param({"steps": "deliver"}, "set BURNLINE_ALERT_ROUTES", id="nobody to be told"),
    pytest.param({"kafka_security_protocol": "TLS"}, "'PLAINTEXT', 'SSL'", id="an unknown protocol"),
    pytest.param(
        {"kafka_security_protocol": "SASL_SSL", "kafka_sasl_username": "u"},
        "KAFKA_SASL_PASSWORD_FILE",
        id="SASL without a password",
    ),
    pytest.param({"kafka_sasl_username": "u"}, "set SASL_SSL", id="a user whose password would not be used"),
    pytest.param({"kafka_ssl_certfile": "c.pem"}, "KAFKA_SSL_KEYFILE", id="a certificate without its key"),
    pytest.param({"keda_tls_keyfile": "k.pem"}, "KEDA_TLS_CERTFILE", id="a key without its certificate"),
    pytest.param({"keda_tls_cafile": "ca.pem"}, "without TLS nobody", id="who asks is known by TLS alone"),
    pytest.param({"site_zone": "Berlin"}, "such as Europe/Berlin", id="no time zone"),
    pytest.param({"site_zone": "../etc/passwd"}, "such as Europe/Berlin", id="a path that is no time zone"),
    pytest.param({"site_country": "Germany"}, "pattern", id="no code of a country"),
    pytest.param({"topic_prefix": "a/b"}, "pattern", id="a prefix that no topic may have"),
    pytest.param({"grace_s": -1}, "greater than or equal to 0", id="negative grace"),
    pytest.param({"unit_bytes": 0}, "greater than 0", id="empty units"),
    pytest.param({"limit_series": 0}, "greater than 0", id="no series"),
]


@pytest.mark.parametrize(("values", "message"), CANNOT_WORK)
def test_what_cannot_work_is_refused_with_a_remedy(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Settings(**values)  # type: ignore[arg-type]
