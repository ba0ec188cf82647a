"""Documents: YAML text to trees that know their lines. Refuses whatever a reader could not see at a glance.

Pure. Scalars stay text: what a value means is the language's business, so `no` is no boolean, 0.990 no float.
Documents are cut at `---` lines first, which YAML allows nowhere else, so a syntax error spoils no other one.
Anchors, aliases, tags and duplicate keys are problems; size, depth and node count have limits.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceStartEvent,
)

from pipeline.spec.problems import FILE_START, Place, Problem, Refused, shown

BYTES_MAX = 1 << 20  # of one file; an SLO takes about 700
DEPTH_MAX = 32  # the language needs 6, OpenSLO 12 and what connection details hold
DOCUMENTS_MAX = 2_000  # of one file, empty ones included
NODES_MAX = 100_000  # of one file: about a second of parsing
PROBLEMS_MAX = 200  # of one file: enough to mend, and hostile input stays cheap

_BOUNDARY = re.compile(r"^---(?=\s|$)", re.MULTILINE)
#: what YAML 1.2 calls non-printable (production 1), without the byte order mark that may start a file
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Scalar:
    """Text as it stands; `plain` when not quoted."""

    text: str
    plain: bool
    place: Place


@dataclass(frozen=True)
class Sequence:
    items: tuple["Node", ...]
    place: Place


@dataclass(frozen=True)
class Mapping:
    """Entries in order, keys unique: the first of a duplicate stays."""

    entries: tuple[tuple[Scalar, "Node"], ...]
    place: Place

    def get(self, key: str) -> "Node | None":
        return next((node for name, node in self.entries if name.text == key), None)


@dataclass(frozen=True)
class Unknown:
    """Something refused while reading, and reported there; whatever reads it says nothing more."""

    place: Place


Node = Scalar | Sequence | Mapping | Unknown


def is_empty(node: Node | None) -> bool:
    """Tell whether YAML would read null."""
    return node is None or (isinstance(node, Scalar) and node.plain and node.text in {"", "~", "null", "Null", "NULL"})


@dataclass
class Report:
    """Problems of one file, in the order found, up to PROBLEMS_MAX."""

    file: str
    problems: list[Problem] = field(default_factory=list)
    refusals: int = field(default=0, init=False)  # noted or not: a document without one is good
    _seen: set[Problem] = field(default_factory=set, init=False)

    @property
    def is_full(self) -> bool:
        return len(self.problems) >= PROBLEMS_MAX

    def add(self, place: Place, path: str, value: str, rule: str, remedy: str) -> None:
        """Note a problem; one that is noted already, as each document of a matrix has it, is noted once."""
        problem = Problem(self.file, *place, path, value, rule, remedy)
        self.refusals += 1
        if not self.is_full and problem not in self._seen:
            self._seen.add(problem)
            self.problems.append(problem)

    def refuse(self, place: Place, path: str, value: str, refused: Refused) -> None:
        self.add(place, path, shown(value), refused.rule, refused.remedy)

    def all(self) -> list[Problem]:
        """Return the problems in the order of the file, and say when there were more."""
        found = sorted(self.problems)
        if self.is_full:
            last = found[-1]
            more = "more problems may follow; they are not shown"
            found.append(Problem(self.file, last.line, last.column, "", "", more, "mend these first"))
        return found


def text_of(data: bytes) -> str:
    """Decode a file; line ends become `\\n`.

    Raises: Refused for what is too large or no UTF-8 text.
    """
    if len(data) > BYTES_MAX:
        raise Refused(f"must be at most {BYTES_MAX} bytes", "split the file")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refused(f"must be UTF-8 text; byte {error.start} is not", "save the file as UTF-8") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_documents(text: str, report: Report) -> list[Node]:
    """Read every document that holds something; what is wrong with the others is in the report."""
    wrong = _UNPRINTABLE.search(text)
    if wrong is not None:
        before = text[: wrong.start()]
        place = Place(before.count("\n") + 1, len(before) - before.rfind("\n"))
        report.add(place, "", shown(wrong.group()), "must be printable text", "is this a YAML file?")
        return []
    reader, lines = _Reader(report), 0
    starts = [0, *(match.start() for match in _BOUNDARY.finditer(text)), len(text)]
    for number, (start, end) in enumerate(pairwise(starts)):
        reader.read(text[start:end], lines)
        lines += text.count("\n", start, end)
        if reader.nodes > NODES_MAX or number > DOCUMENTS_MAX:
            limits = f"must hold at most {DOCUMENTS_MAX} documents and {NODES_MAX} YAML nodes"
            report.add(FILE_START, "", "", limits, "split the file")
            break
    return [document for document in reader.documents if not is_empty(document)]


def only_document(data: bytes, report: Report, kind: str) -> Node | None:
    """Read the document of a file that holds one; None where there is none. What is wrong is in the report."""
    try:
        documents = read_documents(text_of(data), report)
    except Refused as refused:
        report.refuse(FILE_START, "", f"{len(data)} bytes", refused)
        documents = []
    if len(documents) != 1 and not report.problems:
        report.add(FILE_START, "", "", "must hold one document", f"write one kind: {kind}")
    return documents[0] if documents else None


@dataclass
class _Open:
    """A collection whose end has not come."""

    place: Place
    is_mapping: bool
    children: list[Node] = field(default_factory=list)


@dataclass
class _Reader:
    """Events to nodes, without recursion: depth is ours to limit, not the stack's."""

    report: Report
    documents: list[Node] = field(default_factory=list)
    nodes: int = 0
    _open: list[_Open] = field(default_factory=list)
    _lines: int = 0  # before the text at hand

    def read(self, text: str, lines: int) -> None:
        """Read the documents of one piece of the file; a syntax error ends it."""
        self._lines = lines
        self._open = []
        try:
            for event in _events(text):
                if not self._take(event):
                    return
        except YAMLError as error:
            self._syntax(error)
        except Exception as error:  # ruamel lets others escape on odd input, such as OverflowError on "\\UFFFFFFFF"
            words = f"cannot be read as YAML: {shown(str(error))}"
            self.report.add(Place(lines + 1, 1), "", "", words, "mend the YAML of this document")

    def _take(self, event: Event) -> bool:
        """Return False when the rest of the piece is to be left unread."""
        place = self._place(event.start_mark)
        if isinstance(event, DocumentStartEvent | DocumentEndEvent):
            return True
        if isinstance(event, NodeEvent):
            self.nodes += 1
            self._look_at(event, place)
        if isinstance(event, MappingStartEvent | SequenceStartEvent):
            self._open.append(_Open(place, isinstance(event, MappingStartEvent)))
            if len(self._open) > DEPTH_MAX:
                self.report.add(place, "", "", f"must be nested at most {DEPTH_MAX} deep", "flatten this")
                return False
        elif isinstance(event, ScalarEvent):
            self._put(self._scalar(event, place))
        elif isinstance(event, AliasEvent):
            self._put(Unknown(place))
        elif self._open:  # the end of a collection
            self._close(self._open.pop())
        return self.nodes <= NODES_MAX

    def _look_at(self, event: Any, place: Place) -> None:
        if isinstance(event, AliasEvent):
            self.report.add(place, "", f"*{shown(event.anchor)}", "aliases are not supported", "write the value out")
        elif event.anchor is not None:
            self.report.add(
                place,
                "",
                f"&{shown(event.anchor)}",
                "anchors are not supported",
                "remove it and write values out",
            )
        if getattr(event, "tag", None):
            self.report.add(place, "", shown(str(event.tag)), "tags are not supported", "remove it")

    def _put(self, node: Node) -> None:
        if self._open:
            self._open[-1].children.append(node)
        else:
            self.documents.append(node)

    def _close(self, done: _Open) -> None:
        if not done.is_mapping:
            self._put(Sequence(tuple(done.children), done.place))
            return
        entries: dict[str, tuple[Scalar, Node]] = {}
        for key, node in zip(done.children[::2], done.children[1::2], strict=True):
            if not isinstance(key, Scalar):
                self.report.add(key.place, "", "", "a key must be plain text", "write `name: value`")
            elif key.text in entries:
                first = entries[key.text][0].place
                twice = f"must be given once; the first is at {first.line}:{first.column}"
                self.report.add(key.place, "", shown(key.text), twice, "remove one of them")
            else:
                entries[key.text] = (key, node)
        self._put(Mapping(tuple(entries.values()), done.place))

    def _place(self, mark: Any) -> Place:
        return Place(self._lines + mark.line + 1, mark.column + 1)

    def _scalar(self, event: ScalarEvent, place: Place) -> "Scalar | Unknown":
        if (text := _whole(event.value)) is not None:
            return Scalar(text, event.style is None, place)
        self.report.add(place, "", "", "holds half of a surrogate pair", "write the character itself")
        return Unknown(place)

    def _syntax(self, error: YAMLError) -> None:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        place = self._place(mark) if mark else Place(self._lines + 1, 1)
        words = " ".join(filter(None, (getattr(error, "context", ""), getattr(error, "problem", "")))) or "no YAML"
        remedy = "mend the YAML: look at indentation, quotes and brackets here and in the line above"
        self.report.add(place, "", "", f"cannot be read as YAML: {' '.join(words.split())}", remedy)


def _whole(text: str) -> str | None:
    """Join surrogates, as JSON escapes characters past U+FFFF; None: one has no pair."""
    if text.isascii():
        return text
    try:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError:
        return None


def _events(text: str) -> Iterator[Event]:
    return iter(YAML(typ="safe", pure=True).parse(text))
