"""What the server says of its cluster: asked once, so that every statement takes the form its servers can run.

Keeper is there when the server shows its tree, `system.zookeeper`; then it must know its shard and its replica.
"""

from typing import TYPE_CHECKING

from pipeline.cluster import Cluster, ClusterError
from pipeline.sinks.clickhouse import client

if TYPE_CHECKING:
    from pipeline.settings import Settings

MACROS = ("shard", "replica")
ASKED = """\
SELECT
    currentUser(),
    (SELECT count() FROM system.clusters WHERE cluster = %(name)s),
    (SELECT count() FROM system.tables WHERE database = 'system' AND name = 'zookeeper'),
    (SELECT groupArray(macro) FROM system.macros)"""


def cluster_of(settings: "Settings") -> Cluster | None:
    """Ask for the cluster that BURNLINE_CLICKHOUSE_CLUSTER names; None: there is one server.

    Raises: ClusterError when the server knows no such cluster, or not its own place in it.
    """
    name = settings.clickhouse_cluster
    if not name:
        return None
    with client(settings, is_admin=True, database="system") as connection:
        ((user, nodes, keepers, macros),) = connection.execute(ASKED, {"name": name})
    if not nodes:
        raise ClusterError(f"the server knows no cluster {name!r}: add it to remote_servers in its configuration")
    missing = [macro for macro in MACROS if macro not in macros]
    if keepers and missing:
        raise ClusterError(f"the server has Keeper, and no macro {', '.join(missing)}: add it to its configuration")
    return Cluster(name, bool(keepers), user)


def formed(statement: str, cluster: Cluster | None) -> list[str]:
    """Return what to run for a statement of the schema; on one server that is the statement itself.

    Raises: ClusterError for what has no cluster form.
    """
    return [statement] if cluster is None else cluster.statements(statement)
