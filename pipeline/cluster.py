"""The cluster form of the schema: what each statement of infra/clickhouse becomes on a cluster of ClickHouse servers.

A table `x` becomes `x_local`, which has a shard's rows, and `x` over it, Distributed by a key of SHARDING: whoever
reads and writes `x` needs to know of no cluster. With Keeper every statement is for all servers (ON CLUSTER) and local
tables are replicated; without it there are shards alone, and every server is told by itself.

Law: rows that a table's engine puts together, in merges or for FINAL, are in one shard; so a batch that is inserted
again finds the tokens of its rows where they were. Pure text; a statement that has no cluster form is refused.
"""

import re
from typing import NamedTuple

_SERIES = "service, request_model, tenant_id, region, operation, priority_class, variant, vantage"
EVERYWHERE = ""

#: table -> columns whose rows stay together. A key may be coarser than what is put together, and never finer.
SHARDING = {
    # merging adds up the rows of a series; of a replay too, so that swapping them in moves none between shards
    **dict.fromkeys(("slices_10s", "slices_1m", "slices_1h", "slices_shadow"), _SERIES),
    # the same of an SLO instance
    **dict.fromkeys(("counts_10s", "counts_1m", "counts_1h", "counts_shadow"), "slo, instance"),
    "statuses": "slo, instance",  # FINAL keeps the latest judgement of an instance
    "alert_events": "slo, dedup_key",  # FINAL keeps one of an event
    "alert_remarks": "slo, dedup_key",
    # a letter is one by its place; ranges of what was fed again are found by its partition
    "dead_letter_records": "dlq_topic, dlq_partition",
    "redriven_letters": "dlq_topic, dlq_partition",
    "marks": "topic, partition",  # merging takes the greatest offset of a partition
    "worker_reports": "worker, step",
    "correction_versions": "correction",
    "corrected_windows": "slo, instance",
    "frontier_configs": "service, request_model, priority_class, variant, config_epoch",
    "silence_versions": "silence",
    "change_records": "service, change_id",
    **dict.fromkeys(("signal_records", "signal_history"), "service, model, name, scope"),
    "snapshot_records": "service, model, endpoint_id",
    "event_records": "source_topic, source_partition, source_offset",  # nothing is put together: evenly
    # journals: whichever server `migrate` asks knows all
    **dict.fromkeys(("migrations", "view_files"), EVERYWHERE),
}

#: Distributed tables in one query: what is joined, or stands in IN, is asked once and sent to the shards
VIEW_SETTINGS = "distributed_product_mode = 'global'"
#: Keeper forgets tokens by their age too; a store that was stopped for a weekend repeats its last batch
TOKENS_S = 7 * 86_400

_TEXT = r"'(?:[^'\\]|\\.|'')*'"
_QUOTED = re.compile(rf"{_TEXT}|`[^`]*`")
_NAME = r"`?(\w+)`?"
_TABLE = re.compile(rf"CREATE TABLE (IF NOT EXISTS )?{_NAME}")
_ENGINE = re.compile(r"\bENGINE = (\w*MergeTree)\b(?:\(((?:[^()]|\([^()]*\))*)\))?")
_SECONDS = "replicated_deduplication_window_seconds"
_WINDOW = re.compile(r"\bnon_replicated_deduplication_window = (\d+)")
_COMMENT = re.compile(rf"\bCOMMENT {_TEXT}$")
_VIEW = re.compile(rf"((?:CREATE(?: OR REPLACE)?|DROP) (?:VIEW|DICTIONARY)(?: IF (?:NOT )?EXISTS)? {_NAME})")
_ALTER = re.compile(rf"ALTER TABLE {_NAME}")
_DROP = re.compile(rf"DROP TABLE (IF EXISTS )?{_NAME}")
_DATABASE = re.compile(r"CREATE DATABASE (?:IF NOT EXISTS )?`?\w+`?$")
_GRANT = re.compile(r"(GRANT|REVOKE)\b")
_COLUMNS = re.compile(r"\b(?:ADD|DROP|MODIFY|RENAME|COMMENT|CLEAR) COLUMN\b")
_PARTS = re.compile(
    r"\b(?:MODIFY (?:SETTING|TTL|ORDER BY)|(?:ADD|DROP|MATERIALIZE|CLEAR) (?:PROJECTION|INDEX)|MATERIALIZE TTL)\b"
)
_SECURITY = re.compile(r"\bMODIFY SQL SECURITY\b")
_CURRENT_USER = re.compile(r"\bDEFINER = CURRENT_USER\b")


class ClusterError(ValueError):
    """A statement has no cluster form; the message says what to do."""


class Cluster(NamedTuple):
    """Which cluster, and what it can do."""

    name: str
    has_keeper: bool
    user: str  # whoever migrates: another server does not know who that is

    @property
    def on(self) -> str:
        """What stands behind a name to mean it on every server."""
        return f" ON CLUSTER `{self.name}`" if self.has_keeper else ""

    def statements(self, statement: str) -> list[str]:
        """Return what a statement becomes, in order.

        Raises: ClusterError for what is no database, table, view or grant, and for a table without a sharding key.
        """
        if found := _TABLE.match(statement):
            return self._tables(statement, found)
        if found := _ALTER.match(statement):
            return self._altered(statement, found)
        if found := _VIEW.match(statement):
            return [self._view(statement, found)]
        if found := _DROP.match(statement):
            names = dict.fromkeys((found[2], local(found[2])))
            return [f"DROP TABLE {found[1] or ''}{name}{self.on}" for name in names]
        if found := _DATABASE.match(statement):
            return [f"{statement}{self.on}"]
        if found := _GRANT.match(statement):
            return [f"{found[1]}{self.on}{statement[found.end() :]}"]
        raise ClusterError(f"no cluster form is known of {statement[:60]!r}: write one in pipeline/cluster.py")

    def _tables(self, statement: str, made: re.Match[str]) -> list[str]:
        unless, name = made[1] or "", made[2]
        engine = _ENGINE.search(_masked(statement))
        if engine is None:
            raise ClusterError(f"table {name}: a cluster has tables of ENGINE = ..MergeTree alone")
        kept_in = local(name)
        columns, rest = statement[made.end() : engine.start()], statement[engine.end() :]
        arguments = statement[slice(*engine.span(2))] if engine[2] is not None else ""
        if self.has_keeper:
            rest = _WINDOW.sub(rf"replicated_deduplication_window = \1, {_SECONDS} = {TOKENS_S}", rest)
        kind = self._engine(engine[1], arguments, is_everywhere(name))
        found = [f"CREATE TABLE {unless}{kept_in}{self.on}{columns}ENGINE = {kind}{rest}"]
        if kept_in != name:
            said = _COMMENT.search(statement)
            found.append(
                f"CREATE TABLE {unless}{name}{self.on} AS {kept_in} ENGINE = "
                f"Distributed(`{self.name}`, currentDatabase(), {kept_in}, cityHash64({SHARDING[name]}))"
                + (f"\n{said[0]}" if said else "")
            )
        return found

    def _engine(self, kind: str, arguments: str, everywhere: bool) -> str:
        if not self.has_keeper:
            return f"{kind}({arguments})" if arguments else kind
        path, replica = ("{database}", "{shard}-{replica}") if everywhere else ("{shard}/{database}", "{replica}")
        more = f", {arguments}" if arguments else ""
        return f"Replicated{kind}('/clickhouse/tables/{path}/{{table}}', '{replica}'{more})"

    def _altered(self, statement: str, found: re.Match[str]) -> list[str]:
        name, change, bare = found[1], statement[found.end() :], _masked(statement)
        if _SECURITY.search(bare):
            return [f"ALTER TABLE `{name}`{self.on}{self._defined(change)}"]
        of_columns, of_parts = bool(_COLUMNS.search(bare)), bool(_PARTS.search(bare))
        if of_columns == of_parts:
            raise ClusterError(f"ALTER TABLE {name}: change columns, or how parts are kept, one a statement")
        names = dict.fromkeys((local(name), name)) if of_columns else (local(name),)
        return [f"ALTER TABLE {each}{self.on}{change}" for each in names]

    def _view(self, statement: str, found: re.Match[str]) -> str:
        made = f"{found[1]}{self.on}{self._defined(statement[found.end() :])}"
        if not statement.startswith("CREATE") or " DICTIONARY " in found[1]:
            return made
        said = _COMMENT.search(made)
        end = said.start() if said else len(made)
        return f"{made[:end].rstrip()}\nSETTINGS {VIEW_SETTINGS}\n{made[end:]}"

    def _defined(self, text: str) -> str:
        """Name the user: another server that runs the statement would take its own for the current one."""
        return _CURRENT_USER.sub(f"DEFINER = `{self.user}`", text) if self.has_keeper else text


def is_everywhere(table: str) -> bool:
    """Whether every server has all rows of a table.

    Raises: ClusterError for a table nobody has thought of.
    """
    if table not in SHARDING:
        raise ClusterError(f"table {table} has no sharding key: say in pipeline/cluster.py which rows stay together")
    return SHARDING[table] == EVERYWHERE


def local(table: str) -> str:
    """Name the table that has a server's own rows of a table.

    Raises: ClusterError for a table nobody has thought of.
    """
    return table if is_everywhere(table) else f"{table}_local"


def is_replicated(made: str) -> bool:
    """Whether Keeper holds a table together, by the statement that makes it; a cloud's Shared engines are such too."""
    return re.search(r"\bENGINE = (?:Replicated|Shared)\w*MergeTree\b", _masked(made)) is not None


def _masked(statement: str) -> str:
    """The statement with its strings and quoted names blotted out; every other character keeps its place."""
    return _QUOTED.sub(lambda found: "x" * len(found[0]), statement)
