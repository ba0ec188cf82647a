"""Tables for whatever room a terminal has.

Law: no word is cut. Columns of prose give way first; where even words have no room, columns that are spare are left
out, and a line says which; where that is not enough either, every row stands by itself, a line a column.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Column
from rich.table import Table as RichTable
from rich.text import Text

PADDING = 3  #: what a column has beside its text: a space on either side, and a line
PROSE, PROSE_COLUMNS = frozenset({"why", "reason"}), 24  #: columns of sentences: nobody reads them a word a line


class Need(NamedTuple):
    """The least and the most characters a line that a column makes use of."""

    least: int
    most: int


class Table(RichTable):
    """A table that gives way to what it has room for; `spare`: names of columns to leave out, the first one first."""

    def __init__(self, *headers: Column | str, spare: Sequence[str] = (), **options: Any) -> None:
        super().__init__(*headers, **options)
        self.spare = tuple(spare)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if not self.rows:
            yield from [self.title] if self.title else []
            yield Text("none", style="dim")
            return
        needs = [need(console, options, column) for column in self.columns]
        kept, left_out = _kept([str(column.header) for column in self.columns], needs, self.spare, options.max_width)
        widths = shared([needs[at] for at in kept], options.max_width - PADDING * len(kept) - 1)
        if widths is None:
            yield from self._turned()
            return
        whole = self.columns
        self.columns = [replace(whole[at], width=width) for at, width in zip(kept, widths, strict=True)]
        yield from super().__rich_console__(console, options)
        self.columns = whole
        if left_out:
            yield Text(f"no room for {', '.join(left_out)}: a wider terminal has it, and --json", style="dim")

    def _turned(self) -> Iterator[RenderableType]:
        if self.title:
            yield self.title
        for number, cells in enumerate(zip(*(column.cells for column in self.columns), strict=True)):
            row = RichTable.grid(Column(style="dim", no_wrap=True), Column(overflow="fold"), padding=(0, 2, 0, 0))
            for column, cell in zip(self.columns, cells, strict=True):
                row.add_row(column.header, cell)
            if number:
                yield ""
            yield row


def need(console: Console, options: ConsoleOptions, column: Column) -> Need:
    """Say what room a column needs: least for its longest word, most for its longest line."""
    found = [
        Measurement.get(console, options.update(max_width=10_000), cell) for cell in (column.header, *column.cells)
    ]
    most = max(each.maximum for each in found)
    least = most if column.no_wrap else max(each.minimum for each in found)
    return Need(min(most, max(least, PROSE_COLUMNS * (column.header in PROSE))), most)


def _kept(names: Sequence[str], needs: Sequence[Need], spare: Iterable[str], room: int) -> tuple[list[int], list[str]]:
    """Which columns there is room for, and the names of those that are left out."""
    kept, left_out = list(range(len(names))), list[str]()
    for name in spare:
        if sum(needs[at].least + PADDING for at in kept) + 1 <= room:
            break
        kept.remove(names.index(name))
        left_out.append(name)
    return kept, left_out


def shared(needs: Sequence[Need], room: int) -> list[int] | None:
    """Share room among columns, all that want little getting it; None: not even words have room."""
    left = room - sum(least for least, _ in needs)
    if left < 0:
        return None
    widths = [0] * len(needs)
    wanting = sorted(range(len(needs)), key=lambda at: needs[at].most - needs[at].least)
    for done, at in enumerate(wanting):
        least, most = needs[at]
        more = min(most - least, left // (len(wanting) - done))
        widths[at], left = least + more, left - more
    return widths
