"""Questions of controls: files of SQL, or SQL that a control writes, and the form of answers.

Pure, but that files are read, once.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import infra

if TYPE_CHECKING:
    from pipeline.slo import Objective

HOME = infra.HOME / "clickhouse"
SLOS = "slos"  #: rows that every step gets: slo, service, target, metric; what SLO files promise, judged or not
_USE = re.compile(r"\{(?P<name>[a-z_0-9]+):[\w()]+\}")

Row = Mapping[str, Any]
Rows = Mapping[str, Sequence[Row]]  #: by the name of the question that they answer; times are datetimes of UTC


class Question(NamedTuple):
    """What a control asks, as a reader; rows of questions of one name come as one list."""

    name: str
    sql: str
    values: Mapping[str, Any] = {}  # of {name:Type} in it


Ask = Callable[[Any, Sequence["Objective"], int], Sequence[Question]]  #: of spec, objectives, time in us


def files(*names: str, folder: str = "controls") -> Ask:
    """Ask files of infra/clickhouse/controls; {name:Type} in them is the spec's field of that name."""

    def ask(spec: Any, objectives: Sequence["Objective"], now_us: int) -> list[Question]:
        del objectives, now_us
        asked = ((name, sql_of(f"{folder}/{name}")) for name in names)
        return [
            Question(name, sql, {use["name"]: getattr(spec, use["name"]) for use in _USE.finditer(sql)})
            for name, sql in asked
        ]

    return ask


@cache
def sql_of(path: str) -> str:
    """Read a file under infra/clickhouse, without its ending."""
    return (HOME / f"{path}.sql").read_text("utf-8").strip()
