"""A site is both servers with topics and tables, and Settings that fit them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from clickhouse_driver import Client
from confluent_kafka.admin import AdminClient

from pipeline.embedded import EmbeddedError
from pipeline.embedded.site import EXAMPLES, Site
from pipeline.topics import NAMES, confluent_config

pytestmark = pytest.mark.servers


def log_in(url: str, password: str) -> Client:
    """Connect as anybody would who has read an address and a password file."""
    return Client.from_url(url.replace("@", f":{password}@"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One site for the tests of this file."""
    with Site(tmp_path_factory.mktemp("site")) as running:
        yield running


def test_topics_and_tables_are_there(site: Site) -> None:
    admin = AdminClient(confluent_config(site.settings))
    assert set(NAMES) <= set(admin.list_topics(timeout=60).topics)
    tables = {name for (name,) in site.clickhouse.client().execute("SHOW TABLES")}
    assert {"sli", "compliance", "error_budget", "burn_rate", "alerts", "dead_letters"} <= tables


def test_the_settings_log_in(site: Site) -> None:
    settings = site.settings
    client = log_in(settings.clickhouse_url, settings.secret("clickhouse_password"))
    assert client.execute("SELECT currentUser(), currentDatabase()") == [("burnline_writer", "burnline")]


def test_addresses_are_plain_text_without_secrets(site: Site) -> None:
    text = json.dumps(site.addresses)
    assert site.kafka.brokers in text
    assert site.clickhouse.password not in text
    assert site.clickhouse.reader_password_file.read_text() not in text


def test_the_reader_of_the_addresses_reads_every_view(site: Site) -> None:
    password = Path(site.addresses["clickhouse_reader_password_file"]).read_text()
    reader = log_in(site.addresses["clickhouse_reader_url"], password)
    for view in ("sli", "slo_counts", "compliance", "error_budget", "burn_rate", "alerts", "alert_log"):
        assert reader.execute(f"SELECT count() FROM {view}") == [(0,)]


def test_settings_of_other_things_come_from_the_environment(
    site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert site.settings.slo_dir == EXAMPLES.resolve()
    monkeypatch.setenv("BURNLINE_GRACE_S", "7")
    monkeypatch.setenv("BURNLINE_SLO_DIR", str(tmp_path))
    monkeypatch.setenv("BURNLINE_KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
    assert (site.settings.grace_s, site.settings.slo_dir) == (7, tmp_path)
    assert Site(site.data_dir, slo_dir=EXAMPLES).settings.slo_dir == EXAMPLES.resolve()
    assert site.settings.kafka_security_protocol == "PLAINTEXT"


def test_a_server_that_does_not_start_stops_the_other(site: Site, tmp_path: Path) -> None:
    broken = Site(tmp_path)
    broken.clickhouse.port = site.clickhouse.port
    with pytest.raises(EmbeddedError, match=r"(?i)address already in use"):
        broken.start()
    assert not broken.kafka.running
