"""Questions of controls: files of SQL, or SQL that a control writes, and the form of answers.

Pure, but that files are read, once.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import infra

if TYPE_CHECKING:
    from pipeline.slo import Objective

HOME = infra.HOME / "clickhouse"
MISSING_MOST = 3  #: of more questions without an answer the server is away: each of them takes its time
MISSING = "missing"  #: rows that every step gets: question, part; what was asked and has no answer
SLOS = "slos"  #: rows that every step gets: slo, service, target, metric; what SLO files promise, judged or not
_USE = re.compile(r"\{(?P<name>[a-z_0-9]+):[\w()]+\}")

Row = Mapping[str, Any]
Rows = Mapping[str, Sequence[Row]]  #: by the name of the question that they answer; times are datetimes of UTC


class Question(NamedTuple):
    """What a control asks, as a reader; rows of questions of one name come as one list."""

    name: str
    sql: str
    values: Mapping[str, Any] = {}  # of {name:Type} in it
    part: str = (
        ""  # the service that it alone is about: without an answer nothing is said of that one, and of others all
    )
    is_needed: bool = True  # False: without an answer the step says what it can of the others'


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


def answers(
    questions: Iterable[Question], rows: Callable[[Question], Sequence[Row]], partly: Callable[[str, Exception], None]
) -> dict[str, Sequence[Row]]:
    """Ask all questions. `partly` is told of each part, and each question that is not needed, that has no answer.

    Raises: what `rows` does, for a needed question about all services, or when no part of a needed one has an answer.
    """
    found: dict[str, Sequence[Row]] = {}
    missing: list[tuple[Question, Exception]] = []
    for question in questions:
        try:
            found[question.name] = [*found.get(question.name, ()), *rows(question)]
        except Exception as error:
            if (question.is_needed and not question.part) or len(missing) >= MISSING_MOST:
                raise
            missing.append((question, error))
    for question, why in missing:
        if question.is_needed and question.name not in found:
            raise why
        partly(question.part or question.name, why)
    found[MISSING] = [{"question": question.name, "part": question.part} for question, _ in missing]
    return found
