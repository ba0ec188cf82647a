"""The embedded ClickHouse's configuration, as text: ports, limits, users and what each may do.

Pure. Law: a reader reads the views of `burnline` and nothing else; a writer adds rows and changes no table; nobody
from outside reads files, URLs or other servers.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

DATABASE = "burnline"
ADMIN = "burnline_admin"
WRITER = "burnline_writer"
READER = "burnline_reader"

# Everything that a migration needs, on every database; SOURCES (file, url, remote, s3)
# and ACCESS MANAGEMENT are what is left out.
ADMIN_GRANTS = (
    "GRANT SHOW, SELECT, INSERT, ALTER, CREATE, DROP, UNDROP TABLE, TRUNCATE, OPTIMIZE, BACKUP, KILL QUERY, "
    "MOVE PARTITION BETWEEN SHARDS, SYSTEM, dictGet, TABLE ENGINE ON *.*",
)
WRITER_GRANTS = (f"GRANT SELECT, INSERT ON {DATABASE}.*",)

# system.query_log and part_log exist only when configured; they stay for three days.
SYSTEM_LOG = """\
  <{log}><database>system</database><table>{log}</table>
    <flush_interval_milliseconds>7500</flush_interval_milliseconds>
    <ttl>event_date + INTERVAL 3 DAY</ttl></{log}>
"""
# No <default_database>: the engine's own `default` is an overlay that includes the file system.
CONFIG = """\
<clickhouse>
  <path>{root}/store</path>
  <listen_host>127.0.0.1</listen_host>
  <tcp_port>{tcp_port}</tcp_port>
  <http_port>{http_port}</http_port>
  <users_config>users.xml</users_config>
  <default_database></default_database>
  <database>system</database>
  <max_connections>256</max_connections>
  <max_concurrent_queries>100</max_concurrent_queries>
  <max_server_memory_usage>{memory}</max_server_memory_usage>
  <mark_cache_size>{mark_cache}</mark_cache_size>
  <background_pool_size>2</background_pool_size>
  <background_schedule_pool_size>8</background_schedule_pool_size>
  <storage_configuration>
    <disks><default><keep_free_space_bytes>{keep_free}</keep_free_space_bytes></default></disks>
  </storage_configuration>
  <merge_tree><non_replicated_deduplication_window>1000</non_replicated_deduplication_window></merge_tree>
  <access_control_improvements>
    <select_from_system_db_requires_grant>true</select_from_system_db_requires_grant>
    <select_from_information_schema_requires_grant>true</select_from_information_schema_requires_grant>
    <table_engines_require_grant>true</table_engines_require_grant>
  </access_control_improvements>
  <prometheus><endpoint>/metrics</endpoint><metrics>true</metrics><events>true</events></prometheus>
  <backups><allowed_path>{root}/backup</allowed_path></backups>
  <log-level>warning</log-level>
  <logger>
    <log>{root}/log/server.log</log><errorlog>{root}/log/server.err.log</errorlog>
    <size>20M</size><count>3</count>
  </logger>
{system_logs}</clickhouse>
"""
# `default` is the launcher's own session, which cannot have a password. Its profile allows one session, and
# that one is taken before the server listens: everybody else is refused. poll_interval: idle clients delay
# a stop.
USERS = """\
<clickhouse>
  <profiles>
    <default>
      <poll_interval>1</poll_interval>
      <max_memory_usage>{query_memory}</max_memory_usage>
      <implicit_select>0</implicit_select>
      <allow_introspection_functions>0</allow_introspection_functions>
      <insert_deduplicate>1</insert_deduplicate>
    </default>
    <internal><profile>default</profile><max_sessions_for_user>1</max_sessions_for_user></internal>
    <reader>
      <readonly>2</readonly>
      <poll_interval>1</poll_interval>
      <implicit_select>0</implicit_select>
      <allow_introspection_functions>0</allow_introspection_functions>
      <max_execution_time>30</max_execution_time>
      <max_memory_usage>{reader_memory}</max_memory_usage>
      <max_concurrent_queries_for_user>20</max_concurrent_queries_for_user>
      <constraints>
        <max_memory_usage><min>1</min><max>{reader_memory}</max></max_memory_usage>
        <max_execution_time><min>0.001</min><max>30</max></max_execution_time>
        <max_concurrent_queries_for_user><readonly/></max_concurrent_queries_for_user>
        <allow_introspection_functions><readonly/></allow_introspection_functions>
      </constraints>
    </reader>
  </profiles>
  <quotas><default/></quotas>
  <users>
{users}  </users>
</clickhouse>
"""
USER = """\
    <{name}>{login}<networks><ip>127.0.0.1</ip><ip>::1</ip></networks><profile>{profile}</profile><quota>default</quota>
      <default_database>{database}</default_database>{grants}</{name}>
"""


@dataclass(frozen=True)
class ServerSpec:
    """What a server is to be."""

    root: Path
    tcp_port: int
    http_port: int
    memory_bytes: int
    admin_password: str
    writer_password: str
    reader_password: str
    views: tuple[str, ...]  # what a reader may read
    keep_free_bytes: int = 0  # of the disk: with less, inserts and merges are refused


def config_xml(spec: ServerSpec) -> str:
    """Return config.xml."""
    return CONFIG.format(
        root=escape(str(spec.root)),
        tcp_port=spec.tcp_port,
        http_port=spec.http_port,
        memory=spec.memory_bytes,
        keep_free=spec.keep_free_bytes,
        mark_cache=min(spec.memory_bytes // 8, 256 << 20),
        system_logs="".join(SYSTEM_LOG.format(log=log) for log in ("query_log", "part_log")),
    )


def users_xml(spec: ServerSpec) -> str:
    """Return users.xml; passwords as SHA-256."""
    users = [
        user("default", None, "internal", ()),
        user(ADMIN, spec.admin_password, "default", ADMIN_GRANTS),
        user(WRITER, spec.writer_password, "default", WRITER_GRANTS),
        user(READER, spec.reader_password, "reader", reader_grants(spec.views)),
    ]
    return USERS.format(
        query_memory=spec.memory_bytes * 3 // 4, reader_memory=spec.memory_bytes // 4, users="".join(users)
    )


def reader_grants(views: tuple[str, ...]) -> tuple[str, ...]:
    """Write the reader's grants: each view by its name, so that a new table is closed until somebody opens it."""
    return tuple(f"GRANT SELECT ON {DATABASE}.{view}" for view in views)


def user(name: str, password: str | None, profile: str, grants: tuple[str, ...]) -> str:
    """Return one user's element; without grants a user may do everything."""
    login = "<password></password>"
    if password is not None:
        login = f"<password_sha256_hex>{hashlib.sha256(password.encode()).hexdigest()}</password_sha256_hex>"
    queries = "".join(f"<query>{escape(grant)}</query>" for grant in grants)
    return USER.format(
        name=name,
        login=login,
        profile=profile,
        database=DATABASE,
        grants=f"<grants>{queries}</grants>" if grants else "",
    )
