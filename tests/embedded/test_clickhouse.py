"""EmbeddedClickHouse is a real server: loopback only, and durable. What its users may do is in tests/security."""

from pathlib import Path

import httpx
import psutil
import pytest
from clickhouse_driver import Client
from clickhouse_driver.errors import ServerException

from pipeline.embedded import EmbeddedClickHouse, EmbeddedError

pytestmark = pytest.mark.servers

# Server error codes: https://github.com/ClickHouse/ClickHouse/blob/master/src/Common/ErrorCodes.cpp
AUTHENTICATION_FAILED, TOO_MANY_SESSIONS = 516, 700


def test_the_server_listens_on_loopback_only(clickhouse: EmbeddedClickHouse) -> None:
    connections = psutil.Process(clickhouse.pid).net_connections("inet")
    listening = {c.laddr for c in connections if c.status == psutil.CONN_LISTEN}
    assert {address.ip for address in listening} == {"127.0.0.1"}
    assert {address.port for address in listening} == {clickhouse.port, clickhouse.http_port}


def test_it_answers_over_http_too(clickhouse: EmbeddedClickHouse) -> None:
    assert httpx.get(f"{clickhouse.http_url}/ping", timeout=60).text == "Ok.\n"


def test_rows_are_there_again_after_a_stop_and_after_a_kill(tmp_path: Path) -> None:
    server = EmbeddedClickHouse(tmp_path)
    with server:
        port, password = server.port, server.password
        server.client().execute("CREATE TABLE kept (n UInt8) ENGINE = MergeTree ORDER BY n")
        server.client().execute("INSERT INTO kept VALUES", [[1]])
        server.stop()
        server.start()
        assert (server.port, server.password) == (port, password)
        server.client().execute("INSERT INTO kept VALUES", [[2]])
        server.kill()
    with EmbeddedClickHouse(tmp_path) as another:
        assert another.client().execute("SELECT n FROM kept ORDER BY n") == [(1,), (2,)]


def test_a_second_server_on_the_same_directory_is_refused(clickhouse: EmbeddedClickHouse) -> None:
    with pytest.raises(EmbeddedError, match="in use by another server"):
        EmbeddedClickHouse(clickhouse.data_dir).start()
    assert clickhouse.client().execute("SELECT 1") == [(1,)]


def test_a_port_that_is_taken_is_refused_with_the_engines_reason(
    clickhouse: EmbeddedClickHouse, tmp_path: Path
) -> None:
    with pytest.raises(EmbeddedError, match=r"(?i)address already in use"):
        EmbeddedClickHouse(tmp_path, port=clickhouse.port).start()


def test_passwords_and_configuration_are_for_their_owner_only(clickhouse: EmbeddedClickHouse) -> None:
    files = [clickhouse.password_file, clickhouse.reader_password_file, clickhouse.admin_password_file]
    files += list((clickhouse.data_dir / "etc").iterdir())
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert clickhouse.data_dir.stat().st_mode & 0o777 == 0o700
    assert clickhouse.password not in (clickhouse.data_dir / "etc" / "users.xml").read_text()


def test_nobody_logs_in_as_default_or_with_a_wrong_password(clickhouse: EmbeddedClickHouse) -> None:
    with pytest.raises(ServerException) as refused:
        Client("127.0.0.1", clickhouse.port, user="default").execute("SELECT 1")
    assert refused.value.code == TOO_MANY_SESSIONS
    with pytest.raises(ServerException) as refused:
        clickhouse.client(password="wrong").execute("SELECT 1")
    assert refused.value.code == AUTHENTICATION_FAILED
    assert httpx.get(clickhouse.http_url, params={"query": "SELECT 1"}, timeout=60).status_code >= 400


def test_equal_inserts_with_one_token_count_once(clickhouse: EmbeddedClickHouse) -> None:
    writer = clickhouse.client()
    writer.execute("CREATE TABLE once (n UInt8) ENGINE = MergeTree ORDER BY n")
    for _ in range(3):
        writer.execute("INSERT INTO once VALUES", [[1]], settings={"insert_deduplication_token": "0:1"})
    assert writer.execute("SELECT count() FROM once") == [(1,)]
