"""What the commands of `burnline slo` print alike: problems, counts, JSON."""

import json
from collections.abc import Sequence
from typing import Any

import typer

from pipeline.spec import Problem


def counted(count: int, noun: str) -> str:
    return f"{count or 'no'} {noun}{'' if count == 1 else 's'}"


def print_problems(problems: Sequence[Problem], label: str = "", to_stderr: bool = False) -> None:
    for problem in problems:
        typer.echo(f"{label}{problem}", err=to_stderr)


def print_json(value: Any) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False))
