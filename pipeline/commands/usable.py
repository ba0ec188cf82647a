"""Files that a command is told to use: what is wrong with one is said in full, and the command ends with 2."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer

from pipeline.settings import Settings


@contextmanager
def usable(what: str) -> Iterator[None]:
    """Read a file. `what` it is, as in "the prices"."""
    from pipeline.spec.problems import SpecError

    try:
        yield
    except SpecError as error:
        typer.echo(f"{what} cannot be used:\n{error}", err=True)
        raise typer.Exit(2) from error


def spec_of(control: str) -> Any:
    """What a control of this site decides by, out of the file of controls."""
    from pipeline.controls.sections import written

    with usable("the file of controls"):
        return written(Settings().controls_file)[control]
