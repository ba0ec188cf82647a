"""Where tables are printed: as wide as the terminal, and wide enough for whole words when there is none."""

from rich.console import Console

PIPE_COLUMNS = 160  #: rich takes a pipe for 80 columns, and would cut the names of SLOs


def screen() -> Console:
    """A console on stdout."""
    console = Console()
    return console if console.is_terminal else Console(width=max(console.width, PIPE_COLUMNS))
