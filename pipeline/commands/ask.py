"""`burnline ask`: the cookbook, questions that operators ask, each a file of plain SQL over the contract's views.

A file of infra/clickhouse/cookbook begins with its question and, a line each, its parameters: name = default: meaning.
"""

import difflib
import re
from functools import cache
from typing import Annotated, Any, NamedTuple

import typer

import infra
from pipeline.commands.screen import screen
from pipeline.commands.status import Json, print_json, rows, shown
from pipeline.commands.tables import Table

COOKBOOK = infra.HOME / "clickhouse" / "cookbook"
SETTING = re.compile(r"-- (?P<name>[a-z_]+) = (?P<default>[^:]*): (?P<meaning>.+)")
USE = re.compile(r"\{(?P<name>[a-z_]+):(?P<type>\w+)\}")
WHOLE = 1e5  #: from here on nobody reads what is behind the point
READ = {"UInt32": int, "Float64": float, "String": str}  #: the types that questions use


class Parameter(NamedTuple):
    """What a question may be told."""

    type: str
    default: str
    meaning: str


class Question(NamedTuple):
    """A file of the cookbook: what it asks, with what, and the SQL as it stands."""

    name: str
    asks: str
    parameters: dict[str, Parameter]
    sql: str

    @property
    def needed(self) -> list[str]:
        """Parameters that have no default, and of which the meaning says nothing about leaving them empty."""
        return [name for name, each in self.parameters.items() if not each.default and "empty: " not in each.meaning]


def question_of(name: str, text: str) -> Question:
    """Read a file of the cookbook.

    Raises: ValueError when parameters that are said and those that are used differ.
    """
    head = [line for line in text.splitlines() if line.startswith("-- ")]
    types = {match["name"]: match["type"] for match in USE.finditer(text)}
    said = {
        match["name"]: Parameter(types.get(match["name"], ""), match["default"].strip(), match["meaning"])
        for line in head
        if (match := SETTING.fullmatch(line))
    }
    if set(said) != set(types):
        raise ValueError(f"{name}.sql says {sorted(said)} and uses {sorted(types)}")
    return Question(name, head[0].removeprefix("-- "), said, text)


@cache
def questions() -> dict[str, Question]:
    """Return the cookbook by name."""
    files = sorted(COOKBOOK.glob("*.sql"))
    return {file.stem: question_of(file.stem, file.read_text("utf-8")) for file in files}


def question_named(name: str) -> Question:
    """Find a question, or say what comes close to its name."""
    if name in questions():
        return questions()[name]
    near = difflib.get_close_matches(name, questions(), 1)
    hint = f"did you mean {near[0]}?" if near else "`burnline ask` lists them"
    raise typer.BadParameter(f"there is no question {name!r}: {hint}", param_hint="NAME")


def values_of(question: Question, given: list[str]) -> dict[str, Any]:
    """Put what was given, name=value, over the defaults."""
    values = {name: parameter.default for name, parameter in question.parameters.items()}
    for each in given:
        name, is_pair, value = each.partition("=")
        if not is_pair or name not in values:
            known = ", ".join(values) or "nothing"
            raise typer.BadParameter(f"{each!r}: {question.name} takes name=value of {known}", param_hint="--set")
        values[name] = value
    return {name: _read(name, question.parameters[name].type, value) for name, value in values.items()}


def _read(name: str, kind: str, text: str) -> Any:
    try:
        return READ[kind](text)
    except ValueError as error:
        raise typer.BadParameter(f"{name}={text}: {name} is a number", param_hint="--set") from error


def ask(
    name: Annotated[str | None, typer.Argument(help="which question; without it, all are listed")] = None,
    given: Annotated[list[str] | None, typer.Option("--set", help="a parameter, as hours=24; repeatable")] = None,
    sql: Annotated[bool, typer.Option("--sql", help="print the SQL instead of asking it")] = False,
    as_json: Json = False,
) -> None:
    """Ask ClickHouse a question of the cookbook: who burns the budget, is it one variant, what does it cost."""
    if name is None:
        _list(as_json)
        return
    question = question_named(name)
    if sql:
        typer.echo(question.sql, nl=False)
        return
    values = values_of(question, given or [])
    if left := [name for name in question.needed if values[name] == ""]:
        told = f"{question.name} needs {left[0]}, {question.parameters[left[0]].meaning}: --set {left[0]}=.."
        raise typer.BadParameter(told, param_hint="--set")
    found = rows(question.sql, **values)
    if as_json:
        print_json(found)
        return
    screen().print(answer_table(question, found))


def _list(as_json: bool) -> None:
    if as_json:
        print_json(
            [
                {"name": q.name, "asks": q.asks, "parameters": {n: p._asdict() for n, p in q.parameters.items()}}
                for q in questions().values()
            ]
        )
        return
    table = Table("question", "asks", "--set, with its default")
    for question in questions().values():
        settings = ", ".join(
            f"{name}={'..' if name in question.needed else each.default}" for name, each in question.parameters.items()
        )
        table.add_row(question.name, question.asks, settings)
    screen().print(table)


def answer_table(question: Question, found: list[dict[str, Any]]) -> Table | str:
    """Lay an answer out for people."""
    if not found:
        return f"{question.asks}\n[dim]no data[/dim]"
    numbers = {name for name, value in found[0].items() if isinstance(value, int | float)}
    table = Table(title=question.asks, title_justify="left")
    for name in found[0]:
        table.add_column(name, justify="right" if name in numbers else "left")
    for row in found:
        table.add_row(*(_shown(name, value) for name, value in row.items()))
    return table


def _shown(name: str, value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if (isinstance(value, float) and name.endswith(("_ratio", "target"))) or "share_of" in name:
        return shown(value, "percent")
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= WHOLE else f"{value:.6g}"
    return shown(value)
