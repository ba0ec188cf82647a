"""A document of headings, paragraphs, lists, tables and plots, as HTML and as Markdown.

Pure. Law: text is text. Labels that producers choose can neither close a tag nor begin a cell. The HTML needs nothing
but itself: no script, no address, no font; light or dark as the reader's screen is.
"""

import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

from pipeline.delivery.words_figures import clean

CELL_CHARACTERS = 300


class Heading(NamedTuple):
    """A section begins."""

    level: int
    text: str


class Paragraph(NamedTuple):
    """Some sentences."""

    text: str


class Items(NamedTuple):
    """A list."""

    texts: tuple[str, ...]


class Table(NamedTuple):
    """Rows under columns; those whose names end in a space are figures, aligned to the right."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Plot(NamedTuple):
    """A drawing, and in words what it shows."""

    name: str
    alt: str
    svg: str


Block = Heading | Paragraph | Items | Table | Plot

#: verdict -> class: its colour is said by the word too
TONES = {"kept": "kept", "broken": "broken", "no data": "unknown", "not told": "unknown", "not known": "unknown"}

STYLE = """\
:root { --paper: #ffffff; --ink: #1b1f24; --quiet: #59636e; --rule: #d1d9e0; --kept: #1a7f37; --broken: #c62a32;
  --warn: #9a6700; --series: #0550ae; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --paper: #0d1117; --ink: #e6edf3; --quiet: #9198a1; --rule: #3d444d;
  --kept: #3fb950; --broken: #ff7b72; --warn: #d29922; --series: #79c0ff; } }
body { background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; margin: 0 auto;
  max-width: 72rem; padding: 1rem; }
h1, h2, h3 { line-height: 1.25; margin: 2rem 0 0.5rem; } h1 { margin-top: 0; }
.table { overflow-x: auto; } .table:focus { outline: 2px solid var(--series); }
table { border-collapse: collapse; margin: 0.5rem 0 1rem; min-width: 40%; }
caption { color: var(--quiet); padding: 0.25rem 0; text-align: left; }
th, td { border-bottom: 1px solid var(--rule); padding: 0.3rem 0.8rem 0.3rem 0; text-align: left; vertical-align: top; }
.figure { font-variant-numeric: tabular-nums; text-align: right; white-space: nowrap; }
.kept { color: var(--kept); } .broken { color: var(--broken); font-weight: 600; }
.unknown { color: var(--quiet); font-style: italic; }
figure { margin: 0.5rem 0 1rem; overflow-x: auto; } svg { height: auto; max-width: 100%; }
figcaption { color: var(--quiet); } code { font-size: 0.9em; }
@media print { body { max-width: none; } h2 { break-after: avoid; } table, figure { break-inside: avoid; } }
"""


def html(title: str, blocks: Iterable[Block]) -> str:
    """One page that stands alone."""
    body = "\n".join(_html(block) for block in blocks)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{_text(title)}</title>
<style>
{STYLE}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def _html(block: Block) -> str:
    match block:
        case Heading(level, text):
            return f"<h{level}>{_inline(text)}</h{level}>"
        case Paragraph(text):
            return f"<p>{_inline(text)}</p>"
        case Items(texts):
            return "<ul>\n" + "\n".join(f"<li>{_inline(text)}</li>" for text in texts) + "\n</ul>"
        case Plot(name, alt, svg):
            drawn = svg.replace("<svg ", f'<svg role="img" aria-labelledby="{name}-alt" ', 1)
            return f'<figure>\n{drawn}\n<figcaption id="{name}-alt">{_text(alt)}</figcaption>\n</figure>'
        case Table():
            return _html_table(block)


def _html_table(table: Table) -> str:
    kinds = ["figure" if name.endswith(" ") else "" for name in table.columns]
    head = "".join(
        f'<th scope="col"{_classes(kind)}>{_text(name.strip())}</th>'
        for name, kind in zip(table.columns, kinds, strict=True)
    )
    rows = "\n".join(_html_row(row, kinds) for row in table.rows)
    return (
        f'<div class="table" tabindex="0" role="region" aria-label="{escape(clean(table.caption))}">\n<table>\n'
        f"<caption>{_inline(table.caption)}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n"
        "</table>\n</div>"
    )


def _html_row(row: Sequence[str], kinds: Sequence[str]) -> str:
    first = f'<th scope="row"{_classes(kinds[0])}>{_inline(row[0])}</th>'
    rest = "".join(
        f"<td{_classes(kind, TONES.get(cell, ''))}>{_inline(cell)}</td>"
        for cell, kind in zip(row[1:], kinds[1:], strict=True)
    )
    return f"<tr>{first}{rest}</tr>"


def _classes(*names: str) -> str:
    found = " ".join(name for name in names if name)
    return f' class="{found}"' if found else ""


def _text(text: str) -> str:
    return escape(clean(text, CELL_CHARACTERS))


def _inline(text: str) -> str:
    """Text, in which `code` is set as such."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", _text(text))


def markdown(blocks: Iterable[Block]) -> str:
    """The same for a wiki or a review; plots are files beside it."""
    return "\n\n".join(_markdown(block) for block in blocks) + "\n"


def _markdown(block: Block) -> str:
    match block:
        case Heading(level, text):
            return f"{'#' * level} {_marked(text)}"
        case Paragraph(text):
            return _marked(text)
        case Items(texts):
            return "\n".join(f"- {_marked(text)}" for text in texts)
        case Plot(name, alt, _):
            return f"![{_marked(alt)}](plots/{name}.svg)"
        case Table(caption, columns, rows):
            ruler = " | ".join("---:" if name.endswith(" ") else "---" for name in columns)
            lines = [" | ".join(_marked(cell) for cell in row) for row in ([c.strip() for c in columns], *rows)]
            head, *rest = lines
            return "\n".join([f"{_marked(caption)}", "", f"| {head} |", f"| {ruler} |", *(f"| {r} |" for r in rest)])


def _marked(text: str) -> str:
    """Text whose characters mean nothing to Markdown, but for `code`."""
    pieces = clean(text, CELL_CHARACTERS).split("`")
    if len(pieces) % 2 == 0:  # a single one opens nothing
        pieces[-2:] = [f"{pieces[-2]}'{pieces[-1]}"]
    plain = [piece if at % 2 else re.sub(r"([\\|*_<>\[\]#])", r"\\\1", piece) for at, piece in enumerate(pieces)]
    return "`".join(piece.replace("|", "\\|") if at % 2 else piece for at, piece in enumerate(plain))
