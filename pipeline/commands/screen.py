"""Where tables are printed: as wide as the terminal, and wide enough for whole words when there is none.

Law: what is printed holds labels that any producer may choose, and does to a terminal nothing but to stand there. Of
rich's markup our own colours are obeyed and nothing else; characters that move, hide or turn text are replaced.
"""

import re
from typing import Any

from rich.console import Console
from rich.text import Text

PIPE_COLUMNS = 160  #: rich takes a pipe for 80 columns, and would cut the names of SLOs

_OURS = re.compile(r"(\[/?(?:bold red|bold green|bold|dim|red|yellow|green|cyan)\])")
#: control characters but for the end of a line; marks that turn the direction of text
_UNSEEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class Screen(Console):
    """A console that is not moved by what it prints."""

    def render_str(self, text: str, *, markup: bool | None = None, **options: Any) -> Text:
        """Turn text into what is shown."""
        seen = harmless(text)
        plain, colours = (seen, []) if markup is False else _coloured(seen)
        shown = super().render_str(plain, markup=False, **options)
        for colour in colours:
            shown.stylize(*colour)
        return shown


def harmless(text: str) -> str:
    """Text without what would move a terminal; its own lines stay."""
    return _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", text)


def _coloured(text: str) -> tuple[str, list[tuple[str, int, int]]]:
    """Text without our colours, and where they are; one that closes what is not open is text."""
    plain, found, opened = "", list[tuple[str, int, int]](), list[tuple[str, int]]()
    for piece in _OURS.split(text):
        name = piece.strip("[/]")
        if not _OURS.fullmatch(piece):
            plain += piece
        elif not piece.startswith("[/"):
            opened.append((name, len(plain)))
        elif opened and opened[-1][0] == name:
            found.append((*opened.pop(), len(plain)))
        else:
            plain += piece
    return plain, found + [(*each, len(plain)) for each in opened]


def screen() -> Console:
    """A console on stdout."""
    plain: dict[str, Any] = {"emoji": False, "highlight": False}  # a colour says something, or is not there
    console = Screen(**plain)
    return console if console.is_terminal else Screen(width=max(console.width, PIPE_COLUMNS), **plain)
