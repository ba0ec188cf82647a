"""Law: a label that a producer chose does nothing to a terminal, and breaks no table."""

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from pipeline.commands.screen import Screen, harmless

PIECES = [
    "[",
    "]",
    "/",
    "\\",
    "red",
    "[red]",
    "[/red]",
    "[/]",
    "[/x]",
    "[link=http://e]",
    "[bold]",
    "\x1b[31m",
    "\n",
    "a",
]
COLOUR = re.compile("\x1b\\[[0-9;]*m")


def printed(text: str, is_terminal: bool = False) -> str:
    """One cell of a table, as it comes out."""
    out = io.StringIO()
    table = Table("label", show_edge=False)
    table.add_row(text)
    Screen(file=out, width=400, emoji=False, force_terminal=is_terminal).print(table)
    return "\n".join(line.strip() for line in out.getvalue().splitlines()[2:])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("region=eu", "region=eu", id="a plain one"),
        pytest.param("[red]late[/red] x", "late x", id="a colour of ours"),
        pytest.param("[bold red]late[/bold red] x", "late x", id="two words of ours"),
        pytest.param("[/x]", "[/x]", id="closes what is not open"),
        pytest.param("a[/red]b", "a[/red]b", id="closes a colour of ours"),
        pytest.param("[link=http://evil.example]x[/link]", "[link=http://evil.example]x[/link]", id="a link"),
        pytest.param("[@click=x]y", "[@click=x]y", id="an action"),
        pytest.param("arr[0]", "arr[0]", id="an index"),
        pytest.param("\\[link]", "\\[link]", id="a backslash and a tag"),
        pytest.param("a\\[0]", "a\\[0]", id="a backslash and a bracket"),
        pytest.param(":bomb:", ":bomb:", id="the name of an emoji"),
        pytest.param("\x1b]0;title\x07x", "\N{REPLACEMENT CHARACTER}]0;title\N{REPLACEMENT CHARACTER}x", id="a title"),
        pytest.param("a\x9b31mb", "a\N{REPLACEMENT CHARACTER}31mb", id="an escape in one byte"),
        pytest.param("a\rb\x08c", "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c", id="goes back"),
        pytest.param("a\u202etxt", "a\N{REPLACEMENT CHARACTER}txt", id="turns the text"),
    ],
)
def test_what_is_shown_is_the_text_itself(text: str, shown: str) -> None:
    assert printed(text) == shown


@given(st.text())
def test_a_line_outside_of_tables_moves_no_terminal_either(text: str) -> None:
    seen = harmless(text)
    assert len(seen) == len(text) and all(ord(char) >= 32 or char == "\n" for char in seen)
    assert all(seen[at] == char for at, char in enumerate(text) if char.isprintable())


@given(st.lists(st.sampled_from(PIECES) | st.characters(), max_size=8).map("".join))
def test_any_text_is_printed_and_only_our_colours_reach_the_terminal(text: str) -> None:
    seen = COLOUR.sub("", printed(text, is_terminal=True))
    assert not any((ord(char) < 32 and char != "\n") or 127 <= ord(char) < 160 for char in seen)
    assert "http" not in seen or "[link=http" in seen  # shown, and no link
