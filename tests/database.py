"""A database for whoever must be alone in one, and rows in it."""

import uuid
from pathlib import Path
from typing import Any, Self

from clickhouse_driver import Client

from pipeline.embedded import EmbeddedClickHouse
from pipeline.embedded.clickhouse_config import DATABASE
from pipeline.settings import Settings
from pipeline.sinks.migrations import migrate


def insert(client: Client, table: str, **row: Any) -> None:
    """Add one row; what is not said has its column's default."""
    insert_rows(client, table, row)


def insert_rows(client: Client, table: str, *rows: dict[str, Any]) -> None:
    """Add rows of the same columns."""
    client.execute(f"INSERT INTO {table} ({', '.join(rows[0])}) VALUES", [tuple(row.values()) for row in rows])


class Database:
    """A migrated database of its own on a server that others use too.

    How far anything is known, and how fresh all judgements are, is a matter of all of one.
    """

    def __init__(self, server: EmbeddedClickHouse) -> None:
        self.server, self.name = server, f"own_{uuid.uuid4().hex[:10]}"
        with server.client() as client:
            client.execute(f"CREATE DATABASE {self.name}")
        with self.client() as client:
            migrate(client)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.drop()

    def client(self) -> Client:
        return self.server.client(database=self.name)

    @property
    def url(self) -> str:
        return self.server.admin_url.removesuffix(DATABASE) + self.name

    @property
    def environment(self) -> dict[str, str]:
        """For commands that read from here."""
        password_file = str(self.server.admin_password_file)
        return {"BURNLINE_CLICKHOUSE_URL": self.url, "BURNLINE_CLICKHOUSE_PASSWORD_FILE": password_file}

    def settings(self, slo_dir: Path) -> Settings:
        """As somebody would set them who reads from here."""
        password_file = self.server.admin_password_file
        # stories are told once and looked at for as long as tests take: event time may trail by hours
        return Settings(
            clickhouse_url=self.url, clickhouse_password_file=password_file, slo_dir=slo_dir, grace_s=9 * 3600
        )

    def drop(self) -> None:
        with self.server.client() as client:
            client.execute(f"DROP DATABASE {self.name} SYNC")
